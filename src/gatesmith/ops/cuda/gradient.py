"""The gradient of ``lstm``: the recurrence by one kernel, then dW, db, dx as single products over all steps."""

import torch
from torch import Tensor

from gatesmith.ops.cuda.lstm import LayerTape, Problem, layer_tape


def backward(problem: Problem, tape: Tensor, dy: Tensor, dh_n: Tensor, dc_n: Tensor) -> list[Tensor]:
    """(dx, dh0, dc0, gradients of the parameters in the order of ``spec.parameter_shapes()``), in x's type.

    Args:
        dy: [T, N, R * H]; what stands beyond a sequence's length is ignored.
        dh_n, dc_n: [L * R, N, H]
    """
    spec, dtype = problem.spec, problem.x.dtype
    kept = [layer_tape(problem, tape, layer) for layer in range(spec.num_layers)]
    inputs = [problem.masked(problem.x)]
    for layer in range(spec.num_layers - 1):
        inputs.append(problem.output(layer, kept[layer].h, inputs[-1]))
    dh, dc = (problem.reported(d).to(torch.float32, copy=True).contiguous() for d in (dh_n, dc_n))
    gradients = {name: torch.zeros_like(weight) for name, weight in problem.params.items()}
    dout = problem.masked(dy)
    for layer in reversed(range(spec.num_layers)):
        factor = problem.dropout(layer, dout)
        if factor is not None:
            dout = (dout * factor).to(dtype)
        dx = _layer(problem, layer, kept[layer], inputs[layer], dout, dh, dc, gradients)
        dout = problem.masked(dx + dout if spec.residual and layer > 0 else dx)
    return [dout, dh.to(dtype), dc.to(dtype), *gradients.values()]


def _layer(
    problem: Problem,
    layer: int,
    kept: LayerTape,
    below: Tensor,
    dout: Tensor,
    dh: Tensor,
    dc: Tensor,
    gradients: dict[str, Tensor],
) -> Tensor:
    """dx [T, N, D] of a layer; turns its rows of dh and dc into dh0 and dc0, and fills in ``gradients``."""
    spec = problem.spec
    weight_ih = problem.stacked("weight_ih", layer).flatten(0, 1)  # [R * 4H, D]
    if not problem.flat:
        return torch.zeros_like(below)
    dz = torch.zeros_like(kept.z) if problem.padded else torch.empty_like(kept.z)  # [T, N, R, 4, H]
    c0 = problem.of_layer(problem.c0, layer).float()
    now_dh, now_dc = problem.of_layer(dh, layer), problem.of_layer(dc, layer)
    recurrence = problem.recurrence(layer, kept.h)
    recurrence.run_backward(kept.z, dout.contiguous(), kept.c, dz, c0, now_dh, now_dc)
    flat = dz.view(problem.flat, -1)  # [T * N, R * 4H]
    dw_ih = (flat.T @ below.reshape(problem.flat, -1)).view(spec.num_directions, -1, below.shape[-1])
    db = flat.sum(0).view(spec.num_directions, -1)
    before = _before(problem, kept.h, problem.of_layer(problem.h0, layer))
    for index, suffix in enumerate(problem.suffixes(layer)):
        seen, dz_cell = before[:, :, index], dz[:, :, index].flatten(2)  # [T, N, H], [T, N, 4H]
        through = (_at_start(problem, index, dz_cell) @ problem.params[f"weight_hh_{suffix}"]).float()
        if recurrence.scale is not None:
            scale = recurrence.scale[index]
            seen, through = (seen * scale).to(dz.dtype), through * scale
        now_dh[index] += through
        gradients[f"weight_ih_{suffix}"] = dw_ih[index].clone()
        gradients[f"weight_hh_{suffix}"] = dz_cell.flatten(0, 1).T @ seen.flatten(0, 1)
        if spec.bias:
            gradients[f"bias_{suffix}"] = db[index].clone()
    _peepholes(problem, layer, kept, dz, gradients)
    return (flat @ weight_ih).view(*below.shape)


def _peepholes(problem: Problem, layer: int, kept: LayerTape, dz: Tensor, gradients: dict[str, Tensor]) -> None:
    """Of the diagonal peepholes: i and f saw c of the step before, o sees the new one."""
    spec = problem.spec
    if not spec.peepholes:
        return
    before = _before(problem, kept.c, problem.of_layer(problem.c0, layer).float())
    now = problem.masked(kept.c)
    for index, suffix in enumerate(problem.suffixes(layer)):
        for gate in spec.peepholes:
            seen = (now if gate == "o" else before)[:, :, index]
            product = dz[:, :, index, "ifgo".index(gate)].float() * seen
            gradients[f"peephole_{gate}_{suffix}"] = product.sum((0, 1)).to(dz.dtype)


def _before(problem: Problem, states: Tensor, initial: Tensor) -> Tensor:
    """[T, N, R, H], the state before every valid step; zero where there is no step."""
    before = torch.empty_like(states)
    for index in range(states.shape[2]):
        if not _runs_backwards(problem, index):
            before[1:, :, index], before[0, :, index] = states[:-1, :, index], initial[index]
            continue
        before[:-1, :, index], before[-1, :, index] = states[1:, :, index], initial[index]
        if problem.padded:
            last = torch.arange(len(states), device=states.device)[:, None] == problem.lengths - 1
            before[:, :, index] = torch.where(last[:, :, None], initial[index], before[:, :, index])
    return problem.masked(before)


def _at_start(problem: Problem, index: int, dz: Tensor) -> Tensor:
    """[N, 4H]: dz [T, N, 4H] at each sequence's first step in its direction; zero for an empty sequence."""
    if not _runs_backwards(problem, index):
        return dz[0]
    at = (problem.lengths - 1).clamp(min=0)[None, :, None].expand(1, -1, dz.shape[-1])
    return dz.gather(0, at)[0]


def _runs_backwards(problem: Problem, index: int) -> bool:
    return problem.spec.directions[index] == "reverse"
