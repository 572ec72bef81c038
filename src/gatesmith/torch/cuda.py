"""The operator on CUDA tensors: which calls the Triton kernels take, and their tape as a tensor that autograd keeps.

Triton is imported with the first CUDA tensor: it takes a second, and need not be installed where there is no GPU.
"""

from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec

import torch
from torch import Tensor

from gatesmith.ops.formulation import without_autocast
from gatesmith.spec import LSTMSpec


def takes(x: Tensor, spec: LSTMSpec) -> bool:
    """Whether the kernels run this; what they can't (:func:`unsupported_feature`) is formulated."""
    return x.is_cuda and _is_installed() and _is_supported(spec, x.dtype)


def run_forward(
    x: Tensor,
    h0: Tensor,
    c0: Tensor,
    lengths: Tensor | None,
    seed: Tensor | None,
    weights: Sequence[Tensor],
    spec: LSTMSpec,
    *,
    keep_tape: bool,
) -> list[Tensor]:
    """(y, h_n, c_n, tape); the tape has one byte where none is kept."""
    from gatesmith.ops.cuda import lstm
    from gatesmith.ops.cuda.problem import make_problem

    with without_autocast(x.device):
        problem = make_problem(spec, weights, x, h0, c0, lengths, None if seed is None else int(seed))
        y, h_n, c_n, tape = lstm.forward(problem, keep=keep_tape)
    return [y, h_n, c_n, x.new_empty(1, dtype=torch.uint8) if tape is None else tape]


def run_backward(
    dy: Tensor,
    dh_n: Tensor,
    dc_n: Tensor,
    tape: Tensor,
    x: Tensor,
    h0: Tensor,
    c0: Tensor,
    lengths: Tensor | None,
    seed: Tensor | None,
    weights: Sequence[Tensor],
    spec: LSTMSpec,
) -> list[Tensor]:
    """(dx, dh0, dc0, gradients of the weights)"""
    from gatesmith.ops.cuda.gradient import backward
    from gatesmith.ops.cuda.problem import make_problem

    with without_autocast(x.device):
        problem = make_problem(spec, weights, x, h0, c0, lengths, None if seed is None else int(seed))
        return backward(problem, tape, dy, dh_n, dc_n)


def tape_size(x: Tensor, spec: LSTMSpec, *, keep_tape: bool) -> int:
    """Bytes of the tape that :func:`run_forward` returns; 1 for every other engine, whose tape is not a tensor."""
    if not (keep_tape and takes(x, spec)):
        return 1
    from gatesmith.ops.cuda import lstm

    return lstm.tape_bytes(spec, x.shape[0], x.shape[1], x.dtype)


@lru_cache(maxsize=1)
def _is_installed() -> bool:
    return find_spec("triton") is not None


@lru_cache(maxsize=256)
def _is_supported(spec: LSTMSpec, dtype: torch.dtype) -> bool:
    from gatesmith.ops.cuda.problem import DTYPES, unsupported_feature

    return dtype in DTYPES and unsupported_feature(spec) is None
