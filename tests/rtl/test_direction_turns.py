"""Both directions of a layer in one engine, step by step in turn, against the integer model, `==`."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fixed.plans import RAILS, RANDOM, one_plan, plans, unprojected, variants
from tests.rtl.bench import resets
from tests.rtl.faults import plant
from tests.rtl.test_lstm_stack import StackBench, check_everything, check_model, stack_bench
from tests.strategies import deterministic

from gatesmith.errors import ToolError
from gatesmith.fixed.plan import Plan
from gatesmith.hardware.jobs import Job, Stimulus
from gatesmith.hardware.options import PIPELINES, Options, Pipeline
from gatesmith.hardware.runner import run_jobs
from gatesmith.hardware.timing import timing
from gatesmith.spec import LSTMSpec

# (D, H, P, pipeline, layers): rows one by one, words that straddle columns, and steps of one word.
SHAPES = [(1, 1, 1, "shallow", 1), (3, 5, 7, "deep", 2), (2, 3, 100, "middle", 1)]
EVERY_SHAPE = [
    (*size, multipliers, pipeline, layers)
    for size in ((1, 1), (3, 5), (6, 20), (7, 13))
    for multipliers, pipeline, layers in zip(
        (1, 3, 4, 16, 4 * size[1], 12 * size[1] + 1), ("deep", "middle", "shallow") * 2, (1, 2, 1) * 2, strict=True
    )
]


def shared(multipliers: int, pipeline: str | Pipeline = "middle", max_steps: int = 5) -> Options:
    chosen = PIPELINES[pipeline] if isinstance(pipeline, str) else pipeline
    return Options(multipliers=multipliers, pipeline=chosen, max_steps=max_steps, share="directions")


def check_cycles(spec: LSTMSpec, options: Options) -> None:
    """A sequence alone takes, for each of its steps, its beats in, a round of each engine, and its beats out."""
    with stack_bench(spec, replace(options, max_steps=13)) as b:
        short, long = b.run([b.sequences([7]), b.sequences([13])])
        assert long.cycles - short.cycles == 6 * clocks_of_a_step(b)


def clocks_of_a_step(b: StackBench) -> int:
    engines = b.design.cells[::2]
    beats_in = -(-engines[0]["InputSize"] // engines[0]["InElements"])
    beats_out = sum(2 * -(-cell["HiddenSize"] // cell["OutElements"]) for cell in engines)
    return beats_in + beats_out + sum(timing(cell).cycles_per_round for cell in engines)


@pytest.mark.parametrize(("inputs", "hidden", "multipliers", "pipeline", "layers"), SHAPES)
def test_equals_the_model(inputs: int, hidden: int, multipliers: int, pipeline: str, layers: int) -> None:
    check_shape(LSTMSpec(inputs, hidden, layers, "bidirectional"), shared(multipliers, pipeline), RANDOM)


@pytest.mark.nightly
@pytest.mark.parametrize(("inputs", "hidden", "multipliers", "pipeline", "layers"), EVERY_SHAPE)
def test_every_shape_equals_the_model(inputs: int, hidden: int, multipliers: int, pipeline: str, layers: int) -> None:
    check_shape(LSTMSpec(inputs, hidden, layers, "bidirectional"), shared(multipliers, pipeline), RAILS)


def check_shape(spec: LSTMSpec, options: Options, kind: str) -> None:
    with stack_bench(spec, options, kind=kind) as b:
        check_everything(b, kind)
    check_cycles(spec, options)


def test_several_elements_in_a_beat() -> None:
    pipeline = Pipeline(in_elements=4, link_elements=2, out_elements=4, sum_stages=0)
    check_shape(LSTMSpec(5, 4, 2, "bidirectional"), shared(64, pipeline), RANDOM)


@st.composite
def models(draw: st.DrawFn, layers: Sequence[int] = (1, 2)) -> tuple[LSTMSpec, Plan, Options]:
    """Any bidirectional layers without a projection; directions have one plan, as calibration makes it."""
    sizes = (*(draw(st.integers(1, most)) for most in (6, 5)), draw(st.sampled_from(layers)))
    spec = unprojected(draw(variants(*sizes, "bidirectional")))
    plan = one_plan(spec, draw(plans(spec)), "directions")
    stages = Pipeline(
        memory_stages=draw(st.integers(0, 3)),
        product_stages=draw(st.integers(0, 3)),
        sum_stages=draw(st.integers(0, 1)),
    )
    output = draw(st.sampled_from(["sequence", "last"]))
    options = replace(shared(draw(st.integers(1, 70)), stages), output=output)
    return spec, plan, options


@given(model=models(), kind=st.sampled_from([RANDOM, RAILS]))
@deterministic(max_examples=1)
def test_any_model_equals_the_model(model: tuple[LSTMSpec, Plan, Options], kind: str) -> None:
    check_model(model, kind)


@pytest.mark.nightly
@pytest.mark.parametrize("kind", [RANDOM, RAILS])
@pytest.mark.parametrize("layers", [1, 2])
@given(data=st.data())
@deterministic(max_examples=8, shrink=False)
def test_many_models_equal_the_model(layers: int, kind: str, data: st.DataObject) -> None:
    check_model(data.draw(models([layers])), kind)


def test_streams_may_hesitate() -> None:
    with stack_bench(LSTMSpec(3, 4, 2, "bidirectional"), shared(7)) as b:
        job = b.sequences([1, 5, 1, 2])
        for seed, (valid, ready) in enumerate(itertools.product((1.0, 0.5, 0.1), repeat=2)):
            b.check([job], Stimulus(valid_duty=valid, ready_duty=ready, seed=seed))


def test_any_reset_leaves_a_clean_start() -> None:
    with stack_bench(LSTMSpec(3, 4, 1, "bidirectional"), shared(7)) as b:
        job = b.sequences([2, 3])
        for stimulus in resets(range(1, 800, 61)):
            b.check([job], stimulus)


def test_forward_states_are_kept_and_reverse_ones_never() -> None:
    """h0 and c0 differ by direction; with keep, the forward cell goes on from its last states, the other doesn't."""
    with stack_bench(LSTMSpec(3, 4, 1, "bidirectional"), shared(7)) as b:
        jobs = [b.sequences([2]), b.sequences([3])]
        first, second = b.check(jobs)
        kept = b.run(jobs, Stimulus(keep=True))[1]
        h0, c0 = jobs[1].h0.copy(), jobs[1].c0.copy()
        h0[0], c0[0] = first.h_n[0], first.c_n[0]
        (expected,) = b.check([Job(x=jobs[1].x, lengths=(3,), h0=h0, c0=c0)])
        np.testing.assert_array_equal(kept.y, expected.y)
        np.testing.assert_array_equal(kept.c_n, expected.c_n)
        assert (kept.y[:, :4] != second.y[:, :4]).any()
        np.testing.assert_array_equal(kept.y[:, 4:], second.y[:, 4:])


def test_a_sequence_that_is_too_long_is_cut_and_alone_lost() -> None:
    with stack_bench(LSTMSpec(3, 4, 1, "bidirectional"), shared(7)) as b:
        job = b.sequences([2, 8, 5, 3])
        (result,) = b.run([job])
        assert (result.overflow, result.protocol_error) == (True, False)
        cut = Job(x=np.delete(job.x, slice(7, 10), axis=0), lengths=(2, 5, 5, 3), h0=job.h0, c0=job.c0)
        (clean,) = b.check([cut])
        np.testing.assert_array_equal(result.y, clean.y)


def test_sequence_after_sequence_no_lane_waits() -> None:
    """Half of the multipliers of two engines, and what one direction alone would leave idle is filled by the other."""
    steps = 16
    spec = LSTMSpec(3, 5, 1, "bidirectional")
    with stack_bench(spec, shared(7, "deep", steps)) as b:
        short, long = b.run([b.sequences([steps] * 10), b.sequences([steps] * 20)])
        each = (long.cycles - short.cycles) / (10 * steps)
        found = timing(b.design.cells[0])
        assert 2 * found.words <= each <= found.cycles_per_step
        alone = timing({**b.design.cells[0], "Contexts": 1, "WeightSets": 1})
        assert found.cycles_per_step == alone.cycles_per_step  # one engine takes the time of one direction


FAULTS = {
    "weights of the other direction": ("lstm_mac.sv", "AddressWidth'({set_i, word_i})", "AddressWidth'(word_i)"),
    "biases of the other direction": (
        "lstm_pointwise.sv",
        "BiasAddressWidth'({context_i, unit})",
        "BiasAddressWidth'(unit)",
    ),
    "the order of time": (
        "sequence_reverser.sv",
        "turn_q ? in_order_q : read_base_q",
        "turn_q ? read_base_q : in_order_q",
    ),
    "an early end": (
        "sequence_reverser.sv",
        "assign fetch_end = fetch_last && turn;",
        "assign fetch_end = fetch_last;",
    ),
    "a direction out of turn": ("direction_turns.sv", "{y_valid_i && y_id_i, y_valid_i && !y_id_i}", "{2{y_valid_i}}"),
    "states of the other direction": (
        "lstm_stack.sv",
        "IdWidth'(state_turn)",
        "IdWidth'(0)",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_seen(fault: str, tmp_path: Path) -> None:
    sources = plant(FAULTS[fault], tmp_path / "rtl")
    with stack_bench(LSTMSpec(3, 5, 1, "bidirectional"), shared(7)) as b:
        jobs = [b.sequences([5, 2, 4])]
        expected = b.check(jobs)
        try:
            found = run_jobs(replace(b.design, sources=tuple(sources)), jobs, optimise=0, timeout_s=120)
        except ToolError:  # it stands still
            return
        assert any(
            (one.y != other.y).any() or (one.h_n != other.h_n).any() for one, other in zip(found, expected, strict=True)
        )
