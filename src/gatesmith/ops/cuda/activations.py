"""ONNX's activation functions and their slopes inside a Triton kernel; the GPU's side of ``activations.py``.

Range and error: float32 throughout; sigmoid and tanh to an absolute error of 2e-7, without overflow anywhere.
"""

# pyright: basic, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false
# ruff: noqa: RET505
# Triton compiles the functions below: their parameters are tensors of its own, and only an `else` is left out of a
# kernel when its condition is a constant.

import triton
import triton.language as tl


@triton.jit
def activate(x, ACTIVATION: tl.constexpr):
    """The value at x; ``ACTIVATION`` is (name, alpha, beta)."""
    NAME: tl.constexpr = ACTIVATION[0]
    ALPHA: tl.constexpr = ACTIVATION[1]
    BETA: tl.constexpr = ACTIVATION[2]
    if NAME == "sigmoid":
        return _sigmoid(x)
    elif NAME == "tanh":
        return _tanh(x)
    elif NAME == "scaled_tanh":
        return ALPHA * _tanh(BETA * x)
    elif NAME == "hard_sigmoid":
        return tl.minimum(tl.maximum(ALPHA * x + BETA, 0.0), 1.0)
    elif NAME == "affine":
        return ALPHA * x + BETA
    elif NAME == "relu":
        return tl.maximum(x, 0.0)
    elif NAME == "leaky_relu":
        return tl.where(x >= 0, x, ALPHA * x)
    elif NAME == "thresholded_relu":
        return tl.where(x <= ALPHA, 0.0, x)
    elif NAME == "elu":
        return tl.where(x > 0, x, ALPHA * (tl.exp(tl.minimum(x, 0.0)) - 1.0))
    elif NAME == "softsign":
        return x / (1.0 + tl.abs(x))
    else:
        tl.static_assert(NAME == "softplus", "an activation that this kernel does not know")
        return tl.maximum(x, 0.0) + tl.log(1.0 + tl.exp(-tl.abs(x)))


@triton.jit
def slope(x, ACTIVATION: tl.constexpr):
    """The derivative at x; at a kink the one that PyTorch takes there."""
    NAME: tl.constexpr = ACTIVATION[0]
    ALPHA: tl.constexpr = ACTIVATION[1]
    BETA: tl.constexpr = ACTIVATION[2]
    if NAME == "sigmoid":
        value = _sigmoid(x)
        return value * (1.0 - value)
    elif NAME == "tanh":
        value = _tanh(x)
        return 1.0 - value * value
    elif NAME == "scaled_tanh":
        value = _tanh(BETA * x)
        return ALPHA * BETA * (1.0 - value * value)
    elif NAME == "hard_sigmoid":
        line = ALPHA * x + BETA
        return tl.where((line > 0) & (line < 1), ALPHA, 0.0)
    elif NAME == "affine":
        return x * 0.0 + ALPHA
    elif NAME == "relu":
        return tl.where(x > 0, 1.0, 0.0)
    elif NAME == "leaky_relu":
        return tl.where(x > 0, 1.0, ALPHA)
    elif NAME == "thresholded_relu":
        return tl.where(x <= ALPHA, 0.0, 1.0)
    elif NAME == "elu":
        return tl.where(x > 0, 1.0, ALPHA * tl.exp(tl.minimum(x, 0.0)))
    elif NAME == "softsign":
        return 1.0 / ((1.0 + tl.abs(x)) * (1.0 + tl.abs(x)))
    else:
        return _sigmoid(x)


@triton.jit
def clip(x, BOUND: tl.constexpr):
    """x within [-BOUND, BOUND]; x where the bound is 0, which stands for none."""
    if BOUND == 0.0:
        return x
    else:
        return tl.minimum(tl.maximum(x, -BOUND), BOUND)


@triton.jit
def clip_gradient(d, x, BOUND: tl.constexpr):
    """The gradient before a clip at x: d within the bounds and on them, as PyTorch's clamp has it."""
    if BOUND == 0.0:
        return d
    else:
        return tl.where(tl.abs(x) > BOUND, 0.0, d)


@triton.jit
def _sigmoid(x):
    tail = tl.exp(-tl.abs(x))
    return tl.where(x >= 0, 1.0, tail) / (1.0 + tail)


@triton.jit
def _tanh(x):
    """(1 - e) / (1 + e) with e = exp(-2|x|), and below 1/4, where 1 - e cancels, the series."""
    tail = tl.exp(-2.0 * tl.abs(x))
    value = (1.0 - tail) / (1.0 + tail)
    square = tl.minimum(x * x, 1.0)
    series = x * (1.0 + square * (-1 / 3 + square * (2 / 15 + square * (-17 / 315 + square * (62 / 2835)))))
    return tl.where(tl.abs(x) < 0.25, series, tl.where(x >= 0, value, -value))
