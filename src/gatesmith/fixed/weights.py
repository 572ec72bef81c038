"""The weights of a cell as integers, their rows interleaved by unit as the hardware reads them."""

from dataclasses import dataclass

import numpy as np

from gatesmith.fixed.plan import CellPlan, Plan
from gatesmith.fixed.qformat import Codes, Reals
from gatesmith.spec import GATES
from gatesmith.weights import Weights


@dataclass(frozen=True, kw_only=True, eq=False)
class CellWeights:
    """Codes of one cell; row ``4u + k`` is gate k of unit u, gates in the order i, f, g, o.

    Attributes:
        w_ih: [4H, D] in the plan's ``w_ih_format``.
        w_hh: [4H, H] in ``w_hh_format``.
        b: [4H] in ``b_format``.
    """

    w_ih: Codes
    w_hh: Codes
    b: Codes


def quantise_weights(weights: Weights, plan: Plan) -> tuple[CellWeights, ...]:
    """The codes of every cell, in the order of ``spec.cells()``.

    Raises:
        FormatError: the plan doesn't belong to the weights' spec.
    """
    plan.require(weights.spec)
    return tuple(
        _quantise_cell(weights, suffix, cell)
        for (_, _, suffix), cell in zip(weights.spec.cells(), plan.cells, strict=True)
    )


def real_bias(weights: Weights, suffix: str) -> Reals:
    """[4H] what cell ``suffix`` adds to its pre-activations, rows stacked by gate; zero where it has no bias."""
    spec = weights.spec
    bias = np.zeros(4 * spec.hidden_size)
    if spec.bias:
        bias += weights[f"bias_{suffix}"]
    forget = GATES.index("f") * spec.hidden_size
    bias[forget : forget + spec.hidden_size] += spec.forget_bias
    return bias


def interleave(rows: np.ndarray) -> np.ndarray:
    """[4H, …] stacked by gate -> [4H, …] interleaved by unit."""
    return np.ascontiguousarray(rows.reshape(4, -1, *rows.shape[1:]).swapaxes(0, 1).reshape(rows.shape))


def _quantise_cell(weights: Weights, suffix: str, cell: CellPlan) -> CellWeights:
    return CellWeights(
        w_ih=interleave(cell.w_ih_format.quantise(weights[f"weight_ih_{suffix}"])),
        w_hh=interleave(cell.w_hh_format.quantise(weights[f"weight_hh_{suffix}"])),
        b=interleave(cell.b_format.quantise(real_bias(weights, suffix))),
    )
