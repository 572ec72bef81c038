"""Device "fixed" through the public call."""

import numpy as np
import pytest

import gatesmith
from gatesmith.errors import FormatError, UnsupportedError
from gatesmith.fixed import calibrate
from gatesmith.fixed.model import quantise_inputs, run
from gatesmith.fixed.weights import quantise_weights
from gatesmith.ops.call import make_call
from gatesmith.ops.operator import LSTM, run_on_device
from gatesmith.spec import LSTMSpec

X = np.random.default_rng(0).normal(size=(6, 4, 3)).astype(np.float32)
LSTM_SMALL = LSTM(LSTMSpec(3, 5, 2, "bidirectional"), seed=1)


def test_returns_the_codes_as_real_numbers() -> None:
    plan = calibrate(LSTM_SMALL, X)
    y, (h_n, c_n) = run_on_device(LSTM_SMALL, X, device="fixed", plan=plan)
    weights, call = quantise_weights(LSTM_SMALL.weights, plan), make_call(LSTM_SMALL.weights, X)
    outputs = run(LSTM_SMALL.spec, plan, weights, quantise_inputs(plan, call))
    assert y.dtype == h_n.dtype == c_n.dtype == np.float32
    assert (plan.y_format.quantise(y) == outputs.y).all()
    for at, cell in enumerate(plan.cells):
        assert (cell.y_format.quantise(h_n[at]) == outputs.h_n[at]).all()
        assert (cell.c_format.quantise(c_n[at]) == outputs.c_n[at]).all()


def test_calibrates_on_the_call_where_there_is_no_plan() -> None:
    lengths = [6, 1, 0, 3]
    plan = calibrate(LSTM_SMALL, X, lengths, data_width=12)
    given, _ = run_on_device(LSTM_SMALL, X, device="fixed", lengths=lengths, plan=plan)
    own, _ = run_on_device(LSTM_SMALL, X, device="fixed", lengths=lengths, data_width=12)
    assert (given == own).all()


def test_unbatched_and_the_public_name() -> None:
    plan = calibrate(LSTM_SMALL, X)
    y, (h_n, _) = gatesmith.run_on_device(LSTM_SMALL, X[:, 0], device="fixed", plan=plan)
    assert y.shape == (6, 10)
    assert h_n.shape == (4, 5)


def test_bad_calls_are_refused() -> None:
    plan = calibrate(LSTM_SMALL, X)
    with pytest.raises(FormatError, match="data_width is given beside a plan"):
        run_on_device(LSTM_SMALL, X, device="fixed", plan=plan, data_width=8)
    with pytest.raises(FormatError, match="the plan has 4 cells; expected 1"):
        run_on_device(LSTM(LSTMSpec(3, 5)), X, device="fixed", plan=plan)
    with pytest.raises(
        UnsupportedError, match=r"device 'fixed' can't run zoneout \(zoneout_h = 0.1, zoneout_c = 0.0\)"
    ):
        run_on_device(LSTM(LSTMSpec(3, 5, zoneout_h=0.1)), X, device="fixed")
