"""Tables for the terminal: every number of a result stands in them."""

import io

import numpy as np
from rich.console import Console

from gatesmith.analysis import footprint, inspect
from gatesmith.report.tables import footprint_tables, inspection_tables
from gatesmith.report.units import human_bytes, human_rate, human_time
from gatesmith.spec import LSTMSpec
from gatesmith.weights import initialise

SPEC = LSTMSpec(3, 5)


def printed(what: object) -> str:
    text = io.StringIO()
    Console(width=200, file=text).print(what)
    return text.getvalue()


def test_the_footprint_shows_the_sum_of_one_step_and_every_line() -> None:
    found = footprint(SPEC, 4, 8, np.float64, training=True, device="reference")
    text = printed(footprint_tables(found))
    assert "N·(D + 6H)·s" in text
    assert f"{4 * (3 + 30) * 8:,}" in text
    for line in (*found.lines, found.peak):
        assert line.component in text
        assert human_bytes(line.measured) in text


def test_a_prediction_alone_says_why() -> None:
    assert "no measurement" in printed(footprint_tables(footprint(SPEC, 1, 1, measure=False)))


def test_the_inspection_shows_cells_and_verdicts() -> None:
    x = np.random.default_rng(0).normal(size=(40, 2, 3))
    text = printed(inspection_tables(inspect(initialise(SPEC, dtype=np.float64), x)))
    assert "layer 0, forward" in text
    assert "vanishes after" in text
    assert "0 of 5" in text


def test_units() -> None:
    assert [human_bytes(n) for n in (None, 0, 999, 1024, 5 * 2**20)] == ["–", "0 B", "999 B", "1 KiB", "5 MiB"]
    assert [human_time(s) for s in (None, 2.0, 1.5e-3, 2e-6, 3e-9)] == ["–", "2 s", "1.5 ms", "2 µs", "3 ns"]
    assert [human_rate(r) for r in (5, 1234, 2.5e6)] == ["5", "1.23 k", "2.5 M"]
