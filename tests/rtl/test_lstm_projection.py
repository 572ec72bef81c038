"""Projections in the engine against the integer model, `==`: every shape, every stream, every clock."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.fixed.plans import RAILS, RANDOM
from tests.rtl.bench import DEEP, MIDDLE, SHALLOW, bench, plain_plan, resets
from tests.rtl.faults import plant
from tests.rtl.test_lstm import check_everything

from gatesmith.errors import ToolError
from gatesmith.fixed.cell import CellPlan
from gatesmith.fixed.linear import LinearPlan
from gatesmith.hardware.simulate import Stimulus, run_jobs
from gatesmith.hardware.timing import timing


def projected(inputs: int, hidden: int, outputs: int) -> CellPlan:
    """Formats as calibration chooses them."""
    cell = plain_plan(inputs, hidden)
    projection = LinearPlan(
        input_size=hidden,
        output_size=outputs,
        x_width=cell.h_width,
        x_frac=cell.h_frac,
        w_width=8,
        w_frac=6,
        b_width=20,
        y_width=14,
        y_frac=11,
    )
    return replace(cell, projection=projection)


# (D, H, R, P, products of the projection, pipeline)
SHAPES = [
    (1, 2, 1, 1, 1, "deep"),
    (3, 5, 2, 2, 2, "middle"),
    (3, 5, 4, 3, 1, "shallow"),
    (3, 5, 5, 8, 3, "deep"),
    (3, 5, 4, 16, 4, "middle"),
    (40, 9, 3, 12, 2, "deep"),
    (3, 5, 2, 20, 1, "deep"),
    (3, 5, 4, 45, 3, "middle"),
    (2, 4, 1, 70, 1, "shallow"),
    (1, 6, 5, 100, 2, "deep"),
    (2, 3, 3, 61, 3, "middle"),
]
PIPELINES = {"deep": DEEP, "middle": MIDDLE, "shallow": SHALLOW}


@pytest.mark.parametrize(("inputs", "hidden", "outputs", "multipliers", "lanes", "pipeline"), SHAPES)
def test_equals_the_model_in_the_clocks_of_the_formula(
    inputs: int, hidden: int, outputs: int, multipliers: int, lanes: int, pipeline: str
) -> None:
    cell = projected(inputs, hidden, outputs)
    kind = RAILS if multipliers == 16 else RANDOM
    check_everything(cell, multipliers, PIPELINES[pipeline], kind, lanes)
    with bench(cell, multipliers, PIPELINES[pipeline], projection_multipliers=lanes) as b:
        short, long = b.run([b.sequence(9), b.sequence(17)])
        assert long.cycles - short.cycles == 8 * timing(b.design.parameters).cycles_per_step  # type: ignore[arg-type]


def test_states_are_kept_where_asked() -> None:
    """r and c go on, whatever lengths follow each other."""
    with bench(projected(3, 5, 2), 7, projection_multipliers=2) as b:
        b.check([b.sequence(2), b.sequence(1), b.sequence(4)], Stimulus(keep=True))


@pytest.mark.parametrize("duties", [(1.0, 0.1), (0.1, 1.0), (0.5, 0.5)])
def test_streams_may_hesitate(duties: tuple[float, float]) -> None:
    with bench(projected(3, 5, 4), 16, projection_multipliers=3) as b:
        job = b.sequences([1, 6, 1, 1, 2])
        for seed in range(10):
            b.check([job], Stimulus(valid_duty=duties[0], ready_duty=duties[1], seed=seed))


def test_any_reset_leaves_a_clean_start() -> None:
    with bench(projected(3, 5, 2), 7, projection_multipliers=1) as b:
        job = b.sequences([2, 3])
        for stimulus in resets(range(1, 500, 11)):
            b.check([job], stimulus)


FAULTS = {
    "bias not added": ("dense.sv", "+ AccWidth'($signed(bias))", "+ 0 * AccWidth'($signed(bias))"),
    "sums not cleared": ("dense.sv", ".clear_i(clear)", ".clear_i(1'b0)"),
    "not clipped": ("clip.sv", "$signed(value) > $signed(HIGH) ? HIGH :", ""),
    "the last h left out": ("dense.sv", "word_q) >= Words - Turns;", "word_q) >= Words - 3 * Turns;"),
    "too many columns": ("lstm_cell.sv", "= InputSize + OutputSize;", "= InputSize + HiddenSize;"),
    "written before it is there": ("lstm_projection.sv", "{valid, index, valid, r}", "{valid, index, step_last, r}"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_the_hardware_is_seen(fault: str, tmp_path: Path) -> None:
    """A wrong result, or none at all."""
    sources = plant(FAULTS[fault], tmp_path / "rtl")
    cell = projected(3, 5, 4)
    assert cell.projection
    cell = replace(cell, projection=replace(cell.projection, y_clip=600))
    with bench(cell, 20, projection_multipliers=3) as b:
        jobs = [b.sequences([8, 8])]
        (right_result,) = b.check(jobs)
        try:
            (found,) = run_jobs(replace(b.design, sources=tuple(sources)), jobs, optimise=0, timeout_s=120)
        except ToolError:
            return
        assert (right_result.y != found.y).any()
