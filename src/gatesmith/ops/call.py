"""The arguments and results of the operator, validated once so that every device can trust them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from gatesmith.errors import InputError
from gatesmith.spec import LSTMSpec
from gatesmith.weights import Weights

Array = npt.NDArray[Any]
State = tuple[Array, Array]


@dataclass(frozen=True, kw_only=True, eq=False)
class Call:
    """One run of the operator. All floating arrays share one dtype, float32 or float64.

    Attributes:
        x: [T, N, D]
        h0: [L * directions, N, R]
        c0: [L * directions, N, H]
        lengths: [N] int64, valid steps of each sequence, 0 to T.
        training: whether dropout and zoneout are drawn (from ``seed``) or replaced by their expectation.
    """

    weights: Weights
    x: Array
    h0: Array
    c0: Array
    lengths: Array
    training: bool = False
    seed: int = 0

    @property
    def spec(self) -> LSTMSpec:
        return self.weights.spec


@dataclass(frozen=True, kw_only=True, eq=False)
class Outputs:
    """What a forward run returns.

    Attributes:
        y: [T, N, directions * R]; zero beyond a sequence's length.
        h_n: [L * directions, N, R]; at the last valid step; h0 for a sequence of length 0.
        c_n: [L * directions, N, H]
    """

    y: Array
    h_n: Array
    c_n: Array


@dataclass(frozen=True, kw_only=True, eq=False)
class Gradients:
    """What a backward run returns: gradients of a scalar with respect to everything that :class:`Call` holds."""

    dx: Array
    dh0: Array
    dc0: Array
    dweights: Mapping[str, Array] = field(default_factory=dict[str, Array])


def make_call(
    weights: Weights,
    x: Array,
    state: State | None = None,
    *,
    lengths: npt.ArrayLike | None = None,
    training: bool = False,
    seed: int = 0,
) -> Call:
    """Check the arguments of one run; a missing state is zero and missing lengths are all T.

    Raises:
        InputError: a rank, a size, a dtype or a length doesn't fit the spec.
    """
    spec = weights.spec
    if not isinstance(x, np.ndarray):
        raise InputError(f"x is a {type(x).__name__}; expected a NumPy array of shape (T, N, {spec.input_size})")
    if x.dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise InputError(f"x has dtype {x.dtype}; expected float32 or float64, cast it first")
    if x.ndim != 3:
        raise InputError(f"x has shape {x.shape}; expected three axes (T, N, D) with D = {spec.input_size}")
    steps, batch, features = x.shape
    if features != spec.input_size:
        raise InputError(f"x has shape {x.shape}; expected (T, N, D) with D = {spec.input_size}")
    cells = len(spec.cells())
    shapes = {"h0": (cells, batch, spec.output_size), "c0": (cells, batch, spec.hidden_size)}
    if state is None:
        h0, c0 = (np.zeros(shape, x.dtype) for shape in shapes.values())
    else:
        h0, c0 = (_state(name, value, shapes[name], x.dtype) for name, value in zip(shapes, _pair(state), strict=True))
    return Call(
        weights=weights.astype(x.dtype),
        x=x,
        h0=h0,
        c0=c0,
        lengths=check_lengths(lengths, steps, batch),
        training=training,
        seed=seed,
    )


def check_upstream(call: Call, dy: object, dh_n: object, dc_n: object) -> None:
    """Check the gradients that a backward run starts from.

    Raises:
        InputError: a shape or a dtype is not that of the output it belongs to.
    """
    steps, batch = call.x.shape[:2]
    shapes = {
        "dy": (steps, batch, call.spec.num_directions * call.spec.output_size),
        "dh_n": call.h0.shape,
        "dc_n": call.c0.shape,
    }
    for (name, shape), value in zip(shapes.items(), (dy, dh_n, dc_n), strict=True):
        if not isinstance(value, np.ndarray) or value.shape != shape or value.dtype != call.x.dtype:
            given = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"
            raise InputError(f"{name} is {given}; expected {call.x.dtype} {shape}")


def _pair(state: object) -> tuple[object, object]:
    if not isinstance(state, tuple | list) or len(cast("Sequence[object]", state)) != 2:
        raise InputError(f"the state is a {type(cast('object', state)).__name__}; expected a pair (h0, c0)")
    h0, c0 = cast("Sequence[object]", state)
    return h0, c0


def _state(name: str, value: object, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    if not isinstance(value, np.ndarray):
        raise InputError(f"{name} is a {type(value).__name__}; expected a NumPy array of shape {shape}")
    value = cast("Array", value)
    if value.shape != shape:
        raise InputError(f"{name} has shape {value.shape}; expected (L * directions, N, size) = {shape}")
    if value.dtype != dtype:
        raise InputError(f"{name} has dtype {value.dtype}; expected {dtype} like x")
    return value


def check_lengths(lengths: npt.ArrayLike | None, steps: int, batch: int) -> Array:
    """[N] int64, all T where None.

    Raises:
        InputError: not one whole number from 0 to T for each sequence.
    """
    if lengths is None:
        return np.full(batch, steps, np.int64)
    array = np.asarray(lengths)
    if array.shape != (batch,):
        raise InputError(f"lengths has shape {array.shape}; expected one per sequence, ({batch},)")
    if batch and not np.issubdtype(array.dtype, np.integer):
        raise InputError(f"lengths has dtype {array.dtype}; expected integers")
    outside = np.flatnonzero((array < 0) | (array > steps))
    if outside.size:
        where = int(outside[0])
        raise InputError(f"lengths[{where}] is {array[where]}; expected 0 to T = {steps}")
    return array.astype(np.int64)
