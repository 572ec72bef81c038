"""The LSTM operator as users call it: a spec, its weights, and one call on any device."""

from typing import Any, cast

import numpy as np
import numpy.typing as npt

from gatesmith.errors import UnsupportedError
from gatesmith.ops.call import Array, Call, Gradients, Outputs, State, check_upstream, make_call
from gatesmith.ops.devices import Tape, default_engine, engine_for
from gatesmith.ops.stream import Stream
from gatesmith.spec import LSTMSpec
from gatesmith.weights import Weights, initialise


class LSTM:
    """The LSTM operator with its weights.

    >>> lstm = LSTM(LSTMSpec(input_size=3, hidden_size=5), seed=0)
    >>> y, (h_n, c_n) = lstm(np.zeros((7, 2, 3), np.float32))
    >>> y.shape, h_n.shape
    ((7, 2, 5), (1, 2, 5))

    Args:
        spec: what to compute; or weights, which carry their spec.
        seed: of the initial weights (:func:`gatesmith.weights.initialise`), and of dropout in training.
        device: where calls run by default; None for the compiled kernel where x is float32 and the kernel is built,
            else the reference.
        batch_first: sequences are (N, T, D) instead of (T, N, D).
    """

    def __init__(
        self, spec: LSTMSpec | Weights, *, seed: int = 0, device: str | None = None, batch_first: bool = False
    ) -> None:
        self.weights = spec if isinstance(spec, Weights) else initialise(spec, seed=seed)
        self.spec = self.weights.spec
        self.seed = seed
        self.device = device
        self.batch_first = batch_first

    def __repr__(self) -> str:
        return f"LSTM({self.spec!r}, device={self.device!r}, batch_first={self.batch_first})"

    def __call__(
        self, x: Array, state: State | None = None, *, lengths: npt.ArrayLike | None = None
    ) -> tuple[Array, State]:
        """Run forward.

        Args:
            x: [T, N, D] ([N, T, D] where ``batch_first``), float32 or float64; unbatched [T, D] is fine too.
            state: (h0, c0), [L * directions, N, R] and [L * directions, N, H] (no N where unbatched); zero if None.
            lengths: [N], valid steps of each sequence, 0 to T; all T if None.

        Returns:
            y [T, N, directions * R], zero beyond a sequence's length, and (h_n, c_n) at the last valid step.

        Raises:
            InputError: an argument doesn't fit the spec.
            UnsupportedError: the device can't run this spec, or isn't available.
        """
        return run_on_device(self, x, state, device=self.device, lengths=lengths)

    def forward(
        self, x: Array, state: State | None = None, *, lengths: npt.ArrayLike | None = None, training: bool = True
    ) -> tuple[Array, State, Tape]:
        """Run forward and keep what :meth:`backward` needs. Arguments as for a call, batched."""
        call = make_call(self.weights, self._time_first(x), state, lengths=lengths, training=training, seed=self.seed)
        engine = _engine(self.device, call)
        if not hasattr(engine, "backward"):
            raise UnsupportedError(f"device {self.device!r} has no gradients; use device='reference' or 'cpu'")
        outputs, tape = engine.forward_for_training(call)
        return self._time_first(outputs.y), (outputs.h_n, outputs.c_n), tape

    def backward(self, tape: Tape, dy: Array, dstate: State | None = None) -> Gradients:
        """Gradients of x, h0, c0 and every parameter, from those of y and (h_n, c_n)."""
        dh_n, dc_n = dstate or (np.zeros_like(tape.call.h0), np.zeros_like(tape.call.c0))
        dy = self._time_first(dy)
        check_upstream(tape.call, dy, dh_n, dc_n)
        gradients = _engine(self.device, tape.call).backward(tape, dy, dh_n, dc_n)
        if self.batch_first:
            return Gradients(
                dx=gradients.dx.swapaxes(0, 1), dh0=gradients.dh0, dc0=gradients.dc0, dweights=gradients.dweights
            )
        return gradients

    def stream(self, state: State | None = None, *, batch: int = 1) -> Stream:
        """The operator one step at a time, with these weights; see :class:`gatesmith.ops.stream.Stream`."""
        return Stream(self.weights, state, batch=batch)

    def _time_first(self, array: Array) -> Array:
        return array.swapaxes(0, 1) if self.batch_first and array.ndim == 3 else array


def run_on_device(
    lstm: LSTM,
    x: Array,
    state: State | None = None,
    *,
    device: str | None = None,
    lengths: npt.ArrayLike | None = None,
    **options: Any,
) -> tuple[Array, State]:
    """Run the same operator on any engine.

    Args:
        lstm: the operator; x, state and lengths as for calling it.
        device: a name from the table of devices; None for the compiled kernel where it fits, else the reference.
        options: passed to the device's engine, such as ``plan=`` for the fixed-point ones.

    Returns:
        y and (h_n, c_n), as ``lstm(x)`` does, in x's dtype.

    Raises:
        InputError: an argument doesn't fit the spec.
        UnsupportedError: the device is unknown, not available, or can't run this spec.
    """
    unbatched = isinstance(x, np.ndarray) and x.ndim == 2
    if unbatched:
        x = x[:, None, :]
        if isinstance(state, tuple):
            state = cast("State", tuple(_with_batch(part) for part in state))
    elif lstm.batch_first and isinstance(x, np.ndarray) and x.ndim == 3:
        x = x.swapaxes(0, 1)
    call = make_call(lstm.weights, x, state, lengths=lengths)
    outputs = _engine(device, call).forward(call, **options)
    return _as_asked(outputs, unbatched=unbatched, batch_first=lstm.batch_first)


def _as_asked(outputs: Outputs, *, unbatched: bool, batch_first: bool) -> tuple[Array, State]:
    if unbatched:
        return outputs.y[:, 0], (outputs.h_n[:, 0], outputs.c_n[:, 0])
    return (outputs.y.swapaxes(0, 1) if batch_first else outputs.y), (outputs.h_n, outputs.c_n)


def _with_batch(part: object) -> object:
    if isinstance(part, np.ndarray) and part.ndim == 2:
        return np.expand_dims(cast("Array", part), 1)
    return cast("object", part)


def _engine(device: str | None, call: Call) -> Any:
    return default_engine(call) if device is None else engine_for(device, call)
