"""The LSTM in differentiable PyTorch operations, batched: second derivatives, and tensors no kernel of ours takes.

Nothing in it waits for a device. Half precision is computed in float32 and rounded at the end.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from gatesmith.ops import noise
from gatesmith.ops.cuda.transfer import upload
from gatesmith.spec import NORM_EPSILON, Activation, LSTMSpec

Shares = Sequence[Tensor] | Sequence[float]
"""What zoneout keeps of the old state, for each step: drawn, or its expectation."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """What all cells of one call share.

    Attributes:
        params: by the names of ``spec.parameter_shapes()``.
        valid: [T, N, 1] bool, whether a step belongs to its sequence.
        seed: [] int64, of dropout and zoneout; None in evaluation.
    """

    spec: LSTMSpec
    params: Mapping[str, Tensor]
    valid: Tensor
    seed: Tensor | None


def formulate(
    spec: LSTMSpec,
    params: Mapping[str, Tensor],
    x: Tensor,
    h0: Tensor,
    c0: Tensor,
    lengths: Tensor,
    seed: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """(y, h_n, c_n) as the engines give them; shapes as in :class:`gatesmith.ops.Call`."""
    with without_autocast(x.device):
        if x.dtype not in (torch.float16, torch.bfloat16):
            return _run_layers(spec, params, x, h0, c0, lengths, seed)
        wide = {name: value.float() for name, value in params.items()}
        y, h_n, c_n = _run_layers(spec, wide, x.float(), h0.float(), c0.float(), lengths, seed)
        return y.to(x.dtype), h_n.to(x.dtype), c_n.to(x.dtype)


def gradients_of(
    outputs: Sequence[Tensor], inputs: Sequence[Tensor], upstream: Sequence[Tensor | None], **how: bool
) -> tuple[Tensor, ...]:
    """:func:`torch.autograd.grad` of the outputs that depend on an input: without steps, y depends on nothing.

    Args:
        upstream: the gradients of the outputs; None for zero.
        how: further arguments of ``torch.autograd.grad``.
    """
    pairs = [(y, dy) for y, dy in zip(outputs, upstream, strict=True) if dy is not None and y.requires_grad]
    return torch.autograd.grad([y for y, _ in pairs], inputs, [dy for _, dy in pairs], allow_unused=True, **how)


def without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """A block in which PyTorch computes in the types that are given, whatever the caller has switched on."""
    if not torch.amp.is_autocast_available(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def _run_layers(
    spec: LSTMSpec,
    params: Mapping[str, Tensor],
    x: Tensor,
    h0: Tensor,
    c0: Tensor,
    lengths: Tensor,
    seed: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    lengths = upload(lengths, x)
    steps = torch.arange(len(x), device=x.device)
    valid = (steps[:, None] < lengths)[:, :, None]
    scene = Scene(spec=spec, params=params, valid=valid, seed=seed)
    finals: list[tuple[Tensor, Tensor]] = []
    y = torch.where(valid, x, 0.0)
    for layer in range(spec.num_layers):
        below, parts = y, list[Tensor]()
        for index, (at, direction, suffix) in enumerate(spec.cells()):
            if at == layer:
                out, h, c = _run_cell(scene, layer, direction, suffix, below, h0[index], c0[index])
                parts.append(out)
                finals.append((h, c))
        y = torch.where(valid, torch.cat(parts, -1), 0.0)
        if spec.residual and layer > 0:
            y = y + below
        if layer < spec.num_layers - 1 and spec.dropout and seed is not None:
            y = y * _dropout_scale(seed, layer, "forward", "dropout", spec.dropout, y)
    h_n, c_n = torch.stack([h for h, _ in finals]), torch.stack([c for _, c in finals])
    if spec.drop_states:
        whole = (lengths == len(x))[:, None]
        h_n, c_n = torch.where(whole, h_n, 0.0), torch.where(whole, c_n, 0.0)
    return y, h_n, c_n


def _run_cell(
    scene: Scene, layer: int, direction: str, suffix: str, x: Tensor, h: Tensor, c: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """(h of every step [T, N, R], final h, final c) of one layer and direction."""
    spec = scene.spec
    params = {
        short: _own_rows(spec, short, value)
        for name, value in scene.params.items()
        if (short := name.removesuffix(f"_{suffix}")) != name
    }
    everything = slice(None)
    from_x = x @ params["weight_ih"].T
    if spec.layer_norm == "inputs_and_cell":
        from_x = _norm(from_x, params, "norm_ih", everything)
    if spec.bias:
        from_x = from_x + params["bias"]
    scale, keep_h, keep_c = _noise_of_cell(scene, layer, direction, h, c)
    outs: dict[int, Tensor] = {}
    for t in range(len(x)) if direction == "forward" else reversed(range(len(x))):
        from_h = (h if scale is None else h * scale) @ params["weight_hh"].T
        if spec.layer_norm == "inputs_and_cell":
            from_h = _norm(from_h, params, "norm_hh", everything)
        new_h, new_c = _step(spec, direction, params, from_x[t] + from_h, c)
        new_h = new_h if keep_h is None else keep_h[t] * h + (1 - keep_h[t]) * new_h
        new_c = new_c if keep_c is None else keep_c[t] * c + (1 - keep_c[t]) * new_c
        h, c = torch.where(scene.valid[t], new_h, h), torch.where(scene.valid[t], new_c, c)
        outs[t] = h
    stacked = torch.stack([outs[t] for t in range(len(x))]) if outs else h.new_zeros((0, *h.shape))
    return stacked, h, c


def _own_rows(spec: LSTMSpec, name: str, value: Tensor) -> Tensor:
    """The rows of the gates that coupling doesn't derive, of what has rows for all four in one sum."""
    if not spec.derived_gate or len(value) != 4 * spec.hidden_size or name.startswith("norm_gates"):
        return value
    gates = value.chunk(4)
    return torch.cat([rows for gate, rows in zip("ifgo", gates, strict=True) if gate != spec.derived_gate])


def _step(spec: LSTMSpec, direction: str, params: Mapping[str, Tensor], z: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """New h and c from the summed pre-activations of all gates that are not derived."""
    gate_activation, candidate_activation, output_activation = spec.activations_of(direction)
    names = [gate for gate in "ifgo" if gate != spec.derived_gate]
    parts = dict(zip(names, z.chunk(len(names), -1), strict=True))

    def gate(name: str, seen: Tensor) -> Tensor:
        value = parts[name]
        peephole = params.get(f"peephole_{name}")
        if peephole is not None:
            value = value + (seen * peephole if peephole.ndim == 1 else seen @ peephole.T)
        if spec.layer_norm == "gates_and_cell":
            at = "ifgo".index(name) * spec.hidden_size
            value = _norm(value, params, "norm_gates", slice(at, at + spec.hidden_size))
        if name == "f":
            value = value + spec.forget_bias
        return _activate(candidate_activation if name == "g" else gate_activation, _clip(value, spec.gate_clip))

    gates = {name: gate(name, c) for name in names if name != "o"}
    if spec.derived_gate:
        gates[spec.derived_gate] = 1 - gates["i" if spec.derived_gate == "f" else "f"]
    c = gates["f"] * c + gates["i"] * gates["g"]
    everything = slice(0, spec.hidden_size)
    if spec.layer_norm == "gates_and_cell":
        c = _norm(c, params, "norm_cell", everything)
    c = _clip(c, spec.cell_clip)
    read = _norm(c, params, "norm_cell", everything) if spec.layer_norm == "inputs_and_cell" else c
    h = gate("o", c) * _activate(output_activation, read)
    if spec.proj_size:
        h = _clip(functional.linear(h, params["weight_hr"], params.get("bias_hr")), spec.proj_clip)
    return h, c


def _noise_of_cell(
    scene: Scene, layer: int, direction: str, h: Tensor, c: Tensor
) -> tuple[Tensor | None, Shares | None, Shares | None]:
    """(factors of h_{t-1}, kept shares of h per step, kept shares of c per step); None where there are none."""
    spec, seed, steps = scene.spec, scene.seed, len(scene.valid)
    scale = None
    if spec.recurrent_dropout and seed is not None:
        scale = _dropout_scale(seed, layer, direction, "recurrent_dropout", spec.recurrent_dropout, h)
    keeps: list[Shares | None] = []
    kinds: tuple[tuple[noise.Kind, float, Tensor], ...] = (
        ("zoneout_h", spec.zoneout_h, h),
        ("zoneout_c", spec.zoneout_c, c),
    )
    for kind, rate, state in kinds:
        if not rate:
            keeps.append(None)
        elif seed is None:
            keeps.append([rate] * steps)
        else:
            drawn = uniform(seed, layer, direction, kind, (steps, *state.shape))
            keeps.append(list(upload((drawn < rate).to(state.dtype), state)))
    return scale, keeps[0], keeps[1]


@torch.library.custom_op("gatesmith::uniform", mutates_args=())
def uniform(seed: Tensor, layer: int, direction: str, kind: str, shape: Sequence[int]) -> Tensor:
    """The numbers of :func:`gatesmith.ops.noise.uniform`, float64, as an operator that compilers need not look into."""
    return torch.from_numpy(noise.uniform(int(seed), layer, direction, cast("noise.Kind", kind), tuple(shape)))


@uniform.register_fake
def _(seed: Tensor, layer: int, direction: str, kind: str, shape: Sequence[int]) -> Tensor:  # noqa: ARG001 - the schema's
    return torch.empty(shape, dtype=torch.float64)


def _dropout_scale(seed: Tensor, layer: int, direction: str, kind: str, rate: float, like: Tensor) -> Tensor:
    drawn = uniform(seed, layer, direction, kind, like.shape)
    return upload((drawn >= rate).to(like.dtype) / (1.0 - rate), like)


def _norm(x: Tensor, params: Mapping[str, Tensor], name: str, rows: slice) -> Tensor:
    gain, shift = params[f"{name}_gain"][rows], params[f"{name}_shift"][rows]
    return functional.layer_norm(x, x.shape[-1:], gain, shift, NORM_EPSILON)


def _clip(x: Tensor, bound: float | None) -> Tensor:
    return x if bound is None else x.clamp(-bound, bound)


def _activate(activation: Activation, x: Tensor) -> Tensor:
    alpha, beta = activation.alpha or 0.0, activation.beta or 0.0
    functions = {
        "sigmoid": lambda: torch.sigmoid(x),
        "tanh": lambda: torch.tanh(x),
        "scaled_tanh": lambda: alpha * torch.tanh(beta * x),
        "hard_sigmoid": lambda: functional.hardtanh(alpha * x + beta, 0.0, 1.0),
        "affine": lambda: alpha * x + beta,
        "relu": lambda: torch.relu(x),
        "leaky_relu": lambda: functional.leaky_relu(x, alpha),
        "thresholded_relu": lambda: functional.threshold(x, alpha, 0.0),
        "elu": lambda: functional.elu(x, alpha),
        "softsign": lambda: functional.softsign(x),
        "softplus": lambda: torch.logaddexp(x, torch.zeros_like(x)),
    }
    return functions[activation.name]()
