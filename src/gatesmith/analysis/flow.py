"""How gradients flow back through time: the norm of dL/dh_t and dL/dc_t at every step of every cell."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gatesmith.analysis.gates import Array, plain
from gatesmith.ops import reference
from gatesmith.ops.call import Call, Gradients, Outputs
from gatesmith.spec import LSTMSpec
from gatesmith.weights import Weights

VANISHED, EXPLODED = 1e-3, 1e3
"""A gradient that has fallen to the first, or grown to the second, of its size at the last step is named."""


@dataclass(frozen=True, kw_only=True, eq=False)
class GradientFlow:
    """Norms of the gradients of one cell's states, by time.

    Attributes:
        dh, dc: [T + 1, N] norm of dL/dh and dL/dc after k steps of the cell's own order (a reverse cell begins at the
            last valid step); entry 0 is for the initial state; NaN beyond a sequence's length. h and c are taken as
            the two halves of the state, so dL/dc is what reaches c by later steps, not through its own h.
        dh_back, dc_back: [K + 1] geometric mean over sequences, k steps back from each one's final state.
    """

    layer: int
    direction: str
    dh: Array
    dc: Array
    dh_back: Array
    dc_back: Array

    @property
    def vanishes_after(self) -> int | None:
        """Steps back after which the gradient has fallen to 1e-3 of what it was at the end; None if it doesn't."""
        return _first(self.total_back <= VANISHED * self.total_back[:1])

    @property
    def explodes_after(self) -> int | None:
        """Steps back after which the gradient has grown a thousandfold; None if it doesn't."""
        return _first(self.total_back >= EXPLODED * self.total_back[:1])

    @property
    def total_back(self) -> Array:
        """[K] sqrt(dh^2 + dc^2): the whole state's gradient, k steps back."""
        return np.hypot(self.dh_back, self.dc_back)

    def to_dict(self) -> dict[str, Any]:
        return {
            "layer": self.layer,
            "direction": self.direction,
            "dh_back": plain(self.dh_back),
            "dc_back": plain(self.dc_back),
            "vanishes_after": self.vanishes_after,
            "explodes_after": self.explodes_after,
        }


def gradient_flow(call: Call, dy: Array | None = None, dh_n: Array | None = None) -> tuple[GradientFlow, ...]:
    """Norms of the gradients that flow back through every cell, in the order of ``spec.cells()``.

    Each cell is stepped alone, one time step per call of the reference, so that the gradient between steps can be
    seen; the chain of steps is the same mathematics as one call over the whole sequence, for every variant.

    Args:
        call: weights, x, states and lengths.
        dy: [T, N, directions * R] gradient of y; zero if None.
        dh_n: [L * directions, N, R] gradient of the final h; if both are None, 1/sqrt(R) for each element of the last
            layer, so that norms read as gains: 1 at the end.
    """
    spec = call.spec
    if dh_n is None:
        dh_n = np.zeros(call.h0.shape)
        if dy is None:
            dh_n[-spec.num_directions :] = 1 / np.sqrt(spec.output_size)
    chains = _forward(call)
    steps, batch = call.x.shape[:2]
    below = np.zeros((steps, batch, spec.num_directions * spec.output_size)) if dy is None else dy.astype(np.float64)
    flows: list[GradientFlow] = []
    for layer in reversed(range(spec.num_layers)):
        dx = below.copy() if spec.residual and layer else np.zeros((steps, batch, spec.layer_input_size(layer)))
        for which in reversed(range(spec.num_directions)):
            cell = layer * spec.num_directions + which
            columns = slice(which * spec.output_size, (which + 1) * spec.output_size)
            flow, cell_dx = chains[cell].backward(below[:, :, columns], dh_n[cell].astype(np.float64))
            flows.append(flow)
            dx += cell_dx
        below = dx
    return tuple(reversed(flows))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Chain:
    """One cell's forward run, one tape per step, in the order in which the cell sees the steps."""

    layer: int
    direction: str
    order: Array  # [T, N] time step that position k of the cell's order stands for
    lengths: Array
    spec: LSTMSpec
    tapes: tuple[Any, ...]
    outputs: tuple[Outputs, ...]

    def y(self) -> Array:
        """[T, N, R] in time order."""
        steps, batch = self.order.shape
        y = np.zeros((steps, batch, self.spec.output_size))
        for k, output in enumerate(self.outputs):
            y[self.order[k], np.arange(batch)] += output.y[0]
        return y

    def backward(self, dy: Array, dh: Array) -> tuple[GradientFlow, Array]:
        """Norms, and dx [T, N, D], from dy [T, N, R] and dh [N, R] of the final state."""
        steps, batch = self.order.shape
        columns = np.arange(batch, dtype=np.int64)
        dc = np.zeros((batch, self.spec.hidden_size))
        dx = np.zeros((steps, batch, self.spec.input_size))
        norms = {name: np.full((steps + 1, batch), np.nan) for name in ("dh", "dc")}
        for k in range(steps, -1, -1):
            # dh is the gradient that step k sends back; what h itself sends to y comes on top of it.
            ended = np.zeros((batch, 1)) if k == 0 else (k <= self.lengths)[:, None]
            here = dh + np.where(ended, dy[self.order[k - 1], columns], 0) if k else dh
            for name, value in (("dh", here), ("dc", dc)):
                norms[name][k] = np.where(k <= self.lengths, np.linalg.norm(value, axis=1), np.nan)
            if k:
                step: Gradients = reference.backward(self.tapes[k - 1], np.zeros((1, *dh.shape)), here[None], dc[None])
                dh, dc = step.dh0[0], step.dc0[0]
                dx[self.order[k - 1], columns] += np.where(ended, step.dx[0], 0)
        flow = GradientFlow(
            layer=self.layer,
            direction=self.direction,
            **norms,
            **{f"{name}_back": _mean_by_steps_back(value, self.lengths) for name, value in norms.items()},
        )
        return flow, dx


def _forward(call: Call) -> list[_Chain]:
    """Run all cells, layer by layer, keeping every step's tape."""
    spec = call.spec
    x = call.x.astype(np.float64)
    chains: list[_Chain] = []
    for layer in range(spec.num_layers):
        for direction in spec.directions:
            chains.append(_run(call, len(chains), layer, direction, x))
        y = np.concatenate([chain.y() for chain in chains[-spec.num_directions :]], axis=2)
        x = y + x if spec.residual and layer else y
    return chains


def _run(call: Call, cell: int, layer: int, direction: str, x: Array) -> _Chain:
    steps, batch = x.shape[:2]
    positions = np.arange(steps, dtype=np.int64)[:, None]
    order: Array = np.broadcast_to(positions, (steps, batch))
    if direction == "reverse":
        order = np.where(positions < call.lengths, call.lengths - 1 - positions, positions)
    weights = _single_cell(call.weights, layer, direction)
    h, c = (state[cell][None].astype(np.float64) for state in (call.h0, call.c0))
    tapes: list[Any] = []
    outputs: list[Outputs] = []
    for k in range(steps):
        now = (k < call.lengths).astype(np.int64)
        step = Call(weights=weights, x=x[order[k], np.arange(batch)][None], h0=h, c0=c, lengths=now)
        output, tape = reference.forward_for_training(step)
        h, c = output.h_n, output.c_n
        tapes.append(tape)
        outputs.append(output)
    return _Chain(
        layer=layer,
        direction=direction,
        order=order,
        lengths=call.lengths,
        spec=weights.spec,
        tapes=tuple(tapes),
        outputs=tuple(outputs),
    )


def _single_cell(weights: Weights, layer: int, direction: str) -> Weights:
    """One cell of a stack as an LSTM of its own, which runs forward over what it is given."""
    spec = weights.spec
    suffix = f"l{layer}" + ("_reverse" if direction == "reverse" else "")
    alone: LSTMSpec = replace(
        spec,
        input_size=spec.layer_input_size(layer),
        num_layers=1,
        direction="forward",
        activations=spec.activations_of(direction),
        reverse_activations=None,
        drop_states=False,
        residual=False,
    )
    arrays = {name: weights[name.removesuffix("l0") + suffix] for name in alone.parameter_shapes()}
    return Weights(alone, arrays).astype(np.float64)


def _mean_by_steps_back(norms: Array, lengths: Array) -> Array:
    """Geometric mean over sequences, by distance from each one's end: norms [T + 1, N] -> [K + 1]."""
    means: list[float] = []
    for back in range(int(lengths.max(initial=0)) + 1):
        long_enough = np.flatnonzero(lengths >= back)
        with np.errstate(divide="ignore"):
            logs = np.log(norms[lengths[long_enough] - back, long_enough])
        means.append(float(np.exp(logs.mean())) if len(logs) else np.nan)
    return np.array(means)


def _first(condition: Array) -> int | None:
    found = np.flatnonzero(condition)
    return int(found[0]) if len(found) else None
