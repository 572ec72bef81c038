"""``gatesmith.torch.LSTM`` and ``LSTMCell`` in the place of ``torch.nn``'s."""

import copy
import io
import itertools
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.strategies import deterministic, plain_specs
from tests.tolerances import TOLERANCES
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence, pad_packed_sequence

import gatesmith.torch
from gatesmith.errors import InputError
from gatesmith.spec import LSTMSpec

SHAPES = [
    {"num_layers": 1},
    {"num_layers": 2, "bidirectional": True},
    {"num_layers": 3, "bias": False},
    {"num_layers": 2, "proj_size": 2},
    {"num_layers": 2, "bidirectional": True, "proj_size": 2, "batch_first": True},
]


def pair(seed: int = 0, dtype: torch.dtype = torch.float64, **options: Any) -> tuple[torch.nn.LSTM, Any]:
    """PyTorch's module and ours, drawn from the same seed."""
    modules = []
    for kind in (torch.nn.LSTM, gatesmith.torch.LSTM):
        torch.manual_seed(seed)
        modules.append(kind(3, 4, dtype=dtype, **options))
    return modules[0], modules[1]


def outputs_and_gradients(module: torch.nn.Module, *inputs: Any) -> list[torch.Tensor]:
    """y, h_n, c_n and the gradients of everything, from the same random upstream gradients."""
    leaves = [leaf for leaf in tensors(inputs) if leaf.requires_grad]
    y, (h_n, c_n) = module(*inputs)
    results = [y.data if isinstance(y, PackedSequence) else y, h_n, c_n]
    generator = torch.Generator().manual_seed(1)
    ups = [torch.randn(r.shape, generator=generator, dtype=r.dtype) for r in results]
    grads = torch.autograd.grad(results, [*leaves, *module.parameters()], ups)
    return [*results, *grads]


def tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, PackedSequence):
        return [value.data]
    return [leaf for part in value for leaf in tensors(part)] if value is not None else []


def assert_close(ours: list[torch.Tensor], theirs: list[torch.Tensor], tolerance: str) -> None:
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        error = float((a - b).detach().abs().max()) / max(1.0, float(b.detach().abs().max())) if b.numel() else 0.0
        assert error <= TOLERANCES[tolerance], f"differs by {error:.2e}"


def leaf(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=generator, dtype=dtype).requires_grad_()


@pytest.mark.parametrize("options", SHAPES, ids=str)
def test_state_dict_and_initial_weights_are_those_of_torch(options: dict[str, Any]) -> None:
    theirs, ours = pair(**options)
    assert list(theirs.state_dict()) == list(ours.state_dict())
    for name, value in theirs.state_dict().items():
        assert torch.equal(value, ours.state_dict()[name])
    assert [[p.shape for p in cell] for cell in theirs.all_weights] == [
        [p.shape for p in cell] for cell in ours.all_weights
    ]
    ours.load_state_dict(theirs.state_dict())
    ours.flatten_parameters()
    for name in ("input_size", "hidden_size", "num_layers", "bias", "batch_first", "bidirectional", "proj_size"):
        assert getattr(ours, name) == getattr(theirs, name)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("options", SHAPES, ids=str)
@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, "reference_to_pytorch_float64"), (torch.float32, "module_float32")]
)
def test_same_outputs_and_gradients_as_torch(
    options: dict[str, Any], with_state: bool, dtype: torch.dtype, tolerance: str
) -> None:
    theirs, ours = pair(dtype=dtype, **options)
    x = leaf(2, 5, 3, dtype=dtype) if options.get("batch_first") else leaf(5, 2, 3, dtype=dtype)
    cells = options["num_layers"] * (2 if options.get("bidirectional") else 1)
    state = (leaf(cells, 2, options.get("proj_size", 4), dtype=dtype), leaf(cells, 2, 4, dtype=dtype))
    inputs = (x, state) if with_state else (x,)
    assert_close(outputs_and_gradients(ours, *inputs), outputs_and_gradients(theirs, *inputs), tolerance)


@pytest.mark.parametrize("options", SHAPES, ids=str)
def test_unbatched_input(options: dict[str, Any]) -> None:
    theirs, ours = pair(**options)
    cells = options["num_layers"] * (2 if options.get("bidirectional") else 1)
    inputs = (leaf(5, 3), (leaf(cells, options.get("proj_size", 4)), leaf(cells, 4)))
    for args in (inputs, inputs[:1]):
        assert_close(
            outputs_and_gradients(ours, *args), outputs_and_gradients(theirs, *args), "reference_to_pytorch_float64"
        )


@given(
    spec=plain_specs().filter(lambda spec: spec.direction != "reverse"),
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    with_state=st.booleans(),
    enforce_sorted=st.booleans(),
)
@deterministic(40)
def test_packed_sequences(spec: LSTMSpec, lengths: list[int], with_state: bool, enforce_sorted: bool) -> None:
    if enforce_sorted:
        lengths = sorted(lengths, reverse=True)
    options = {
        "num_layers": spec.num_layers,
        "bias": spec.bias,
        "bidirectional": spec.direction == "bidirectional",
        "proj_size": spec.proj_size,
        "dtype": torch.float64,
    }
    theirs = torch.nn.LSTM(spec.input_size, spec.hidden_size, **options)
    ours = gatesmith.torch.LSTM(spec.input_size, spec.hidden_size, **options)
    ours.load_state_dict(theirs.state_dict())
    cells, batch = len(spec.cells()), len(lengths)
    state = (leaf(cells, batch, spec.output_size), leaf(cells, batch, spec.hidden_size)) if with_state else None
    sequences = [torch.randn(n, spec.input_size, dtype=torch.float64) for n in lengths]
    results = []
    for module in (ours, theirs):
        packed = pack_sequence([s.clone().requires_grad_() for s in sequences], enforce_sorted=enforce_sorted)
        packed.data.retain_grad()
        y, (h_n, c_n) = module(packed, state)
        assert isinstance(y, PackedSequence)
        padded, got = pad_packed_sequence(y)
        assert got.tolist() == lengths
        (padded.square().sum() + h_n.sum() + c_n.pow(3).sum()).backward()
        states = [s.grad.clone() for s in state] if state else []
        results.append([y.data, h_n, c_n, packed.data.grad, *states, *(p.grad for p in module.parameters())])
        for s in state or ():
            s.grad = None
    assert_close(results[0], results[1], "reference_to_pytorch_float64")


def test_lengths_do_what_packing_does_and_allow_zero() -> None:
    theirs, ours = pair(num_layers=2, bidirectional=True, batch_first=True)
    x = leaf(3, 5, 3)
    y, (h_n, c_n) = ours(x, lengths=[5, 0, 2])
    packed = pack_padded_sequence(x[[0, 2]], [5, 2], batch_first=True)
    expected, (h, c) = theirs(packed)
    unpacked, _ = pad_packed_sequence(expected, batch_first=True, total_length=5)
    assert_close([y[[0, 2]], h_n[:, [0, 2]], c_n[:, [0, 2]]], [unpacked, h, c], "reference_to_pytorch_float64")
    assert not y[1].any()
    assert not h_n[:, 1].any()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batch", [None, 3])
def test_cell_matches_torch(bias: bool, batch: int | None) -> None:
    torch.manual_seed(0)
    theirs = torch.nn.LSTMCell(3, 4, bias, dtype=torch.float64)
    torch.manual_seed(0)
    ours = gatesmith.torch.LSTMCell(3, 4, bias, dtype=torch.float64)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    shape = () if batch is None else (batch,)
    x, h, c = leaf(*shape, 3), leaf(*shape, 4), leaf(*shape, 4)
    assert_close(list(ours(x)), list(theirs(x)), "reference_to_pytorch_float64")
    grads = []
    for module in (ours, theirs):
        out = module(x, (h, c))
        ups = [torch.full_like(part, 0.5 + k) for k, part in enumerate(out)]
        grads.append([*out, *torch.autograd.grad(out, [x, h, c, *module.parameters()], ups)])
    assert_close(grads[0], grads[1], "reference_to_pytorch_float64")


def test_every_variant_is_a_module() -> None:
    spec = LSTMSpec(
        3, 4, 2, "bidirectional", peepholes="io", layer_norm="gates_and_cell", proj_size=2, zoneout_h=0.1, residual=True
    )
    module = gatesmith.torch.LSTM.from_spec(spec, dtype=torch.float64)
    x = leaf(5, 2, 3)
    y, _ = module.eval()(x, lengths=[5, 3])
    lstm = gatesmith.torch.from_torch(module)
    assert lstm.spec == spec
    expected, _ = lstm(x.detach().numpy(), lengths=[5, 3])
    assert np.array_equal(y.detach().numpy(), expected)


def test_noise_follows_the_seed_of_torch_and_stops_in_evaluation() -> None:
    module = gatesmith.torch.LSTM(3, 4, 2, dropout=0.5, dtype=torch.float64)
    x = leaf(5, 2, 3)
    torch.manual_seed(1)
    first, second = module(x)[0], module(x)[0]
    torch.manual_seed(1)
    again = module(x)[0]
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    module.eval()
    assert torch.equal(module(x)[0], module(x)[0])


def test_dropout_of_one_layer_warns_as_torch_does() -> None:
    with pytest.warns(UserWarning, match="between layers"):
        gatesmith.torch.LSTM(3, 4, dropout=0.5)


def test_learned_initial_state_gets_gradients_and_yields_to_a_given_one() -> None:
    module = gatesmith.torch.LSTM.from_spec(LSTMSpec(3, 4, 2), learned_state=True, dtype=torch.float64)
    assert module.initial_h.shape == (2, 4)
    torch.nn.init.normal_(module.initial_h)
    torch.nn.init.normal_(module.initial_c)
    x = leaf(5, 2, 3)
    y, _ = module(x)
    given_state = (module.initial_h[:, None].expand(2, 2, 4), module.initial_c[:, None].expand(2, 2, 4))
    assert torch.equal(y, module(x, given_state)[0])
    assert not torch.equal(y, module(x, (torch.zeros_like(given_state[0]), torch.zeros_like(given_state[1])))[0])
    y.sum().backward()
    assert module.initial_h.grad is not None
    assert module.initial_c.grad.abs().sum() > 0


@pytest.mark.parametrize("options", [*SHAPES, {"num_layers": 2, "dropout": 0.5}])
def test_shows_itself_as_torch_does(options: dict[str, Any]) -> None:
    theirs, ours = pair(**options)
    assert repr(ours) == repr(theirs)
    assert ours.mode == theirs.mode


def test_a_variant_shows_what_is_not_the_default() -> None:
    spec = LSTMSpec(3, 5, direction="reverse", cell_clip=2.0)
    module = gatesmith.torch.LSTM.from_spec(spec, learned_state=True)
    assert repr(module) == "LSTM(3, 5, direction='reverse', cell_clip=2.0, learned_state=True)"
    for bias in (True, False):
        assert repr(gatesmith.torch.LSTMCell(3, 5, bias)) == repr(torch.nn.LSTMCell(3, 5, bias))


def test_weights_written_in_place_count_at_the_next_call() -> None:
    """By an optimiser, under no_grad, through .data, through NumPy, and by loading."""
    theirs, ours = pair(num_layers=2, dtype=torch.float32)
    x = torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(2))

    def outputs(module: Any) -> list[torch.Tensor]:
        optimiser, seen = torch.optim.SGD(module.parameters(), 0.1), [module(x)[0]]
        seen[0].square().mean().backward()
        optimiser.step()
        with torch.no_grad():
            seen.append(module(x)[0])
            module.weight_ih_l0.mul_(2)
            seen.append(module(x)[0])
            module.weight_hh_l0.data[:] = 0.1
            seen.append(module(x)[0])
            module.bias_ih_l0.data = torch.ones_like(module.bias_ih_l0)
            seen.append(module(x)[0])
            module.weight_hh_l1.numpy()[:] = 0.3
            seen.append(module(x)[0])
            module.load_state_dict({name: value / 2 for name, value in module.state_dict().items()})
            seen.append(module(x)[0])
        assert all(not torch.equal(a, b) for a, b in itertools.pairwise(seen))
        return seen

    assert_close(outputs(ours), outputs(theirs), "module_float32")


def test_copies_pickles_and_saves() -> None:
    _, module = pair(num_layers=2)
    x = leaf(5, 2, 3)
    expected = module(x)[0]
    assert torch.equal(copy.deepcopy(module)(x)[0], expected)
    assert torch.equal(pickle.loads(pickle.dumps(module))(x)[0], expected)
    buffer = io.BytesIO()
    torch.save(module.state_dict(), buffer)
    buffer.seek(0)
    other = gatesmith.torch.LSTM(3, 4, 2, dtype=torch.float64)
    other.load_state_dict(torch.load(buffer, weights_only=True))
    assert torch.equal(other(x)[0], expected)


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((torch.zeros(5, 2, 7),), {}, r"input has shape \(5, 2, 7\); expected .* with D = 3"),
        ((torch.zeros(5),), {}, r"input has shape \(5,\)"),
        ((torch.zeros(5, 2, 3), (torch.zeros(1, 3, 4), torch.zeros(1, 2, 4))), {}, r"h0 has shape \(1, 3, 4\)"),
        ((torch.zeros(5, 2, 3), (torch.zeros(1, 2, 4), torch.zeros(1, 2, 4).double())), {}, "c0 has dtype"),
        ((torch.zeros(5, 2, 3).double(),), {}, "cast one of them"),
        ((torch.zeros(5, 2, 3),), {"lengths": [6, 1]}, r"lengths\[0\] is 6; expected 0 to T = 5"),
        ((torch.zeros(5, 2, 3),), {"lengths": [1]}, "expected one per sequence"),
        ((pack_sequence([torch.zeros(2, 3)]),), {"lengths": [2]}, "carries its lengths"),
    ],
)
def test_wrong_input_is_named(args: tuple[Any, ...], kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        gatesmith.torch.LSTM(3, 4)(*args, **kwargs)


def test_half_precision_is_computed_in_float32() -> None:
    _, module = pair(dtype=torch.float32)
    half = copy.deepcopy(module).bfloat16()
    wide = copy.deepcopy(half).float()
    x = leaf(5, 2, 3, dtype=torch.float32).detach().bfloat16()
    y, (h_n, _) = half(x)
    assert y.dtype == h_n.dtype == torch.bfloat16
    assert torch.equal(y, wide(x.float())[0].bfloat16())


def test_autocast_computes_in_float32_and_gives_back_what_it_got() -> None:
    _, module = pair(dtype=torch.float32)
    layer = torch.nn.Linear(3, 3)
    x = leaf(5, 2, 3, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        narrow = layer(x)
        y, _ = module(narrow)
    assert narrow.dtype == y.dtype == torch.bfloat16
    y.float().sum().backward()
    assert module.weight_hh_l0.grad.dtype == torch.float32
    assert layer.weight.grad is not None


def test_transforms_of_torch_func() -> None:
    _, module = pair(num_layers=2, bidirectional=True)
    x = leaf(5, 2, 3).detach()
    parameters = dict(module.named_parameters())
    grads = torch.func.grad(lambda p: torch.func.functional_call(module, p, (x,))[0].sum())(parameters)
    expected = torch.autograd.grad(module(x)[0].sum(), list(parameters.values()))
    assert_close(list(grads.values()), list(expected), "reference_to_pytorch_float64")
    jacobian = torch.func.jacrev(lambda x: module(x)[0].sum((0, 1)))(x)
    assert jacobian.shape == (8, 5, 2, 3)
    stacked = torch.func.vmap(lambda x: module(x)[0])(torch.stack([x, 2 * x]))
    assert_close([stacked[1]], [module(2 * x)[0]], "reference_to_pytorch_float64")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(0, 2, 3), (5, 0, 3), (0, 0, 3)])
def test_no_steps_and_no_sequences(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    _, module = pair(num_layers=2, dtype=dtype)
    x = torch.zeros(shape, dtype=dtype, requires_grad=True)
    y, (h_n, c_n) = module(x)
    assert y.shape == (*shape[:2], 4)
    assert h_n.shape == c_n.shape == (2, shape[1], 4)
    (y.sum() + h_n.sum() + c_n.sum()).backward()
    assert x.grad.shape == shape
    assert all(torch.isfinite(parameter.grad).all() for parameter in module.parameters())
