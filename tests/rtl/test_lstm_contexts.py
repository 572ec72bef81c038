"""Sequences that take turns in one engine, each with states of its own, against the integer model, `==`."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fixed.plans import RAILS, RANDOM
from tests.rtl.bench import DEEP, MIDDLE, SHALLOW, Bench, bench, expect, plain_plan, resets
from tests.rtl.faults import plant
from tests.rtl.test_lstm import designs
from tests.strategies import deterministic

from gatesmith.errors import ToolError
from gatesmith.fixed.cell import CellPlan
from gatesmith.hardware.jobs import Job, Stimulus
from gatesmith.hardware.runner import run_jobs
from gatesmith.hardware.timing import timing

# (D, H, P, pipeline, contexts): rows one by one, words that straddle columns, whole columns, several columns side by
# side, steps of one word, and a step that begins with a word of h.
SHAPES = [
    (3, 5, 7, DEEP, 2),
    (3, 5, 7, MIDDLE, 4),
    (1, 1, 3, SHALLOW, 4),
    (3, 5, 20, MIDDLE, 4),
    (3, 5, 45, DEEP, 8),
    (1, 3, 100, SHALLOW, 2),
    (3, 13, 208, {**SHALLOW, "OutElements": 4}, 8),
]
EVERY_SHAPE = [
    (*size, multipliers, pipeline, contexts)
    for size in ((1, 1), (3, 5), (6, 20), (7, 13), (1, 33), (64, 1))
    for multipliers, pipeline, contexts in zip(
        (1, 2, 3, 4, 8, 16, 4 * size[1], 4 * size[1] * 3 + 1),
        (DEEP, MIDDLE, SHALLOW) * 3,
        (2, 4, 8, 16, 4, 2, 4, 16),
        strict=False,
    )
]
LENGTHS = [[4, 1, 2], [3, 1], [5], [1, 1, 1, 1]]


def several(contexts: int) -> list[list[int]]:
    """Different lengths for every context."""
    return [LENGTHS[context % len(LENGTHS)] for context in range(contexts)]


def check_everything(b: Bench, contexts: int, kind: str) -> None:
    """In turn and in any order, with streams that hesitate, after a reset, and with states that are kept."""
    lengths = several(contexts)
    b.check([b.turns(lengths, kind), b.turns(lengths, kind, shuffled=True)], Stimulus(seed=1))
    jobs = [b.turns(lengths, kind, shuffled=True) for _ in range(2)]
    b.check(jobs, Stimulus(valid_duty=0.5, ready_duty=0.25, seed=2))
    b.check(jobs, Stimulus(keep=True, seed=3))
    b.check(jobs[:1], Stimulus(warmup=int(b.generator.integers(1, 400)), reset=1, seed=4))


@pytest.mark.parametrize(("inputs", "hidden", "multipliers", "pipeline", "contexts"), SHAPES)
def test_equals_the_model(inputs: int, hidden: int, multipliers: int, pipeline: dict[str, int], contexts: int) -> None:
    with bench(plain_plan(inputs, hidden), multipliers, pipeline, contexts=contexts) as b:
        check_everything(b, contexts, RANDOM)
        check_cycles(b, contexts)


def check_cycles(b: Bench, contexts: int) -> None:
    """A round takes what the formula says."""
    short, long = b.run([b.turns([[9]] * contexts), b.turns([[17]] * contexts)])
    assert (long.cycles - short.cycles) == 8 * timing(b.design.parameters).cycles_per_round  # type: ignore[arg-type]


@pytest.mark.nightly
@pytest.mark.parametrize(("inputs", "hidden", "multipliers", "pipeline", "contexts"), EVERY_SHAPE)
def test_every_shape_equals_the_model(
    inputs: int, hidden: int, multipliers: int, pipeline: dict[str, int], contexts: int
) -> None:
    with bench(plain_plan(inputs, hidden), multipliers, pipeline, contexts=contexts) as b:
        check_everything(b, contexts, RAILS)
        check_cycles(b, contexts)


@given(design=designs(largest=6, projected=False), contexts=st.sampled_from([2, 4]))
@deterministic(max_examples=2)
def test_any_plan_equals_the_model(design: tuple[CellPlan, int, dict[str, int], str, int], contexts: int) -> None:
    check_any(design, contexts)


@pytest.mark.nightly
@pytest.mark.parametrize("contexts", [2, 4, 8, 16])
@given(design=designs(largest=30, projected=False))
@deterministic(max_examples=12, shrink=False)
def test_any_larger_plan_equals_the_model(
    contexts: int, design: tuple[CellPlan, int, dict[str, int], str, int]
) -> None:
    check_any(design, contexts)


def check_any(design: tuple[CellPlan, int, dict[str, int], str, int], contexts: int) -> None:
    cell, multipliers, stages, kind, _ = design
    with bench(cell, multipliers, stages, kind=kind, contexts=contexts) as b:
        check_everything(b, contexts, kind)
        check_cycles(b, contexts)


def test_any_reset_leaves_a_clean_start() -> None:
    with bench(plain_plan(3, 5), 7, contexts=2) as b:
        job = b.turns([[2, 1], [3]], shuffled=True)
        for stimulus in resets(range(1, 320, 9)):
            b.check([job], stimulus)


def test_streams_may_hesitate() -> None:
    with bench(plain_plan(3, 5), 20, SHALLOW, contexts=4) as b:
        job = b.turns(several(4), shuffled=True)
        for seed, (valid, ready) in enumerate([(1.0, 0.1), (0.1, 1.0), (0.5, 0.5), (0.1, 0.1), (1.0, 0.5)]):
            b.check([job], Stimulus(valid_duty=valid, ready_duty=ready, seed=seed))


def test_a_context_of_its_own_may_be_used_alone() -> None:
    """All steps of one sequence, of another context than the first: as fast as an engine without contexts."""
    with bench(plain_plan(3, 5), 7, contexts=4) as b:
        jobs = [b.turns([[], [], [steps], []]) for steps in (9, 17)]
        short, long = b.run(jobs)
        np.testing.assert_array_equal(long.y, expect(b.cell, b.weights, jobs[1]).y)
        alone = {**b.design.parameters, "Contexts": 1}
        assert long.cycles - short.cycles == 8 * timing(alone).cycles_per_step  # type: ignore[arg-type]


def test_a_wrong_length_loses_one_sequence_of_one_context() -> None:
    """`tlast` inside a step: zeros for the rest of it, and neither the other contexts nor the next sequence change."""
    with bench(plain_plan(3, 5), 7, contexts=2) as b:
        bad, good = b.turns([[2], [3]]), b.turns([[2], [2]])
        results = b.run([bad, good], Stimulus(cut_beats=1, cut_jobs=1))
        assert [result.protocol_error for result in results] == [True, False]
        filled = replace(bad, x=bad.x.copy())
        filled.x[-1, -1] = 0
        expected = b.check([filled, good])
        for result, right in zip(results, expected, strict=True):
            np.testing.assert_array_equal(result.y, right.y)
            np.testing.assert_array_equal(result.contexts, right.contexts)


def test_the_tail_is_hidden() -> None:
    """Four sequences and more keep lanes busy that one sequence leaves waiting for most of the time."""
    for contexts, most in ((1, 84), (2, 42), (4, 23)):
        parameters = {"InputSize": 3, "HiddenSize": 5, "Multipliers": 7, "Contexts": contexts}
        assert timing(parameters).cycles_per_step <= most
    with bench(plain_plan(3, 5), 7, contexts=4) as b:
        (result,) = b.check([b.turns([[100]] * 4)])
        assert 4 * 5 * 8 * 400 / (7 * result.cycles) >= 0.97  # filling and draining counted


FAULTS = {
    "c of another context": ("lstm_pointwise.sv", "PlaceWidth'({context_i, group_i})", "PlaceWidth'({1'b0, group_i})"),
    "h of another context": (
        "lstm_operands.sv",
        "{host_context_i, host_word} : {context_q, h_word_q}",
        "{host_context_i, host_word} : {ContextWidth'(0), h_word_q}",
    ),
    "h is not waited for": ("lstm_contexts.sv", "settled_o <= initial_next || behind_next == '0", "settled_o <= 1'b1"),
    "h of the wrong step is taken": ("lstm_contexts.sv", "one_o <= behind_next == StepsWidth'(1)", "one_o <= 1'b1"),
    "groups of the step before are counted": (
        "lstm_operands.sv",
        "h_unread_reset = rst || step_written",
        "h_unread_reset = rst",
    ),
    "a sequence begins from another's end": (
        "lstm_contexts.sv",
        "first[context_o] = last_i;",
        "first = {Contexts{last_i}};",
    ),
    "two steps in one place": ("lstm_cell.sv", "int'(held) == Captures};", "1'b0};"),
    "sums of the step before": (
        "lstm_gather.sv",
        "assign address_begin = following;",
        "assign address_begin = '0;",
    ),
    "tid of another context": ("lstm_output.sv", "stored[GroupBits-1-:ContextWidth] : '0;", "'0 : '0;"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_seen(fault: str, tmp_path: Path) -> None:
    sources = plant(FAULTS[fault], tmp_path / "rtl")
    with bench(plain_plan(3, 5), 20, contexts=4) as b:
        jobs: list[Job] = [b.turns(several(4)), b.turns([[30]] * 4)]  # more than the output holds
        stalling = Stimulus(ready_duty=0.1, seed=1)
        expected = b.check(jobs, stalling)
        try:
            found = run_jobs(replace(b.design, sources=tuple(sources)), jobs, stalling, optimise=0, timeout_s=120)
        except ToolError:  # it stands still
            return
        assert any(
            (one.y != other.y).any() or (one.contexts != other.contexts).any()
            for one, other in zip(found, expected, strict=True)
        )
