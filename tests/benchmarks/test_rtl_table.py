"""The table of the hardware: what a row depends on, and how it stands beside hls4ml."""

from dataclasses import replace

from benchmarks.rtl_table import HLS4ML, Row, _sources, multipliers_in_all, to_markdown  # pyright: ignore[reportPrivateUsage]

ROW = Row(
    input_size=6,
    hidden_size=20,
    steps=100,
    multipliers=16,
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
    assert "| this engine, P = 16 | 133.6 | 24 | 3207 | 900 |" in text
    assert "| hls4ml, latency, reuse 1 | 16.6 | 2720 | 45152 | 109386 |" in text
    assert text.count("this engine") == 1
    assert min(luts for *_, luts in HLS4ML) > 48_000


def test_a_row_depends_on_the_engine_alone() -> None:
    names = {source.stem for source in _sources("lstm")}
    assert {"lstm", "lstm_mac", "rom", "delay", "tally"} <= names
    assert not names & {"lstm_axi", "lstm_stack", "axi_lite_slave"}
