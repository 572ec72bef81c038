"""The LSTM on CUDA tensors: products by cuBLAS, the recurrence by the kernels of ``kernels``.

The input projection is one product over all steps and directions; so are dW and dx. Nothing here waits for the device:
lengths stay there, and shapes alone decide what is launched, so that a CUDA graph can capture a call. Every sum has one
order, so equal calls give equal bits.

Letters: T N D H as everywhere, R lanes of a stack. Where there is a projection, the kernels run on what ``projection``
makes of it.
"""

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from gatesmith.ops.cuda import projection
from gatesmith.ops.cuda.problem import Problem, Stack
from gatesmith.spec import LSTMSpec

ALIGNMENT = 256
"""Bytes; every part of a tape begins at a multiple of it, as an allocation of CUDA's would."""


def forward(problem: Problem, *, keep: bool) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """(y [T, N, R * H], h_n, c_n, tape): the tape is one tensor of bytes, so that frameworks can carry it; or None."""
    spec, x = problem.spec, problem.x
    steps, batch, _ = x.shape
    tape = x.new_empty(tape_bytes(spec, steps, batch, x.dtype), dtype=torch.uint8) if keep else None
    h_n, c_n = problem.h0.clone(), problem.c0.to(torch.float32, copy=True)
    below = problem.masked(x)
    for index, stack in enumerate(problem.stacks):
        kept = None if tape is None else stack_tape(problem, tape, index)
        h = x.new_empty((steps, batch, len(stack.suffixes), spec.hidden_size)) if kept is None else kept.h
        if problem.padded:
            h.zero_()
        initial, running = problem.h0[stack.rows], h_n[stack.rows]
        if spec.proj_size:
            initial, running = (h.new_zeros((len(stack.suffixes), batch, spec.hidden_size)) for _ in range(2))
        if problem.flat:
            z = _project(problem, stack, below, None if kept is None else kept.z)
            if spec.proj_size:
                projection.add_what_e_lacks(problem, stack, z)
            recurrence = problem.recurrence(stack, recurrent_weights(problem, stack), h)
            recurrence.run_forward(z, h, None if kept is None else kept.c, initial, running, c_n[stack.rows])
        if spec.proj_size:
            h_n[stack.rows] = projection.project_last(problem, stack, running)
            h = projection.project(problem, stack, h)
        below = problem.output(stack, h, below)
    # The tape's memory is not handed out as the result: a caller may write into that.
    y = below.clone(memory_format=torch.contiguous_format) if keep else below.contiguous()
    return y, problem.reported(h_n), problem.reported(c_n.to(x.dtype)), tape


def recurrent_weights(problem: Problem, stack: Stack) -> Tensor:
    """What the kernels take as W_hh, [R, 4, H, H] or as flat."""
    if problem.spec.proj_size:
        return projection.fused_weights(problem, stack)
    return problem.stacked("weight_hh", stack.suffixes)


@dataclass(frozen=True, kw_only=True, eq=False)
class StackTape:
    """What forward leaves of one stack: h [T, N, R, H] and z [T, N, R, 4, H] in x's type, c [T, N, R, H] float32."""

    h: Tensor
    z: Tensor
    c: Tensor


def tape_bytes(spec: LSTMSpec, steps: int, batch: int, dtype: torch.dtype) -> int:
    """Size of the tape of a whole call, enough for layers apart and for a wave."""
    parts = _parts((steps, batch, spec.num_directions, spec.hidden_size), dtype)
    return spec.num_layers * sum(size for _, _, size in parts)


def stack_tape(problem: Problem, tape: Tensor, index: int) -> StackTape:
    """Views of one stack's part of a tape."""
    steps, batch, _ = problem.x.shape
    lanes = len(problem.stacks[index].suffixes)
    parts = _parts((steps, batch, lanes, problem.spec.hidden_size), problem.x.dtype)
    at = index * sum(size for _, _, size in parts)
    views: list[Tensor] = []
    for shape, dtype, size in parts:
        used = prod(shape) * dtype.itemsize
        views.append(tape[at : at + used].view(dtype).view(shape))
        at += size
    return StackTape(h=views[0], z=views[1], c=views[2])


def _parts(shape: tuple[int, ...], dtype: torch.dtype) -> list[tuple[tuple[int, ...], torch.dtype, int]]:
    """(shape, type, bytes with padding) of h, z and c of a stack."""
    shapes = ((shape, dtype), ((*shape[:3], 4, shape[3]), dtype), (shape, torch.float32))
    return [(s, d, -(-prod(s) * d.itemsize // ALIGNMENT) * ALIGNMENT) for s, d in shapes]


def _project(problem: Problem, stack: Stack, below: Tensor, out: Tensor | None) -> Tensor:
    """[T, N, R, 4, H]: W_ih x + b of all steps, as one product; of a wave's later lanes b alone."""
    read = stack.suffixes[:1] if stack.is_wave else stack.suffixes
    weight = problem.stacked("weight_ih", read).flatten(0, 1)  # [R * 4H, D]
    steps, batch, _ = problem.x.shape
    lanes, hidden = len(stack.suffixes), problem.spec.hidden_size
    z = problem.x.new_empty((steps, batch, lanes, 4, hidden)) if out is None else out
    into = z.view(problem.flat, lanes * 4 * hidden)[:, : len(weight)]
    flat = below.reshape(problem.flat, weight.shape[1])
    if problem.spec.bias:
        bias = problem.stacked("bias", stack.suffixes).flatten()
        torch.addmm(bias[: len(weight)], flat, weight.T, out=into)
        z.view(problem.flat, -1)[:, len(weight) :] = bias[len(weight) :]
    else:
        torch.mm(flat, weight.T, out=into)
        z.view(problem.flat, -1)[:, len(weight) :] = 0.0
    return z
