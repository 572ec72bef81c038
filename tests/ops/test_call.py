"""The arguments of the operator: what is filled in, and what is refused in a sentence."""

from typing import Any

import numpy as np
import pytest

from gatesmith.errors import InputError
from gatesmith.ops.call import check_upstream, make_call
from gatesmith.spec import LSTMSpec
from gatesmith.weights import initialise

WEIGHTS = initialise(LSTMSpec(3, 4, 2, proj_size=2))
X = np.zeros((5, 2, 3), np.float32)
STATE = (np.zeros((2, 2, 2), np.float32), np.zeros((2, 2, 4), np.float32))


def test_defaults() -> None:
    call = make_call(WEIGHTS, X)
    assert call.spec is WEIGHTS.spec
    assert call.h0.shape == (2, 2, 2)
    assert call.c0.shape == (2, 2, 4)
    assert not call.h0.any()
    assert call.lengths.tolist() == [5, 5]
    assert call.lengths.dtype == np.int64
    assert not call.training


def test_nothing_is_copied_and_weights_follow_the_type_of_x() -> None:
    call = make_call(WEIGHTS, X, STATE)
    assert call.x is X
    assert call.h0 is STATE[0]
    assert call.weights is WEIGHTS
    assert make_call(WEIGHTS, X.astype(np.float64)).weights.dtype == np.float64


@pytest.mark.parametrize("lengths", [[0, 5], (3, 3), np.array([1, 2], np.uint8), np.array([5, 0], np.int32)])
def test_lengths_may_be_any_integers(lengths: Any) -> None:
    assert make_call(WEIGHTS, X, lengths=lengths).lengths.tolist() == [int(n) for n in lengths]


def test_an_empty_batch_needs_no_lengths() -> None:
    assert make_call(WEIGHTS, X[:, :0], lengths=[]).lengths.shape == (0,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": [[1.0]]}, "x is a list; expected a NumPy array"),
        ({"x": X.astype(int)}, "x has dtype int64; expected float32 or float64, cast it first"),
        ({"x": X.astype(np.float16)}, "x has dtype float16"),
        ({"x": X[0, 0]}, r"x has shape \(3,\); expected three axes"),
        ({"x": X[:, :, :2]}, r"x has shape \(5, 2, 2\); expected \(T, N, D\) with D = 3"),
        ({"state": STATE[0]}, r"the state is a ndarray; expected a pair \(h0, c0\)"),
        ({"state": (STATE[0],)}, "the state is a tuple; expected a pair"),
        ({"state": (None, STATE[1])}, "h0 is a NoneType"),
        ({"state": (STATE[1], STATE[1])}, r"h0 has shape \(2, 2, 4\); expected .* = \(2, 2, 2\)"),
        ({"state": (STATE[0], STATE[0])}, r"c0 has shape \(2, 2, 2\)"),
        ({"state": (STATE[0], STATE[1].astype(np.float64))}, "c0 has dtype float64; expected float32 like x"),
        ({"lengths": [1]}, r"lengths has shape \(1,\); expected one per sequence, \(2,\)"),
        ({"lengths": 3}, r"lengths has shape \(\)"),
        ({"lengths": [1.0, 2.0]}, "lengths has dtype float64; expected integers"),
        ({"lengths": [True, False]}, "lengths has dtype bool"),
        ({"lengths": [-1, 2]}, r"lengths\[0\] is -1; expected 0 to T = 5"),
        ({"lengths": [5, 6]}, r"lengths\[1\] is 6"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_call(WEIGHTS, **{"x": X, **arguments})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dy": np.zeros((5, 2, 4), np.float32)}, r"dy is float32 \(5, 2, 4\); expected float32 \(5, 2, 2\)"),
        ({"dy": None}, "dy is a NoneType"),
        ({"dh_n": np.zeros((2, 2, 2))}, "dh_n is float64"),
        ({"dc_n": np.zeros((2, 2, 2), np.float32)}, r"dc_n is float32 \(2, 2, 2\); expected float32 \(2, 2, 4\)"),
    ],
)
def test_wrong_gradients_are_named(change: dict[str, Any], message: str) -> None:
    good = {"dy": np.zeros((5, 2, 2), np.float32), "dh_n": STATE[0], "dc_n": STATE[1]}
    check_upstream(make_call(WEIGHTS, X), **good)
    with pytest.raises(InputError, match=message):
        check_upstream(make_call(WEIGHTS, X), **{**good, **change})
