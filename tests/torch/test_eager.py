"""The way past PyTorch's dispatcher: the same results as the registered operator, and autograd's promises kept."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.strategies import deterministic
from tests.tolerances import TOLERANCES

import gatesmith.torch
from gatesmith.errors import InputError
from gatesmith.torch import direct, eager


@pytest.fixture
def only_registered(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Turns the way past the dispatcher off."""
    return lambda: monkeypatch.setattr(eager, "takes", lambda *_: False)


def results_of(module: Any, x: torch.Tensor, hx: Any = None, **options: Any) -> list[torch.Tensor]:
    """y, h_n, c_n and the gradients of a fixed scalar with respect to everything that asks for one."""
    y, (h_n, c_n) = module(x, hx, **options)
    leaves = [leaf for leaf in (x, *(hx or ()), *module.parameters()) if leaf.requires_grad]
    scalar = (y * torch.linspace(-1, 1, y.numel()).view_as(y)).sum() + h_n.square().sum() + c_n.sum()
    return [y.detach(), h_n.detach(), c_n.detach(), *torch.autograd.grad(scalar, leaves)]


@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}, {"bias": False}, {"proj_size": 3}])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("lengths", [None, [5, 0, 3]])
def test_equals_the_registered_operator_in_bits(
    options: Any, dtype: torch.dtype, lengths: Any, only_registered: Any
) -> None:
    torch.manual_seed(0)
    module = gatesmith.torch.LSTM(4, 6, dtype=dtype, **options)
    x = torch.randn(5, 3, 4, dtype=dtype, requires_grad=True)
    past = results_of(module, x, lengths=lengths)
    only_registered()
    for ours, theirs in zip(past, results_of(module, x, lengths=lengths), strict=True):
        assert torch.equal(ours, theirs)


@given(steps=st.integers(0, 6), batch=st.integers(0, 8), hidden=st.integers(1, 40), inputs=st.integers(1, 20))
@deterministic(25)
def test_equals_pytorch(steps: int, batch: int, hidden: int, inputs: int) -> None:
    if not steps or not batch:  # PyTorch refuses them
        y, _ = gatesmith.torch.LSTM(inputs, hidden)(torch.randn(steps, batch, inputs, requires_grad=True))
        return y.sum().backward()
    torch.manual_seed(steps)
    theirs = torch.nn.LSTM(inputs, hidden)
    ours = gatesmith.torch.LSTM(inputs, hidden)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(steps, batch, inputs, requires_grad=True)
    hx = (torch.randn(1, batch, hidden, requires_grad=True), torch.randn(1, batch, hidden, requires_grad=True))
    for a, b in zip(results_of(ours, x, hx), results_of(theirs, x, hx), strict=True):
        error = float((a - b).abs().max() / b.abs().max().clamp(min=1.0))
        assert error <= TOLERANCES["module_float32"], f"differs by {error:.2e}"
    return None


@pytest.mark.parametrize("how", ["expanded", "transposed", "every other", "columns of a wider array"])
def test_any_strides(how: str) -> None:
    module = gatesmith.torch.LSTM(4, 6)
    x = {
        "expanded": lambda: torch.randn(1, 3, 4).expand(5, 3, 4),
        "transposed": lambda: torch.randn(4, 3, 5).transpose(0, 2),
        "every other": lambda: torch.randn(10, 6, 8)[::2, ::2, ::2],
        "columns of a wider array": lambda: torch.randn(5, 3, 9)[..., 2:6],
    }[how]()
    dense = x.clone(memory_format=torch.contiguous_format)
    h0, c0 = torch.randn(6, 3, 1).transpose(0, 2), torch.randn(1, 6, 3).transpose(1, 2)
    assert not h0.is_contiguous()
    x.requires_grad_(), dense.requires_grad_()
    for a, b in zip(results_of(module, x, (h0, c0)), results_of(module, dense, (h0.clone(), c0.clone())), strict=True):
        assert torch.equal(a, b)


def test_parameters_of_any_strides() -> None:
    module = gatesmith.torch.LSTM(4, 6)
    x = torch.randn(5, 3, 4, requires_grad=True)
    expected = results_of(module, x)
    module.weight_hh_l0.data = module.weight_hh_l0.data.T.contiguous().T
    for a, b in zip(results_of(module, x), expected, strict=True):
        assert torch.equal(a, b)


def test_frozen_parameters_and_inputs_change_no_other_gradient() -> None:
    module = gatesmith.torch.LSTM(4, 6)
    x = torch.randn(5, 3, 4, requires_grad=True)
    _, _, _, dx, *dparameters = results_of(module, x)
    module.weight_ih_l0.requires_grad_(False)
    module.bias_hh_l0.requires_grad_(False)
    *_, dx_again, dw_hh, db_ih = results_of(module, x)
    assert torch.equal(dx, dx_again)
    assert torch.equal(dw_hh, dparameters[1])
    assert torch.equal(db_ih, dparameters[2])
    *_, dw_hh, db_ih = results_of(module, x.detach())
    assert torch.equal(dw_hh, dparameters[1])
    assert torch.equal(db_ih, dparameters[2])


def test_a_second_derivative_follows() -> None:
    torch.manual_seed(0)
    module = gatesmith.torch.LSTM(3, 4, 2, bidirectional=True)
    double = gatesmith.torch.LSTM(3, 4, 2, bidirectional=True, dtype=torch.float64)
    double.load_state_dict(module.state_dict())
    x = torch.randn(5, 2, 3)

    def second(module: Any, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = x.clone().requires_grad_()
        (dx,) = torch.autograd.grad(module(x)[0].square().sum(), x, create_graph=True)
        return torch.autograd.grad(dx.square().sum(), [x, *module.parameters()])

    for a, b in zip(second(module, x), second(double, x.double()), strict=True):
        assert float((a - b).abs().max() / b.abs().max()) <= TOLERANCES["module_float32"]


@pytest.mark.parametrize("registered", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_output_changed_in_place_is_an_error(dtype: torch.dtype, registered: bool, only_registered: Any) -> None:
    if registered:
        only_registered()
    y, _ = gatesmith.torch.LSTM(3, 4, dtype=dtype)(torch.randn(5, 2, 3, dtype=dtype))
    scalar = y.mul_(2.0).sum()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        scalar.backward()


def test_hooks_may_copy_what_is_saved() -> None:
    module = gatesmith.torch.LSTM(3, 4)
    x = torch.randn(5, 2, 3, requires_grad=True)
    expected = results_of(module, x)
    copied = (lambda t: t.clone(), lambda t: t)
    with torch.autograd.graph.saved_tensors_hooks(*copied):
        actual = results_of(module, x)
    for a, b in zip(actual, expected, strict=True):
        assert torch.equal(a, b)


def test_backward_twice_and_memory_comes_back() -> None:
    module = gatesmith.torch.LSTM(3, 4)
    y, _ = module(torch.randn(5, 2, 3))
    y.sum().backward(retain_graph=True)
    first = module.weight_hh_l0.grad.clone()
    module(torch.randn(5, 2, 3))[0].sum().item()  # another call must not write over the tape
    y.sum().backward()
    assert torch.equal(module.weight_hh_l0.grad, 2 * first)


@pytest.mark.parametrize("lengths", [[5, 6], [5, -1], [5]])
def test_wrong_lengths(lengths: list[int]) -> None:
    with pytest.raises(InputError, match="lengths"):
        gatesmith.torch.LSTM(3, 4)(torch.randn(5, 2, 3), lengths=lengths)


def test_what_may_not_go_past_the_dispatcher() -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    x = torch.randn(5, 2, 3)
    assert eager.takes(x, x, x, [])
    assert not eager.takes(x, x, x.double(), [])
    assert not eager.takes(torch.empty(1, device="meta"), x, x, [])
    with FakeTensorMode():
        assert not eager.takes(x, x, x, [])
    seen: list[bool] = []
    torch.func.vmap(lambda t: (seen.append(eager.takes(t, t, t, [])), t)[1])(x)
    assert seen == [False]
    double = x.double()
    assert not direct.takes(double, None, gatesmith.torch.LSTM(3, 4).spec)


def test_weight_norm_stays_in_the_graph() -> None:
    modules = [gatesmith.torch.LSTM(3, 4, dtype=torch.float64), torch.nn.LSTM(3, 4, dtype=torch.float64)]
    modules[1].load_state_dict(modules[0].state_dict())
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    gradients: list[torch.Tensor] = []
    for module in modules:
        torch.nn.utils.parametrizations.weight_norm(module, "weight_hh_l0")
        module(x)[0].square().sum().backward()
        gradients.append(module.parametrizations.weight_hh_l0.original1.grad)
    assert torch.allclose(gradients[0], gradients[1], atol=TOLERANCES["reference_to_pytorch_float64"])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_under_autocast_a_call_is_computed_in_float32(dtype: torch.dtype) -> None:
    """Half precision would gain nothing on a processor; what comes in as half precision leaves as it."""
    torch.manual_seed(0)
    module = gatesmith.torch.LSTM(3, 4)
    x = torch.randn(5, 2, 3).to(dtype)
    expected = results_of(module, x.float().requires_grad_())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        actual = results_of(module, x.clone().requires_grad_())
    assert [t.dtype for t in actual[:4]] == [dtype] * 4
    assert {t.dtype for t in actual[4:]} == {torch.float32}
    tolerance = TOLERANCES["module_float32" if dtype == torch.float32 else "module_bfloat16"]
    for a, b in zip(actual, expected, strict=True):
        assert float((a.float() - b).abs().max() / b.abs().max()) <= tolerance


def test_an_exported_program_holds_the_operator_and_gives_the_same() -> None:
    module = gatesmith.torch.LSTM(3, 4, 2, bidirectional=True).eval()
    x = torch.randn(5, 2, 3)
    program = torch.export.export(module, (x,), dynamic_shapes=({1: torch.export.Dim("batch", min=1, max=64)},))
    assert [str(node.target) for node in program.graph.nodes].count("gatesmith.lstm.default") == 1
    wider = torch.randn(5, 7, 3)
    assert torch.equal(program.module()(wider)[0], module(wider)[0])
    assert torch.equal(program.module()(x)[1][1], module(x)[1][1])
