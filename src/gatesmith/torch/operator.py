"""The operators ``gatesmith::lstm`` and ``gatesmith::lstm_backward`` as PyTorch's dispatcher knows them.

Forward and backward run on gatesmith's engines; ``torch.compile`` and ``torch.export`` see opaque operators with a
schema and a meta kernel, and second derivatives go through a formulation in PyTorch operations.
"""

import weakref
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gatesmith.ops.call import Call, Gradients, make_call
from gatesmith.ops.devices import Engine, Tape, default_engine
from gatesmith.ops.formulation import formulate, gradients_of
from gatesmith.spec import LSTMSpec
from gatesmith.torch import cuda
from gatesmith.weights import Weights

_tapes: dict[int, tuple[Engine, Tape]] = {}
"""Tapes of forward runs whose backward may still come, by the address of the token that autograd keeps for them."""


@torch.library.custom_op("gatesmith::lstm", mutates_args=())
def lstm(
    x: Tensor,
    h0: Tensor,
    c0: Tensor,
    lengths: Tensor | None,
    seed: Tensor | None,
    weights: list[Tensor],
    spec: str,
    keep_tape: bool,
) -> list[Tensor]:
    """(y, h_n, c_n, token) of one call; shapes as in :class:`gatesmith.ops.Call`, time first.

    The token stands for the tape: on the CPU by its address, on a GPU it is the tape.

    Args:
        lengths: [N] int64; None for all T.
        seed: [] int64, of dropout and zoneout; None in evaluation.
        weights: in the order of ``spec.parameter_shapes()``.
        spec: as JSON.
        keep_tape: whether a backward will follow.
    """
    if cuda.takes(x, parsed := parse_spec(spec)):
        return cuda.run_forward(x, h0, c0, lengths, seed, weights, parsed, keep_tape=keep_tape)
    if x.device.type != "cpu":
        with torch.no_grad():
            outputs = formulate_call(x, h0, c0, lengths, seed, weights, spec)
        return [*outputs, x.new_zeros(1, dtype=torch.uint8)]
    return run_forward(x, h0, c0, lengths, seed, weights, spec, keep_tape=keep_tape)


@lstm.register_fake
def _(
    x: Tensor,
    h0: Tensor,
    c0: Tensor,
    lengths: Tensor | None,  # noqa: ARG001 - the schema's
    seed: Tensor | None,  # noqa: ARG001
    weights: list[Tensor],  # noqa: ARG001
    spec: str,
    keep_tape: bool,
) -> list[Tensor]:
    parsed = parse_spec(spec)
    size = cuda.tape_size(x, parsed, keep_tape=keep_tape)
    y = x.new_empty((x.shape[0], x.shape[1], parsed.num_directions * parsed.output_size))
    return [y, h0.new_empty(h0.shape), c0.new_empty(c0.shape), x.new_empty(size, dtype=torch.uint8)]


@torch.library.custom_op("gatesmith::lstm_backward", mutates_args=())
def lstm_backward(
    dy: Tensor,
    dh_n: Tensor,
    dc_n: Tensor,
    token: Tensor,
    x: Tensor,
    h0: Tensor,
    c0: Tensor,
    lengths: Tensor | None,
    seed: Tensor | None,
    weights: list[Tensor],
    spec: str,
) -> list[Tensor]:
    """(dx, dh0, dc0, gradients of the weights) of one call."""
    if cuda.takes(x, parsed := parse_spec(spec)):
        return cuda.run_backward(dy, dh_n, dc_n, token, x, h0, c0, lengths, seed, weights, parsed)
    if x.device.type != "cpu":
        with torch.enable_grad():
            return _formulate_backward(dy, dh_n, dc_n, x, h0, c0, lengths, seed, weights, spec, create_graph=False)
    return run_backward(dy, dh_n, dc_n, token, x, h0, c0, lengths, seed, weights, spec)


@lstm_backward.register_fake
def _(
    dy: Tensor,  # noqa: ARG001 - the schema's
    dh_n: Tensor,  # noqa: ARG001
    dc_n: Tensor,  # noqa: ARG001
    token: Tensor,  # noqa: ARG001
    x: Tensor,
    h0: Tensor,
    c0: Tensor,
    lengths: Tensor | None,  # noqa: ARG001
    seed: Tensor | None,  # noqa: ARG001
    weights: list[Tensor],
    spec: str,  # noqa: ARG001
) -> list[Tensor]:
    return [like.new_empty(like.shape) for like in (x, h0, c0, *weights)]


def _keep_for_backward(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    x, h0, c0, lengths, seed, weights, spec, _ = inputs
    # The tape may read y, so that autograd must see where somebody writes over it.
    ctx.save_for_backward(x, h0, c0, lengths, seed, output[3], output[0], *weights)
    ctx.mark_non_differentiable(output[3])
    ctx.spec = spec
    ctx.shapes = [tensor.shape for tensor in output[:3]]


def _lstm_gradient(ctx: Any, grads: list[Tensor | None]) -> tuple[Any, ...]:
    x, h0, c0, lengths, seed, token, _, *weights = ctx.saved_tensors
    filled = [x.new_zeros(shape) if grad is None else grad for grad, shape in zip(grads[:3], ctx.shapes, strict=True)]
    dx, dh0, dc0, *dweights = lstm_backward(*filled, token, x, h0, c0, lengths, seed, weights, ctx.spec)
    return dx, dh0, dc0, None, None, dweights, None, None


lstm.register_autograd(_lstm_gradient, setup_context=_keep_for_backward)


def _keep_for_double_backward(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:  # noqa: ARG001
    dy, dh_n, dc_n, _, x, h0, c0, lengths, seed, weights, spec = inputs
    ctx.save_for_backward(dy, dh_n, dc_n, x, h0, c0, lengths, seed, *weights)
    ctx.spec = spec


def _lstm_backward_gradient(ctx: Any, grads: list[Tensor | None]) -> tuple[Any, ...]:
    """Second derivatives: differentiate the formulation twice; differentiable again where grad mode says so."""
    dy, dh_n, dc_n, x, h0, c0, lengths, seed, *weights = ctx.saved_tensors
    again = torch.is_grad_enabled()
    inputs: list[Tensor] = [dy, dh_n, dc_n, x, h0, c0, *weights]
    if not again:
        inputs = [tensor.detach() for tensor in inputs]
    with torch.enable_grad():
        inputs = [tensor if tensor.requires_grad else tensor.detach().requires_grad_() for tensor in inputs]
        dy, dh_n, dc_n, x, h0, c0, *weights = inputs
        first = _formulate_backward(dy, dh_n, dc_n, x, h0, c0, lengths, seed, weights, ctx.spec, create_graph=True)
        seconds = gradients_of(first, inputs, grads, create_graph=again)
    ddy, ddh_n, ddc_n, dx, dh0, dc0, *dweights = seconds
    return ddy, ddh_n, ddc_n, None, dx, dh0, dc0, None, None, dweights, None


lstm_backward.register_autograd(_lstm_backward_gradient, setup_context=_keep_for_double_backward)


def run_forward(
    x: Tensor,
    h0: Tensor,
    c0: Tensor,
    lengths: Tensor | None,
    seed: Tensor | None,
    weights: Sequence[Tensor],
    spec: str,
    *,
    keep_tape: bool,
) -> list[Tensor]:
    """(y, h_n, c_n, token) of CPU tensors."""
    call = _call(x, h0, c0, lengths, seed, weights, spec)
    engine = default_engine(call)
    token = np.zeros(1, np.uint8)
    if keep_tape:
        results, tape = engine.forward_for_training(call)
        address = token.ctypes.data
        _tapes[address] = engine, tape
        # The tensor's storage holds the array, so the tape lives as long as autograd keeps the token.
        weakref.finalize(token, _tapes.pop, address, None)
    else:
        results = engine.forward(call)
    return [torch.from_numpy(array) for array in (results.y, results.h_n, results.c_n, token)]


def run_backward(
    dy: Tensor,
    dh_n: Tensor,
    dc_n: Tensor,
    token: Tensor,
    x: Tensor,
    h0: Tensor,
    c0: Tensor,
    lengths: Tensor | None,
    seed: Tensor | None,
    weights: Sequence[Tensor],
    spec: str,
) -> list[Tensor]:
    """(dx, dh0, dc0, gradients of the weights) of CPU tensors."""
    kept = _tapes.get(token.data_ptr())
    if kept is None:  # somebody copied the token, as hooks on saved tensors do: run forward once more
        call = _call(x, h0, c0, lengths, seed, weights, spec)
        engine = default_engine(call)
        kept = engine, engine.forward_for_training(call)[1]
    engine, tape = kept
    gradients: Gradients = engine.backward(tape, dy.numpy(), dh_n.numpy(), dc_n.numpy())
    dweights = [gradients.dweights[name] for name in parameter_names(spec)]
    return [torch.from_numpy(array) for array in (gradients.dx, gradients.dh0, gradients.dc0, *dweights)]


@lru_cache(maxsize=256)
def parse_spec(text: str) -> LSTMSpec:
    """A spec from its JSON; the same object for the same text."""
    return LSTMSpec.from_json(text)


@lru_cache(maxsize=256)
def parameter_names(text: str) -> tuple[str, ...]:
    """The order of the weights that belong to a spec in JSON."""
    return tuple(parse_spec(text).parameter_shapes())


def formulate_call(
    x: Tensor,
    h0: Tensor,
    c0: Tensor,
    lengths: Tensor | None,
    seed: Tensor | None,
    weights: list[Tensor],
    spec: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """(y, h_n, c_n) in PyTorch operations."""
    parsed = parse_spec(spec)
    params = dict(zip(parameter_names(spec), weights, strict=True))
    if lengths is None:
        lengths = torch.full((x.shape[1],), x.shape[0], device=x.device)
    return formulate(parsed, params, x, h0, c0, lengths, seed)


def _formulate_backward(
    dy: Tensor,
    dh_n: Tensor,
    dc_n: Tensor,
    x: Tensor,
    h0: Tensor,
    c0: Tensor,
    lengths: Tensor | None,
    seed: Tensor | None,
    weights: list[Tensor],
    spec: str,
    *,
    create_graph: bool,
) -> list[Tensor]:
    inputs = [tensor if tensor.requires_grad else tensor.detach().requires_grad_() for tensor in (x, h0, c0, *weights)]
    outputs = formulate_call(inputs[0], inputs[1], inputs[2], lengths, seed, inputs[3:], spec)
    return list(gradients_of(outputs, inputs, (dy, dh_n, dc_n), create_graph=create_graph, materialize_grads=True))


def _call(
    x: Tensor,
    h0: Tensor,
    c0: Tensor,
    lengths: Tensor | None,
    seed: Tensor | None,
    weights: Sequence[Tensor],
    spec: str,
) -> Call:
    parsed = parse_spec(spec)
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        # FSDP frees the storage of gathered weights after use, which a NumPy view forbids and a tape would outlive.
        weights = [weight.clone() for weight in weights]
    arrays = {name: w.detach().numpy() for name, w in zip(parameter_names(spec), weights, strict=True)}
    return make_call(
        Weights.trust(parsed, arrays),
        x.detach().numpy(),
        (h0.detach().numpy(), c0.detach().numpy()),
        lengths=None if lengths is None else lengths.numpy(),
        training=seed is not None,
        seed=0 if seed is None else int(seed),
    )
