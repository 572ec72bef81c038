"""What must not change a result: streams that hesitate, resets at any clock, what registers held before, long rails."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from tests.fixed.plans import RAILS
from tests.rtl.bench import DEEP, MIDDLE, SHALLOW, Bench, bench, plain_plan
from tests.rtl.test_lstm_stack import StackBench, stack_bench

from gatesmith.fixed.qformat import QFormat
from gatesmith.fixed.weights import CellWeights
from gatesmith.hardware.jobs import Job, JobResult, Stimulus
from gatesmith.hardware.options import PIPELINES, Options
from gatesmith.spec import LSTMSpec

DUTIES = list(itertools.product((1.0, 0.5, 0.1), repeat=2))
SEEDS = range(10)
# (D, H, P, pipeline): rows one by one, words that straddle columns, whole columns, several columns side by side.
ENGINES = [(1, 3, 2, MIDDLE), (3, 5, 7, DEEP), (3, 5, 20, SHALLOW), (3, 5, 45, DEEP)]
MAX_STEPS = 7


@pytest.fixture(scope="module")
def small() -> Iterator[Bench]:
    with bench(plain_plan(3, 5), 7) as b:
        yield b


@pytest.fixture(scope="module")
def model() -> Iterator[StackBench]:
    """Two layers in both directions, whose buffers hold MAX_STEPS steps."""
    options = Options(multipliers=5, pipeline=PIPELINES["middle"], max_steps=MAX_STEPS)
    with stack_bench(LSTMSpec(2, 3, num_layers=2, direction="bidirectional"), options) as b:
        yield b


def outcome(results: list[JobResult]) -> list[object]:
    """Everything that came out but the time it took."""
    return [
        (
            result.y.tolist(),
            result.last.tolist(),
            result.h_n.tolist(),
            result.c_n.tolist(),
            result.saturated,
            result.protocol_error,
        )
        for result in results
    ]


def check_hesitation(b: Bench | StackBench, jobs: list[Job], seeds: range) -> None:
    """Equal to the model, and the same from every stream."""
    first = outcome(b.check(jobs))
    for (valid, ready), seed in itertools.product(DUTIES, seeds):
        assert outcome(b.run(jobs, Stimulus(valid_duty=valid, ready_duty=ready, seed=seed))) == first


def test_models_may_wait_for_their_streams(model: StackBench) -> None:
    check_hesitation(model, [model.sequences([1, MAX_STEPS, 1])], SEEDS[:2])


@pytest.mark.nightly
def test_models_may_wait_in_any_way(model: StackBench) -> None:
    check_hesitation(model, [model.sequences([1, MAX_STEPS, 1]), model.sequences([3] * 5)], SEEDS)


@pytest.mark.nightly
@pytest.mark.parametrize(("inputs", "hidden", "multipliers", "pipeline"), ENGINES)
def test_engines_may_wait_in_any_way(inputs: int, hidden: int, multipliers: int, pipeline: dict[str, int]) -> None:
    with bench(plain_plan(inputs, hidden), multipliers, pipeline) as b:
        check_hesitation(b, [b.sequences([1, 20, 1]), b.sequences([4] * 5)], SEEDS)


def test_what_registers_hold_before_does_not_matter(small: Bench) -> None:
    """Verilator fills registers and memories by the seed; neither a value nor a clock may depend on it."""
    jobs = [small.sequences([1, 9, 1]), small.sequence(5)]
    expected = small.check(jobs)
    for seed in range(1, 21):
        results = small.run(jobs, Stimulus(seed=seed))
        assert outcome(results) == outcome(expected)
        assert [result.cycles for result in results] == [result.cycles for result in expected]


def check_resets(b: Bench | StackBench, job: Job, clocks: range, lengths: tuple[int, ...]) -> None:
    """A run that a reset ends leaves nothing behind, whatever it was doing."""
    expected = outcome(b.check([job]))
    for clock, length in itertools.product(clocks, lengths):
        duty = 1.0 if clock % 2 else 0.4
        stimulus = Stimulus(warmup=clock, reset=length, valid_duty=duty, ready_duty=duty, seed=clock)
        assert outcome(b.run([job], stimulus)) == expected, f"reset of {length} clocks after {clock}"


def test_models_start_clean_after_any_reset(model: StackBench) -> None:
    check_resets(model, model.sequences([3, 2]), range(1, 600, 23), (1, 20))


@pytest.mark.nightly
def test_models_start_clean_after_every_reset(model: StackBench) -> None:
    check_resets(model, model.sequences([3, 2]), range(1, 900), (1, 20))


@pytest.mark.nightly
@pytest.mark.parametrize(("inputs", "hidden", "multipliers", "pipeline"), ENGINES)
def test_engines_start_clean_after_every_reset(
    inputs: int, hidden: int, multipliers: int, pipeline: dict[str, int]
) -> None:
    """At every clock of three steps and of what follows them, so in every state of every counter."""
    with bench(plain_plan(inputs, hidden), multipliers, pipeline) as b:
        job = b.sequences([1, 2])
        (result,) = b.check([job])
        check_resets(b, job, range(1, result.cycles + 20), (1, 20))


def constant(form: QFormat, shape: tuple[int, ...], high: bool) -> np.ndarray:
    return np.full(shape, form.max_code if high else form.min_code, np.int64)


@pytest.mark.parametrize(("x_high", "w_high"), list(itertools.product((False, True), repeat=2)))
def test_a_thousand_steps_at_one_rail(x_high: bool, w_high: bool) -> None:
    """Every product is the largest there is, with one sign: sums come as close to overflow as they can."""
    cell = plain_plan(3, 5)
    rows = 4 * cell.hidden_size
    weights = CellWeights(
        w_ih=constant(cell.w_ih_format, (rows, cell.input_size), w_high),
        w_hh=constant(cell.w_hh_format, (rows, cell.hidden_size), w_high),
        b=constant(cell.b_format, (rows,), x_high == w_high),
    )
    with bench(cell, 7, weights=weights) as b:
        states = cell.hidden_size
        b.check(
            [
                Job(
                    x=constant(cell.x_format, (1000, cell.input_size), x_high),
                    lengths=(1000,),
                    h0=constant(cell.h_format, (states,), x_high),
                    c0=constant(cell.c_format, (states,), x_high),
                )
            ]
        )


@pytest.mark.nightly
@pytest.mark.parametrize(("inputs", "hidden", "multipliers", "pipeline"), ENGINES)
def test_a_thousand_steps_between_the_rails(
    inputs: int, hidden: int, multipliers: int, pipeline: dict[str, int]
) -> None:
    with bench(plain_plan(inputs, hidden), multipliers, pipeline, kind=RAILS) as b:
        b.check([b.sequence(1000, RAILS)])
        b.check([b.sequences([1, 998, 1], RAILS)], Stimulus(valid_duty=0.5, ready_duty=0.5))
