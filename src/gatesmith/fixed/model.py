"""The operator in integers, in NumPy: the golden model of the hardware, written from docs/fixed-point.md."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gatesmith.errors import InputError
from gatesmith.fixed.cell import CellPlan
from gatesmith.fixed.linear import bounded, rounded, sums_of
from gatesmith.fixed.plan import Plan
from gatesmith.fixed.qformat import Codes, QFormat, round_shift, saturate
from gatesmith.fixed.weights import CellWeights
from gatesmith.ops.call import Array, Call
from gatesmith.spec import GATES, LSTMSpec

FLAGS = ("z", "c", "h")
"""What the three sticky flags watch, in the order of ``CodeOutputs.saturated``'s last axis."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CodeInputs:
    """One run's arguments as codes.

    Attributes:
        x: [T, N, D] in the plan's ``x_format``.
        h0: [cells, N, R], each in its cell's ``y_format``.
        c0: [cells, N, H], each in its cell's ``c_format``.
        lengths: [N], valid steps of each sequence.
    """

    x: Codes
    h0: Codes
    c0: Codes
    lengths: Codes


@dataclass(frozen=True, kw_only=True, eq=False)
class CellCodes:
    """Everything inside one cell over time, as codes, zero beyond a sequence's length.

    Attributes:
        x: [T, N, D_l], what the layer reads, in ``x_format``.
        i, f, g, o: [T, N, H] in ``a_format``.
        c: [T, N, H] in ``c_format``.
        h: [T, N, R] in ``y_format``: the projection where there is one.
    """

    x: Codes
    i: Codes
    f: Codes
    g: Codes
    o: Codes
    c: Codes
    h: Codes


@dataclass(frozen=True, kw_only=True, eq=False)
class CodeOutputs:
    """What a run returns.

    Attributes:
        y: [T, N, directions * R] in the plan's ``y_format``; zero beyond a sequence's length.
        h_n: [cells, N, R], c_n: [cells, N, H], each in its cell's format.
        saturated: [cells, N, 3] bool, where saturation changed a z, c or h of a sequence.
        cells: what happened inside every cell; empty where it was not asked for.
    """

    y: Codes
    h_n: Codes
    c_n: Codes
    saturated: Array
    cells: tuple[CellCodes, ...] = ()


class Step(NamedTuple):
    """Codes after one time step of one cell, each [N, H] but h [N, R], and which of FLAGS was raised, [N, 3]."""

    i: Codes
    f: Codes
    g: Codes
    o: Codes
    c: Codes
    h: Codes
    saturated: Array


def quantise_inputs(plan: Plan, call: Call) -> CodeInputs:
    """The arguments of a call as codes of the plan.

    Raises:
        FormatError: the plan doesn't belong to the call's spec, or a value is not a number.
    """
    plan.require(call.spec)
    batch, spec = call.x.shape[1], call.spec
    h0 = [cell.y_format.quantise(h) for cell, h in zip(plan.cells, call.h0, strict=True)]
    c0 = [cell.c_format.quantise(c) for cell, c in zip(plan.cells, call.c0, strict=True)]
    return CodeInputs(
        x=plan.x_format.quantise(call.x),
        h0=np.reshape(h0, (len(plan.cells), batch, spec.output_size)),
        c0=np.reshape(c0, (len(plan.cells), batch, spec.hidden_size)),
        lengths=call.lengths,
    )


def run(
    spec: LSTMSpec, plan: Plan, weights: tuple[CellWeights, ...], inputs: CodeInputs, *, keep_cells: bool = False
) -> CodeOutputs:
    """Run every layer and direction over whole sequences.

    Args:
        spec: layers and directions.
        weights: from :func:`gatesmith.fixed.weights.quantise_weights`.
        keep_cells: return the codes of every gate and state over time too.

    Raises:
        InputError: a code doesn't fit its format.
    """
    plan.require(spec)
    require_codes(plan, inputs)
    backwards = _reversal(inputs)
    valid = (_steps(inputs.x) < inputs.lengths)[:, :, None]  # [T, N, 1]
    y, at, kept, ends = inputs.x, 0, list[CellCodes](), list[tuple[Codes, Codes, Array]]()
    y_format = plan.x_format
    for _ in range(spec.num_layers):
        x = np.where(valid, convert(y, y_format, plan.cells[at].x_format), 0)
        outputs: list[Codes] = []
        for direction in spec.directions:
            cell, order = plan.cells[at], backwards if direction == "reverse" else None
            trace, end = _run_cell(cell, weights[at], _reorder(x, order), inputs, at)
            trace = CellCodes(**{name: _reorder(codes, order) for name, codes in vars(trace).items()})
            outputs.append(trace.h)
            ends.append(end)
            if keep_cells:
                kept.append(trace)
            at += 1
        y, y_format = np.concatenate(outputs, axis=-1), plan.cells[at - 1].y_format
    h_n, c_n, saturated = (np.stack(part) for part in zip(*ends, strict=True))
    return CodeOutputs(y=y, h_n=h_n, c_n=c_n, saturated=saturated, cells=tuple(kept))


def step(cell: CellPlan, weights: CellWeights, x: Codes, h: Codes, c: Codes) -> Step:
    """One time step: x [N, D], h [N, R], c [N, H]."""
    acc = (x << cell.x_shift) @ weights.w_ih.T + (h << cell.h_shift) @ weights.w_hh.T + weights.b  # [N, 4H]
    sums = acc.reshape(len(acc), cell.hidden_size, 4)  # [N, H, 4], interleaved by unit
    i_wide, f_wide, g_wide = (preactivation(cell, weights, sums, k, c) for k in (0, 1, 2))
    i, f = (cell.gate_table(saturate(wide, cell.z_width)) for wide in (i_wide, f_wide))
    g = cell.candidate_table(saturate(g_wide, cell.z_width))
    c_wide = cell_state(cell, i, f, g, c)
    c_next = clip(saturate(c_wide, cell.c_width), cell.c_clip)
    o_wide = preactivation(cell, weights, sums, 3, c_next)
    o = cell.gate_table(saturate(o_wide, cell.z_width))
    zc_wide = round_shift(c_next, cell.c_frac - cell.z_frac)
    zc = saturate(zc_wide, cell.z_width)
    h_wide = round_shift(o * cell.cell_table(zc), 2 * cell.a_frac - cell.h_frac)
    h_next = saturate(h_wide, cell.h_width)
    r, r_saturated = project(cell, weights, h_next)
    # A clip makes the saturation before it harmless: that is no event.
    z_wide = np.concatenate([zc_wide] if cell.z_clip else [i_wide, f_wide, g_wide, o_wide, zc_wide], axis=-1)
    z_saturated = (saturate(z_wide, cell.z_width) != z_wide).any(axis=-1)
    c_saturated = np.zeros_like(z_saturated) if cell.c_clip else (c_next != c_wide).any(axis=-1)
    h_saturated = (h_next != h_wide).any(axis=-1) | r_saturated
    saturated = np.stack([z_saturated, c_saturated, h_saturated], axis=-1)
    return Step(i=i, f=f, g=g, o=o, c=c_next, h=r, saturated=saturated)


def project(cell: CellPlan, weights: CellWeights, h: Codes) -> tuple[Codes, Array]:
    """r [N, R] of h [N, H], and [N] whether an element of it was saturated; h itself where there is no projection."""
    if cell.projection is None or weights.projection is None:
        return h, np.zeros(len(h), bool)
    wide = rounded(cell.projection, sums_of(weights.projection, h))
    r = bounded(cell.projection, wide)
    return r, np.zeros(len(h), bool) if cell.projection.y_clip else (r != wide).any(axis=-1)


def preactivation(cell: CellPlan, weights: CellWeights, sums: Codes, gate: int, c: Codes) -> Codes:
    """[N, H] z of one gate in z's fraction, rounded once from the exact sum with its peephole, not yet saturated."""
    acc = sums[..., gate]
    if weights.p is None or GATES[gate] not in cell.peepholes:
        return round_shift(acc, cell.acc_frac - cell.z_frac)
    product_frac = cell.p_frac + cell.c_frac
    seen = weights.p[gate::4] * c << max(0, cell.acc_frac - product_frac)
    exact = (acc << max(0, product_frac - cell.acc_frac)) + seen
    return round_shift(exact, max(cell.acc_frac, product_frac) - cell.z_frac)


def clip(value: Codes, bound: int) -> Codes:
    """The nearest value with a magnitude of at most ``bound``; 0 for no bound."""
    return np.clip(value, -bound, bound) if bound else value


def cell_state(cell: CellPlan, i: Codes, f: Codes, g: Codes, c: Codes) -> Codes:
    """f * c + i * g in c's fraction, rounded once from the exact sum, not yet saturated."""
    exact = (f * c << max(0, cell.a_frac - cell.c_frac)) + (i * g << max(0, cell.c_frac - cell.a_frac))
    return round_shift(exact, max(2 * cell.a_frac, cell.a_frac + cell.c_frac) - cell.c_frac)


def convert(codes: Codes, source: QFormat, target: QFormat) -> Codes:
    """Codes in another format: rounded and saturated; the same where the formats are."""
    return saturate(round_shift(codes, source.fraction - target.fraction), target.width)


def _run_cell(
    cell: CellPlan, weights: CellWeights, x: Codes, inputs: CodeInputs, at: int
) -> tuple[CellCodes, tuple[Codes, Codes, Array]]:
    """One cell over x [T, N, D] in its own order of time; returns its codes and (h_n, c_n, saturated)."""
    steps, batch, _ = x.shape
    h, c = inputs.h0[at], inputs.c0[at]
    saturated = np.zeros((batch, len(FLAGS)), bool)
    sizes = {**dict.fromkeys(("i", "f", "g", "o", "c"), cell.hidden_size), "h": cell.output_size}
    trace = {name: np.zeros((steps, batch, size), np.int64) for name, size in sizes.items()}
    for t in range(steps):
        valid = (t < inputs.lengths)[:, None]
        now = step(cell, weights, x[t], h, c)
        h, c = np.where(valid, now.h, h), np.where(valid, now.c, c)
        saturated |= now.saturated & valid
        for name, codes in trace.items():
            codes[t] = np.where(valid, getattr(now, name), 0)
    return CellCodes(x=x, **trace), (h, c, saturated)


def _reversal(inputs: CodeInputs) -> Codes:
    """[T, N] the step that stands at each place when a sequence's valid part is read backwards."""
    t = _steps(inputs.x)
    return np.where(t < inputs.lengths, inputs.lengths - 1 - t, t)


def _steps(x: Codes) -> Codes:
    """[T, 1] the number of each step."""
    return np.arange(x.shape[0], dtype=np.int64).reshape(-1, 1)


def _reorder(codes: Codes, order: Codes | None) -> Codes:
    return codes if order is None else np.take_along_axis(codes, order[:, :, None], axis=0)


def require_codes(plan: Plan, inputs: CodeInputs) -> None:
    """Check that every code fits its format.

    Raises:
        InputError: one doesn't.
    """
    checks = [("x", inputs.x, plan.x_format)]
    for at, cell in enumerate(plan.cells):
        checks += [("h0", inputs.h0[at], cell.y_format), ("c0", inputs.c0[at], cell.c_format)]
    for name, codes, form in checks:
        if codes.dtype != np.int64 or not form.holds(codes):
            raise InputError(
                f"{name} holds codes of dtype {codes.dtype} outside {form}; expected int64 from"
                f" {form.min_code} to {form.max_code}, quantise it first"
            )
