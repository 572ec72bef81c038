"""What PyTorch, Keras, Flax and the ONNX text have, as docs/variants.md says; when one of them changes, this tells.

ONNX Runtime and OpenVINO are in ``tests/onnx/test_peers.py``, LiteRT in ``tests/tflite``. Flax is not among the locked
packages; its tests run where it is installed.
"""

import inspect
import os
from typing import Any

import numpy as np
import pytest
import torch

pytestmark = pytest.mark.nightly


def test_everything_that_the_onnx_operator_has() -> None:
    import onnx

    schema = onnx.defs.get_schema("LSTM", 22)
    assert set(schema.attributes) == {
        *("activation_alpha", "activation_beta", "activations", "clip", "direction", "hidden_size", "input_forget"),
        "layout",
    }
    assert [value.name for value in schema.inputs] == [
        "X",
        "W",
        "R",
        "B",
        "sequence_lens",
        "initial_h",
        "initial_c",
        "P",
    ]
    assert not any("projection" in value.description.lower() for value in schema.inputs)


def test_everything_that_pytorch_has() -> None:
    assert set(inspect.signature(torch.nn.RNNBase.__init__).parameters) == {
        *("self", "mode", "input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout"),
        *("bidirectional", "proj_size", "device", "dtype"),
    }


def test_pytorch_takes_no_length_of_0() -> None:
    with pytest.raises(RuntimeError, match="greater than 0"):
        torch.nn.utils.rnn.pack_padded_sequence(torch.zeros(3, 2, 4), torch.tensor([3, 0]))


def test_pytorch_has_gradients_of_final_states_and_second_derivatives_on_the_cpu() -> None:
    lstm = torch.nn.LSTM(2, 3, dtype=torch.float64)
    x = torch.randn(4, 2, 2, dtype=torch.float64, requires_grad=True)
    for at in (0, 1):
        _, finals = lstm(x)
        (dx,) = torch.autograd.grad(finals[at].sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(dx.square().sum(), x)
        assert second.abs().max() > 0


@pytest.fixture(scope="module")
def keras() -> Any:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    return pytest.importorskip("keras")


def test_everything_that_keras_has(keras: Any) -> None:
    own = set(inspect.signature(keras.layers.LSTM.__init__).parameters)
    training = {name for name in own if name.endswith(("initializer", "regularizer", "constraint"))}
    assert own - training == {
        *("self", "units", "activation", "recurrent_activation", "use_bias", "unit_forget_bias", "dropout"),
        *("recurrent_dropout", "seed", "return_sequences", "return_state", "go_backwards", "stateful", "unroll"),
        *("use_cudnn", "kwargs"),
    }


def test_keras_takes_any_activation_and_a_backward_layer_of_its_own(keras: Any) -> None:
    forward = keras.layers.LSTM(3, activation="gelu", return_sequences=True)
    backward = keras.layers.LSTM(3, activation="relu", return_sequences=True, go_backwards=True)
    both = keras.layers.Bidirectional(forward, backward_layer=backward)
    assert tuple(both(np.zeros((2, 4, 2), np.float32)).shape) == (2, 4, 6)


def test_keras_takes_a_row_that_is_masked_all_over(keras: Any) -> None:
    lstm = keras.layers.LSTM(3, return_sequences=True, return_state=True)
    x, mask = np.random.default_rng(0).normal(size=(2, 4, 2)).astype(np.float32), np.zeros((2, 4), bool)
    mask[1] = True
    state = [np.full((2, 3), 0.25, np.float32), np.full((2, 3), 0.5, np.float32)]
    _, h, c = lstm(x, mask=mask, initial_state=state)
    assert np.array_equal(h[0].detach().numpy(), state[0][0])
    assert np.array_equal(c[0].detach().numpy(), state[1][0])


def test_keras_has_gradients_of_final_states_and_second_derivatives(keras: Any) -> None:
    lstm = keras.layers.LSTM(3, return_state=True)
    x = torch.randn(2, 4, 2, requires_grad=True)
    for at in (1, 2):
        (dx,) = torch.autograd.grad(lstm(x)[at].sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(dx.square().sum(), x)
        assert second.abs().max() > 0


def test_everything_that_flax_has() -> None:
    linen = pytest.importorskip("flax.linen")
    cell = set(linen.OptimizedLSTMCell.__annotations__) - {"parent", "name", "dtype", "param_dtype"}
    assert cell == {
        *("features", "gate_fn", "activation_fn", "kernel_init", "recurrent_kernel_init", "bias_init", "carry_init")
    }
    taken = {"initial_carry", "init_key", "seq_lengths", "return_carry", "time_major", "reverse", "keep_order"}
    assert taken < set(inspect.signature(linen.RNN.__call__).parameters)


def test_flax_has_every_derivative_and_no_length_of_0() -> None:
    linen, jax = pytest.importorskip("flax.linen"), pytest.importorskip("jax")
    rnn = linen.RNN(linen.OptimizedLSTMCell(3), return_carry=True)
    x = jax.numpy.asarray(np.random.default_rng(0).normal(size=(2, 4, 2)).astype(np.float32))
    params = rnn.init(jax.random.key(0), x)

    def final(values: Any, at: int) -> Any:
        return rnn.apply(params, values)[0][at].sum()

    for at in (0, 1):
        first = jax.grad(final)
        second = jax.grad(lambda values, at=at, first=first: (first(values, at) ** 2).sum())(x)
        assert np.abs(second).max() > 0
    (_, h), _ = rnn.apply(params, x, seq_lengths=jax.numpy.array([0, 4]))
    (_, whole), _ = rnn.apply(params, x)
    assert np.allclose(h[0], whole[0])  # the state after the last step, not the initial one
