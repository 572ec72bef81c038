"""One time step of any LSTM and its gradient, in NumPy float64: every variant is data read from the spec."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gatesmith.ops.activations import activate, activation_gradient
from gatesmith.spec import GATES, NORM_EPSILON, Activation, LSTMSpec
from gatesmith.weights import Weights

Array = npt.NDArray[Any]
Norm = tuple[Array, Array]  # normalised value and 1 / standard deviation, what the gradient needs


@dataclass(frozen=True, kw_only=True, eq=False)
class Cell:
    """One layer and direction: its parameters in float64, without the rows of a gate that coupling derives.

    Attributes:
        gates: the G gates that have rows, a subsequence of ``"ifgo"``.
        rows: of the [4H, ...] arrays, those of ``gates``.
        params: by name without suffix; ``weight_ih`` [G*H, D], ``weight_hh`` [G*H, R], ``bias`` [G*H], ...
    """

    spec: LSTMSpec
    activations: tuple[Activation, Activation, Activation]
    gates: str
    rows: Array
    params: dict[str, Array]

    def activation_of(self, gate: str) -> Activation:
        return self.activations[1 if gate == "g" else 0]

    def split(self, z: Array) -> dict[str, Array]:
        """[..., G*H] as one [..., H] per gate."""
        return dict(zip(self.gates, np.split(z, len(self.gates), axis=-1), strict=True))


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """What one step leaves for its gradient. Sizes: [N, H], or [N, R] for h.

    ``before`` holds the input of every activation, a gate's before ``gate_clip``; ``norms`` what was normalised.
    """

    h_prev: Array
    c_prev: Array
    hidden: Array
    gates: dict[str, Array]
    before: dict[str, Array]
    norms: dict[str, Norm]
    unclipped_cell: Array
    c_new: Array
    output: Array
    emitted: Array
    unclipped_h: Array


@dataclass(frozen=True, kw_only=True, eq=False)
class StepNoise:
    """Factors of h_{t-1}, and shares of the old h and c that zoneout keeps; None where there are none."""

    hidden: Array | None = None
    keep_h: Array | float | None = None
    keep_c: Array | float | None = None


def make_cell(weights: Weights, direction: str, suffix: str) -> Cell:
    """The cell whose parameters carry ``suffix``."""
    spec = weights.spec
    gates = "".join(gate for gate in GATES if gate != spec.derived_gate)
    rows = np.flatnonzero(np.repeat([gate in gates for gate in GATES], spec.hidden_size))
    params: dict[str, Array] = {}
    for name, array in weights.items():
        short = name.removesuffix(f"_{suffix}")
        if short != name and short != f"peephole_{spec.derived_gate}":
            params[short] = (array[rows] if len(array) == 4 * spec.hidden_size else array).astype(np.float64)
    return Cell(spec=spec, activations=spec.activations_of(direction), gates=gates, rows=rows, params=params)


def project_input(cell: Cell, x: Array) -> tuple[Array, Norm | None]:
    """W_ih x + b of all steps, [T, N, G*H], normalised where the spec says so."""
    z, norm = x @ cell.params["weight_ih"].T, None
    if cell.spec.layer_norm == "inputs_and_cell":
        z, norm = _normalise(z, cell.params, "norm_ih")
    return z + cell.params.get("bias", 0.0), norm


def project_input_gradient(cell: Cell, x: Array, norm: Norm | None, dz: Array, grads: dict[str, Array]) -> Array:
    """dx [T, N, D] from dz [T, N, G*H]; adds to the gradients of W_ih, b and their normalisation."""
    if "bias" in grads:
        grads["bias"] += dz.sum((0, 1))
    if norm is not None:
        dz = _normalise_gradient(dz, norm, cell.params, "norm_ih", grads)
    grads["weight_ih"] += np.tensordot(dz, x, ((0, 1), (0, 1)))
    return dz @ cell.params["weight_ih"]


def step(cell: Cell, z_x: Array, h_prev: Array, c_prev: Array, noise: StepNoise) -> tuple[Array, Array, Step]:
    """h [N, R] and c [N, H] after one step, from z_x = W_ih x + b [N, G*H]."""
    spec, params, norms = cell.spec, cell.params, dict[str, Norm]()
    hidden = h_prev if noise.hidden is None else h_prev * noise.hidden
    z_h = hidden @ params["weight_hh"].T
    if spec.layer_norm == "inputs_and_cell":
        z_h, norms["norm_hh"] = _normalise(z_h, params, "norm_hh")
    z = cell.split(z_x + z_h)
    gates: dict[str, Array] = {}
    before: dict[str, Array] = {}
    for gate in cell.gates.replace("o", ""):
        _gate(cell, gate, z[gate], c_prev, gates, before, norms)
    if spec.derived_gate:
        gates[spec.derived_gate] = 1.0 - gates[_partner(spec)]
    cell_state = gates["f"] * c_prev + gates["i"] * gates["g"]
    if spec.layer_norm == "gates_and_cell":
        cell_state, norms["norm_cell"] = _normalise(cell_state, params, "norm_cell")
    c_new = _clip(cell_state, spec.cell_clip)
    _gate(cell, "o", z["o"], c_new, gates, before, norms)
    before["output"] = c_new
    if spec.layer_norm == "inputs_and_cell":
        before["output"], norms["norm_cell"] = _normalise(c_new, params, "norm_cell")
    output = activate(cell.activations[2], before["output"])
    emitted = gates["o"] * output
    unclipped_h = emitted
    if spec.proj_size:
        unclipped_h = emitted @ params["weight_hr"].T + params.get("bias_hr", 0.0)
    h = _mix(noise.keep_h, h_prev, _clip(unclipped_h, spec.proj_clip))
    c = _mix(noise.keep_c, c_prev, c_new)
    taped = Step(
        h_prev=h_prev,
        c_prev=c_prev,
        hidden=hidden,
        gates=gates,
        before=before,
        norms=norms,
        unclipped_cell=cell_state,
        c_new=c_new,
        output=output,
        emitted=emitted,
        unclipped_h=unclipped_h,
    )
    return h, c, taped


def step_gradient(
    cell: Cell, taped: Step, noise: StepNoise, dh: Array, dc: Array, grads: dict[str, Array]
) -> tuple[Array, Array, Array]:
    """(dz_x, dh_prev, dc_prev) from dh and dc; adds to ``grads``, keyed like ``cell.params``."""
    spec, params, gates = cell.spec, cell.params, taped.gates
    dh_prev, dh = _unmix(noise.keep_h, dh)
    dc_prev, dc = _unmix(noise.keep_c, dc)
    dh = _clip_gradient(dh, taped.unclipped_h, spec.proj_clip)
    demitted = dh
    if spec.proj_size:
        grads["weight_hr"] += dh.T @ taped.emitted
        if spec.proj_bias:
            grads["bias_hr"] += dh.sum(0)
        demitted = dh @ params["weight_hr"]
    read = taped.before["output"]
    dread = demitted * gates["o"] * activation_gradient(cell.activations[2], read, taped.output)
    if spec.layer_norm == "inputs_and_cell":
        dread = _normalise_gradient(dread, taped.norms["norm_cell"], params, "norm_cell", grads)
    dz: dict[str, Array] = {}
    dc = dc + dread + _gate_gradient(cell, "o", demitted * taped.output, taped.c_new, taped, dz, grads)
    dc = _clip_gradient(dc, taped.unclipped_cell, spec.cell_clip)
    if spec.layer_norm == "gates_and_cell":
        dc = _normalise_gradient(dc, taped.norms["norm_cell"], params, "norm_cell", grads)
    dgates = {"i": dc * gates["g"], "f": dc * taped.c_prev, "g": dc * gates["i"]}
    dc_prev = dc_prev + dc * gates["f"]
    if spec.derived_gate:
        dgates[_partner(spec)] = dgates[_partner(spec)] - dgates[spec.derived_gate]
    for gate in cell.gates.replace("o", ""):
        dc_prev = dc_prev + _gate_gradient(cell, gate, dgates[gate], taped.c_prev, taped, dz, grads)
    dz_x = np.concatenate([dz[gate] for gate in cell.gates], axis=-1)
    dz_h = dz_x
    if spec.layer_norm == "inputs_and_cell":
        dz_h = _normalise_gradient(dz_x, taped.norms["norm_hh"], params, "norm_hh", grads)
    grads["weight_hh"] += dz_h.T @ taped.hidden
    dhidden = dz_h @ params["weight_hh"]
    return dz_x, dh_prev + (dhidden if noise.hidden is None else dhidden * noise.hidden), dc_prev


def _gate(
    cell: Cell,
    gate: str,
    z: Array,
    c_seen: Array,
    gates: dict[str, Array],
    before: dict[str, Array],
    norms: dict[str, Norm],
) -> None:
    """One gate from its summed pre-activation: peephole, normalisation, forget bias, clip, activation."""
    peephole = cell.params.get(f"peephole_{gate}")
    if peephole is not None:
        z = z + (c_seen * peephole if peephole.ndim == 1 else c_seen @ peephole.T)
    if cell.spec.layer_norm == "gates_and_cell":
        z, norms[gate] = _normalise(z, _norm_of_gate(cell, gate, cell.params), "norm_gates")
    if gate == "f":
        z = z + cell.spec.forget_bias
    before[gate] = z
    gates[gate] = activate(cell.activation_of(gate), _clip(z, cell.spec.gate_clip))


def _gate_gradient(
    cell: Cell, gate: str, dgate: Array, c_seen: Array, taped: Step, dz: dict[str, Array], grads: dict[str, Array]
) -> Array | float:
    """Fills dz[gate] [N, H]; returns the gradient of the cell state that the peephole saw."""
    before, clip = taped.before[gate], cell.spec.gate_clip
    slope = activation_gradient(cell.activation_of(gate), _clip(before, clip), taped.gates[gate])
    d = _clip_gradient(dgate * slope, before, clip)
    if cell.spec.layer_norm == "gates_and_cell":
        params, into = _norm_of_gate(cell, gate, cell.params), _norm_of_gate(cell, gate, grads)
        d = _normalise_gradient(d, taped.norms[gate], params, "norm_gates", into)
    dz[gate] = d
    name = f"peephole_{gate}"
    if name not in cell.params:
        return 0.0
    if cell.params[name].ndim == 1:
        grads[name] += (d * c_seen).sum(0)
        return d * cell.params[name]
    grads[name] += d.T @ c_seen
    return d @ cell.params[name]


def _partner(spec: LSTMSpec) -> str:
    """The gate that the derived one is computed from."""
    return "i" if spec.derived_gate == "f" else "f"


def _norm_of_gate(cell: Cell, gate: str, arrays: dict[str, Array]) -> dict[str, Array]:
    """Views of one gate's rows of the per-gate normalisation, in ``params`` or in ``grads``."""
    return {name: cell.split(arrays[name])[gate] for name in ("norm_gates_gain", "norm_gates_shift")}


def _normalise(x: Array, params: dict[str, Array], name: str) -> tuple[Array, Norm]:
    """Zero mean and unit variance over the last axis, then gain and shift."""
    centred = x - x.mean(-1, keepdims=True)
    scale = 1.0 / np.sqrt((centred * centred).mean(-1, keepdims=True) + NORM_EPSILON)
    unit = centred * scale
    return unit * params[f"{name}_gain"] + params[f"{name}_shift"], (unit, scale)


def _normalise_gradient(dy: Array, norm: Norm, params: dict[str, Array], name: str, grads: dict[str, Array]) -> Array:
    unit, scale = norm
    leading = tuple(range(dy.ndim - 1))
    grads[f"{name}_gain"] += (dy * unit).sum(leading)
    grads[f"{name}_shift"] += dy.sum(leading)
    d = dy * params[f"{name}_gain"]
    return scale * (d - d.mean(-1, keepdims=True) - unit * (d * unit).mean(-1, keepdims=True))


def _clip(x: Array, bound: float | None) -> Array:
    return x if bound is None else np.clip(x, -bound, bound)


def _clip_gradient(d: Array, x: Array, bound: float | None) -> Array:
    """1 on the bounds themselves, as PyTorch's clamp has it."""
    return d if bound is None else np.where(np.abs(x) > bound, 0.0, d)


def _mix(keep: Array | float | None, old: Array, new: Array) -> Array:
    return new if keep is None else keep * old + (1.0 - keep) * new


def _unmix(keep: Array | float | None, d: Array) -> tuple[Array, Array]:
    """Gradients of (old, new) from that of their mix."""
    return (np.zeros_like(d), d) if keep is None else (keep * d, (1.0 - keep) * d)
