"""The eleven activations against PyTorch, the derivatives by autograd, over ordinary and extreme values."""

import numpy as np
import pytest
import torch
from tests import oracle
from tests.tolerances import TOLERANCES

from gatesmith.ops.activations import activate, activation_gradient, sigmoid
from gatesmith.spec import ACTIVATION_DEFAULTS, Activation

VALUES = np.concatenate([np.linspace(-6, 6, 241), [-1e3, -40.0, 40.0, 1e3, 0.0, -0.0]])


@pytest.mark.parametrize("name", ACTIVATION_DEFAULTS)
@pytest.mark.parametrize("parameter", [None, 0.35])
def test_value_and_derivative(name: str, parameter: float | None) -> None:
    taken = [p for p, default in zip(("alpha", "beta"), ACTIVATION_DEFAULTS[name], strict=True) if default is not None]
    activation = Activation(name=name, **(dict.fromkeys(taken, parameter) if parameter else {}))
    x = torch.tensor(VALUES, requires_grad=True)
    expected = oracle.activation(activation, x)
    (slope,) = torch.autograd.grad(expected.sum(), x)
    value = activate(activation, VALUES)
    scale = np.maximum(1.0, np.abs(expected.detach().numpy()))
    assert (np.abs(value - expected.detach().numpy()) / scale).max() <= TOLERANCES["reference_to_pytorch_float64"]
    error = np.abs(activation_gradient(activation, VALUES, value) - slope.numpy()).max()
    assert error <= TOLERANCES["reference_to_pytorch_float64"]


def test_sigmoid_keeps_its_relative_accuracy_in_the_tail() -> None:
    assert sigmoid(np.array([-700.0]))[0] == pytest.approx(np.exp(-700.0), rel=1e-12)
    assert sigmoid(np.array([-np.inf, np.inf])).tolist() == [0.0, 1.0]
    assert np.isnan(sigmoid(np.array([np.nan]))[0])
