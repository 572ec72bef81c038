"""Projected LSTMs on kernels that know no projection: what is recurrent is then not h = P e + b, but e, before it.

``W_hh h`` is ``(W_hh P) e + W_hh b``, so the recurrence of e has the matrix ``W_hh P``, [4H, H], and one barrier a step
as ever; h of all steps is one product afterwards. The first step saw h0, which is no P e: it counts as part of that
step's input. Source of the cell: Sak, Senior and Beaufays (2014).

Letters: R lanes, P features of h (``proj_size``); e stands where the kernels say h.
"""

import torch
from torch import Tensor

from gatesmith.ops.cuda.problem import Problem, Stack


def fused_weights(problem: Problem, stack: Stack) -> Tensor:
    """W_hh P of every lane, [R, 4, H, H]."""
    fused = problem.stacked("weight_hh", stack.suffixes) @ problem.stacked("weight_hr", stack.suffixes)
    return fused.view(len(stack.suffixes), 4, -1, fused.shape[-1])


def add_what_e_lacks(problem: Problem, stack: Stack, z: Tensor) -> None:
    """Add to z [T, N, R, 4, H] what W_hh h has beyond W_hh P e: b in every step but the first, h0 in the first."""
    cells = z.flatten(3)  # [T, N, R, 4H]
    sequences = torch.arange(z.shape[1], device=z.device)
    for lane, suffix in enumerate(stack.suffixes):
        seen, weight = problem.h0[stack.rows][lane], problem.params[f"weight_hh_{suffix}"]
        if problem.spec.proj_bias:
            bias = problem.params[f"bias_hr_{suffix}"]
            cells[:, :, lane] += bias @ weight.T
            seen = seen - bias
        cells[first_step(problem, lane), sequences, lane] += seen @ weight.T


def project(problem: Problem, stack: Stack, e: Tensor) -> Tensor:
    """h of every step, [T, N, R, P], from e [T, N, R, H]; zero beyond a sequence's length."""
    h = torch.stack([_project(problem, suffix, e[:, :, lane]) for lane, suffix in enumerate(stack.suffixes)], 2)
    return problem.masked(h) if problem.spec.proj_bias else h


def project_last(problem: Problem, stack: Stack, e: Tensor) -> Tensor:
    """The final h, [R, N, P], from the final e [R, N, H]; h0 of an empty sequence."""
    h = torch.stack([_project(problem, suffix, e[lane]) for lane, suffix in enumerate(stack.suffixes)])
    return torch.where(problem.lengths[:, None] > 0, h, problem.h0[stack.rows])


def gradient_of_given_h(problem: Problem, stack: Stack, dout: Tensor, dh_n: Tensor) -> Tensor:
    """dh [T, N, R, P] of the output, and at the last step of the final state; without what the next step adds."""
    steps, batch, _ = dout.shape
    dh = dout.reshape(steps, batch, len(stack.suffixes), -1).clone()
    sequences = torch.arange(batch, device=dout.device)
    for lane in range(len(stack.suffixes)):
        ends = torch.where(problem.lengths[:, None] > 0, dh_n[lane], 0.0)
        dh[last_step(problem, lane), sequences, lane] += ends.to(dh.dtype)
    return dh


def through(problem: Problem, stack: Stack, dh: Tensor) -> Tensor:
    """de [T, N, R, H] from dh [T, N, R, P]."""
    return torch.stack(
        [dh[:, :, lane] @ problem.params[f"weight_hr_{suffix}"] for lane, suffix in enumerate(stack.suffixes)], 2
    )


def fill_gradients(
    problem: Problem, stack: Stack, e: Tensor, dh: Tensor, dz: Tensor, gradients: dict[str, Tensor]
) -> None:
    """Of P and its bias, from :func:`gradient_of_given_h` and dz [T, N, R, 4, H]."""
    for lane, suffix in enumerate(stack.suffixes):
        after = torch.zeros_like(dz[:, :, lane])  # dz of the step that saw this one's h
        if problem.runs_backwards(lane):
            after[1:] = dz[:-1, :, lane]
        else:
            after[:-1] = dz[1:, :, lane]
        # Of a lane that runs backwards, the step behind a sequence's end would be h0's.
        whole = dh[:, :, lane] + problem.masked(after.flatten(2) @ problem.params[f"weight_hh_{suffix}"])
        flat = whole.flatten(0, 1)  # [T * N, P]
        gradients[f"weight_hr_{suffix}"] = flat.T @ e[:, :, lane].flatten(0, 1)
        if problem.spec.proj_bias:
            gradients[f"bias_hr_{suffix}"] = flat.sum(0)


def first_step(problem: Problem, lane: int) -> Tensor:
    """[N], where each sequence begins in a lane's direction; 0 for an empty one."""
    last = (problem.lengths - 1).clamp(min=0)
    return last if problem.runs_backwards(lane) else torch.zeros_like(last)


def last_step(problem: Problem, lane: int) -> Tensor:
    """[N], where each sequence ends in a lane's direction; 0 for an empty one."""
    last = (problem.lengths - 1).clamp(min=0)
    return torch.zeros_like(last) if problem.runs_backwards(lane) else last


def _project(problem: Problem, suffix: str, e: Tensor) -> Tensor:
    h = e @ problem.params[f"weight_hr_{suffix}"].T
    return h + problem.params[f"bias_hr_{suffix}"] if problem.spec.proj_bias else h
