"""The compiled kernel on plain float32 tensors: their addresses go to it as they are, past NumPy and every check.

Around a small call, wrapping twenty tensors as arrays takes as long as the arithmetic. What depends on sizes alone is
kept in a :class:`_Plan` for the next call of these sizes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from gatesmith.errors import InputError
from gatesmith.ops import cpu
from gatesmith.ops.call import check_lengths
from gatesmith.ops.library import CCell, CRun, CSpec, address, library
from gatesmith.ops.variant import is_variant
from gatesmith.spec import LSTMSpec


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class _Plan:
    """Sizes of everything that calls of one spec, T, N and number of threads need, where no lengths are given."""

    spec: LSTMSpec
    c_spec: CSpec
    run: CRun  # without addresses; every call copies it
    packed_bytes: int
    packed_backward_bytes: int


def takes(x: Tensor, seed: Tensor | None, spec: LSTMSpec) -> bool:
    """Whether these are calls of the plain cell in float32, without noise, and the kernel is there."""
    return (
        x.dtype is torch.float32
        and seed is None
        and not (spec.forget_bias or is_variant(spec, training=False))
        and cpu.missing() is None
    )


def forward(
    x: Tensor,
    h0: Tensor,
    c0: Tensor,
    lengths: Tensor | None,
    parameters: Sequence[Tensor],
    spec: LSTMSpec,
    *,
    keep: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """(y, h_n, c_n, tape); shapes as in :class:`gatesmith.ops.Call`, parameters as a module lists them.

    The tape is None unless ``keep``. It is bytes that stand for themselves: a copy of it is as good.
    """
    lib, spare = library(), cpu.spare_memory()
    steps, batch, _ = x.shape
    plan = _plan(spec, steps, batch, lib.gatesmith_num_threads(), lib.gatesmith_target())
    y = _new(x, (steps, batch, spec.num_directions * spec.hidden_size))
    h_n, c_n = x.new_empty(h0.shape), x.new_empty(h0.shape)
    packed = spare.take(plan.packed_bytes)
    kept = list(parameters)
    lib.gatesmith_pack(plan.c_spec, _cells(plan, kept), address(packed))
    run = CRun.from_buffer_copy(plan.run)
    kept += _set_input(run, x, h0, c0, lengths)
    run.y, run.y_step, run.y_row = _strided(y)
    run.h_n, run.c_n, run.packed = h_n.data_ptr(), c_n.data_ptr(), address(packed)
    tape = None
    if keep:
        tape = torch.from_numpy(spare.lend(_checked(lib.gatesmith_tape_bytes(run), x)))
        run.tape = tape.data_ptr()
    workspace = spare.take(_checked(lib.gatesmith_workspace_bytes(run, 0), x))
    run.workspace = address(workspace)
    lib.gatesmith_forward(run)
    spare.give_back(packed)
    spare.give_back(workspace)
    return y, h_n, c_n, tape


def backward(
    upstream: Sequence[Tensor | None],
    saved: Sequence[Tensor],
    lengths: Tensor | None,
    parameters: Sequence[Tensor],
    spec: LSTMSpec,
    needed: Sequence[bool],
) -> list[Tensor | None]:
    """Gradients of x, h0, c0 and the parameters, None where not needed.

    Args:
        upstream: those of y, h_n and c_n; None for zero.
        saved: x, h0, c0, y and the tape of :func:`forward`.
        needed: for x and each parameter.
    """
    x, h0, c0, y, tape = saved
    lib, spare = library(), cpu.spare_memory()
    steps, batch, _ = x.shape
    plan = _plan(spec, steps, batch, lib.gatesmith_num_threads(), lib.gatesmith_target())
    packed = spare.take(plan.packed_backward_bytes)
    kept = list(parameters)
    lib.gatesmith_pack_backward(plan.c_spec, _cells(plan, kept), address(packed))
    run = CRun.from_buffer_copy(plan.run)
    kept += _set_input(run, x, h0, c0, lengths)
    dy, dh_n, dc_n = (None if up is None else _dense_features(up) for up in upstream)
    dy = torch.zeros_like(y) if dy is None else dy
    dh_n, dc_n = (None if up is None else up.contiguous() for up in (dh_n, dc_n))
    dx, dh0, dc0 = _new(x, x.shape) if needed[0] else None, x.new_empty(h0.shape), x.new_empty(h0.shape)
    gradients = [x.new_empty(p.shape) if wanted else None for p, wanted in zip(parameters, needed[1:], strict=True)]
    run.y, run.y_step, run.y_row = _strided(y)
    run.dy, run.dy_step, run.dy_row = _strided(dy)
    if dx is not None:
        run.dx, run.dx_step, run.dx_row = _strided(dx)
    run.dh_n, run.dc_n = None if dh_n is None else dh_n.data_ptr(), None if dc_n is None else dc_n.data_ptr()
    run.dh0, run.dc0, run.tape, run.packed_backward = dh0.data_ptr(), dc0.data_ptr(), tape.data_ptr(), address(packed)
    run.gradients = _cells(plan, gradients)
    workspace = spare.take(_checked(lib.gatesmith_workspace_bytes(run, 1), x))
    run.workspace = address(workspace)
    lib.gatesmith_backward(run)
    spare.give_back(packed)
    spare.give_back(workspace)
    return [dx, dh0, dc0, *gradients]


@lru_cache(maxsize=1024)
def _plan(spec: LSTMSpec, steps: int, batch: int, threads: int, target: bytes) -> _Plan:  # noqa: ARG001 - sizes depend on it
    lib, c_spec = library(), cpu.c_spec(spec)
    sizes = lib.gatesmith_packed_bytes(c_spec), lib.gatesmith_packed_backward_bytes(c_spec)
    if min(sizes) < 0:
        raise InputError(f"{spec} has too many parameters for this machine")
    run = CRun(spec=c_spec, steps=steps, batch=batch, threads=threads)
    return _Plan(spec=spec, c_spec=c_spec, run=run, packed_bytes=sizes[0], packed_backward_bytes=sizes[1])


def _new(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """An uninitialised tensor like x; the large ones as :func:`cpu.new_array`."""
    return x.new_empty(shape) if math.prod(shape) < cpu.LENT_ELEMENTS else torch.from_numpy(cpu.new_array(shape))


def _cells(plan: _Plan, tensors: list[Any]) -> Any:
    """The C view of a module's parameters or gradients; replaces those in ``tensors`` that are not dense by copies."""
    for index, tensor in enumerate(tensors):
        if tensor is not None and not tensor.is_contiguous():
            tensors[index] = tensor.contiguous()
    addresses = [None if tensor is None else tensor.data_ptr() for tensor in tensors]
    width = 4 if plan.spec.bias else 2
    count = len(addresses) // width
    return (CCell * count)(*(CCell(*addresses[width * k : width * (k + 1)]) for k in range(count)))


def _set_input(run: CRun, x: Tensor, h0: Tensor, c0: Tensor, lengths: Tensor | None) -> list[Any]:
    """Returns what must live as long as the run."""
    x, h0, c0 = _dense_features(x), h0.contiguous(), c0.contiguous()
    run.x, run.x_step, run.x_row = _strided(x)
    run.h0, run.c0 = h0.data_ptr(), c0.data_ptr()
    if lengths is None:
        return [x, h0, c0]
    checked = check_lengths(lengths.numpy(), x.shape[0], x.shape[1])
    run.lengths = address(checked)
    return [x, h0, c0, checked]


def _dense_features(tensor: Tensor) -> Tensor:
    return tensor if tensor.stride(2) == 1 else tensor.contiguous()


def _strided(tensor: Tensor) -> tuple[int, int, int]:
    steps, rows, _ = tensor.stride()
    return tensor.data_ptr(), steps, rows


def _checked(size: int, x: Tensor) -> int:
    if size < 0:
        raise InputError(f"x of shape {tuple(x.shape)} needs more memory than a machine can address")
    return size
