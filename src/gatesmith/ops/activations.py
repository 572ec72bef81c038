"""ONNX's eleven activation functions and their derivatives, in NumPy.

Source: ONNX operator LSTM, "Activation functions". At a kink the derivative is the one that PyTorch takes there.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from gatesmith.spec import Activation

Array = npt.NDArray[Any]


def activate(activation: Activation, x: Array) -> Array:
    """The function's value at x, of x's shape."""
    alpha, beta = activation.alpha or 0.0, activation.beta or 0.0
    match activation.name:
        case "sigmoid":
            return sigmoid(x)
        case "tanh":
            return np.tanh(x)
        case "scaled_tanh":
            return alpha * np.tanh(beta * x)
        case "hard_sigmoid":
            return np.clip(alpha * x + beta, 0.0, 1.0)
        case "affine":
            return alpha * x + beta
        case "relu":
            return np.maximum(x, 0.0)
        case "leaky_relu":
            return np.where(x >= 0, x, alpha * x)
        case "thresholded_relu":
            return np.where(x <= alpha, 0.0, x)
        case "elu":
            return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0.0)))
        case "softsign":
            return x / (1.0 + np.abs(x))
        case _:
            return np.logaddexp(0.0, x)


def activation_gradient(activation: Activation, x: Array, y: Array) -> Array:
    """dy/dx at x, where ``y = activate(activation, x)``."""
    alpha, beta = activation.alpha or 0.0, activation.beta or 0.0
    match activation.name:
        case "sigmoid":
            return y * (1.0 - y)
        case "tanh":
            return 1.0 - y * y
        case "scaled_tanh":
            return alpha * beta * (1.0 - np.tanh(beta * x) ** 2)
        case "hard_sigmoid":
            line = alpha * x + beta
            return np.where((line > 0) & (line < 1), alpha, 0.0)
        case "affine":
            return np.full_like(x, alpha)
        case "relu":
            return np.where(x > 0, 1.0, 0.0)
        case "leaky_relu":
            return np.where(x > 0, 1.0, alpha)
        case "thresholded_relu":
            return np.where(x <= alpha, 0.0, 1.0)
        case "elu":
            return np.where(x > 0, 1.0, alpha * np.exp(np.minimum(x, 0.0)))
        case "softsign":
            return 1.0 / (1.0 + np.abs(x)) ** 2
        case _:
            return sigmoid(x)


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), to a relative error of a few ulp on both sides, without overflow."""
    tail = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, tail) / (1.0 + tail)
