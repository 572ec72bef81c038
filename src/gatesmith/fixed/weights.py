"""The weights of a cell as integers, their rows interleaved by unit as the hardware reads them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gatesmith.fixed.cell import CellPlan
from gatesmith.fixed.linear import LinearWeights, quantise_linear
from gatesmith.fixed.plan import Plan
from gatesmith.fixed.qformat import Codes, QFormat, Reals
from gatesmith.ops.call import Array
from gatesmith.spec import GATES, LSTMSpec
from gatesmith.weights import Weights


@dataclass(frozen=True, kw_only=True, eq=False)
class CellWeights:
    """Codes of one cell; row ``4u + k`` is gate k of unit u, gates in the order i, f, g, o.

    Attributes:
        w_ih: [4H, D] in the plan's ``w_ih_format``.
        w_hh: [4H, R] in ``w_hh_format``.
        b: [4H] in ``b_format``.
        p: [4H] peepholes in ``p_format``, zero in the rows of gates that have none; None for no peepholes at all.
        projection: [R, H] and [R]; None where there is none.
    """

    w_ih: Codes
    w_hh: Codes
    b: Codes
    p: Codes | None = None
    projection: LinearWeights | None = None


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
    return _replace_derived(spec, bias, lambda source: source * 0)


def real_matrix(weights: Weights, name: str, suffix: str) -> Reals:
    """[4H, …] ``weight_ih`` or ``weight_hh`` of a cell; zero in the rows of a coupled gate, which has none."""
    matrix = weights[f"{name}_{suffix}"].astype(np.float64)
    return _replace_derived(weights.spec, matrix, lambda source: source * 0)


def real_peepholes(weights: Weights, suffix: str) -> Reals:
    """[4H] the diagonal peepholes of a cell, rows stacked by gate; zero where there is none."""
    spec = weights.spec
    rows = np.zeros((len(GATES), spec.hidden_size))
    for gate in spec.peepholes:
        rows[GATES.index(gate)] = weights[f"peephole_{gate}_{suffix}"]
    return _replace_derived(spec, rows.ravel(), lambda source: source * 0)


def real_projection(weights: Weights, suffix: str) -> tuple[Reals, Reals]:
    """[R, H] and [R] of a cell's projection; the bias is zero where it has none."""
    weight = weights[f"weight_hr_{suffix}"].astype(np.float64)
    bias = weights[f"bias_hr_{suffix}"].astype(np.float64) if weights.spec.proj_bias else np.zeros(len(weight))
    return weight, bias


def interleave(rows: np.ndarray) -> np.ndarray:
    """[4H, …] stacked by gate -> [4H, …] interleaved by unit."""
    return np.ascontiguousarray(rows.reshape(4, -1, *rows.shape[1:]).swapaxes(0, 1).reshape(rows.shape))


def _quantise_cell(weights: Weights, suffix: str, cell: CellPlan) -> CellWeights:
    return CellWeights(
        w_ih=_quantise_rows(weights.spec, real_matrix(weights, "weight_ih", suffix), cell.w_ih_format),
        w_hh=_quantise_rows(weights.spec, real_matrix(weights, "weight_hh", suffix), cell.w_hh_format),
        b=_quantise_rows(weights.spec, real_bias(weights, suffix), cell.b_format),
        p=_quantise_rows(weights.spec, real_peepholes(weights, suffix), cell.p_format) if cell.peepholes else None,
        projection=quantise_linear(cell.projection, *real_projection(weights, suffix)) if cell.projection else None,
    )


def _quantise_rows(spec: LSTMSpec, rows: Reals, form: QFormat) -> Codes:
    """Codes of [4H, …], interleaved by unit. A coupled gate is the other one of negated weights: 1 - s(z) = s(-z)."""
    codes = form.quantise(rows)
    if spec.derived_gate:
        codes = np.maximum(codes, -form.max_code)  # so that every code has a negative
    return interleave(_replace_derived(spec, codes, np.negative))


def _replace_derived(spec: LSTMSpec, rows: Array, derive: Callable[[Array], Array]) -> Array:
    """[4H, …] stacked by gate, where a coupled gate's rows become ``derive`` of those of the gate it comes from."""
    if not spec.derived_gate:
        return rows
    parts: dict[str, Array] = dict(zip(GATES, np.split(rows, len(GATES)), strict=True))
    parts[spec.derived_gate] = derive(parts["i" if spec.derived_gate == "f" else "f"])
    return np.concatenate([parts[gate] for gate in GATES])
