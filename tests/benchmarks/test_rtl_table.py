"""The table of the hardware: what a row depends on, and how it stands beside hls4ml."""

from dataclasses import replace

from benchmarks.markdown import between
from benchmarks.rtl_table import (
    HLS4ML,
    MARKS,
    README,
    Row,
    _sources,  # pyright: ignore[reportPrivateUsage]
    multipliers_in_all,
    to_markdown,
)

ROW = Row(
    input_size=6,
    hidden_size=20,
    steps=100,
    multipliers=16,
    pipeline="middle",
    cycles_per_step=133.61,
    mac_utilisation=0.973,
    luts=900,
    ffs=None,
    dsps=None,
    brams=None,
    logic_cells=None,
    mhz=None,
    mhz_per_seed=(),
    joules_per_step=1e-8,
)


def test_every_multiplier_counts() -> None:
    """A group of 20 units has 20 pointwise pipelines."""
    assert multipliers_in_all(ROW) == 16 + 8
    assert multipliers_in_all(replace(ROW, multipliers=2080)) == 2080 + 8 * 20


def test_cycles_times_multipliers_stand_beside_hls4ml() -> None:
    text = to_markdown([ROW, replace(ROW, hidden_size=64)])
    assert "| this engine, P = 16 | 133.6 | 24 | 3,207 | 900 |" in text
    assert "| hls4ml, latency, reuse 1 | 16.6 | 2,720 | 45,152 | 109,386 |" in text
    assert text.count("this engine") == 1
    assert min(luts for *_, luts in HLS4ML) > 48_000


def test_a_row_shows_what_was_measured() -> None:
    placed = replace(ROW, brams=3, logic_cells=2483, mhz=201.3, mhz_per_seed=(199.2, 0.0, 206.1))
    assert "| 6, 20, 16 | middle | 133.6 | 97.3% | 900 | – | – | – | – | – | 10.0 |" in to_markdown([ROW])
    assert "| 3 | 2,483 | **201.3** of 199.2, none, 206.1 | 10.0 |" in to_markdown([placed])


def test_tables_take_their_place_on_the_page() -> None:
    page = README.read_text()
    once = between(page, MARKS, to_markdown([ROW]))
    assert page.count(MARKS[0]) == page.count(MARKS[1]) == 1
    assert to_markdown([ROW]) in once
    assert once != page
    assert between(once, MARKS, to_markdown([ROW])) == once


def test_a_row_depends_on_the_engine_alone() -> None:
    names = {source.stem for source in _sources("lstm")}
    assert {"lstm", "lstm_mac", "rom", "delay", "tally"} <= names
    assert not names & {"lstm_axi", "lstm_stack", "axi_lite_slave"}
