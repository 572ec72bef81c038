"""Tables for the terminal: every number of a result stands in them."""

import io

import numpy as np
from rich.console import Console

from gatesmith.analysis import footprint, hardware_footprint, inspect
from gatesmith.analysis.bounds import rank_bounds
from gatesmith.analysis.profile import Point, Profile
from gatesmith.analysis.stages import Components, Part
from gatesmith.analysis.timing import Latency
from gatesmith.report.tables import footprint_tables, hardware_tables, inspection_tables, profile_tables
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


def test_the_profile_shows_every_component_and_bound() -> None:
    whole = Latency(median=1e-3, p10=9e-4, p90=2e-3, p99=3e-3, least=8e-4, repeats=50)
    part = Part(name="input projection", formula="N·D/latency", seconds=6e-4, elements=6, steps=8, work=None)
    bound = rank_bounds("forward call, N = 2", 8e-4, {"arithmetic": (2e-4, "at peak"), "call": (1e-4, "empty")})
    found = Profile(
        spec=SPEC,
        device="cpu",
        steps=8,
        threads=2,
        throughput=(Point(mode="inference", batch=2, latency=whole, flops=2_000_000),),
        components=(Components(spec=SPEC, mode="forward", batch=2, whole=whole, parts=(part,)),),
        bounds=(bound,),
        limits=None,
        buffers=(),
    )
    text = printed(profile_tables(found))
    for expected in ("input projection", "600 µs", "75.0%", "2 k", "arithmetic", "at peak", "8 ×", "1 ms"):
        assert expected in text, expected


def test_the_hardware_shows_cycles_and_memories() -> None:
    names = ("XWidth", "HWidth", "CellWidth", "ActWidth", "SlopeWidth", "BiasWidth", "AccWidth")
    cell = {
        "InputSize": 3,
        "HiddenSize": 5,
        "Multipliers": 4,
        "WeightWidth": 8,
        "TableBits": 8,
        **dict.fromkeys(names, 16),
    }
    text = printed(hardware_tables(hardware_footprint({"l0": cell}, predicted_cycles=[41], measured_cycles=[41.0])))
    for expected in ("40", "41", "97.6%", "weights", "1,280", "sigmoid tables"):
        assert expected in text, expected


def test_units() -> None:
    assert [human_bytes(n) for n in (None, 0, 999, 1024, 5 * 2**20)] == ["–", "0 B", "999 B", "1 KiB", "5 MiB"]
    assert [human_time(s) for s in (None, 2.0, 1.5e-3, 2e-6, 3e-9)] == ["–", "2 s", "1.5 ms", "2 µs", "3 ns"]
    assert [human_rate(r) for r in (5, 1234, 2.5e6)] == ["5", "1.23 k", "2.5 M"]
