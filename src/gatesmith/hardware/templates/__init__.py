"""Texts in which names and numbers are filled in."""

import re
from collections.abc import Mapping
from pathlib import Path

TEMPLATES = Path(__file__).parent
FIELD = re.compile(r"@\{(\w+)\}")


def filled(name: str, values: Mapping[str, str]) -> str:
    """A text with fields like ``@{name}``: the dollar belongs to make."""
    return FIELD.sub(lambda match: values[match[1]], (TEMPLATES / name).read_text())
