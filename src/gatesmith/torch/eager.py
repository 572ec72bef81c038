"""The operator on plain CPU tensors in eager mode: one node of autograd, past PyTorch's dispatcher.

A registered operator written in Python costs half a millisecond for forward and backward, as much as the arithmetic of
a small call. Where nobody looks into the call (no compiler, transform, mode or subclass), this does the same without.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gatesmith.torch import direct
from gatesmith.torch.operator import lstm_backward, parse_spec, run_backward, run_forward

_PLAIN = (Tensor, nn.Parameter)


def takes(x: Tensor, h0: Tensor, c0: Tensor, parameters: Sequence[Tensor]) -> bool:
    """Whether a call may pass the dispatcher by: plain CPU tensors of one dtype, which nothing traces or transforms."""
    if torch.compiler.is_compiling():
        return False
    c = torch._C  # pyright: ignore[reportPrivateUsage]
    if c._len_torch_dispatch_stack() or c._are_functorch_transforms_active() or c._get_tracing_state():  # pyright: ignore[reportPrivateUsage]
        return False
    dtype = x.dtype
    return x.is_cpu and all(type(t) in _PLAIN and t.dtype is dtype and t.is_cpu for t in (x, h0, c0, *parameters))


def lstm(
    x: Tensor,
    h0: Tensor,
    c0: Tensor,
    lengths: Tensor | None,
    seed: Tensor | None,
    parameters: Sequence[Tensor],
    names: tuple[str, ...],
    spec: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """(y, h_n, c_n) as ``gatesmith::lstm`` gives them, from the module's parameters, which have these names."""
    keep = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (x, h0, c0, *parameters))
    parsed = parse_spec(spec)
    is_direct = direct.takes(x, seed, parsed)
    if keep:
        return (_Direct if is_direct else _AnyEngine).apply(x, h0, c0, lengths, seed, names, spec, *parameters)  # type: ignore[no-any-return]
    if is_direct:
        return direct.forward(x, h0, c0, lengths, parameters, parsed, keep=False)[:3]
    y, h_n, c_n, _ = run_forward(x, h0, c0, lengths, seed, add_biases(names, parameters), spec, keep_tape=False)
    return y, h_n, c_n


class _Direct(torch.autograd.Function):
    """Addresses of tensors to the compiled kernel."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        h0: Tensor,
        c0: Tensor,
        lengths: Tensor | None,
        seed: None,  # noqa: ARG004 - as in _AnyEngine
        names: tuple[str, ...],
        spec: str,
        *parameters: Tensor,
    ) -> tuple[Tensor, ...]:
        y, h_n, c_n, tape = direct.forward(x, h0, c0, lengths, parameters, parse_spec(spec), keep=True)
        ctx.save_for_backward(x, h0, c0, y, tape, lengths, *parameters)
        ctx.set_materialize_grads(False)
        ctx.names, ctx.spec = names, spec
        return y, h_n, c_n

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, h0, c0, y, tape, lengths, *parameters = ctx.saved_tensors
        needed = ctx.needs_input_grad
        if torch.is_grad_enabled():  # a second derivative may follow, which the registered operator has
            likes = (y, h0, c0)
            filled = [torch.zeros_like(like) if g is None else g for g, like in zip(grads, likes, strict=True)]
            return _registered_backward(filled, tape, x, h0, c0, lengths, None, parameters, ctx.names, ctx.spec)
        saved = (x, h0, c0, y, tape)
        dx, dh0, dc0, *dparameters = direct.backward(
            grads, saved, lengths, parameters, parse_spec(ctx.spec), (needed[0], *needed[7:])
        )
        return dx, dh0, dc0, None, None, None, None, *dparameters


class _AnyEngine(torch.autograd.Function):
    """Arrays to the engine that runs the spec."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        h0: Tensor,
        c0: Tensor,
        lengths: Tensor | None,
        seed: Tensor | None,
        names: tuple[str, ...],
        spec: str,
        *parameters: Tensor,
    ) -> tuple[Tensor, ...]:
        weights = add_biases(names, parameters)
        *outputs, token = run_forward(x, h0, c0, lengths, seed, weights, spec, keep_tape=True)
        # The tape may read y, so that autograd must see where somebody writes over it.
        ctx.save_for_backward(x, h0, c0, lengths, seed, token, outputs[0], *parameters)
        ctx.names, ctx.spec = names, spec
        return tuple(outputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, h0, c0, lengths, seed, token, _, *parameters = ctx.saved_tensors
        if torch.is_grad_enabled():
            return _registered_backward(grads, token, x, h0, c0, lengths, seed, parameters, ctx.names, ctx.spec)
        weights = add_biases(ctx.names, parameters)
        dy, dh_n, dc_n = grads
        results = run_backward(dy, dh_n, dc_n, token, x, h0, c0, lengths, seed, weights, ctx.spec)
        return _as_parameters(results, ctx.names)


def _registered_backward(
    grads: Sequence[Tensor],
    token: Tensor,
    x: Tensor,
    h0: Tensor,
    c0: Tensor,
    lengths: Tensor | None,
    seed: Tensor | None,
    parameters: Sequence[Tensor],
    names: Sequence[str],
    spec: str,
) -> tuple[Any, ...]:
    weights = add_biases(names, parameters)
    return _as_parameters(lstm_backward(*grads, token, x, h0, c0, lengths, seed, weights, spec), names)


def _as_parameters(results: Sequence[Tensor], names: Sequence[str]) -> tuple[Any, ...]:
    """What a backward function returns, from gradients of x, h0, c0 and the weights; both biases have their sum's."""
    dx, dh0, dc0, *dweights = results
    dparameters: list[Tensor] = []
    remaining = iter(dweights)
    for name in names:
        dparameters.append(dparameters[-1].clone() if name.startswith("bias_hh") else next(remaining))
    return dx, dh0, dc0, None, None, None, None, *dparameters


def add_biases(names: Sequence[str], parameters: Sequence[Tensor]) -> list[Tensor]:
    """The weights of ``gatesmith::lstm`` from a module's parameters by name: its two biases become their sum."""
    weights: list[Tensor] = []
    for name, parameter in zip(names, parameters, strict=True):
        if name.startswith("bias_hh"):
            weights[-1] = weights[-1] + parameter
        else:
            weights.append(parameter)
    return weights
