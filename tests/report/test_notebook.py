"""Results show themselves as tables in a notebook, names in them as text."""

from typing import Any

from gatesmith.analysis import Footprint, Inspection, Profile, footprint, hardware_footprint
from gatesmith.report.notebook import as_html, load_ipython_extension
from gatesmith.spec import LSTMSpec

SPEC = LSTMSpec(3, 5)


class Shell:
    """As much of IPython as an extension sees."""

    def __init__(self) -> None:
        self.kinds: dict[type, Any] = {}
        self.display_formatter = self
        self.formatters = {"text/html": self}

    def for_type(self, kind: type, show: Any) -> None:
        self.kinds[kind] = show


def test_every_kind_of_result_is_shown() -> None:
    shell = Shell()
    load_ipython_extension(shell)
    assert {Footprint, Inspection, Profile} < set(shell.kinds)
    text = shell.kinds[Footprint](footprint(SPEC, 1, 1, measure=False))
    assert "N·(D + 6H)·s" in text
    assert text.count("<pre") == 1


def test_names_are_escaped() -> None:
    names = ("XWidth", "HWidth", "CellWidth", "ActWidth", "SlopeWidth", "BiasWidth", "AccWidth", "WeightWidth")
    cell = {"InputSize": 3, "HiddenSize": 5, "Multipliers": 4, "TableBits": 8, **dict.fromkeys(names, 16)}
    text = as_html(hardware_footprint({"<script>": cell}))
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
