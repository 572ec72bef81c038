"""The gradient of ``lstm``: the recurrence by one kernel, then dW, db, dx as single products over all steps."""

import torch
from torch import Tensor

from gatesmith.ops.cuda import projection
from gatesmith.ops.cuda.lstm import StackTape, recurrent_weights, stack_tape
from gatesmith.ops.cuda.problem import Problem, Stack


def backward(problem: Problem, tape: Tensor, dy: Tensor, dh_n: Tensor, dc_n: Tensor) -> list[Tensor]:
    """(dx, dh0, dc0, gradients of the parameters in the order of ``spec.parameter_shapes()``), in x's type.

    Args:
        dy: [T, N, R * H]; what stands beyond a sequence's length is ignored.
        dh_n, dc_n: [L * R, N, H]
    """
    spec, dtype = problem.spec, problem.x.dtype
    kept = [stack_tape(problem, tape, index) for index in range(len(problem.stacks))]
    hidden = [left.h for left in kept]  # [T, N, R, H], or [T, N, R, P] where there is a projection
    if spec.proj_size:
        hidden = [projection.project(problem, stack, h) for stack, h in zip(problem.stacks, hidden, strict=True)]
    inputs = [problem.masked(problem.x)]
    for stack, h in zip(problem.stacks[:-1], hidden[:-1], strict=True):
        inputs.append(problem.output(stack, h, inputs[-1]))
    dh, dc = (problem.reported(d).to(torch.float32, copy=True).contiguous() for d in (dh_n, dc_n))
    gradients = {name: torch.zeros_like(weight) for name, weight in problem.params.items()}
    dout = problem.masked(dy)
    for stack, left, h, below in reversed(list(zip(problem.stacks, kept, hidden, inputs, strict=True))):
        factor = problem.dropout(stack, dout)
        if factor is not None:
            dout = (dout * factor).to(dtype)
        dx = _stack(problem, stack, left, h, below, dout, dh[stack.rows], dc[stack.rows], gradients)
        dout = problem.masked(dx + dout if spec.residual and stack.layers[0] > 0 else dx)
    return [dout, dh.to(dtype), dc.to(dtype), *gradients.values()]


def _stack(
    problem: Problem,
    stack: Stack,
    kept: StackTape,
    h: Tensor,
    below: Tensor,
    dout: Tensor,
    dh: Tensor,
    dc: Tensor,
    gradients: dict[str, Tensor],
) -> Tensor:
    """dx [T, N, D] of a stack; turns dh and dc [R, N, H] into dh0 and dc0, and fills in ``gradients``."""
    if not problem.flat:
        return torch.zeros_like(below)
    dz = torch.zeros_like(kept.z) if problem.padded else torch.empty_like(kept.z)  # [T, N, R, 4, H]
    recurrence = problem.recurrence(stack, recurrent_weights(problem, stack), kept.h)
    given, upstream, running = None, dout, dh
    if problem.spec.proj_size:
        given = projection.gradient_of_given_h(problem, stack, dout, dh)
        upstream, running = projection.through(problem, stack, given), dc.new_zeros(dc.shape)
        dh.copy_(torch.where(problem.lengths[:, None] > 0, 0.0, dh))  # of an empty sequence it is that of h0
    recurrence.run_backward(kept.z, upstream.contiguous(), kept.c, dz, problem.c0[stack.rows].float(), running, dc)
    if given is not None:
        projection.fill_gradients(problem, stack, kept.h, given, dz, gradients)
    flat = dz.view(problem.flat, -1)  # [T * N, R * 4H]
    db = flat.sum(0).view(len(stack.suffixes), -1)
    before = _before(problem, h, problem.h0[stack.rows])
    for lane, suffix in enumerate(stack.suffixes):
        seen, dz_cell = before[:, :, lane], dz[:, :, lane].flatten(2)  # [T, N, H], [T, N, 4H]
        through = (_at_start(problem, lane, dz_cell) @ problem.params[f"weight_hh_{suffix}"]).float()
        if recurrence.scale is not None:
            scale = recurrence.scale[lane]
            seen, through = (seen * scale).to(dz.dtype), through * scale
        dh[lane] += through
        read = h[:, :, lane - 1] if stack.is_wave and lane > 0 else below
        gradients[f"weight_ih_{suffix}"] = dz_cell.flatten(0, 1).T @ read.flatten(0, 1)
        gradients[f"weight_hh_{suffix}"] = dz_cell.flatten(0, 1).T @ seen.flatten(0, 1)
        if problem.spec.bias:
            gradients[f"bias_{suffix}"] = db[lane].clone()
    _peepholes(problem, stack, kept, dz, gradients)
    reads_below = stack.suffixes[:1] if stack.is_wave else stack.suffixes
    weight_ih = problem.stacked("weight_ih", reads_below).flatten(0, 1)  # [R * 4H, D]
    return (flat[:, : len(weight_ih)] @ weight_ih).view(*below.shape)


def _peepholes(problem: Problem, stack: Stack, kept: StackTape, dz: Tensor, gradients: dict[str, Tensor]) -> None:
    """Of the diagonal peepholes: i and f saw c of the step before, o sees the new one."""
    spec = problem.spec
    if not spec.peepholes:
        return
    before = _before(problem, kept.c, problem.c0[stack.rows].float())
    now = problem.masked(kept.c)
    for lane, suffix in enumerate(stack.suffixes):
        for gate in spec.peepholes:
            seen = (now if gate == "o" else before)[:, :, lane]
            product = dz[:, :, lane, "ifgo".index(gate)].float() * seen
            gradients[f"peephole_{gate}_{suffix}"] = product.sum((0, 1)).to(dz.dtype)


def _before(problem: Problem, states: Tensor, initial: Tensor) -> Tensor:
    """[T, N, R, H], the state before every valid step; zero where there is no step."""
    before = torch.empty_like(states)
    for index in range(states.shape[2]):
        if not problem.runs_backwards(index):
            before[1:, :, index], before[0, :, index] = states[:-1, :, index], initial[index]
            continue
        before[:-1, :, index], before[-1, :, index] = states[1:, :, index], initial[index]
        if problem.padded:
            last = torch.arange(len(states), device=states.device)[:, None] == problem.lengths - 1
            before[:, :, index] = torch.where(last[:, :, None], initial[index], before[:, :, index])
    return problem.masked(before)


def _at_start(problem: Problem, index: int, dz: Tensor) -> Tensor:
    """[N, 4H]: dz [T, N, 4H] at each sequence's first step in its direction; zero for an empty sequence."""
    if not problem.runs_backwards(index):
        return dz[0]
    at = (problem.lengths - 1).clamp(min=0)[None, :, None].expand(1, -1, dz.shape[-1])
    return dz.gather(0, at)[0]
