"""The LSTM on CUDA tensors: products by cuBLAS, the recurrence by the kernels of ``kernels``.

A layer's input projection is one product over all steps and directions; so are its dW and dx. Nothing here waits for
the device: lengths stay there, and shapes alone decide what is launched, so that a CUDA graph can capture a call.
Every sum has one order, so equal calls give equal bits.

Letters: T N D H as everywhere, R directions (there is no projection here, so an h has H features).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from gatesmith.ops import noise
from gatesmith.ops.cuda.launch import Recurrence, as_float32, draw_recurrent_dropout, draw_zoneout
from gatesmith.ops.cuda.tiling import Pass, Tiling
from gatesmith.ops.cuda.transfer import upload
from gatesmith.spec import LSTMSpec

DTYPES = (torch.float32, torch.bfloat16, torch.float16)

ALIGNMENT = 256
"""Bytes; every part of a tape begins at a multiple of it, as an allocation of CUDA's would."""


def unsupported_feature(spec: LSTMSpec) -> str | None:
    """The first feature of a spec that the kernels can't run, or None; ``gatesmith.torch`` formulates those."""
    features = {
        "layer normalisation": spec.layer_norm != "none",
        "a projection (proj_size)": bool(spec.proj_size),
        "full_peepholes": bool(spec.full_peepholes),
        "zoneout_c with a peephole of o": bool(spec.zoneout_c and "o" in spec.peepholes),
    }
    return next((name for name, present in features.items() if present), None)


@dataclass(frozen=True, kw_only=True, eq=False)
class Problem:
    """One call: what forward and backward both read.

    Attributes:
        params: by the names of ``spec.parameter_shapes()``; all tensors share the type and the device of x.
        lengths, order: [N] int64; ``order`` lists the sequences by falling length.
        padded: whether some sequence may be shorter than T.
        seed: of dropout and zoneout; None in evaluation.
        tilings: by pass, in place of the choice by size.
    """

    spec: LSTMSpec
    params: dict[str, Tensor]
    x: Tensor
    h0: Tensor
    c0: Tensor
    lengths: Tensor
    order: Tensor
    padded: bool
    seed: int | None
    tilings: dict[Pass, Tiling] | None

    @property
    def flat(self) -> int:
        """T * N, the rows of every product over all steps."""
        return self.x.shape[0] * self.x.shape[1]

    def suffixes(self, layer: int) -> list[str]:
        return [suffix for at, _, suffix in self.spec.cells() if at == layer]

    def stacked(self, name: str, layer: int) -> Tensor:
        """[R, ...], a parameter of all directions of a layer; a view where there is one direction."""
        parts = [self.params[f"{name}_{suffix}"] for suffix in self.suffixes(layer)]
        return parts[0].contiguous().unsqueeze(0) if len(parts) == 1 else torch.stack(parts)

    def of_layer(self, state: Tensor, layer: int) -> Tensor:
        """[R, N, H], the rows of one layer of a state tensor."""
        return state[layer * self.spec.num_directions : (layer + 1) * self.spec.num_directions]

    def masked(self, sequences: Tensor) -> Tensor:
        """[T, N, ...] with zeros beyond each sequence's length, whatever stood there."""
        if not self.padded:
            return sequences
        valid = torch.arange(len(sequences), device=sequences.device)[:, None] < self.lengths
        return torch.where(valid.view(*valid.shape, *[1] * (sequences.ndim - 2)), sequences, 0.0)

    def reported(self, state: Tensor) -> Tensor:
        """The final states (or their gradients) with those dropped that ``drop_states`` says."""
        if not (self.spec.drop_states and self.padded):
            return state
        return torch.where((self.lengths == len(self.x))[:, None], state, 0.0)

    def recurrence(self, layer: int, like: Tensor) -> Recurrence:
        """What both kernels need of one layer; ``like`` is its h, [T, N, R, H]."""
        spec, hidden = self.spec, self.spec.hidden_size
        peepholes = None
        if spec.peepholes:
            none = self.x.new_zeros(hidden)
            rows = [
                self.params[f"peephole_{gate}_{suffix}"] if gate in spec.peepholes else none
                for suffix in self.suffixes(layer)
                for gate in "ifo"
            ]
            peepholes = torch.stack(rows).view(-1, 3, hidden)
        return Recurrence(
            spec=spec,
            steps=len(self.x),
            w_hh=self.stacked("weight_hh", layer),
            lengths=self.lengths,
            order=self.order,
            peepholes=peepholes,
            scale=draw_recurrent_dropout(spec, layer, self.seed, like),
            keep_h=draw_zoneout(spec, layer, "zoneout_h", spec.zoneout_h, self.seed, like),
            keep_c=draw_zoneout(spec, layer, "zoneout_c", spec.zoneout_c, self.seed, like),
            tilings=self.tilings,
        )

    def output(self, layer: int, h: Tensor, below: Tensor) -> Tensor:
        """What a layer hands up: h, with its input where the spec is residual, and dropout."""
        out = h.flatten(2)
        if self.spec.residual and layer > 0:
            out = out + below
        factor = self.dropout(layer, out)
        return out if factor is None else (out * factor).to(out.dtype)

    def dropout(self, layer: int, out: Tensor) -> Tensor | None:
        """Factors of what a layer hands up, shaped like it; None where there are none."""
        if self.seed is None or not self.spec.dropout or layer == self.spec.num_layers - 1:
            return None
        shape = tuple(out.shape)
        return as_float32(noise.dropout_scale(self.seed, layer, "forward", "dropout", shape, self.spec.dropout), out)


def make_problem(
    spec: LSTMSpec,
    weights: Sequence[Tensor],
    x: Tensor,
    h0: Tensor,
    c0: Tensor,
    lengths: Tensor | None = None,
    seed: int | None = None,
    tilings: dict[Pass, Tiling] | None = None,
) -> Problem:
    """Bring what a call has to x's device; ``weights`` are in the order of ``spec.parameter_shapes()``.

    Lengths that are on the device already are clamped to 0 and T instead of checked: a check would wait for it.
    """
    steps, batch, _ = x.shape
    padded = lengths is not None
    if lengths is None:
        lengths = torch.full((batch,), steps, device=x.device)
        order = torch.arange(batch, device=x.device)
    else:
        lengths = upload(lengths.to(torch.int64), x).clamp(0, steps)
        order = torch.argsort(lengths, descending=True, stable=True)
    params = {name: weight.detach() for name, weight in zip(spec.parameter_shapes(), weights, strict=True)}
    return Problem(
        spec=spec,
        params=params,
        x=x.detach().contiguous(),
        h0=h0.detach().contiguous(),
        c0=c0.detach().contiguous(),
        lengths=lengths,
        order=order,
        padded=padded,
        seed=seed,
        tilings=tilings,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerTape:
    """What forward leaves of one layer: h [T, N, R, H] and z [T, N, R, 4, H] in x's type, c [T, N, R, H] float32."""

    h: Tensor
    z: Tensor
    c: Tensor


def tape_bytes(spec: LSTMSpec, steps: int, batch: int, dtype: torch.dtype) -> int:
    """Size of the tape of a whole call."""
    return sum(size for _, _, size in _parts(spec, steps, batch, dtype))


def forward(problem: Problem, *, keep: bool) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """(y [T, N, R * H], h_n, c_n, tape): the tape is one tensor of bytes, so that frameworks can carry it; or None."""
    spec, x = problem.spec, problem.x
    steps, batch, _ = x.shape
    shape = (steps, batch, spec.num_directions, spec.hidden_size)
    tape = x.new_empty(tape_bytes(spec, steps, batch, x.dtype), dtype=torch.uint8) if keep else None
    h_n, c_n = problem.h0.clone(), problem.c0.to(torch.float32, copy=True)
    below = problem.masked(x)
    for layer in range(spec.num_layers):
        kept = None if tape is None else layer_tape(problem, tape, layer)
        h = x.new_empty(shape) if kept is None else kept.h
        if problem.padded:
            h.zero_()
        if problem.flat:
            z = _project(problem, layer, below, None if kept is None else kept.z.view(problem.flat, -1))
            problem.recurrence(layer, h).run_forward(
                z,
                h,
                None if kept is None else kept.c,
                problem.of_layer(problem.h0, layer),
                problem.of_layer(h_n, layer),
                problem.of_layer(c_n, layer),
            )
        below = problem.output(layer, h, below)
    # The tape's memory is not handed out as the result: a caller may write into that.
    y = below.clone() if keep else below
    return y, problem.reported(h_n), problem.reported(c_n.to(x.dtype)), tape


def layer_tape(problem: Problem, tape: Tensor, layer: int) -> LayerTape:
    """Views of one layer's part of a tape."""
    steps, batch, _ = problem.x.shape
    parts = _parts(problem.spec, steps, batch, problem.x.dtype)
    at = layer * sum(size for _, _, size in parts[:3])
    views: list[Tensor] = []
    for shape, dtype, size in parts[:3]:
        used = prod(shape) * dtype.itemsize
        views.append(tape[at : at + used].view(dtype).view(shape))
        at += size
    return LayerTape(h=views[0], z=views[1], c=views[2])


def _parts(
    spec: LSTMSpec, steps: int, batch: int, dtype: torch.dtype
) -> list[tuple[tuple[int, ...], torch.dtype, int]]:
    """(shape, type, bytes with padding) of h, z and c of every layer."""
    shape = (steps, batch, spec.num_directions, spec.hidden_size)
    shapes = ((shape, dtype), ((*shape[:3], 4, shape[3]), dtype), (shape, torch.float32))
    sizes = [(s, d, -(-prod(s) * d.itemsize // ALIGNMENT) * ALIGNMENT) for s, d in shapes]
    return sizes * spec.num_layers


def _project(problem: Problem, layer: int, below: Tensor, out: Tensor | None) -> Tensor:
    """[T * N, R * 4H]: W_ih x + b of all steps and directions, as one product."""
    weight = problem.stacked("weight_ih", layer).flatten(0, 1)  # [R * 4H, D]
    flat = below.reshape(problem.flat, weight.shape[1])
    if not problem.spec.bias:
        return torch.mm(flat, weight.T, out=out)
    return torch.addmm(problem.stacked("bias", layer).flatten(), flat, weight.T, out=out)
