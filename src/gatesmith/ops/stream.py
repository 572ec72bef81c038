"""One step at a time on the compiled kernel, with all memory taken once: for control loops and live signals."""

from ctypes import byref

import numpy as np

from gatesmith.errors import InputError
from gatesmith.ops.call import Array, State, make_call
from gatesmith.ops.cpu import prepare_stream
from gatesmith.ops.devices import engine_for
from gatesmith.ops.library import library
from gatesmith.weights import Weights


class Stream:
    """An LSTM that remembers its state between steps.

    The weights are those at the time it was made. A stream belongs to one thread at a time.

    Args:
        weights: of a spec that runs forward, of any variant, as in evaluation; a reverse direction needs the whole
            sequence.
        state: (h0, c0), [L, N, R] and [L, N, H]; zero if None.
        batch: N.

    Raises:
        InputError: the spec has a reverse direction, or the state doesn't fit.
        UnsupportedError: the kernel is not built, or can't run the spec.
    """

    def __init__(self, weights: Weights, state: State | None = None, *, batch: int = 1) -> None:
        spec = weights.spec
        if spec.direction != "forward":
            raise InputError(f"a stream can't run direction {spec.direction!r}; expected 'forward'")
        if batch < 1:
            raise InputError(f"batch is {batch}; expected at least 1")
        self.spec, self.batch = spec, batch
        self._x = np.zeros((1, batch, spec.input_size), np.float32)
        self._y = np.zeros((1, batch, spec.output_size), np.float32)
        call = make_call(weights, self._x, state)
        engine_for("cpu", call)
        self._h, self._c = call.h0.copy(), call.c0.copy()
        self._run, self._kept = prepare_stream(call, y=self._y, h=self._h, c=self._c)
        self._reference = byref(self._run)
        self._forward = library().gatesmith_forward
        self._views: dict[tuple[int, ...], tuple[Array, Array]] = {(batch, spec.input_size): (self._x[0], self._y[0])}
        if batch == 1:
            self._views[spec.input_size,] = self._x[0, 0], self._y[0, 0]

    def step(self, x_t: Array) -> Array:
        """Advance by one step.

        Args:
            x_t: [N, D], or [D] where N = 1; float32, or a dtype that NumPy casts to it.

        Returns:
            h of the last layer, [N, R] or [R] as x_t. It is the stream's own memory: the next step writes over it.

        Raises:
            InputError: x_t has another shape.
        """
        views = self._views.get(x_t.shape)
        if views is None:
            raise InputError(f"x_t has shape {x_t.shape}; expected (N, D) = {(self.batch, self.spec.input_size)}")
        x, y = views
        x[...] = x_t
        self._forward(self._reference)
        return y

    @property
    def state(self) -> State:
        """Copies of (h, c), [L, N, R] and [L, N, H]."""
        return self._h.copy(), self._c.copy()

    def reset(self, state: State | None = None) -> None:
        """Start again from a state, or from zero."""
        h, c = (0.0, 0.0) if state is None else state
        self._h[...] = h
        self._c[...] = c
