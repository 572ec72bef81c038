"""What the gates are doing: saturation, memory, dead units, and the error that each gate's rounding contributes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from gatesmith.errors import InputError, UnsupportedError
from gatesmith.ops.activations import activate
from gatesmith.spec import GATES, LSTMSpec

Array = npt.NDArray[Any]

SIGNALS = (*GATES, "c", "h")
"""What a trace holds of every cell, in this order."""

SATURATED_LOW, SATURATED_HIGH = 0.1, 0.9
"""A gate below or above these is saturated (Karpathy, Johnson and Fei-Fei, 2015); the candidate by its magnitude."""

NEVER_OPENS, NEVER_FORGETS = 0.05, 0.95
"""A unit whose input gate never reaches the first, or whose forget gate never falls below the second, is idle."""


class Trace(Protocol):
    """One cell's signals over time: i, f, g, o, c [T, N, H] and h [T, N, R], as the operator computed them."""

    @property
    def i(self) -> Array: ...
    @property
    def f(self) -> Array: ...
    @property
    def g(self) -> Array: ...
    @property
    def o(self) -> Array: ...
    @property
    def c(self) -> Array: ...
    @property
    def h(self) -> Array: ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Saturation:
    """How often one gate is stuck near an end, per unit.

    Attributes:
        low: [H] share of valid steps below 0.1; for g, below -0.9.
        high: [H] share of valid steps above 0.9.
    """

    low: Array
    high: Array

    def to_dict(self) -> dict[str, Any]:
        return {
            "low": float(self.low.mean()),
            "high": float(self.high.mean()),
            "low_per_unit": plain(self.low),
            "high_per_unit": plain(self.high),
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class CellGates:
    """One cell (layer and direction) over real sequences.

    Attributes:
        signals: i, f, g, o, c [T, N, H] and h [T, N, R]; NaN beyond a sequence's length.
        saturation: by gate.
        time_constant: [H] steps after which a unit's memory has decayed to 1/e; infinite where it does not decay.
        never_opens: units whose input gate stays below 0.05 at every valid step.
        never_forgets: units whose forget gate stays above 0.95 at every valid step.
    """

    layer: int
    direction: str
    signals: Mapping[str, Array]
    saturation: Mapping[str, Saturation]
    time_constant: Array
    never_opens: tuple[int, ...]
    never_forgets: tuple[int, ...]

    @property
    def name(self) -> str:
        return f"layer {self.layer}, {self.direction}"

    def to_dict(self) -> dict[str, Any]:
        """Everything but the signals, which belong into an npz file."""
        return {
            "layer": self.layer,
            "direction": self.direction,
            "saturation": {gate: value.to_dict() for gate, value in self.saturation.items()},
            "time_constant_steps": plain(self.time_constant),
            "never_opens": list(self.never_opens),
            "never_forgets": list(self.never_forgets),
        }


@dataclass(frozen=True, kw_only=True)
class GateError:
    """How far one gate of the fixed-point model is from the real one, and what that does to the output.

    Attributes:
        worst, rms: of the gate's own value, over all valid steps and units.
        output_worst, output_rms: error of the cell's output when this gate alone is the fixed-point one.
    """

    gate: str
    worst: float
    rms: float
    output_worst: float
    output_rms: float

    def to_dict(self) -> dict[str, Any]:
        return {
            "gate": self.gate,
            "worst": self.worst,
            "rms": self.rms,
            "output_worst": self.output_worst,
            "output_rms": self.output_rms,
        }


def look_at_cells(spec: LSTMSpec, traces: Sequence[Trace], lengths: Array) -> tuple[CellGates, ...]:
    """Summarise the traces of all cells, in the order of ``spec.cells()``.

    Raises:
        InputError: the number of traces is not the number of cells.
    """
    cells = spec.cells()
    if len(traces) != len(cells):
        raise InputError(f"{len(traces)} traces are given; expected one for each of the {len(cells)} cells")
    return tuple(
        _look_at(spec, layer, direction, trace, lengths)
        for (layer, direction, _), trace in zip(cells, traces, strict=True)
    )


def _look_at(spec: LSTMSpec, layer: int, direction: str, trace: Trace, lengths: Array) -> CellGates:
    signals = {name: _masked(getattr(trace, name), lengths) for name in SIGNALS}
    valid = _valid(signals["f"].shape[0], lengths)
    flat = {name: signals[name][valid] for name in SIGNALS}  # [V, H]: all valid steps of all sequences
    low = {gate: -SATURATED_HIGH if gate == "g" else SATURATED_LOW for gate in GATES}
    return CellGates(
        layer=layer,
        direction=direction,
        signals=signals,
        saturation={
            gate: Saturation(low=_share(flat[gate] < low[gate]), high=_share(flat[gate] > SATURATED_HIGH))
            for gate in GATES
        },
        time_constant=time_constants(flat["f"], zoneout=spec.zoneout_c),
        never_opens=_always(flat["i"] < NEVER_OPENS),
        never_forgets=_always(flat["f"] > NEVER_FORGETS),
    )


def time_constants(forget: Array, *, zoneout: float = 0.0) -> Array:
    """Steps after which an undisturbed cell state has decayed to 1/e, from forget gates [V, H]; returns [H].

    A state that is only ever multiplied by f_t shrinks by exp(sum of ln f_t), so the constant is -1 / mean(ln f):
    the geometric mean counts, not the arithmetic one. Zoneout keeps its share of the state on top.

    Range: 0 (forgets at once) to infinity (does not decay, or grows).
    """
    if not len(forget):
        return np.array([np.nan] * forget.shape[1])
    kept = zoneout + (1 - zoneout) * np.abs(forget.astype(np.float64))
    with np.errstate(divide="ignore"):
        rate = -np.log(kept).mean(axis=0)
        return np.where(rate > 0, 1 / np.where(rate > 0, rate, 1), np.inf)


def gate_errors(spec: LSTMSpec, real: CellGates, fixed: CellGates, c0: Array, lengths: Array) -> tuple[GateError, ...]:
    """What each gate contributes to the fixed-point model's error, one row per gate and one for all four together.

    The cell's equations are run again with one gate taken from the fixed-point model and the other three from the
    real one; so a row is that gate's doing alone, and the row ``all`` leaves only the rounding of c and h out.

    Args:
        c0: [N, H] initial cell state; lengths: [N].

    Raises:
        UnsupportedError: the cell is layer-normalised, where an output is no function of its own unit's gates alone.
    """
    if spec.layer_norm != "none":
        raise UnsupportedError("gate errors can't be told apart under layer_norm, which mixes the units")
    truth = {gate: real.signals[gate] for gate in GATES}
    other = {gate: fixed.signals[gate].astype(np.float64) for gate in GATES}
    valid = _valid(truth["f"].shape[0], lengths)
    exact = _outputs(spec, real.direction, truth, c0, lengths)
    rows: list[GateError] = []
    for name in (*GATES, "all"):
        taken = GATES if name == "all" else (name,)
        output = _outputs(spec, real.direction, {**truth, **{gate: other[gate] for gate in taken}}, c0, lengths)
        own = np.concatenate([(other[gate] - truth[gate])[valid] for gate in taken])
        rows.append(GateError(gate=name, **_size(own, ""), **_size((output - exact)[valid], "output_")))
    return tuple(rows)


def _outputs(spec: LSTMSpec, direction: str, gates: Mapping[str, Array], c0: Array, lengths: Array) -> Array:
    """o * act(c) [T, N, H] before any projection, from given gates: c = f * c_prev + i * g in the cell's own order."""
    steps = gates["f"].shape[0]
    shape_of_output = spec.activations_of(direction)[2]
    output = np.full(gates["f"].shape, np.nan)
    c = c0.astype(np.float64)
    cell_clip = spec.cell_clip or np.inf
    for t in range(steps) if direction == "forward" else range(steps - 1, -1, -1):
        now = (t < lengths)[:, None]
        i, f, g, o = (np.where(now, gates[gate][t], 0) for gate in GATES)
        new = np.clip(f * c + i * g, -cell_clip, cell_clip)
        c = np.where(now, spec.zoneout_c * c + (1 - spec.zoneout_c) * new, c)
        output[t] = o * activate(shape_of_output, new)
    return output


def _size(error: Array, prefix: str) -> dict[str, float]:
    if not error.size:
        return {f"{prefix}worst": 0.0, f"{prefix}rms": 0.0}
    return {f"{prefix}worst": float(np.abs(error).max()), f"{prefix}rms": float(np.sqrt(np.mean(error**2)))}


def _valid(steps: int, lengths: Array) -> npt.NDArray[np.bool_]:
    """[T, N] whether a step belongs to its sequence."""
    times: Array = np.arange(steps, dtype=np.int64)[:, None]
    return times < lengths


def _masked(values: Array, lengths: Array) -> Array:
    valid = _valid(values.shape[0], lengths)
    return np.where(valid[:, :, None], values.astype(np.float64), np.nan)


def _share(condition: npt.NDArray[np.bool_]) -> Array:
    return condition.sum(axis=0) / max(len(condition), 1)


def _always(condition: npt.NDArray[np.bool_]) -> tuple[int, ...]:
    """Units for which the condition [V, H] holds at every step; none where there is no step."""
    return tuple(int(unit) for unit in np.flatnonzero(condition.all(axis=0))) if len(condition) else ()


def plain(array: Array) -> list[Any]:
    """An array as lists that JSON can hold: None for what is not finite."""
    if array.ndim > 1:
        return [plain(row) for row in array]
    return [float(value) if np.isfinite(value) else None for value in array]
