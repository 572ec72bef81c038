"""The engine against the integer model, `==`: every shape, every stream, every reset."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fixed.plans import RAILS, RANDOM, cell_plans, unprojected, variants
from tests.rtl.bench import DEEP, MIDDLE, SHALLOW, bench, pipelines, plain_plan, resets
from tests.strategies import deterministic

from gatesmith.fixed.cell import CellPlan
from gatesmith.hardware.simulate import Stimulus
from gatesmith.hardware.timing import timing

PIPELINES = {"deep": DEEP, "middle": MIDDLE, "shallow": SHALLOW}
# (D, H, P, pipeline): P of 1, below four, odd, dividing 4H and not, equal to 4H, and above it by several columns.
SHAPES = [
    (1, 1, 1, "deep"),
    (3, 5, 3, "middle"),
    (3, 5, 5, "middle"),
    (3, 5, 7, "deep"),
    (6, 20, 16, "deep"),
    (2, 10, 39, "shallow"),
    (3, 5, 20, "middle"),
    (3, 5, 45, "deep"),
    (1, 3, 100, "shallow"),
]
EVERY_SHAPE = [
    (*size, multipliers, pipeline)
    for size in ((1, 1), (3, 5), (6, 20), (7, 13), (1, 33), (64, 1))
    for multipliers, pipeline in zip(
        (1, 2, 3, 4, 8, 16, 4 * size[1], 4 * size[1] * 3 + 1), itertools.cycle(PIPELINES), strict=False
    )
]


@st.composite
def designs(draw: st.DrawFn, largest: int, *, projected: bool = True) -> tuple[CellPlan, int, dict[str, int], str, int]:
    """Any plan, any number of lanes, of a projection too, any pipeline."""
    sizes = st.integers(1, largest)
    spec = draw(variants(draw(sizes), draw(sizes)))
    if not projected:
        spec = unprojected(spec)
    cell = draw(cell_plans(input_size=spec.input_size, hidden_size=spec.hidden_size, spec=spec))
    multipliers = draw(
        st.one_of(st.integers(1, 40), st.integers(1, 3).map(lambda columns: 4 * columns * cell.hidden_size))
    )
    stages = draw(pipelines()).stages()
    return cell, multipliers, stages, draw(st.sampled_from([RANDOM, RAILS])), draw(st.integers(1, cell.output_size))


def check_everything(cell: CellPlan, multipliers: int, stages: dict[str, int], kind: str, projection: int = 1) -> None:
    """Sequences one by one and back to back, with streams that hesitate and with a reset in the middle."""
    with bench(cell, multipliers, stages, kind=kind, projection_multipliers=projection) as b:
        b.check([b.sequence(length, kind) for length in (4, 1, 2)])
        b.check([b.sequences([1, 5, 1, 1, 3], kind)], Stimulus(seed=1))
        b.check([b.sequences([1, 4, 2], kind)], Stimulus(valid_duty=0.5, ready_duty=0.25, seed=2))
        b.check([b.sequence(3, kind)], Stimulus(warmup=int(b.generator.integers(1, 400)), reset=1, seed=3))


@pytest.mark.parametrize(("inputs", "hidden", "multipliers", "pipeline"), SHAPES)
def test_equals_the_model(inputs: int, hidden: int, multipliers: int, pipeline: str) -> None:
    check_everything(plain_plan(inputs, hidden), multipliers, PIPELINES[pipeline], RANDOM)


@given(design=designs(largest=7))
@deterministic(max_examples=6)
def test_any_plan_equals_the_model(design: tuple[CellPlan, int, dict[str, int], str, int]) -> None:
    check_everything(*design)


@pytest.mark.nightly
@pytest.mark.parametrize("largest", [10, 20, 40])
@given(data=st.data())
@deterministic(max_examples=9, shrink=False)
def test_any_larger_plan_equals_the_model(largest: int, data: st.DataObject) -> None:
    check_everything(*data.draw(designs(largest)))


@pytest.mark.nightly
@pytest.mark.parametrize(("inputs", "hidden", "multipliers", "pipeline"), EVERY_SHAPE)
def test_every_shape_equals_the_model(inputs: int, hidden: int, multipliers: int, pipeline: str) -> None:
    check_everything(plain_plan(inputs, hidden), multipliers, PIPELINES[pipeline], RAILS)


@pytest.mark.parametrize("duties", list(itertools.product((1.0, 0.5, 0.1), repeat=2)))
def test_streams_may_hesitate(duties: tuple[float, float]) -> None:
    with bench(plain_plan(3, 5), 7) as b:
        job = b.sequences([1, 6, 1])
        for seed in range(10):
            b.check([job], Stimulus(valid_duty=duties[0], ready_duty=duties[1], seed=seed))


def test_any_reset_leaves_a_clean_start() -> None:
    """At every clock of the first steps, one clock long and longer, with random registers before."""
    with bench(plain_plan(3, 5), 7) as b:
        job = b.sequences([2, 3])
        for stimulus in resets(range(1, 320, 3)):
            b.check([job], stimulus)


def test_states_are_kept_where_asked() -> None:
    with bench(plain_plan(3, 5), 7) as b:
        jobs = [b.sequence(2), b.sequence(1), b.sequences([2, 1, 3])]
        first = b.run(jobs[:1])[0]
        results = b.run([jobs[0], jobs[1]], Stimulus(keep=True))
        np.testing.assert_array_equal(results[0].y, first.y)  # nothing to keep yet: h0 and c0
        joined = b.sequence(3)
        whole = b.run(
            [type(joined)(x=np.concatenate([jobs[0].x, jobs[1].x]), lengths=(3,), h0=jobs[0].h0, c0=jobs[0].c0)]
        )
        np.testing.assert_array_equal(whole[0].y[2:], results[1].y)
        np.testing.assert_array_equal(whole[0].c_n, results[1].c_n)


def test_a_wrong_length_loses_one_sequence_and_says_so() -> None:
    """`tlast` inside a step: the step is filled with zeros, the next sequence is not touched."""
    with bench(plain_plan(3, 5), 7) as b:
        bad, good = b.sequence(2), b.sequence(3)
        short = Stimulus(cut_beats=1)
        result = b.run([bad], short)[0]
        assert result.protocol_error
        filled = type(bad)(x=bad.x.copy(), lengths=(2,), h0=bad.h0, c0=bad.c0)
        filled.x[-1, -1] = 0
        np.testing.assert_array_equal(result.y, b.run([filled])[0].y)
        results = b.run([bad, good], short_first := Stimulus(cut_beats=1, cut_jobs=1))
        assert short_first.cut_jobs == 1
        assert [r.protocol_error for r in results] == [True, False]
        np.testing.assert_array_equal(results[1].y, b.run([good])[0].y)


def test_rails_for_a_long_time() -> None:
    with bench(plain_plan(6, 20), 16, kind=RAILS) as b:
        b.check([b.sequence(300, RAILS)])


@pytest.mark.parametrize(("inputs", "hidden", "multipliers", "pipeline"), SHAPES)
def test_cycles_per_step_are_those_of_the_formula(inputs: int, hidden: int, multipliers: int, pipeline: str) -> None:
    with bench(plain_plan(inputs, hidden), multipliers, PIPELINES[pipeline]) as b:
        short, long = b.run([b.sequence(9), b.sequence(17)])
        assert (long.cycles - short.cycles) == 8 * timing(b.design.parameters).cycles_per_step


@pytest.mark.parametrize(
    ("inputs", "hidden", "multipliers", "pipeline", "least"),
    [(6, 20, 16, "middle", 0.95), (12, 32, 16, "deep", 0.99)],
)
def test_lanes_are_busy(inputs: int, hidden: int, multipliers: int, pipeline: str, least: float) -> None:
    """From the first beat in to the last beat out of one sequence, filling and draining counted."""
    with bench(plain_plan(inputs, hidden), multipliers, PIPELINES[pipeline]) as b:
        result = b.run([b.sequence(100)])[0]
        products = 4 * hidden * (inputs + hidden) * 100
        assert products / (multipliers * result.cycles) >= least


@pytest.mark.nightly
@pytest.mark.parametrize(("inputs", "hidden", "multipliers"), [(3, 128, 32), (6, 120, 32), (64, 128, 64)])
def test_lanes_of_large_cells_are_busy(inputs: int, hidden: int, multipliers: int) -> None:
    with bench(plain_plan(inputs, hidden), multipliers) as b:
        result = b.run([b.sequence(100)])[0]
        products = 4 * hidden * (inputs + hidden) * 100
        assert products / (multipliers * result.cycles) >= 0.99


@pytest.mark.nightly
@pytest.mark.parametrize(("multipliers", "most"), [(80, 32), (2080, 12)])
def test_a_step_is_short_where_there_are_many_lanes(multipliers: int, most: int) -> None:
    pipeline = {**SHALLOW, "OutElements": 2 if multipliers > 80 else 1}
    with bench(plain_plan(6, 20), multipliers, pipeline) as b:
        short, long = b.check([b.sequence(9), b.sequence(109)])
        assert long.cycles - short.cycles <= 100 * most
