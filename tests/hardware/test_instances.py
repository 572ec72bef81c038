"""What a plan makes of the modules: parameters, which cells go into which engine, and the files of each."""

from dataclasses import replace

import numpy as np
import pytest
from tests.fixed.test_cell import PLAIN

from gatesmith.fixed import calibrate
from gatesmith.fixed.plan import Plan
from gatesmith.fixed.weights import quantise_weights
from gatesmith.hardware.instances import (
    ExportedCell,
    engine_files,
    engines_of,
    exported_cells,
    memory_files,
    module_parameters,
    stack_parameters,
)
from gatesmith.hardware.options import Options
from gatesmith.ops.operator import LSTM
from gatesmith.spec import LSTMSpec


def plan_of(spec: LSTMSpec, share: str = "none") -> Plan:
    x = np.random.default_rng(0).normal(size=(6, 4, spec.input_size))
    return calibrate(LSTM(spec, seed=1), x, share=share)


def cells_of(spec: LSTMSpec, **options: object) -> tuple[ExportedCell, ...]:
    return exported_cells(spec, plan_of(spec, str(options.get("share", "none"))), Options(multipliers=7, **options))  # type: ignore[arg-type]


def test_parameters_are_those_of_the_contract() -> None:
    assert module_parameters(PLAIN, 16) == {
        "InputSize": 3,
        "HiddenSize": 5,
        "Multipliers": 16,
        "XWidth": 16,
        "XShift": 2,
        "HWidth": 16,
        "HShift": 0,
        "HFrac": 15,
        "WeightWidth": 8,
        "BiasWidth": 20,
        "AccWidth": 28,
        "AccFrac": 21,
        "ZWidth": 16,
        "ZFrac": 12,
        "ActWidth": 18,
        "ActFrac": 16,
        "CellWidth": 18,
        "CellFrac": 15,
        "TableBits": 8,
        "SlopeWidth": 13,
        "Peepholes": 0,
        "PeepholeWidth": 8,
        "PeepholeFrac": 0,
        "GateClip": 0,
        "CellClip": 0,
    }


@pytest.mark.parametrize(
    ("spec", "share", "engines", "contexts"),
    [
        (LSTMSpec(3, 5), "none", ["l0"], [0]),
        (LSTMSpec(3, 5, 2, "bidirectional"), "none", ["l0", "l0_reverse", "l1", "l1_reverse"], [0, 0, 0, 0]),
        (LSTMSpec(3, 5, 2, "bidirectional"), "directions", ["l0_in_turn"] * 2 + ["l1_in_turn"] * 2, [0, 1, 0, 1]),
        (LSTMSpec(3, 5, 4), "layers", ["l0", *["l1_in_turn"] * 3], [0, 0, 1, 2]),
        (LSTMSpec(5, 5, 3), "layers", ["l0_in_turn"] * 3, [0, 1, 2]),
    ],
)
def test_cells_and_their_engines(spec: LSTMSpec, share: str, engines: list[str], contexts: list[int]) -> None:
    cells = cells_of(spec, share=share)
    assert [cell.engine for cell in cells] == engines
    assert [cell.context for cell in cells] == contexts
    for cell in cells:
        of_engine = engines.count(cell.engine)
        assert cell.parameters["WeightSets"] == of_engine
        assert of_engine <= cell.parameters["Contexts"] < 2 * of_engine
    assert list(engines_of(cells)) == list(dict.fromkeys(engines))


def test_every_cell_s_parameters_stand_in_the_stack() -> None:
    spec, options = LSTMSpec(3, 5, 2, peepholes="io", proj_size=2), Options(multipliers=7)
    plan = plan_of(spec)
    stack = stack_parameters(spec, plan, options)
    for at, cell in enumerate(exported_cells(spec, plan, options)):
        for name, value in cell.parameters.items():
            held = stack.get(name, value)
            joined = at > 0 and name in ("InputSize", "InElements")  # reads what the layer before hands on
            assert joined or value == (held[at] if isinstance(held, tuple) else held)
    assert (stack["ProjSize"], stack["Layers"], stack["Head"]) == (2, 2, 0)


def test_a_stream_is_as_wide_inside_as_the_pipeline_says() -> None:
    pipeline = replace(Options().pipeline, in_elements=2, link_elements=3, out_elements=4)
    first, middle, last = cells_of(LSTMSpec(3, 5, 3), pipeline=pipeline)
    widths = [(cell.parameters["InElements"], cell.parameters["OutElements"]) for cell in (first, middle, last)]
    assert widths == [(2, 3), (3, 3), (3, 4)]


@pytest.mark.parametrize("share", ["none", "directions"])
def test_every_engine_has_its_files(share: str) -> None:
    spec = LSTMSpec(3, 5, 1, "bidirectional", peepholes="f")
    plan, options = plan_of(spec), Options(multipliers=7, share=share)
    cells = exported_cells(spec, plan, options)
    texts = engine_files(cells, quantise_weights(LSTM(spec, seed=1).weights, plan))
    assert tuple(texts) == memory_files(cells, options)
    engines = 1 if share == "directions" else 2
    assert len(texts) == 6 * engines
    assert all(path.startswith("weights/l0_") and path.endswith(".hex") for path in texts)
