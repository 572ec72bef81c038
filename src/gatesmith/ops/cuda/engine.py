"""The operator on a GPU from and to NumPy arrays: what the table of devices calls.

The Triton kernels run what they can (``problem.unsupported_feature``), PyTorch operations on the GPU run the rest.
Training loops keep their tensors on the GPU with ``gatesmith.torch.LSTM``; here every call copies in and out.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, cast

import numpy as np

from gatesmith.ops.call import Array, Call, Gradients, Outputs
from gatesmith.ops.devices import Tape


@dataclass(frozen=True, kw_only=True, eq=False)
class KernelTape:
    """What a run of the kernels leaves on the GPU: the problem's tensors, and the kernels' own tape."""

    call: Call
    problem: Any
    kept: Any


@dataclass(frozen=True, kw_only=True, eq=False)
class FormulationTape:
    """What a run in PyTorch operations leaves: tensors that autograd can differentiate; ``inputs`` as in the call."""

    call: Call
    inputs: list[Any]
    outputs: tuple[Any, ...]


def missing() -> str | None:
    """PyTorch, Triton and a GPU; Triton's interpreter (``TRITON_INTERPRET=1``) stands in for the GPU in tests."""
    for package, name in (("torch", "PyTorch"), ("triton", "Triton")):
        if find_spec(package) is None:
            return f"{name} is not installed, run `pip install 'gatesmith[cuda]'`"
    import torch

    if torch.cuda.is_available() or _interprets():
        return None
    return "PyTorch sees no NVIDIA GPU on this machine"


def unsupported(call: Call) -> str | None:  # noqa: ARG001 - the interface of every engine
    """Every spec runs, in float32 and float64."""
    return None


def forward(call: Call) -> Outputs:
    """Run forward on the current GPU."""
    return _run(call, keep=False)[0]


def forward_for_training(call: Call) -> tuple[Outputs, Tape]:
    """Run forward and keep what :func:`backward` needs, on the GPU."""
    return _run(call, keep=True)


def backward(tape: Tape, dy: Array, dh_n: Array, dc_n: Array) -> Gradients:
    """Gradients of x, h0, c0 and every parameter."""
    given = tuple(_upload(array) for array in (dy, dh_n, dc_n))
    if isinstance(tape, KernelTape):
        from gatesmith.ops.cuda.gradient import backward as run_backward

        gradients = run_backward(tape.problem, tape.kept, *given)
    else:
        assert isinstance(tape, FormulationTape)
        from gatesmith.ops.formulation import gradients_of

        gradients = gradients_of(tape.outputs, tape.inputs, given, retain_graph=True, materialize_grads=True)
    dx, dh0, dc0, *dweights = (_download(d) for d in gradients)
    names = tape.call.spec.parameter_shapes()
    return Gradients(dx=dx, dh0=dh0, dc0=dc0, dweights=dict(zip(names, dweights, strict=True)))


def _run(call: Call, *, keep: bool) -> tuple[Outputs, Tape]:
    from gatesmith.ops.cuda.problem import unsupported_feature

    formulated = call.x.dtype == np.float64 or unsupported_feature(call.spec) is not None
    results, tape = _run_formulation(call, keep=keep) if formulated else _run_kernels(call, keep=keep)
    y, h_n, c_n = (_download(result) for result in results)
    return Outputs(y=y, h_n=h_n, c_n=c_n), tape


def _run_kernels(call: Call, *, keep: bool) -> tuple[tuple[Any, ...], KernelTape]:
    from gatesmith.ops.cuda.lstm import forward as run_forward
    from gatesmith.ops.cuda.problem import make_problem

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
    *outputs, kept = run_forward(problem, keep=keep)
    return tuple(outputs), KernelTape(call=call, problem=problem, kept=kept)


def _run_formulation(call: Call, *, keep: bool) -> tuple[tuple[Any, ...], FormulationTape]:
    import torch

    from gatesmith.ops.formulation import formulate

    inputs = [_upload(array).requires_grad_(keep) for array in (call.x, call.h0, call.c0, *call.weights.values())]
    x, h0, c0, *weights = inputs
    params = dict(zip(call.weights, weights, strict=True))
    seed = torch.tensor((call.seed + 2**63) % 2**64 - 2**63) if call.training else None  # as int64
    with torch.set_grad_enabled(keep):
        outputs = formulate(call.spec, params, x, h0, c0, _upload(call.lengths), seed)
    return outputs, FormulationTape(call=call, inputs=inputs, outputs=outputs)


def _upload(array: Array) -> Any:
    import torch

    return torch.tensor(np.ascontiguousarray(array)).to("cpu" if _interprets() else "cuda")


def _download(tensor: Any) -> Array:
    return tensor.detach().cpu().numpy()


def _interprets() -> bool:
    from triton import knobs  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]

    return bool(cast("Any", knobs).runtime.interpret)
