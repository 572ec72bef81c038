"""The cycle formula at the sizes that have been counted by hand; tests/rtl compares it with simulation."""

import pytest
from tests.rtl.bench import MIDDLE, SHALLOW

from gatesmith.errors import ExportError
from gatesmith.hardware.export import source_files
from gatesmith.hardware.timing import PIPELINE, timing


@pytest.mark.parametrize(
    ("inputs", "hidden", "multipliers", "pipeline", "cycles"),
    [
        (3, 128, 32, PIPELINE, 512 * 131 // 32 + 8),  # three columns of x cover all but eight clocks of the dependence
        (6, 120, 32, PIPELINE, 480 * 126 // 32),
        (64, 128, 64, PIPELINE, 512 * 192 // 64),
        (6, 20, 16, MIDDLE, 135),
        (6, 20, 80, SHALLOW, 28),
        (6, 20, 2080, {**SHALLOW, "OutElements": 2}, 10),
        (6, 20, 2080, SHALLOW, 20),  # one element of h a beat: the output is the limit
        (1, 1, 1, SHALLOW, 13),
    ],
)
def test_cycles_per_step(inputs: int, hidden: int, multipliers: int, pipeline: dict[str, int], cycles: int) -> None:
    sizes = {"InputSize": inputs, "HiddenSize": hidden, "Multipliers": multipliers}
    assert timing({**sizes, **pipeline}).cycles_per_step == cycles


@pytest.mark.parametrize(
    ("size", "multipliers", "pipeline", "layers", "cycles"),
    [
        (20, 16, PIPELINE, 3, 3 * 200),  # every lane in every clock
        (4, 7, PIPELINE, 2, 79),  # the way of h to the next step of the same layer
        (4, 7, PIPELINE, 4, 83.5),  # that to the next layer: four rounds are three ways of 105 and a step of 19
    ],
)
def test_cycles_per_step_of_layers_in_turn(
    size: int, multipliers: int, pipeline: dict[str, int], layers: int, cycles: float
) -> None:
    sizes = {"InputSize": size, "HiddenSize": size, "Multipliers": multipliers, "Contexts": 4, "WeightSets": layers}
    assert timing({**sizes, **pipeline}, chained=True).cycles_per_step == cycles


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(ExportError, match="expected at least 1"):
        timing({"InputSize": 1, "HiddenSize": 0, "Multipliers": 1})


def test_the_defaults_are_those_of_the_hardware() -> None:
    (lstm,) = [source.read_text() for source in source_files() if source.name == "lstm.sv"]
    for name, value in PIPELINE.items():
        assert f"parameter int {name} = {value}," in lstm or f"parameter int {name} = {value} " in lstm
