"""Offsets are 64 bits wide: steps far beyond what 32 bits count are those at the start, without memory for the rest."""

from dataclasses import dataclass

import pytest
import torch
from tests.ops.cuda.calls import tiling
from tests.ops.cuda.together import programs_together

from gatesmith.ops.cuda import kernels
from gatesmith.ops.cuda.launch import Recurrence
from gatesmith.spec import LSTMSpec

FAR = 2**26
"""Steps; 2^33 elements of z lie before."""
BATCH, HIDDEN, LANES = 2, 16, 2
SPEC = LSTMSpec(3, HIDDEN, 1, "bidirectional", peepholes="if")
ONE = tiling(16, 1, persistent=True)
FOUR = tiling(16, 4, persistent=True)


@dataclass(frozen=True, kw_only=True)
class Window:
    """The last steps of a long sequence: a tensor whose first step is number ``first``; nothing else is there."""

    seen: torch.Tensor
    first: int

    @property
    def dtype(self) -> torch.dtype:
        return self.seen.dtype

    def data_ptr(self) -> int:
        return self.seen.data_ptr() - self.first * self.seen.stride(0) * self.seen.element_size()


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape) + shape[-1]))


def run(pass_: str, first: int) -> list[torch.Tensor]:
    """Two steps of a pass from step ``first`` + 1 on (or back to it), of sequences that end there."""
    shape = (3, BATCH, LANES, HIDDEN)
    z, dz = drawn(3, BATCH, LANES, 4, HIDDEN), torch.zeros(3, BATCH, LANES, 4, HIDDEN)
    y, c = drawn(*shape), drawn(*shape)
    h_now, c_now = drawn(LANES, BATCH, HIDDEN), drawn(LANES, BATCH, HIDDEN)
    lengths, order = torch.full((BATCH,), first + 3), torch.arange(BATCH)
    w, peepholes = drawn(LANES, 4, HIDDEN, HIDDEN), drawn(LANES, 3, HIDDEN)
    recurrence = Recurrence(spec=SPEC, steps=first + 3, w_hh=w, lengths=lengths, order=order, peepholes=peepholes)
    rest = (lengths, order, peepholes, w, w, w, torch.zeros(LANES, 1, dtype=torch.int32), BATCH, HIDDEN)
    far_z, far_y, far_c, far_dz = (Window(seen=tensor, first=first) for tensor in (z, y, c, dz))
    if pass_ == "forward":
        arguments, span, chosen = (far_z, w, w, far_y, far_c, h_now, h_now, c_now), (first + 1, first + 3), ONE
    else:
        arguments, span, chosen = (far_z, w, w, far_y, far_c, far_dz, c_now, h_now, c_now), (0, 2), FOUR
    constants = recurrence.constants("forward" if pass_ == "forward" else "backward", chosen, direction=0, keep=True)
    constants["BARRIER"] = False
    with programs_together(0):
        kernels.KERNELS[pass_][(1, 1, 1)](*arguments, *rest, *span, 0, **constants)
    return [z, y, c, dz, h_now, c_now]


@pytest.mark.parametrize("pass_", ["forward", "backward"])
def test_far_steps_are_as_near_ones(pass_: str) -> None:
    near, far = run(pass_, 0), run(pass_, FAR)
    assert all(torch.equal(a, b) for a, b in zip(near, far, strict=True))
    written = near[1] if pass_ == "forward" else near[3]
    before = drawn(3, BATCH, LANES, HIDDEN) if pass_ == "forward" else torch.zeros_like(near[3])
    assert not torch.equal(written[1:, :, 0], before[1:, :, 0]), "the kernel wrote nothing"
