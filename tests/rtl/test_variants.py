"""Peepholes and clips in the engine against the integer model, `==`, and what they take in clocks."""

from dataclasses import replace
from typing import Any

import pytest
from tests.fixed.plans import RANDOM
from tests.rtl.bench import DEEP, MIDDLE, SHALLOW, bench, plain_plan
from tests.rtl.test_lstm import check_everything

from gatesmith.hardware.timing import timing

PLAIN = replace(plain_plan(3, 5), p_width=8, p_frac=6)
VARIANTS: list[tuple[dict[str, Any], int, dict[str, int]]] = [
    ({"peepholes": "ifo"}, 7, DEEP),
    ({"peepholes": "io", "c_clip": 9000, "z_clip": 6000}, 45, SHALLOW),
    ({"peepholes": "f", "c_clip": 12000, "p_width": 18, "p_frac": 17}, 3, MIDDLE),
    ({"peepholes": "o", "p_frac": -5}, 7, {**DEEP, "SumStages": 0}),
    ({"z_clip": 4096, "c_clip": 1}, 20, DEEP),
]


@pytest.mark.parametrize(("variant", "multipliers", "pipeline"), VARIANTS)
def test_equals_the_model_in_the_clocks_of_the_formula(
    variant: dict[str, Any], multipliers: int, pipeline: dict[str, int]
) -> None:
    cell = replace(PLAIN, **variant)
    check_everything(cell, multipliers, pipeline, RANDOM)
    with bench(cell, multipliers, pipeline) as b:
        short, long = b.run([b.sequence(9), b.sequence(17)])
        assert long.cycles - short.cycles == 8 * timing(b.design.parameters).cycles_per_step  # type: ignore[arg-type]


def test_each_peephole_and_clip_changes_the_result() -> None:
    """Random weights leave none of them without effect, so that the comparison above would see it missing."""
    with bench(replace(PLAIN, peepholes="ifo", c_clip=9000, z_clip=6000), 7) as b:
        job = b.sequence(20)
        (full,) = b.run([job])
        for name, value in (("Peepholes", 6), ("Peepholes", 5), ("Peepholes", 3), ("CellClip", 0)):
            design = replace(b.design, parameters={**b.design.parameters, name: value})
            (less,) = replace(b, design=design).run([job])
            assert (less.y != full.y).any()
