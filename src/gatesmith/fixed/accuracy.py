"""How far the integer operator is from the float reference, on real data."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gatesmith.fixed.device import run_codes
from gatesmith.fixed.model import FLAGS, quantise_inputs
from gatesmith.fixed.plan import Plan
from gatesmith.fixed.qformat import Reals
from gatesmith.fixed.tables import worst_case_error
from gatesmith.fixed.weights import quantise_weights
from gatesmith.ops import reference
from gatesmith.ops.call import Array, State, make_call
from gatesmith.ops.operator import LSTM
from gatesmith.weights import Weights


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """The error of y over all valid steps, and what caused it.

    Attributes:
        sqnr_db: signal to quantisation noise, 10 log10(sum y^2 / sum error^2); None where no error is seen.
        max_error: largest absolute error of y.
        rms_error: root of the mean squared error of y.
        saturated_sequences: how many sequences saturated a z, c or h in any cell.
        table_errors: worst-case error of each activation table, over every input code.
        sequences: how many were compared.
    """

    sqnr_db: float | None
    max_error: float
    rms_error: float
    saturated_sequences: dict[str, int]
    table_errors: dict[str, float]
    sequences: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def measure_accuracy(
    lstm: LSTM | Weights, plan: Plan, x: Array, lengths: npt.ArrayLike | None = None, state: State | None = None
) -> Accuracy:
    """Run the integer model and the float64 reference on the same data and compare y.

    Args:
        x: [T, N, D]; lengths and state as for calling the operator.

    Raises:
        InputError: an argument doesn't fit the spec.
        FormatError: the plan doesn't belong to the spec.
    """
    weights = lstm.weights if isinstance(lstm, LSTM) else lstm
    call = make_call(weights.astype(np.float64), x.astype(np.float64), _as_float64(state), lengths=lengths)
    outputs = run_codes(call.spec, plan, quantise_weights(weights, plan), quantise_inputs(plan, call))
    y = reference.forward(call).y
    valid = np.arange(len(y), dtype=np.int64).reshape(-1, 1) < call.lengths
    error: Reals = (plan.y_format.dequantise(outputs.y) - y)[valid]
    noise, signal = float(np.square(error).sum()), float(np.square(y[valid]).sum())
    counts = outputs.saturated.any(axis=0).sum(axis=0)
    tables = {
        f"{table.name}, clipped" if table.clip else table.name: table
        for cell in plan.cells
        for table in (cell.gate_table, cell.candidate_table, cell.cell_table)
    }
    return Accuracy(
        sqnr_db=10 * math.log10(signal / noise) if noise and signal else None,
        max_error=float(np.abs(error).max(initial=0.0)),
        rms_error=math.sqrt(noise / error.size) if error.size else 0.0,
        saturated_sequences={name: int(count) for name, count in zip(FLAGS, counts, strict=True)},
        table_errors={name: worst_case_error(table) for name, table in tables.items()},
        sequences=x.shape[1],
    )


def _as_float64(state: State | None) -> State | None:
    return None if state is None else (state[0].astype(np.float64), state[1].astype(np.float64))
