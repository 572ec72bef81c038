"""A stream gives the bits of the whole sequence, one step at a time, and takes no memory for it."""

import tracemalloc
from typing import Any

import numpy as np
import pytest

from gatesmith.errors import InputError
from gatesmith.ops import LSTM, cpu
from gatesmith.spec import LSTMSpec
from gatesmith.weights import initialise


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("layers", [1, 2])
def test_steps_are_the_sequence(layers: int, batch: int, threads: int) -> None:
    before = cpu.num_threads()
    cpu.set_num_threads(threads)
    lstm = LSTM(LSTMSpec(7, 130, layers), device="cpu")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((9, batch, 7)).astype(np.float32)
    h0, c0 = rng.standard_normal((2, layers, batch, 130)).astype(np.float32)
    y, (h_n, c_n) = lstm(x, (h0, c0))
    stream = lstm.stream((h0, c0), batch=batch)
    for t in range(9):
        np.testing.assert_array_equal(stream.step(x[t]), y[t])
    np.testing.assert_array_equal(stream.state, (h_n, c_n))
    cpu.set_num_threads(before)


@pytest.mark.parametrize(
    "variant",
    [
        {"peepholes": "ifo", "coupled_gates": "f=1-i"},
        {"full_peepholes": "ifo", "zoneout_h": 0.2, "zoneout_c": 0.1},
        {"proj_size": 5, "proj_clip": 0.1, "num_layers": 2, "residual": True, "dropout": 0.5},
        {"layer_norm": "gates_and_cell"},
        {"layer_norm": "inputs_and_cell", "drop_states": True},
    ],
    ids=lambda variant: "-".join(variant),
)
def test_steps_of_a_variant_are_the_sequence(variant: dict[str, Any]) -> None:
    lstm = LSTM(LSTMSpec(7, 20, **variant), device="cpu")
    x = np.random.default_rng(0).standard_normal((6, 2, 7)).astype(np.float32)
    y, (h_n, c_n) = lstm(x)
    stream = lstm.stream(batch=2)
    for t in range(6):
        np.testing.assert_array_equal(stream.step(x[t]), y[t])
    np.testing.assert_array_equal(stream.state[0], h_n)
    np.testing.assert_array_equal(stream.state[1], c_n)


def test_reset_starts_again() -> None:
    stream = LSTM(LSTMSpec(3, 5)).stream()
    first = stream.step(np.ones(3)).copy()
    assert not np.array_equal(stream.step(np.ones(3)), first)
    stream.reset()
    np.testing.assert_array_equal(stream.step(np.ones(3)), first)
    state = stream.state
    second = stream.step(np.ones(3)).copy()
    stream.reset(state)
    np.testing.assert_array_equal(stream.step(np.ones(3)), second)


def test_a_step_allocates_nothing() -> None:
    stream = LSTM(LSTMSpec(16, 16)).stream()
    x_t = np.ones(16, np.float32)
    stream.step(x_t)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(100):
        stream.step(x_t)
    now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert now - before < 256
    assert peak - before < 1024


def test_wrong_arguments() -> None:
    with pytest.raises(InputError, match="can't run direction 'bidirectional'"):
        LSTM(LSTMSpec(3, 4, 1, "bidirectional")).stream()
    with pytest.raises(InputError, match="batch is 0"):
        LSTM(LSTMSpec(3, 4)).stream(batch=0)
    with pytest.raises(InputError, match=r"x_t has shape \(1,\)"):
        LSTM(LSTMSpec(3, 4)).stream().step(np.ones(1, np.float32))
    with pytest.raises(InputError, match="float64"):
        LSTM(initialise(LSTMSpec(3, 4)).astype(np.float64)).stream((np.zeros((1, 1, 4)), np.zeros((1, 1, 4))))
