"""Layers of one size in one engine, step by step in turn, against the integer model, `==`."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fixed.plans import RAILS, RANDOM, one_plan, plans, unprojected, variants
from tests.rtl.bench import pipelines, resets
from tests.rtl.faults import plant
from tests.rtl.test_lstm_stack import StackBench, check_everything, plain_plans, stack_bench
from tests.strategies import deterministic

from gatesmith.errors import ToolError
from gatesmith.fixed.linear import LinearPlan
from gatesmith.fixed.plan import Plan
from gatesmith.hardware.jobs import Job, Stimulus
from gatesmith.hardware.options import PIPELINES, Options, Pipeline
from gatesmith.hardware.runner import run_jobs
from gatesmith.hardware.timing import timing
from gatesmith.spec import LSTMSpec

# (D, H, P, pipeline, layers, direction): the way of h to the next layer is the limit in the first, the lanes are in the
# second, whose first layer has an engine of its own, and the way of h to the same layer is in the last.
SHAPES = [
    (4, 4, 7, "deep", 4, "forward"),
    (3, 4, 7, "middle", 4, "forward"),
    (1, 1, 3, "shallow", 2, "reverse"),
]
SIZES = [(1, 1), (3, 3), (5, 5), (13, 13), (20, 20), (6, 20), (20, 6), (1, 33)]
EVERY_SHAPE = [
    (*size, multipliers, pipeline, layers, direction)
    for size, turn in zip(SIZES, itertools.cycle(range(3)))
    for multipliers, pipeline, layers, direction in zip(
        (1, 2, 3, 4, 7, 16, 4 * size[1], 8 * size[1] + 1, 12 * size[1] + 1),
        (("deep", "middle", "shallow") * 4)[turn:],
        itertools.cycle((3, 2, 4, 5)),
        itertools.cycle(("forward", "forward", "reverse")),
    )
]


def shared(multipliers: int, pipeline: str | Pipeline = "middle", output: str = "sequence") -> Options:
    chosen = PIPELINES[pipeline] if isinstance(pipeline, str) else pipeline
    return Options(multipliers=multipliers, pipeline=chosen, max_steps=80, share="layers", output=output)


def check_cycles(b: StackBench) -> None:
    """A step takes a round; in reverse layers a sequence also goes in first and comes out last.

    60 steps, because of several layers a round may be so long on the average of so many rounds.
    """
    short, long = b.run([b.sequences([steps]) for steps in (20, 80)])
    engines = [timing(cell, chained=True) for cell in b.design.cells]
    each = max(found.cycles_per_round for found in engines)
    if b.spec.direction == "reverse":
        first, last = b.design.cells[0], b.design.cells[-1]
        each += -(-first["InputSize"] // first["InElements"]) - (-last["HiddenSize"] // last["OutElements"])
    assert long.cycles - short.cycles == 60 * each


def check_shape(spec: LSTMSpec, options: Options, kind: str) -> None:
    with stack_bench(spec, options, kind=kind) as b:
        check_everything(b, kind)
        check_cycles(b)


@pytest.mark.parametrize(("inputs", "hidden", "multipliers", "pipeline", "layers", "direction"), SHAPES)
def test_equals_the_model(
    inputs: int, hidden: int, multipliers: int, pipeline: str, layers: int, direction: str
) -> None:
    spec = LSTMSpec(inputs, hidden, layers, direction)  # type: ignore[arg-type]
    check_shape(spec, shared(multipliers, pipeline), RANDOM)


@pytest.mark.nightly
@pytest.mark.parametrize(("inputs", "hidden", "multipliers", "pipeline", "layers", "direction"), EVERY_SHAPE)
def test_every_shape_equals_the_model(
    inputs: int, hidden: int, multipliers: int, pipeline: str, layers: int, direction: str
) -> None:
    spec = LSTMSpec(inputs, hidden, layers, direction)  # type: ignore[arg-type]
    check_shape(spec, shared(multipliers, pipeline), RAILS)


@pytest.mark.parametrize("inputs", [5, pytest.param(7, marks=pytest.mark.nightly)])
def test_several_elements_in_a_beat(inputs: int) -> None:
    """H is no multiple of them, so that the last beat of a step is filled up."""
    pipeline = Pipeline(in_elements=2, link_elements=2, out_elements=2, sum_stages=0)
    check_shape(LSTMSpec(inputs, 5, 3), shared(80, pipeline), RANDOM)


def test_as_many_layers_as_there_can_be() -> None:
    check_shape(LSTMSpec(2, 2, 10), shared(5), RANDOM)


@st.composite
def models(draw: st.DrawFn, several: Sequence[int] = (2, 3, 4)) -> tuple[LSTMSpec, Plan, Options]:
    """Any layers of one direction without a projection."""
    hidden, layers = draw(st.integers(1, 5)), draw(st.sampled_from(several))
    inputs = hidden if layers == 2 or draw(st.booleans()) else draw(st.integers(1, 6))
    direction = draw(st.sampled_from(["forward", "forward", "reverse"]))
    spec = unprojected(draw(variants(inputs, hidden, layers, direction)))
    stages = draw(pipelines())
    options = shared(draw(st.integers(1, 70)), stages, draw(st.sampled_from(["sequence", "last"])))
    return spec, one_plan(spec, draw(plans(spec)), "layers"), options


def check_any(model: tuple[LSTMSpec, Plan, Options], kind: str) -> None:
    spec, plan, options = model
    with stack_bench(spec, options, plan=plan, kind=kind) as b:
        check_everything(b, kind)
        if options.output == "sequence":
            check_cycles(b)


@given(model=models(), kind=st.sampled_from([RANDOM, RAILS]))
@deterministic(max_examples=2)
def test_any_model_equals_the_model(model: tuple[LSTMSpec, Plan, Options], kind: str) -> None:
    check_any(model, kind)


@pytest.mark.nightly
@pytest.mark.parametrize("kind", [RANDOM, RAILS])
@pytest.mark.parametrize("layers", [2, 3, 4])
@given(data=st.data())
@deterministic(max_examples=6, shrink=False)
def test_many_models_equal_the_model(layers: int, kind: str, data: st.DataObject) -> None:
    check_any(data.draw(models([layers])), kind)


@pytest.mark.nightly
@pytest.mark.parametrize("output", ["scores", "class"])
def test_a_head_equals_the_model(output: str) -> None:
    spec = LSTMSpec(4, 4, 3)
    plan = plain_plans(spec)
    form = plan.y_format
    head = LinearPlan(
        input_size=4,
        output_size=6,
        x_width=form.width,
        x_frac=form.fraction,
        w_width=8,
        w_frac=6,
        b_width=22,
        y_width=12,
        y_frac=9,
    )
    with stack_bench(spec, shared(7, output=output), plan=replace(plan, head=head)) as b:
        check_everything(b)


def test_streams_may_hesitate() -> None:
    with stack_bench(LSTMSpec(4, 4, 3), shared(7)) as b:
        job = b.sequences([1, 5, 1, 2])
        for seed, (valid, ready) in enumerate(itertools.product((1.0, 0.5, 0.1), repeat=2)):
            b.check([job], Stimulus(valid_duty=valid, ready_duty=ready, seed=seed))


def test_any_reset_leaves_a_clean_start() -> None:
    with stack_bench(LSTMSpec(4, 4, 3), shared(7)) as b:
        job = b.sequences([2, 3])
        for stimulus in resets(range(1, 800, 61)):
            b.check([job], stimulus)


def test_states_of_every_layer_are_kept() -> None:
    with stack_bench(LSTMSpec(4, 4, 3), shared(7)) as b:
        whole = b.sequences([5])
        parts = [
            Job(x=whole.x[part], lengths=(steps,), h0=whole.h0, c0=whole.c0)
            for part, steps in ((slice(2), 2), (slice(2, 5), 3))
        ]
        (expected,) = b.check([whole])
        results = b.run(parts, Stimulus(keep=True))
        np.testing.assert_array_equal(np.concatenate([result.y for result in results]), expected.y)
        np.testing.assert_array_equal(results[1].h_n, expected.h_n)
        np.testing.assert_array_equal(results[1].c_n, expected.c_n)


@pytest.mark.parametrize("inputs", [4, pytest.param(3, marks=pytest.mark.nightly)])
def test_a_wrong_length_loses_one_sequence(inputs: int) -> None:
    """`tlast` inside a step: zeros for the rest of it, in whichever engine; the next sequence doesn't change."""
    with stack_bench(LSTMSpec(inputs, 4, 3), shared(7)) as b:
        bad, good = b.sequences([2]), b.sequences([3, 1])
        results = b.run([bad, good], Stimulus(cut_beats=1, cut_jobs=1))
        assert [result.protocol_error for result in results] == [True, False]
        bad.x[-1, -1] = 0
        for result, right in zip(results, b.check([bad, good]), strict=True):
            np.testing.assert_array_equal(result.y, right.y)


def test_one_engine_is_busy_where_several_would_wait() -> None:
    """Sequence after sequence, its lanes are but in 3 % of the clocks; those of one layer alone would be in 40 %."""
    with stack_bench(LSTMSpec(8, 8, 3), shared(16, "deep")) as b:
        (result,) = b.check([b.sequences([60] * 4)])
        assert 3 * 4 * 8 * (8 + 8) * 240 / (16 * result.cycles) >= 0.97
        alone = timing({**b.design.cells[0], "Contexts": 1, "WeightSets": 1})
        assert alone.cycles_per_round > 2 * alone.words


FAULTS = {
    "weights of another layer": ("lstm_mac.sv", "AddressWidth'({set_i, word_i})", "AddressWidth'(word_i)"),
    "h of another layer": ("layer_turns.sv", "y_id_i + IdWidth'(1)", "y_id_i"),
    "h in its own format": ("engine_streams.sv", ".Shift(Shift)", ".Shift(0)"),
    "an end that is not told": ("layer_turns.sv", "y_last_i, converted}", "1'b0, converted}"),
    "a step amidst another": (
        "layer_turns.sv",
        "held_q <= x_valid_o ? !(take && step_end) : held_q;",
        "held_q <= 1'b0;",
    ),
    "too many steps inside": ("layer_turns.sv", "owed_q <= inside_q;", "owed_q <= '0;"),
    "states of another layer": ("lstm_stack.sv", "IdWidth'(state_turn)", "IdWidth'(0)"),
}


# One kind of each by default: what goes wrong in values, and what stands still.
BY_DEFAULT = ("h of another layer", "too many steps inside")


@pytest.mark.parametrize(
    "fault", [pytest.param(fault, marks=() if fault in BY_DEFAULT else pytest.mark.nightly) for fault in FAULTS]
)
def test_a_fault_is_seen(fault: str, tmp_path: Path) -> None:
    """In a stream that never waits, or in one that brings x so late that h is back before a step is complete."""
    sources = plant(FAULTS[fault], tmp_path / "rtl")
    with stack_bench(LSTMSpec(5, 5, 3), shared(16)) as b:
        jobs = [b.sequences([9, 2, 4]), b.sequences([60])]
        wrong = replace(b.design, sources=tuple(sources))
        seen = False
        for stimulus in (Stimulus(), Stimulus(valid_duty=0.1, seed=5)):
            expected = b.check(jobs, stimulus)
            try:
                found = run_jobs(wrong, jobs, stimulus, optimise=0, timeout_s=120)
            except ToolError:  # it stands still
                seen = True
                break
            seen |= any((one.y != other.y).any() for one, other in zip(found, expected, strict=True))
            seen |= any((one.h_n != other.h_n).any() for one, other in zip(found, expected, strict=True))
        assert seen
