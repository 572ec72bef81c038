"""The truth: the operator forward and backward in NumPy float64, for every spec, never tuned for speed."""

from dataclasses import dataclass

import numpy as np

from gatesmith.ops.call import Array, Call, Gradients, Outputs
from gatesmith.ops.cell import (
    Cell,
    Norm,
    Step,
    StepNoise,
    make_cell,
    project_input,
    project_input_gradient,
    step,
    step_gradient,
)
from gatesmith.ops.devices import Tape
from gatesmith.ops.noise import Kind, dropout_scale, zoneout_keep


@dataclass(frozen=True, kw_only=True, eq=False)
class CellTrace:
    """Everything inside one cell over time, float64, zero beyond a sequence's length.

    Attributes:
        x: [T, N, D_l], what the layer reads.
        i, f, g, o: [T, N, H], gates after their activation.
        c: [T, N, H]
        h: [T, N, R]
    """

    x: Array
    i: Array
    f: Array
    g: Array
    o: Array
    c: Array
    h: Array


@dataclass(frozen=True, kw_only=True, eq=False)
class CellRun:
    """One cell over all steps: its input, states after each step, and what the gradient needs, in order of time."""

    cell: Cell
    x: Array
    norm_ih: Norm | None
    steps: list[Step]
    noises: list[StepNoise]
    h: Array
    c: Array
    h_n: Array
    c_n: Array


@dataclass(frozen=True, kw_only=True, eq=False)
class ReferenceTape:
    """What a forward run leaves for backward: every cell's run, and the factors between layers."""

    call: Call
    cells: list[CellRun]
    dropout: list[Array]


def missing() -> str | None:
    """The reference needs NumPy alone."""
    return None


def unsupported(call: Call) -> str | None:  # noqa: ARG001 - the interface of every engine
    """The reference runs every spec."""
    return None


def forward(call: Call) -> Outputs:
    """Run forward in float64; results in x's dtype."""
    return _run(call, keep=False)[0]


def forward_for_training(call: Call) -> tuple[Outputs, Tape]:
    """Run forward and keep what :func:`backward` needs."""
    return _run(call, keep=True)


def trace(call: Call) -> list[CellTrace]:
    """What happens inside each cell, in the order of ``spec.cells()``."""
    valid = _valid(call)
    traces: list[CellTrace] = []
    for run in _run(call, keep=True)[1].cells:
        shape = run.c.shape
        gates = {
            gate: np.where(valid, np.reshape([step.gates[gate] for step in run.steps], shape), 0.0) for gate in "ifgo"
        }
        traces.append(CellTrace(x=run.x, **gates, c=np.where(valid, run.c, 0.0), h=np.where(valid, run.h, 0.0)))
    return traces


def backward(tape: Tape, dy: Array, dh_n: Array, dc_n: Array) -> Gradients:
    """Gradients of x, h0, c0 and every parameter, in x's dtype.

    Args:
        dy: [T, N, directions * R]; what stands beyond a sequence's length is ignored.
        dh_n: [L * directions, N, R]
        dc_n: [L * directions, N, H]
    """
    assert isinstance(tape, ReferenceTape)
    call, spec = tape.call, tape.call.spec
    valid, dtype = _valid(call), call.x.dtype
    ends = _reported(call, dh_n.astype(np.float64)), _reported(call, dc_n.astype(np.float64))
    dout = np.where(valid, dy.astype(np.float64), 0.0)
    dweights = {name: np.zeros(shape, dtype) for name, shape in spec.parameter_shapes().items()}
    dh0, dc0 = np.zeros_like(call.h0), np.zeros_like(call.c0)
    with np.errstate(all="ignore"):
        for layer in reversed(range(spec.num_layers)):
            if layer < spec.num_layers - 1 and tape.dropout:
                dout = dout * tape.dropout[layer]
            dx = dout if spec.residual and layer > 0 else 0.0
            parts = np.split(dout, spec.num_directions, axis=-1)
            for index, (_, direction, suffix) in enumerate(spec.cells()):
                if index // spec.num_directions != layer:
                    continue
                run, part = tape.cells[index], parts[index % spec.num_directions]
                dx_cell, dh0[index], dc0[index], grads = _cell_backward(
                    run, direction, valid, part, ends[0][index], ends[1][index]
                )
                dx = dx + dx_cell
                _store(dweights, run.cell, suffix, grads)
            dout = np.where(valid, dx, 0.0)
    return Gradients(dx=dout.astype(dtype), dh0=dh0, dc0=dc0, dweights=dweights)


def _run(call: Call, *, keep: bool) -> tuple[Outputs, ReferenceTape]:
    spec, valid = call.spec, _valid(call)
    tape = ReferenceTape(call=call, cells=[], dropout=[])
    y = np.where(valid, call.x.astype(np.float64), 0.0)
    with np.errstate(all="ignore"):
        for layer in range(spec.num_layers):
            x = y
            runs = [
                _cell_forward(call, index, layer, direction, suffix, x, valid, keep=keep)
                for index, (at, direction, suffix) in enumerate(spec.cells())
                if at == layer
            ]
            y = np.where(valid, np.concatenate([run.h for run in runs], axis=-1), 0.0)
            if spec.residual and layer > 0:
                y = y + x
            if layer < spec.num_layers - 1 and call.training and spec.dropout:
                tape.dropout.append(dropout_scale(call.seed, layer, "forward", "dropout", y.shape, spec.dropout))
                y = y * tape.dropout[layer]
            tape.cells.extend(runs)
    h_n = _reported(call, np.stack([run.h_n for run in tape.cells]))
    c_n = _reported(call, np.stack([run.c_n for run in tape.cells]))
    dtype = call.x.dtype
    return Outputs(y=y.astype(dtype), h_n=h_n.astype(dtype), c_n=c_n.astype(dtype)), tape


def _cell_forward(
    call: Call, index: int, layer: int, direction: str, suffix: str, x: Array, valid: Array, *, keep: bool
) -> CellRun:
    cell = make_cell(call.weights, direction, suffix)
    z_x, norm_ih = project_input(cell, x)  # [T, N, G*H]
    noises = _noises(call, layer, direction)
    h, c = call.h0[index].astype(np.float64), call.c0[index].astype(np.float64)
    all_h, all_c = np.empty((len(x), *h.shape)), np.empty((len(x), *c.shape))
    steps: dict[int, Step] = {}
    for t in _times(len(x), direction):
        h_new, c_new, taped = step(cell, z_x[t], h, c, noises[t])
        # A sequence that has ended holds its state; a reverse one that has not begun holds its initial state.
        h, c = np.where(valid[t], h_new, h), np.where(valid[t], c_new, c)
        all_h[t], all_c[t] = h, c
        if keep:
            steps[t] = taped
    taped_steps = [steps[t] for t in sorted(steps)]
    return CellRun(cell=cell, x=x, norm_ih=norm_ih, steps=taped_steps, noises=noises, h=all_h, c=all_c, h_n=h, c_n=c)


def _cell_backward(
    run: CellRun, direction: str, valid: Array, dy: Array, dh: Array, dc: Array
) -> tuple[Array, Array, Array, dict[str, Array]]:
    """(dx, dh0, dc0, gradients of the cell's parameters) from dy [T, N, R] and those of the final state."""
    grads = {name: np.zeros_like(array) for name, array in run.cell.params.items()}
    dz = np.zeros((*run.x.shape[:2], len(run.cell.rows)))  # [T, N, G*H]
    for t in reversed(_times(len(run.x), direction)):
        # A sequence that is not running at t passes the gradient of its held state through.
        dh_step, dc_step = np.where(valid[t], dh + dy[t], 0.0), np.where(valid[t], dc, 0.0)
        dz[t], dh_prev, dc_prev = step_gradient(run.cell, run.steps[t], run.noises[t], dh_step, dc_step, grads)
        dh, dc = np.where(valid[t], dh_prev, dh), np.where(valid[t], dc_prev, dc)
    dx = project_input_gradient(run.cell, run.x, run.norm_ih, dz, grads)
    return dx, dh, dc, grads


def _times(steps: int, direction: str) -> range:
    return range(steps) if direction == "forward" else range(steps - 1, -1, -1)


def _valid(call: Call) -> Array:
    """[T, N, 1], whether a step belongs to its sequence."""
    return (np.arange(len(call.x))[:, None] < call.lengths)[:, :, None]


def _reported(call: Call, state: Array) -> Array:
    """The final states (or their gradients) with those dropped that ``drop_states`` says."""
    if not call.spec.drop_states:
        return state
    return np.where((call.lengths == len(call.x))[:, None], state, 0.0)


def _noises(call: Call, layer: int, direction: str) -> list[StepNoise]:
    """The noise of every step of one cell; in evaluation zoneout is its expectation and dropout is nothing."""
    spec, (steps, batch) = call.spec, call.x.shape[:2]
    at = (call.seed, layer, direction)
    hidden: Array | None = None
    if call.training and spec.recurrent_dropout:
        shape = (batch, spec.output_size)
        hidden = dropout_scale(*at, "recurrent_dropout", shape, spec.recurrent_dropout)
    zoneouts: tuple[tuple[Kind, float, int], ...] = (
        ("zoneout_h", spec.zoneout_h, spec.output_size),
        ("zoneout_c", spec.zoneout_c, spec.hidden_size),
    )
    keep_h, keep_c = (
        zoneout_keep(*at, kind, (steps, batch, size), rate) if call.training and rate else [rate or None] * steps
        for kind, rate, size in zoneouts
    )
    return [StepNoise(hidden=hidden, keep_h=h, keep_c=c) for h, c in zip(keep_h, keep_c, strict=True)]


def _store(dweights: dict[str, Array], cell: Cell, suffix: str, grads: dict[str, Array]) -> None:
    """Write a cell's gradients under their full names; a derived gate's rows stay zero."""
    for name, grad in grads.items():
        full = dweights[f"{name}_{suffix}"]
        if full.shape == grad.shape:
            full[...] = grad
        else:
            full[cell.rows] = grad
