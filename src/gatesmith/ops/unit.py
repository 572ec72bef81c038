"""Caffe2's LSTMUnit: the element-wise part of one time step, from gates that are already summed, and its gradient.

Source: Caffe2, ``lstm_unit_op.h``. Its gate order is (i, f, o, g); here, as everywhere in gatesmith, (i, f, g, o).
"""

import numpy as np
import numpy.typing as npt

from gatesmith.errors import InputError
from gatesmith.ops.activations import sigmoid
from gatesmith.ops.call import Array


def lstm_unit(
    h_prev: Array,
    c_prev: Array,
    gates: Array,
    *,
    lengths: npt.ArrayLike | None = None,
    timestep: int = 0,
    forget_bias: float = 0.0,
    drop_states: bool = False,
) -> tuple[Array, Array]:
    """(h, c) after one step, [N, H], in the dtype given; computed in float64.

    Args:
        h_prev: [N, H], read only for rows that have ended.
        c_prev: [N, H]
        gates: [N, 4H], pre-activations of i, f, g, o: input, recurrent and bias terms already summed.
        lengths: [N], a row has ended where ``timestep >= lengths``; None for rows that never end.
        forget_bias: added to f's pre-activation.
        drop_states: rows that have ended become zero instead of holding their state.

    Raises:
        InputError: a shape or dtype doesn't fit.
    """
    running = _running(h_prev, c_prev, gates, lengths, timestep)
    with np.errstate(all="ignore"):
        i, f, g, o = _activated(gates, forget_bias)
        c = f * c_prev + i * g
        h = o * np.tanh(c)
    ended_h, ended_c = (np.zeros_like(h), np.zeros_like(c)) if drop_states else (h_prev, c_prev)
    dtype = gates.dtype
    return np.where(running, h, ended_h).astype(dtype), np.where(running, c, ended_c).astype(dtype)


def lstm_unit_gradient(
    h_prev: Array,
    c_prev: Array,
    gates: Array,
    dh: Array,
    dc: Array,
    *,
    lengths: npt.ArrayLike | None = None,
    timestep: int = 0,
    forget_bias: float = 0.0,
    drop_states: bool = False,
) -> tuple[Array, Array, Array]:
    """(dh_prev [N, H], dc_prev [N, H], dgates [N, 4H]) from those of h and c; other arguments as for the step.

    Rows that are running have no dh_prev: the way from h_prev to the gates lies outside.

    Raises:
        InputError: a shape or dtype doesn't fit.
    """
    running = _running(h_prev, c_prev, gates, lengths, timestep)
    for name, array in (("dh", dh), ("dc", dc)):
        if array.shape != c_prev.shape:
            raise InputError(f"{name} has shape {array.shape}; expected that of c_prev, {c_prev.shape}")
    with np.errstate(all="ignore"):
        i, f, g, o = _activated(gates, forget_bias)
        shown = np.tanh(f * c_prev + i * g)
        through = dc + dh * o * (1.0 - shown * shown)  # of the new cell state
        parts = (
            through * g * i * (1.0 - i),
            through * c_prev * f * (1.0 - f),
            through * i * (1.0 - g * g),
            dh * shown * o * (1.0 - o),
        )
    kept = 0.0 if drop_states else 1.0
    dh_prev = np.where(running, 0.0, kept * dh)
    dc_prev = np.where(running, through * f, kept * dc)
    dgates = np.where(running, np.concatenate(parts, axis=-1), 0.0)
    dtype = gates.dtype
    return dh_prev.astype(dtype), dc_prev.astype(dtype), dgates.astype(dtype)


def _activated(gates: Array, forget_bias: float) -> tuple[Array, Array, Array, Array]:
    z_i, z_f, z_g, z_o = np.split(gates.astype(np.float64), 4, axis=-1)
    return sigmoid(z_i), sigmoid(z_f + forget_bias), np.tanh(z_g), sigmoid(z_o)


def _running(h_prev: Array, c_prev: Array, gates: Array, lengths: npt.ArrayLike | None, timestep: int) -> Array:
    """[N, 1], the rows that have not ended, after checking all shapes."""
    if gates.ndim != 2 or gates.shape[1] % 4 or gates.dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise InputError(f"gates has shape {gates.shape} and dtype {gates.dtype}; expected (N, 4 * H) of floats")
    shape = (gates.shape[0], gates.shape[1] // 4)
    for name, array in (("h_prev", h_prev), ("c_prev", c_prev)):
        if array.shape != shape:
            raise InputError(f"{name} has shape {array.shape}; expected (N, H) = {shape} like gates")
    if timestep < 0:
        raise InputError(f"timestep is {timestep}; expected at least 0")
    if lengths is None:
        return np.ones((shape[0], 1), np.bool_)
    ends = np.asarray(lengths)
    if ends.shape != shape[:1] or ends.dtype.kind not in "iu":
        raise InputError(f"lengths has shape {ends.shape} and dtype {ends.dtype}; expected integers ({shape[0]},)")
    return (timestep < ends)[:, None]
