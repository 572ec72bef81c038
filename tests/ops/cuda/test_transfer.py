"""A call neither waits for the device nor lets its data decide what runs: everything works on tensors without data.

Meta tensors stand for a GPU's: reading one on the host is an error, and so is here a copy between them and the host,
unless it is one of ``upload``, which does not wait.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from gatesmith.errors import UnsupportedError
from gatesmith.ops import formulation
from gatesmith.ops.cuda import kernels, launch, problem
from gatesmith.ops.cuda.tiling import H100
from gatesmith.ops.cuda.transfer import upload
from gatesmith.spec import LSTMSpec
from gatesmith.torch import cuda
from gatesmith.torch.operator import formulate_call


class NoCopies(TorchDispatchMode):
    """Every operation stays on one device; numbers without dimensions may come from the host."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        tensors = torch.utils._pytree.tree_leaves((args, kwargs or {}, result))
        devices = {t.device.type for t in tensors if isinstance(t, torch.Tensor) and t.ndim}
        assert len(devices) <= 1, f"{func} copies between the host and the device"
        return result


@pytest.fixture
def uploads(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """An H100 of meta tensors; gives what was uploaded to it."""
    seen: list[torch.Tensor] = []

    def record(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        if values.device != like.device:
            seen.append(values)
        return torch.empty(values.shape, dtype=values.dtype, device=like.device)

    for module in (launch, problem, formulation):
        monkeypatch.setattr(module, "upload", record)
    for module in (launch, problem):
        monkeypatch.setattr(module, "machine_of", lambda _: H100)
    return seen


@pytest.fixture
def launches(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool, bool]]:
    """(pass, whether a wave, whether in one launch) of every launch; nothing runs."""
    seen: list[tuple[str, bool, bool]] = []

    def recorder(name: str) -> Callable[..., None]:
        def record(*args: object, **options: Any) -> None:
            given = [arg for arg in args if isinstance(arg, torch.Tensor)]
            assert all(tensor.is_contiguous() for tensor in given)
            assert {tensor.device.type for tensor in given} == {"meta"}
            seen.append((name, options["WAVE"], options["launch_cooperative_grid"]))

        return record

    def stub(name: str) -> Any:
        return mock.MagicMock(__getitem__=lambda *_: recorder(name))

    monkeypatch.setattr(kernels, "KERNELS", {name: stub(name) for name in kernels.KERNELS})
    return seen


def arguments(spec: LSTMSpec, seed: int | None) -> tuple[Any, ...]:
    def empty(*shape: int) -> torch.Tensor:
        return torch.empty(shape, device="meta", requires_grad=True)

    cells = len(spec.cells())
    lengths = torch.empty(16, dtype=torch.int64, device="meta")
    weights = [empty(*shape) for shape in spec.parameter_shapes().values()]
    states = empty(cells, 16, spec.output_size), empty(cells, 16, spec.hidden_size)
    return empty(5, 16, spec.input_size), *states, lengths, None if seed is None else torch.tensor(seed), weights


NOISE: dict[str, Any] = {"zoneout_h": 0.1, "recurrent_dropout": 0.1}


@pytest.mark.parametrize("seed", [None, 3], ids=["evaluation", "training"])
@pytest.mark.parametrize(
    ("spec", "stacks"),
    [
        (
            LSTMSpec(8, 64, 2, "bidirectional", peepholes="ifo", residual=True, drop_states=True, **NOISE),
            [False, False],
        ),
        (LSTMSpec(8, 64, 3, peepholes="if", **NOISE), [True]),
        (LSTMSpec(8, 64, 2, "bidirectional", proj_size=16, proj_bias=True, zoneout_c=0.1, dropout=0.1), [False, False]),
    ],
    ids=["directions", "wave", "projection"],
)
def test_the_kernels_are_launched_without_looking_at_data(
    uploads: list[torch.Tensor], launches: list[Any], spec: LSTMSpec, stacks: list[bool], seed: int | None
) -> None:
    given = arguments(spec, seed)
    with NoCopies(), torch.no_grad():
        y, h_n, c_n, tape = cuda.run_forward(*given, spec, keep_tape=True)
        gradients = cuda.run_backward(y, h_n, c_n, tape, *given, spec)
    forward, backward = launches[: len(stacks)], launches[len(stacks) :]
    assert forward == [("forward", wave, True) for wave in stacks]
    assert backward == [("backward", wave, True) for wave in stacks]
    assert [g.shape for g in gradients] == [t.shape for t in (*given[:3], *given[5])]
    # In evaluation a CUDA graph can capture all of it; in training masks come from the host.
    assert bool(uploads) == (seed is not None)


EVERYTHING = LSTMSpec(
    4,
    6,
    2,
    "bidirectional",
    layer_norm="inputs_and_cell",
    proj_size=3,
    full_peepholes="io",
    peepholes="f",
    coupled_gates="i=1-f",
    residual=True,
    drop_states=True,
    zoneout_c=0.1,
    dropout=0.1,
    **NOISE,
)


@pytest.mark.parametrize("seed", [None, 3], ids=["evaluation", "training"])
def test_the_formulation_does_not_look_at_data(uploads: list[torch.Tensor], seed: int | None) -> None:
    x, h0, c0, lengths, drawn, weights = arguments(EVERYTHING, seed)
    with NoCopies():
        outputs = formulate_call(x, h0, c0, lengths, drawn, weights, EVERYTHING.to_json())
        first = torch.autograd.grad(outputs, [x, *weights], outputs, create_graph=True, allow_unused=True)
        torch.autograd.grad([d.sum() for d in first if d is not None], [x], allow_unused=True)
    assert bool(uploads) == (seed is not None)


def test_a_call_that_looks_at_data_would_show() -> None:
    device = torch.empty(3, device="meta")
    with pytest.raises(RuntimeError, match="meta"):
        device.max().item()
    with NoCopies(), pytest.raises(AssertionError, match="copies between"):
        torch.zeros(3).to("meta")


def test_an_upload_does_not_wait_and_is_not_captured(monkeypatch: pytest.MonkeyPatch) -> None:
    values = mock.Mock(is_cuda=False)
    like: Any = SimpleNamespace(is_cuda=True, device="the GPU")
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    upload(values, like)
    values.pin_memory.return_value.to.assert_called_once_with("the GPU", non_blocking=True)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    with pytest.raises(UnsupportedError, match="CUDA graph can't capture"):
        upload(values, like)
    there: Any = mock.Mock(is_cuda=True)
    upload(there, like)
    there.pin_memory.assert_not_called()
