"""``LSTM`` as users call it: shapes, layouts, devices, gradients."""

from typing import Any

import numpy as np
import pytest
from tests.tolerances import TOLERANCES

from gatesmith import LSTM, LSTMSpec, run_on_device
from gatesmith.errors import InputError, UnsupportedError
from gatesmith.weights import initialise

SPEC = LSTMSpec(3, 4, 2, "bidirectional")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(5, 2, 3))
STATE = (RNG.normal(size=(4, 2, 4)), RNG.normal(size=(4, 2, 4)))


def test_a_seed_or_weights_make_an_operator() -> None:
    lstm = LSTM(SPEC, seed=3)
    assert np.array_equal(lstm.weights["bias_l0"], initialise(SPEC, seed=3)["bias_l0"])
    assert LSTM(lstm.weights).spec == SPEC
    assert "device=None" in repr(lstm)


def test_batch_first_is_the_same_with_two_axes_swapped() -> None:
    lstm = LSTM(SPEC)
    y, (h_n, c_n) = lstm(X, STATE, lengths=[5, 2])
    turned, (h, c) = LSTM(lstm.weights, batch_first=True)(X.swapaxes(0, 1), STATE, lengths=[5, 2])
    assert np.array_equal(turned, y.swapaxes(0, 1))
    assert np.array_equal(h, h_n)
    assert np.array_equal(c, c_n)


@pytest.mark.parametrize("batch_first", [False, True])
def test_unbatched_is_a_batch_of_one(batch_first: bool) -> None:
    lstm = LSTM(SPEC, batch_first=batch_first)
    y, (h_n, c_n) = lstm(X[:, 0], (STATE[0][:, 0], STATE[1][:, 0]))
    expected, (h, c) = LSTM(lstm.weights)(X[:, :1], (STATE[0][:, :1], STATE[1][:, :1]))
    assert np.array_equal(y, expected[:, 0])
    assert np.array_equal(h_n, h[:, 0])
    assert np.array_equal(c_n, c[:, 0])
    assert lstm(X[:, 0])[0].shape == (5, 8)


@pytest.mark.parametrize("batch_first", [False, True])
def test_gradients_of_the_operator(batch_first: bool) -> None:
    """The directional derivative in x, by a central difference."""
    lstm = LSTM(initialise(SPEC, dtype=np.float64), batch_first=batch_first)
    x = X.swapaxes(0, 1) if batch_first else X
    y, (h_n, _), tape = lstm.forward(x, STATE, lengths=[5, 3])
    assert np.array_equal(y, lstm(x, STATE, lengths=[5, 3])[0])
    dy, dh = RNG.normal(size=y.shape), RNG.normal(size=h_n.shape)
    gradients = lstm.backward(tape, dy, (dh, np.zeros_like(dh)))
    along, step = RNG.normal(size=x.shape), 1e-6

    def value(sign: float) -> float:
        out, (h, _) = lstm(x + sign * step * along, STATE, lengths=[5, 3])
        return float((out * dy).sum() + (h * dh).sum())

    numeric = (value(1) - value(-1)) / (2 * step)
    assert numeric == pytest.approx((gradients.dx * along).sum(), rel=TOLERANCES["finite_differences"])
    assert set(gradients.dweights) == set(lstm.weights)


def test_dropout_is_drawn_in_training_from_the_operators_seed_and_off_in_a_call() -> None:
    spec = LSTMSpec(3, 4, 2, dropout=0.5)
    weights = initialise(spec)
    first, again, other = (LSTM(weights, seed=seed).forward(X)[0] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.array_equal(LSTM(weights, seed=1)(X)[0], LSTM(weights, seed=2)(X)[0])
    assert np.array_equal(LSTM(weights).forward(X, training=False)[0], LSTM(weights)(X)[0])


def test_run_on_device_is_the_call() -> None:
    lstm = LSTM(SPEC, device="reference")
    for device in (None, "reference"):
        assert np.array_equal(run_on_device(lstm, X, device=device)[0], lstm(X)[0])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((X[0, 0],), InputError, "expected three axes"),
        ((X[:, 0], STATE[0]), InputError, "expected a pair"),
        ((X[:, 0], (STATE[0][:, 0], None)), InputError, "c0 is a NoneType"),
        ((X[:, 0], STATE), InputError, "h0 has shape"),
    ],
)
def test_wrong_arguments_are_named(arguments: tuple[Any, ...], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        LSTM(SPEC)(*arguments)


def test_devices_are_named() -> None:
    with pytest.raises(UnsupportedError, match="device 'abacus' is unknown; the devices here are reference"):
        LSTM(SPEC, device="abacus")(X)
    with pytest.raises(UnsupportedError, match="device 'cpu' can't run|device 'cpu' is not available"):
        run_on_device(LSTM(SPEC), X, device="cpu")


def test_a_wrong_upstream_gradient_is_named() -> None:
    lstm = LSTM(SPEC)
    *_, tape = lstm.forward(X)
    with pytest.raises(InputError, match="dy is float64"):
        lstm.backward(tape, X)
