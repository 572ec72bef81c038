"""The whole inspection, of real and fixed-point cells, against the engines' own runs; saved and read back."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from gatesmith.analysis import Inspection, inspect, load_result
from gatesmith.errors import InputError
from gatesmith.fixed import calibrate
from gatesmith.fixed.model import quantise_inputs, run
from gatesmith.fixed.weights import quantise_weights
from gatesmith.ops import reference
from gatesmith.ops.call import make_call
from gatesmith.spec import LSTMSpec
from gatesmith.weights import Weights, initialise

Array = npt.NDArray[Any]
SPEC = LSTMSpec(input_size=3, hidden_size=6, num_layers=2, direction="bidirectional")
LENGTHS = np.array([9, 4, 0, 7])


@dataclass(frozen=True, kw_only=True, eq=False)
class RealSignals:
    i: Array
    f: Array
    g: Array
    o: Array
    c: Array
    h: Array


def model_and_sequences() -> tuple[Weights, Array]:
    x = np.random.default_rng(2).normal(size=(9, 4, 3))
    return initialise(SPEC, seed=2, dtype=np.float64), x


def fixed_signals(weights: Weights, x: Array) -> list[RealSignals]:
    plan = calibrate(weights, x, LENGTHS)
    inputs = quantise_inputs(plan, make_call(weights, x, lengths=LENGTHS))
    codes = run(SPEC, plan, quantise_weights(weights, plan), inputs, keep_cells=True)
    return [
        RealSignals(
            **{gate: cell.a_format.dequantise(getattr(trace, gate)) for gate in "ifgo"},
            c=cell.c_format.dequantise(trace.c),
            h=cell.h_format.dequantise(trace.h),
        )
        for cell, trace in zip(plan.cells, codes.cells, strict=True)
    ]


@pytest.fixture(scope="module")
def inspection() -> Inspection:
    weights, x = model_and_sequences()
    return inspect(weights, x, lengths=LENGTHS, fixed=fixed_signals(weights, x))


def test_the_signals_are_those_of_the_operator(inspection: Inspection) -> None:
    weights, x = model_and_sequences()
    y = reference.forward(make_call(weights, x, lengths=LENGTHS)).y
    top = [inspection.cells[cell].signals["h"] for cell in (2, 3)]
    np.testing.assert_array_equal(np.nan_to_num(np.concatenate(top, axis=2)), y)


def test_gates_of_one_sequence_have_its_true_length(inspection: Inspection) -> None:
    for fixed in (False, True):
        gates = inspection.gates_of(1, cell=1, fixed=fixed)
        assert {array.shape for array in gates.values()} == {(4, 6)}
        assert all(np.isfinite(array).all() for array in gates.values())


def test_the_rounding_of_every_gate_is_small_but_there(inspection: Inspection) -> None:
    for rows in inspection.errors:
        for row in rows:
            assert 0 < row.rms <= row.worst < 0.1
            assert 0 < row.output_rms <= row.output_worst < 0.1


def test_all_gates_together_explain_the_error_of_h(inspection: Inspection) -> None:
    """What is left of the fixed-point error of h, when all four gates are taken over, is the rounding of c and h."""
    for real, fixed, rows in zip(inspection.cells, inspection.fixed, inspection.errors, strict=True):
        error = np.nan_to_num(fixed.signals["h"] - real.signals["h"])
        assert rows[-1].output_worst == pytest.approx(np.abs(error).max(), rel=0.5)


def test_saved_and_read_back(inspection: Inspection, tmp_path: Path) -> None:
    inspection.save(tmp_path / "inspection.json", title="a <script>", sequences=2)
    result = load_result(tmp_path / "inspection.json")
    assert (result.kind, result.title) == ("inspection", "a <script>")
    assert result.data == inspection.to_dict()
    np.testing.assert_array_equal(result.arrays["fixed_3_c"], inspection.fixed[3].signals["c"][:, :2].astype("f4"))
    assert result.arrays["dh_0"].shape == (10, 2)


def test_a_fixed_point_run_on_other_sequences_is_refused() -> None:
    weights, x = model_and_sequences()
    with pytest.raises(InputError, match=r"fixed-point i of layer 0, forward has shape \(9, 4, 6\); expected \(5, 4"):
        inspect(weights, x[:5], lengths=np.minimum(LENGTHS, 5), fixed=fixed_signals(weights, x))


def test_progress_names_each_part() -> None:
    weights, x = model_and_sequences()
    said: list[str] = []
    inspect(weights, x, lengths=LENGTHS, progress=lambda _done, _total, part: said.append(part))
    assert said == ["gates", "gradients"]
