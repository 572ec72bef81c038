"""docs/variants.md: every test that backs a cell of its table exists, and every variant of the spec is on the page."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "variants.md").read_text(encoding="utf-8")


def test_every_named_test_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)
    assert len(named) > 15
    for path, name in named:
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, f"{path}::{name}"


def test_every_column_says_how_it_was_found_out() -> None:
    heads = next(line for line in PAGE.splitlines() if line.startswith("| variant |")).strip("|").split("|")[1:-1]
    letters = {letter for head in heads for letter in re.findall(r"\[(\w)\]", head)}
    assert len(re.findall(r"\[\w\]", " ".join(heads))) == len(heads)
    rows = "".join(line for line in PAGE.splitlines() if line.startswith("| "))
    explained = re.findall(r"^- \[([a-z])\] ", PAGE, re.MULTILINE)
    assert letters <= set(explained)
    assert set(explained) == set(re.findall(r"\[([a-z])\]", rows))


def test_every_cell_of_ours_is_backed() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and "---" not in line][1:]
    footnotes = set(re.findall(r"^(\d+)\. `tests/", PAGE, re.MULTILINE))
    assert len(rows) > 25
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert len(cells) == 13, row
        backed = re.fullmatch(r"y \[(\d+)\]", cells[-1])
        assert backed, row
        assert backed[1] in footnotes, row
