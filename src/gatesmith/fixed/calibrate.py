"""Choose a plan: a fixed-point format for every tensor, from the ranges that the float reference shows on real data."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gatesmith.errors import FormatError, InputError, UnsupportedError
from gatesmith.fixed.cell import BOUNDS, CellPlan
from gatesmith.fixed.linear import LinearPlan
from gatesmith.fixed.plan import Plan
from gatesmith.fixed.qformat import QFormat, Reals, format_for_range, require_integer
from gatesmith.fixed.support import cells_in_turn, clip_code, curves_of, effective_peepholes, unsupported_feature
from gatesmith.fixed.tables import signed_bits, z_format
from gatesmith.fixed.weights import real_bias, real_matrix, real_peepholes, real_projection
from gatesmith.ops.call import Array, Call, State, make_call
from gatesmith.ops.operator import LSTM
from gatesmith.ops.reference import CellTrace, trace
from gatesmith.weights import Weights

MULTIPLIER_BITS = 18
"""Operand width of an FPGA's multiplier; a shifted x or h should fit a whole number of them."""

LEAST_SIGNIFICANT_BITS = 8
"""What x or h keeps when it gives up fraction bits to fit the multiplier."""

LEAST_CELL_INTEGER_BITS = 2
"""c keeps a range of [-4, 4) at least: a longer sequence may need it, and zc drops the finest bits anyway."""


@dataclass(frozen=True, kw_only=True)
class Widths:
    """What the user chooses; calibration chooses the fractions."""

    data: int
    weight: int
    z: int
    cell: int
    table_bits: int


@dataclass(kw_only=True)
class _Product:
    """Formats of one of the two products that meet in the accumulator, while they are being matched.

    Attributes:
        width, fraction: of x, or of what the next step reads, h or its projection.
        w_fraction: of its weights.
        free: whether x or h may lose bits; what a layer before hands on may not.
        data_gain, weight_gain: by how much an error of every element of x or h, or of every weight, is larger in what
            comes of it, the errors being independent.
    """

    width: int
    fraction: int
    w_fraction: int
    free: bool
    data_gain: float
    weight_gain: float

    @property
    def sum_fraction(self) -> int:
        return self.fraction + self.w_fraction

    def give_up_a_bit(self) -> bool:
        """The one that costs the least error, of the data or of the weights; False where none is left."""
        data_error = math.ldexp(self.data_gain, -self.fraction)
        weight_error = math.ldexp(self.weight_gain, -self.w_fraction)
        data_may = self.free and self.width > LEAST_SIGNIFICANT_BITS
        weights_may = self.w_fraction > BOUNDS["w_ih_frac"][0]
        if data_may and (data_error <= weight_error or not weights_may):
            self.width -= 1
            self.fraction -= 1
        elif weights_may:
            self.w_fraction -= 1
        return data_may or weights_may


def calibrate(
    lstm: LSTM | Weights,
    x: Array,
    lengths: npt.ArrayLike | None = None,
    state: State | None = None,
    *,
    data_width: int = 16,
    weight_width: int = 8,
    cell_width: int | None = None,
    z_width: int | None = None,
    table_bits: int = 8,
    margin: float = 1.25,
    hard_activations: bool = False,
    head: tuple[Array, Array] | None = None,
    share: str = "none",
) -> Plan:
    """Choose a format for every tensor of every cell; directions of a layer have the same.

    Args:
        lstm: the operator, or its weights.
        x: [T, N, D] real inputs like those that the hardware will see; lengths and state as for calling the operator.
        data_width: bits of x and h at most, 8 to 24; fewer where all of them would take wider multipliers for nothing.
        weight_width: bits of w_ih and w_hh, 4 to 18.
        cell_width: bits of c; by default two more than data, at least 18.
        z_width: bits of the pre-activations; by default as data, at least 16. Activations have two more.
        table_bits: 2^table_bits segments in each activation table.
        margin: factor on the observed ranges of x and c, for data that calibration has not seen.
        head: weight [K, features] and bias [K] of a classifier's head on the last step's output; None for no head.
        share: "layers" for one plan of all layers of one size, so that they can take turns in one engine in hardware.
        hard_activations: replace sigmoid and tanh by their piecewise linear approximations, whatever the spec says.

    Raises:
        UnsupportedError: the spec has a feature that the integer world can't express.
        InputError: an argument doesn't fit the spec, no sequence has a step to calibrate on, or ``share`` is unknown.
        FormatError: a width is out of range, or a range is too wide for it.
    """
    weights = lstm.weights if isinstance(lstm, LSTM) else lstm
    spec = weights.spec
    feature = unsupported_feature(spec)
    if feature:
        raise UnsupportedError(f"the fixed-point operator can't express {feature}; use device='reference'")
    require_integer("data_width", data_width, 8, 24)
    require_integer("weight_width", weight_width, 4, 18)
    if not 1 <= margin <= 1024:
        raise FormatError(f"margin is {margin}; expected a factor from 1 to 1024")
    widths = Widths(
        data=data_width,
        weight=weight_width,
        z=z_width or max(16, data_width),
        cell=cell_width or max(18, data_width + 2),
        table_bits=table_bits,
    )
    call = make_call(weights, x, state, lengths=lengths)
    if not call.lengths.sum():
        raise InputError(f"x of shape {x.shape} holds no valid step; expected data to calibrate on")
    traces = trace(call)
    cells: list[CellPlan] = []
    in_turn = cells_in_turn(spec, share)
    for group in in_turn if spec.num_directions == 1 else cells_in_turn(spec, "directions"):
        x_format = cells[-1].h_format if cells else None
        cell = _layer_plan(call, traces, group, widths, margin, x_format=x_format)
        for at in group:
            direction = spec.cells()[at][1]
            gate, candidate = ("hard_sigmoid", "hard_tanh") if hard_activations else curves_of(spec, direction)
            cells.append(replace(cell, gate_activation=gate, cell_activation=candidate))
    return Plan(cells=tuple(cells), head=_head_plan(call, traces, cells[-1], head, widths, margin) if head else None)


def _head_plan(
    call: Call,
    traces: list[CellTrace],
    last: CellPlan,
    head: tuple[Array, Array],
    widths: Widths,
    margin: float,
) -> LinearPlan:
    """Formats of a head that reads the last valid step of the last layer."""
    weight, bias = (np.asarray(array, np.float64) for array in head)
    features = call.spec.num_directions * call.spec.output_size
    if weight.ndim != 2 or weight.shape[1] != features or bias.shape != weight.shape[:1]:
        raise InputError(f"the head has shapes {weight.shape} and {bias.shape}; expected (K, {features}) and (K,)")
    y = np.concatenate([run.h for run in traces[-call.spec.num_directions :]], axis=-1)
    ends = y[np.maximum(call.lengths, 1) - 1, np.arange(y.shape[1])]  # [N, F]
    y_frac = _fraction("x_frac", margin * _bound(ends @ weight.T + bias), widths.data)
    return _linear_plan(weight, bias, last.y_format, QFormat(width=widths.data, fraction=y_frac), widths.weight)


def _linear_plan(weight: Array, bias: Array, x_format: QFormat, y_format: QFormat, w_width: int) -> LinearPlan:
    """A linear map by weight [..., outputs, inputs] and bias [..., outputs] between two formats."""
    w_frac = weight_format(weight, width=w_width).fraction
    return LinearPlan(
        input_size=weight.shape[-1],
        output_size=weight.shape[-2],
        x_width=x_format.width,
        x_frac=x_format.fraction,
        w_width=w_width,
        w_frac=w_frac,
        b_width=_bias_width(bias, x_format.fraction + w_frac),
        y_width=y_format.width,
        y_frac=y_format.fraction,
    )


def weight_format(weights: Array, *, width: int) -> QFormat:
    """The format with the least squared error over ``weights``; it may saturate a few outliers.

    The candidates are the finest format that holds the whole range, and the two finer ones.
    """
    bound = _bound(weights)
    widest = format_for_range(-bound, bound, width=width)
    candidates = [
        QFormat(width=width, fraction=fraction)
        for fraction in range(widest.fraction, min(widest.fraction + 2, BOUNDS["w_ih_frac"][1]) + 1)
    ] or [QFormat(width=width, fraction=BOUNDS["w_ih_frac"][1])]
    return min(candidates, key=lambda q: float(np.square(q.dequantise(q.quantise(weights)) - weights).sum()))


def _layer_plan(
    call: Call, traces: list[CellTrace], cells: range, widths: Widths, margin: float, *, x_format: QFormat | None
) -> CellPlan:
    """One plan for all directions of a layer, or layers. A later layer's x has the format of the h that it reads."""
    spec = call.spec
    at = slice(cells.start, cells.stop)
    suffixes = [suffix for _, _, suffix in spec.cells()[at]]
    x_bound = margin * _bound(*(run.x for run in traces[at]))
    h_frac = _recurrent_fraction(call, traces[at], at, widths.data, margin)
    c_bound = max(margin * _bound(*(run.c for run in traces[at])), _bound(call.c0[at]))
    w_ih, w_hh = (
        np.stack([real_matrix(call.weights, name, s) for s in suffixes]) for name in ("weight_ih", "weight_hh")
    )
    x = _Product(
        width=x_format.width if x_format else widths.data,
        fraction=x_format.fraction if x_format else _fraction("x_frac", x_bound, widths.data),
        w_fraction=weight_format(w_ih, width=widths.weight).fraction,
        free=x_format is None,
        data_gain=_norm(w_ih),
        weight_gain=_norm(*(run.x for run in traces[at])),
    )
    h = _Product(
        width=widths.data,
        fraction=h_frac,
        w_fraction=weight_format(w_hh, width=widths.weight).fraction,
        free=True,
        data_gain=_norm(w_hh) + 1,  # h leaves the cell too
        weight_gain=_norm(*(run.h for run in traces[at])),
    )
    _match(x, h)
    acc_frac = max(x.sum_fraction, h.sum_fraction)
    c_frac = min(_fraction("c_frac", c_bound, widths.cell), widths.cell - 1 - LEAST_CELL_INTEGER_BITS)
    return CellPlan(
        input_size=spec.layer_input_size(spec.cells()[cells[0]][0]),
        hidden_size=spec.hidden_size,
        x_width=x.width,
        x_frac=x.fraction,
        h_width=widths.data if spec.proj_size else h.width,
        h_frac=widths.data - 1 if spec.proj_size else h.fraction,
        w_width=widths.weight,
        w_ih_frac=x.w_fraction,
        w_hh_frac=h.w_fraction,
        b_width=_bias_width(np.stack([real_bias(call.weights, s) for s in suffixes]), acc_frac),
        z_width=widths.z,
        a_width=widths.z + 2,
        c_width=widths.cell,
        c_frac=c_frac,
        table_bits=widths.table_bits,
        projection=_projection_plan(call, suffixes, widths, r_width=h.width, r_frac=h.fraction)
        if spec.proj_size
        else None,
        **_variant(call, suffixes, widths, c_frac=c_frac),
    )


def _recurrent_fraction(call: Call, traces: list[CellTrace], at: slice, width: int, margin: float) -> int:
    """Of what the next step reads: of h, or of its projection, which can have any range."""
    if call.spec.proj_size:
        bound = max(margin * _bound(*(run.h for run in traces)), _bound(call.h0[at]))
        return _fraction("x_frac", bound, width)
    # |h| = o * |tanh(c)| < 1, so h needs an integer bit only where h0 brings one.
    bound = _bound(call.h0[at])
    return _fraction("h_frac", bound, width) if bound > 1 else width - 1


def _projection_plan(call: Call, suffixes: list[str], widths: Widths, *, r_width: int, r_frac: int) -> LinearPlan:
    """The formats of r = W_hr h + b, shared by the directions of a layer."""
    pairs = [real_projection(call.weights, suffix) for suffix in suffixes]
    weight, bias = (np.stack(parts) for parts in zip(*pairs, strict=True))
    h_format = QFormat(width=widths.data, fraction=widths.data - 1)
    r_format = QFormat(width=r_width, fraction=r_frac)
    plan = _linear_plan(weight, bias, h_format, r_format, widths.weight)
    return replace(plan, y_clip=clip_code(call.spec.proj_clip, r_format))


def _variant(call: Call, suffixes: list[str], widths: Widths, *, c_frac: int) -> dict[str, Any]:
    """What a cell has beyond the plain one: formats of peepholes, and codes of clips."""
    spec = call.spec
    peepholes = effective_peepholes(spec)
    values: dict[str, Any] = {
        "peepholes": peepholes,
        "p_width": widths.weight,
        "z_clip": clip_code(spec.gate_clip, z_format(widths.z)),
        "c_clip": clip_code(spec.cell_clip, QFormat(width=widths.cell, fraction=c_frac)),
    }
    if peepholes:
        real = np.stack([real_peepholes(call.weights, suffix) for suffix in suffixes])
        values["p_frac"] = weight_format(real, width=widths.weight).fraction
    return values


def _match(x: _Product, h: _Product) -> None:
    """Let the finer product give up bits until the operand that is shifted fits whole multipliers, where it can."""
    fits = -(-max(x.width, h.width) // MULTIPLIER_BITS) * MULTIPLIER_BITS
    while True:
        x_shift = h.sum_fraction - x.sum_fraction  # to the left; negative: that of h
        if max(x.width + x_shift, h.width - x_shift) <= fits:
            return
        if not (h if x_shift > 0 else x).give_up_a_bit():
            return


def _fraction(name: str, bound: float, width: int) -> int:
    return min(format_for_range(-bound, bound, width=width).fraction, BOUNDS[name][1])


def _bias_width(bias: Reals, acc_frac: int) -> int:
    widest = QFormat(width=BOUNDS["b_width"][1], fraction=acc_frac).quantise(bias)
    return max(BOUNDS["b_width"][0], signed_bits(int(widest.min())), signed_bits(int(widest.max())))


def _norm(*arrays: Array) -> float:
    """Of the vectors along the last axis, the root of the mean square."""
    squares = [np.square(array).sum(axis=-1) for array in arrays]
    return math.sqrt(float(np.mean(np.concatenate([one.ravel() for one in squares]))))


def _bound(*arrays: Array) -> float:
    return max((float(np.abs(array).max()) for array in arrays if array.size), default=0.0)
