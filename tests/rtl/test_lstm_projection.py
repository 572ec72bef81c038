"""Projections in the engine against the integer model, `==`: every shape, every stream, every clock."""

from dataclasses import replace

import pytest
from tests.fixed.plans import RAILS, RANDOM
from tests.rtl.bench import DEEP, MIDDLE, SHALLOW, bench, plain_plan
from tests.rtl.test_lstm import check_everything

from gatesmith.fixed.cell import CellPlan
from gatesmith.fixed.linear import LinearPlan
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
