"""The operator on a GPU from and to NumPy arrays: what the table of devices calls.

Training loops keep their tensors on the GPU with ``gatesmith.torch.LSTM``; here every call copies in and out.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, cast

import numpy as np

from gatesmith.ops.call import Array, Call, Gradients, Outputs
from gatesmith.ops.devices import Tape


@dataclass(frozen=True, kw_only=True, eq=False)
class CudaTape:
    """What a forward run leaves on the GPU: the problem's tensors, and the kernels' own tape."""

    call: Call
    problem: Any
    kept: Any


def missing() -> str | None:
    """PyTorch, Triton and a GPU; Triton's interpreter (``TRITON_INTERPRET=1``) stands in for the GPU in tests."""
    for package, name in (("torch", "PyTorch"), ("triton", "Triton")):
        if find_spec(package) is None:
            return f"{name} is not installed, run `pip install 'gatesmith[cuda]'`"
    import torch

    if torch.cuda.is_available() or _interprets():
        return None
    return "PyTorch sees no NVIDIA GPU on this machine"


def unsupported(call: Call) -> str | None:
    """Float64, and the features that the kernels don't know."""
    from gatesmith.ops.cuda.lstm import unsupported_feature

    return "float64" if call.x.dtype == np.float64 else unsupported_feature(call.spec)


def forward(call: Call) -> Outputs:
    """Run forward on the current GPU."""
    return _run(call, keep=False)[0]


def forward_for_training(call: Call) -> tuple[Outputs, Tape]:
    """Run forward and keep what :func:`backward` needs, on the GPU."""
    return _run(call, keep=True)


def backward(tape: Tape, dy: Array, dh_n: Array, dc_n: Array) -> Gradients:
    """Gradients of x, h0, c0 and every parameter."""
    from gatesmith.ops.cuda.gradient import backward as run_backward

    assert isinstance(tape, CudaTape)
    given = (_upload(array) for array in (dy, dh_n, dc_n))
    dx, dh0, dc0, *dweights = (_download(d) for d in run_backward(tape.problem, tape.kept, *given))
    names = tape.call.spec.parameter_shapes()
    return Gradients(dx=dx, dh0=dh0, dc0=dc0, dweights=dict(zip(names, dweights, strict=True)))


def _run(call: Call, *, keep: bool) -> tuple[Outputs, CudaTape]:
    from gatesmith.ops.cuda.lstm import forward as run_forward
    from gatesmith.ops.cuda.lstm import make_problem

    whole = bool((call.lengths == len(call.x)).all())
    problem = make_problem(
        call.spec,
        [_upload(array) for array in call.weights.values()],
        _upload(call.x),
        _upload(call.h0),
        _upload(call.c0),
        None if whole else _upload(call.lengths),
        call.seed if call.training else None,
    )
    y, h_n, c_n, kept = run_forward(problem, keep=keep)
    outputs = Outputs(y=_download(y), h_n=_download(h_n), c_n=_download(c_n))
    return outputs, CudaTape(call=call, problem=problem, kept=kept)


def _upload(array: Array) -> Any:
    import torch

    return torch.from_numpy(np.ascontiguousarray(array)).to("cpu" if _interprets() else "cuda")


def _download(tensor: Any) -> Array:
    return tensor.cpu().numpy()


def _interprets() -> bool:
    from triton import knobs  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]

    return bool(cast("Any", knobs).runtime.interpret)
