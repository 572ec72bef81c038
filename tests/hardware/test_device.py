"""Device "rtl" through the one entry of the operator: equal to device "fixed" for every layer and direction."""

import numpy as np
import pytest

import gatesmith
from gatesmith.errors import UnsupportedError
from gatesmith.spec import LSTMSpec


@pytest.mark.parametrize(
    ("layers", "direction"), [(1, "forward"), pytest.param(2, "bidirectional", marks=pytest.mark.nightly)]
)
def test_equals_the_integer_model(layers: int, direction: str) -> None:
    generator = np.random.default_rng(0)
    lstm = gatesmith.LSTM(LSTMSpec(3, 4, layers, direction), seed=0)  # type: ignore[arg-type]
    cells = len(lstm.spec.cells())
    x = generator.normal(size=(5, 4, 3)).astype(np.float32)
    state = tuple(generator.normal(size=(cells, 4, 4)).astype(np.float32) * 0.3 for _ in "hc")
    lengths = [5, 0, 2, 1]
    y, (h_n, c_n) = gatesmith.run_on_device(lstm, x, state, device="rtl", lengths=lengths, multipliers=5)
    expected, (h_expected, c_expected) = gatesmith.run_on_device(lstm, x, state, device="fixed", lengths=lengths)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(h_n, h_expected)
    np.testing.assert_array_equal(c_n, c_expected)


def test_what_the_hardware_lacks_is_named() -> None:
    lstm = gatesmith.LSTM(LSTMSpec(3, 4, full_peepholes="ifo"), seed=0)
    with pytest.raises(UnsupportedError, match="peephole"):
        gatesmith.run_on_device(lstm, np.zeros((2, 1, 3)), device="rtl")
