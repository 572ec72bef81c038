"""One call of the operator on CUDA tensors, and the stacks of lanes in which its layers run."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gatesmith.ops import noise
from gatesmith.ops.cuda.launch import Recurrence, as_float32, draw_recurrent_dropout, draw_zoneout, machine_of
from gatesmith.ops.cuda.tiling import Pass, Tiling, runs_as_wave
from gatesmith.ops.cuda.transfer import upload
from gatesmith.spec import LSTMSpec

DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def unsupported_feature(spec: LSTMSpec) -> str | None:
    """The first feature of a spec that the kernels can't run, or None; ``ops/formulation.py`` runs those."""
    features = {
        "layer normalisation": spec.layer_norm != "none",
        "a projection (proj_size) with proj_clip": spec.proj_clip is not None,
        "a projection (proj_size) with zoneout_h or recurrent_dropout": bool(
            spec.proj_size and (spec.zoneout_h or spec.recurrent_dropout)
        ),
        "full_peepholes": bool(spec.full_peepholes),
        "zoneout_c with a peephole of o": bool(spec.zoneout_c and "o" in spec.peepholes),
    }
    return next((name for name, present in features.items() if present), None)


@dataclass(frozen=True, kw_only=True)
class Stack:
    """Cells that one recurrence runs: the directions of one layer, or all layers of one direction as a wave.

    Attributes:
        layers: of the network; more than one in a wave alone.
        suffixes: of the parameters of every lane.
    """

    layers: range
    suffixes: tuple[str, ...]

    @property
    def is_wave(self) -> bool:
        return len(self.layers) > 1

    @property
    def rows(self) -> slice:
        """Of a state tensor [L * R, N, H]."""
        first = self.layers[0] * len(self.suffixes) // len(self.layers)
        return slice(first, first + len(self.suffixes))


@dataclass(frozen=True, kw_only=True, eq=False)
class Problem:
    """One call: what forward and backward both read.

    Attributes:
        params: by the names of ``spec.parameter_shapes()``; all tensors share the type and the device of x.
        lengths, order: [N] int64; ``order`` lists the sequences by falling length.
        padded: whether some sequence may be shorter than T.
        seed: of dropout and zoneout; None in evaluation.
        stacks: from the first layer to the last.
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
    stacks: tuple[Stack, ...]
    tilings: dict[Pass, Tiling] | None

    @property
    def flat(self) -> int:
        """T * N, the rows of every product over all steps."""
        return self.x.shape[0] * self.x.shape[1]

    def runs_backwards(self, lane: int) -> bool:
        """Whether a lane does; all lanes of a wave run in the one direction there is."""
        return self.spec.directions[lane % self.spec.num_directions] == "reverse"

    def stacked(self, name: str, suffixes: Sequence[str]) -> Tensor:
        """[R, ...], a parameter of all lanes; a view where there is one."""
        parts = [self.params[f"{name}_{suffix}"] for suffix in suffixes]
        return parts[0].contiguous().unsqueeze(0) if len(parts) == 1 else torch.stack(parts)

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

    def recurrence(self, stack: Stack, w_hh: Tensor, like: Tensor) -> Recurrence:
        """What both kernels need of a stack; ``like`` is its h, [T, N, R, H]."""
        spec, hidden = self.spec, self.spec.hidden_size
        peepholes = w_below = None
        if spec.peepholes:
            none = self.x.new_zeros(hidden)
            rows = [
                self.params[f"peephole_{gate}_{suffix}"] if gate in spec.peepholes else none
                for suffix in stack.suffixes
                for gate in "ifo"
            ]
            peepholes = torch.stack(rows).view(-1, 3, hidden)
        if stack.is_wave:
            w_below = self.stacked("weight_ih", (stack.suffixes[1], *stack.suffixes[1:]))
        return Recurrence(
            spec=spec,
            steps=len(self.x),
            w_hh=w_hh,
            w_below=w_below,
            lengths=self.lengths,
            order=self.order,
            peepholes=peepholes,
            scale=draw_recurrent_dropout(spec, stack.layers, self.seed, like),
            keep_h=draw_zoneout(spec, stack.layers, "zoneout_h", spec.zoneout_h, self.seed, like),
            keep_c=draw_zoneout(spec, stack.layers, "zoneout_c", spec.zoneout_c, self.seed, like),
            tilings=self.tilings,
        )

    def output(self, stack: Stack, h: Tensor, below: Tensor) -> Tensor:
        """What a stack hands up from its h [T, N, R, H or P]: with its input where that is residual, and dropout."""
        out = h[:, :, -1] if stack.is_wave else h.flatten(2)
        if self.spec.residual and stack.layers[0] > 0:
            out = out + below
        factor = self.dropout(stack, out)
        return out if factor is None else (out * factor).to(out.dtype)

    def dropout(self, stack: Stack, out: Tensor) -> Tensor | None:
        """Factors of what a stack hands up, shaped like it; None where there are none."""
        layer = stack.layers[-1]
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
    *,
    wave: bool | None = None,
) -> Problem:
    """Bring what a call has to x's device; ``weights`` are in the order of ``spec.parameter_shapes()``.

    Lengths that are on the device already are clamped to 0 and T instead of checked: a check would wait for it.

    Args:
        wave: whether layers run as a wave where they can; None to choose by size.
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
    if wave is None:
        wave = runs_as_wave(
            hidden=spec.hidden_size,
            batch=batch,
            layers=spec.num_layers,
            element_bytes=x.element_size(),
            machine=machine_of(x.device),
        )
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
        stacks=_stacks(spec, wave=wave and can_be_a_wave(spec, training=seed is not None)),
        tilings=tilings,
    )


def can_be_a_wave(spec: LSTMSpec, *, training: bool) -> bool:
    """Whether a layer needs of the one below no more than what its kernel has just written, as it is.

    The layers of a bidirectional LSTM can't: the reverse direction's first output comes last.
    """
    more_than_h = spec.residual or spec.proj_size or (training and spec.dropout)
    return spec.num_layers > 1 and spec.num_directions == 1 and not more_than_h


def _stacks(spec: LSTMSpec, *, wave: bool) -> tuple[Stack, ...]:
    suffixes = [suffix for _, _, suffix in spec.cells()]
    if wave:
        return (Stack(layers=range(spec.num_layers), suffixes=tuple(suffixes)),)
    lanes = spec.num_directions
    return tuple(
        Stack(layers=range(layer, layer + 1), suffixes=tuple(suffixes[layer * lanes : (layer + 1) * lanes]))
        for layer in range(spec.num_layers)
    )
