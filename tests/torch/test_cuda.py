"""The operator's way to the Triton kernels, in their interpreter: same results, and a tape that is a tensor."""

import subprocess
import sys

import pytest
import torch
from tests.tolerances import TOLERANCES

import gatesmith.torch
from gatesmith.ops.cuda import lstm
from gatesmith.ops.cuda.problem import DTYPES, unsupported_feature
from gatesmith.spec import LSTMSpec
from gatesmith.torch import cuda, operator

SPEC = LSTMSpec(2, 3, direction="bidirectional")


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """CPU tensors go to the kernels, as CUDA tensors do."""

    def takes(x: torch.Tensor, spec: LSTMSpec) -> bool:
        return x.dtype in DTYPES and unsupported_feature(spec) is None

    monkeypatch.setattr(cuda, "takes", takes)


def arguments(spec: LSTMSpec, *, lengths: list[int] | None = None) -> tuple:
    generator = torch.Generator().manual_seed(0)

    def leaf(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator).requires_grad_()

    cells = len(spec.cells())
    weights = [leaf(*shape) for shape in spec.parameter_shapes().values()]
    given = None if lengths is None else torch.tensor(lengths)
    states = leaf(cells, 2, spec.hidden_size), leaf(cells, 2, spec.hidden_size)
    return (leaf(2, 2, spec.input_size), *states, given, None, weights, spec.to_json(), True)


@pytest.mark.usefixtures("taken")
def test_opcheck() -> None:
    # Without the compiled check, which runs backward many times over: minutes in the interpreter.
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(operator.lstm, arguments(SPEC, lengths=[1, 2]), test_utils=checks)


def test_gradients_are_those_of_the_cpu(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    def results() -> list[torch.Tensor]:
        given = arguments(SPEC, lengths=[2, 1])
        y, h_n, c_n, _ = operator.lstm(*given)
        loss = (y * y).sum() + h_n.sum() + 2 * c_n.sum()
        return [y, h_n, c_n, *torch.autograd.grad(loss, [*given[:3], *given[5]])]

    expected = results()
    request.getfixturevalue("taken")
    called = []
    forward = lstm.forward
    monkeypatch.setattr(lstm, "forward", lambda *args, **kwargs: called.append(1) or forward(*args, **kwargs))
    for ours, theirs in zip(results(), expected, strict=True):
        assert (ours - theirs).abs().max() <= TOLERANCES["cuda_float32"]
    assert called


@pytest.mark.usefixtures("taken")
def test_second_derivatives_go_through_the_formulation() -> None:
    x, h0, c0, *rest = arguments(LSTMSpec(2, 3))
    (dx,) = torch.autograd.grad(operator.lstm(x, h0, c0, *rest)[0].sum(), x, create_graph=True)
    (ours,) = torch.autograd.grad((dx * dx).sum(), x)
    double = [tensor.detach().double().requires_grad_() for tensor in (x, h0, c0)]
    rest[2] = [weight.detach().double() for weight in rest[2]]
    (dx,) = torch.autograd.grad(operator.formulate_call(*double, *rest[:4])[0].sum(), double[0], create_graph=True)
    (expected,) = torch.autograd.grad((dx * dx).sum(), double[0])
    assert (ours - expected).abs().max() <= TOLERANCES["cuda_float32"]


@pytest.mark.usefixtures("taken")
def test_the_tape_is_a_tensor_that_survives_saving_hooks() -> None:
    given = arguments(LSTMSpec(2, 3))
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t.clone(), lambda t: t.clone()):
        y, *_ = operator.lstm(*given)
    (dx,) = torch.autograd.grad(y.sum(), given[0])
    (expected,) = torch.autograd.grad(operator.lstm(*given)[0].sum(), given[0])
    assert torch.equal(dx, expected)


def test_cpu_tensors_and_unknown_variants_are_not_taken() -> None:
    assert not cuda.takes(torch.zeros(1, 1, 2), SPEC)
    assert gatesmith.torch.LSTM(2, 3)(torch.zeros(1, 1, 2))[0].shape == (1, 1, 3)


def test_the_module_runs_where_triton_is_not_installed() -> None:
    program = (
        "import sys; sys.modules['triton'] = None\n"
        "import torch, gatesmith.torch\n"
        "y, _ = gatesmith.torch.LSTM(2, 3)(torch.zeros(4, 1, 2)); y.sum().backward()"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
