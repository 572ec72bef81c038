"""The registered operators: schema, compilation, export, second derivatives, and the life of a tape."""

import gc
from typing import Any

import pytest
import torch
from hypothesis import given
from tests.ops.test_reference import VARIANTS
from tests.strategies import calls, deterministic, specs
from tests.tolerances import TOLERANCES

import gatesmith.torch
from gatesmith.ops import cpu, reference
from gatesmith.ops.call import Call
from gatesmith.ops.formulation import formulate
from gatesmith.spec import LSTMSpec
from gatesmith.torch import operator


def arguments(spec: LSTMSpec, *, lengths: list[int] | None = None, seed: int | None = None) -> tuple[Any, ...]:
    """Arguments of ``gatesmith::lstm`` for T = 4, N = 2, float64, all leaves."""
    generator = torch.Generator().manual_seed(0)

    def leaf(*shape: int) -> torch.Tensor:
        return (0.4 * torch.randn(shape, generator=generator, dtype=torch.float64)).requires_grad_()

    cells = len(spec.cells())
    return (
        leaf(4, 2, spec.input_size),
        leaf(cells, 2, spec.output_size),
        leaf(cells, 2, spec.hidden_size),
        None if lengths is None else torch.tensor(lengths),
        None if seed is None else torch.tensor(seed),
        [leaf(*shape) for shape in spec.parameter_shapes().values()],
        spec.to_json(),
        True,
    )


CASES = {
    "plain": (LSTMSpec(3, 2), None, None),
    "lengths": (LSTMSpec(3, 2), [4, 0], None),
    "training": (LSTMSpec(3, 2, 2, peepholes="ifo", zoneout_h=0.3, dropout=0.4), [3, 4], 7),
    "projection": (LSTMSpec(3, 2, proj_size=1, layer_norm="gates_and_cell"), None, None),
}


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=() if case == "lengths" else pytest.mark.nightly) for case in CASES]
)
def test_opcheck(case: str) -> None:
    spec, lengths, seed = CASES[case]
    args = arguments(spec, lengths=lengths, seed=seed)
    torch.library.opcheck(gatesmith.torch.lstm, args)
    outputs = gatesmith.torch.lstm(*args)
    ups = [torch.ones_like(out, requires_grad=True) for out in outputs[:3]]
    torch.library.opcheck(gatesmith.torch.lstm_backward, (*ups, outputs[3].detach(), *args[:-1]))


@pytest.mark.parametrize("case", CASES)
def test_first_and_second_derivatives_by_finite_differences(case: str) -> None:
    spec, lengths, seed = CASES[case]
    x, h0, c0, lengths_tensor, seed_tensor, weights, text, _ = arguments(spec, lengths=lengths, seed=seed)

    def run(x: torch.Tensor, h0: torch.Tensor, c0: torch.Tensor, *weights: torch.Tensor) -> tuple[torch.Tensor, ...]:
        outputs = gatesmith.torch.lstm(x, h0, c0, lengths_tensor, seed_tensor, list(weights), text, True)
        return tuple(outputs[:3])

    assert torch.autograd.gradcheck(run, (x, h0, c0, *weights), fast_mode=True)
    assert torch.autograd.gradgradcheck(run, (x, h0, c0, *weights), fast_mode=True)


@pytest.mark.nightly
@pytest.mark.parametrize("name", VARIANTS)
def test_second_derivatives_of_every_variant(name: str) -> None:
    spec = LSTMSpec(2, 3, 2, **{"direction": "forward", **VARIANTS[name]})
    x, h0, c0, lengths, seed, weights, text, _ = arguments(spec, lengths=[3, 1], seed=5)

    def run(*leaves: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x, h0, c0, *rest = leaves
        return tuple(gatesmith.torch.lstm(x, h0, c0, lengths, seed, rest, text, True)[:3])

    assert torch.autograd.gradgradcheck(run, (x, h0, c0, *weights), fast_mode=True, atol=1e-4)


def test_third_derivative() -> None:
    x, h0, c0, _, _, weights, text, _ = arguments(LSTMSpec(3, 2))

    def run(x: torch.Tensor) -> torch.Tensor:
        (grad,) = torch.autograd.grad(
            gatesmith.torch.lstm(x, h0, c0, None, None, weights, text, True)[0].sum(), x, create_graph=True
        )
        return grad

    assert torch.autograd.gradgradcheck(run, (x,), fast_mode=True)


def test_second_derivatives_of_no_steps() -> None:
    """Without steps nothing but the states flows through, so d(dh0)/dh_n is one and every other derivative zero."""
    module = gatesmith.torch.LSTM(3, 4).double()
    h0 = torch.randn(1, 2, 4, dtype=torch.float64, requires_grad=True)
    upstream = torch.randn(1, 2, 4, dtype=torch.float64, requires_grad=True)
    _, (h_n, _) = module(torch.empty(0, 2, 3, dtype=torch.float64), (h0, torch.zeros_like(h0)))
    (dh0,) = torch.autograd.grad(h_n, h0, upstream, create_graph=True)
    (second,) = torch.autograd.grad(dh0.sum(), upstream)
    assert torch.equal(second, torch.ones_like(upstream))


@given(call=calls(specs(), max_batch=2, max_steps=3))
@deterministic(40)
def test_formulation_equals_the_reference(call: Call) -> None:
    check_formulation(call)


@given(call=calls(specs(), max_batch=2, max_steps=3, training=True))
@deterministic(25)
def test_formulation_draws_the_same_noise(call: Call) -> None:
    check_formulation(call)


def check_formulation(call: Call) -> None:
    params = {name: torch.tensor(array) for name, array in call.weights.items()}
    x, h0, c0 = (torch.tensor(array) for array in (call.x, call.h0, call.c0))
    seed = torch.tensor(call.seed) if call.training else None
    results = formulate(call.spec, params, x, h0, c0, torch.tensor(call.lengths), seed)
    expected = reference.forward(call)
    for ours, theirs in zip(results, (expected.y, expected.h_n, expected.c_n), strict=True):
        difference = (ours - torch.tensor(theirs)).abs()
        error = float(difference.max() / max(1.0, float(ours.abs().max()))) if ours.numel() else 0.0
        assert error <= TOLERANCES["reference_to_pytorch_float64"], f"differs by {error:.2e}"


@pytest.mark.skipif(cpu.missing() is not None, reason=f"device 'cpu': {cpu.missing()}")
@pytest.mark.parametrize("through", ["module", "compiled", "operator"])
@pytest.mark.parametrize(
    "variant",
    [
        {"peepholes": "ifo", "coupled_gates": "f=1-i", "cell_clip": 0.5},
        {"full_peepholes": "io", "proj_size": 4, "num_layers": 2, "residual": True},
        {"layer_norm": "gates_and_cell", "zoneout_h": 0.3, "zoneout_c": 0.2},
        {"recurrent_dropout": 0.4, "dropout": 0.3, "num_layers": 2, "direction": "bidirectional"},
    ],
    ids=lambda variant: "-".join(variant),
)
def test_variants_in_float32_train_on_the_kernel(
    variant: dict[str, Any], through: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outputs and gradients are those of PyTorch's operations in float64, with the same noise."""
    spec = LSTMSpec(3, 7, **variant)
    torch.manual_seed(0)
    module = gatesmith.torch.LSTM.from_spec(spec).train()
    x = torch.randn(5, 4, 3, requires_grad=True)
    lengths, ran = torch.tensor([5, 0, 3, 2]), []
    kernel = cpu.backward
    monkeypatch.setattr(cpu, "backward", lambda *args, **options: ran.append(1) or kernel(*args, **options))
    monkeypatch.setattr(torch, "randint", lambda *_, **__: torch.tensor(7))
    noisy = spec.dropout or spec.recurrent_dropout or spec.zoneout_h or spec.zoneout_c
    seed = torch.tensor(7) if noisy else None
    if through == "operator":
        weights = [parameter for _, parameter in sorted_weights(module)]
        states = (torch.zeros(len(spec.cells()), 4, spec.output_size), torch.zeros(len(spec.cells()), 4, 7))
        y = gatesmith.torch.lstm(x, *states, lengths, seed, weights, spec.to_json(), True)[0]
    else:
        call = torch.compile(module, backend="eager", fullgraph=True) if through == "compiled" else module
        y = call(x, lengths=lengths)[0]
    y.sin().sum().backward()
    assert ran == [1]
    wide = {name: parameter.detach().double().requires_grad_() for name, parameter in sorted_weights(module)}
    wide_x = x.detach().double().requires_grad_()
    states = [torch.zeros(len(spec.cells()), 4, size, dtype=torch.float64) for size in (spec.output_size, 7)]
    want = formulate(spec, wide, wide_x, *states, lengths, seed)[0]
    want.sin().sum().backward()
    assert (y - want).abs().max() <= TOLERANCES["module_float32"]
    assert x.grad is not None
    assert wide_x.grad is not None
    assert (x.grad - wide_x.grad).abs().max() <= TOLERANCES["module_float32"]
    grads = {name: parameter.grad for name, parameter in module.named_parameters()}
    for name, parameter in wide.items():
        ours = grads[name.replace("bias_l", "bias_ih_l")]
        theirs = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad  # a derived gate's
        assert ours is not None
        assert (ours - theirs).abs().max() <= TOLERANCES["module_float32"], name


def sorted_weights(module: gatesmith.torch.LSTM) -> list[tuple[str, torch.Tensor]]:
    """The parameters by the spec's names and in its order; the two biases as their sum."""
    given = dict(module.named_parameters())

    def weight(name: str) -> torch.Tensor:
        if not name.startswith("bias_l"):
            return given[name]
        return given[name.replace("bias_", "bias_ih_")] + given[name.replace("bias_", "bias_hh_")]

    return [(name, weight(name)) for name in module.spec.parameter_shapes()]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # inductor's own use of torch.jit
@pytest.mark.parametrize("backend", ["eager", "aot_eager", pytest.param("inductor", marks=pytest.mark.nightly)])
def test_compile_without_a_graph_break(backend: str) -> None:
    torch.compiler.reset()
    module = gatesmith.torch.LSTM(3, 4, 2, bidirectional=True, batch_first=True, dtype=torch.float64)
    compiled = torch.compile(module, fullgraph=True, backend=backend)
    x = torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True)
    results = []
    for run in (module, compiled):
        y, (h_n, c_n) = run(x)
        results.append([y, h_n, *torch.autograd.grad(y.square().sum() + c_n.sum(), [x, *module.parameters()])])
    for ours, theirs in zip(*results, strict=True):
        assert torch.equal(ours, theirs)
    with torch.no_grad():
        assert torch.equal(compiled(x)[0], module(x)[0])


def test_compile_covers_lengths_and_dropout() -> None:
    torch.compiler.reset()
    module = gatesmith.torch.LSTM(3, 4, 2, dropout=0.5, dtype=torch.float64)
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    x, lengths = torch.randn(5, 2, 3, dtype=torch.float64), torch.tensor([5, 3])
    y, _ = compiled(x, lengths=lengths)
    assert not y[3:, 1].any()
    module.eval()
    assert torch.equal(compiled(x, lengths=lengths)[0], module(x, lengths=lengths)[0])


def test_export_keeps_one_operator_and_a_dynamic_batch() -> None:
    module = gatesmith.torch.LSTM(3, 4, dtype=torch.float64).eval()
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    batch = torch.export.Dim("batch", min=1, max=64)
    with torch.no_grad():
        program = torch.export.export(module, (x,), dynamic_shapes=({1: batch},))
    targets = [str(node.target) for node in program.graph.nodes]
    assert targets.count("gatesmith.lstm.default") == 1
    wider = torch.randn(5, 7, 3, dtype=torch.float64)
    assert torch.equal(program.module()(wider)[0], module(wider)[0])


class CountingEngine:
    """The reference, counting its forward runs."""

    def __init__(self) -> None:
        self.forwards = 0

    def forward(self, call: Call) -> Any:
        self.forwards += 1
        return reference.forward(call)

    def forward_for_training(self, call: Call) -> Any:
        self.forwards += 1
        return reference.forward_for_training(call)

    backward = staticmethod(reference.backward)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> CountingEngine:
    counting = CountingEngine()
    monkeypatch.setattr(operator, "default_engine", lambda _: counting)
    return counting


def test_backward_uses_the_tape_of_forward_and_frees_it(engine: CountingEngine) -> None:
    before = len(operator._tapes)
    module = gatesmith.torch.LSTM(3, 4, dtype=torch.float64)
    y, _ = module(torch.randn(5, 2, 3, dtype=torch.float64))
    assert len(operator._tapes) == before + 1
    y.sum().backward(retain_graph=True)
    first = module.weight_hh_l0.grad.clone()
    y.sum().backward()
    assert torch.equal(module.weight_hh_l0.grad, 2 * first)
    assert engine.forwards == 1
    del y, _
    gc.collect()
    assert len(operator._tapes) == before


@pytest.mark.usefixtures("engine")
def test_no_tape_is_kept_where_no_gradient_can_come() -> None:
    before = len(operator._tapes)
    module = gatesmith.torch.LSTM(3, 4, dtype=torch.float64)
    with torch.no_grad():
        kept = module(torch.randn(5, 2, 3, dtype=torch.float64))
    assert len(operator._tapes) == before
    assert kept[0].grad_fn is None


def test_a_copied_token_means_one_more_forward_and_the_same_gradient(engine: CountingEngine) -> None:
    module = gatesmith.torch.LSTM(3, 4, dtype=torch.float64)
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    (expected,) = torch.autograd.grad(module(x)[0].sum(), module.weight_hh_l0)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t.clone(), lambda t: t):
        y = module(x)[0]
    (actual,) = torch.autograd.grad(y.sum(), module.weight_hh_l0)
    assert torch.equal(actual, expected)
    assert engine.forwards == 3


def test_checkpointing_recomputes() -> None:
    module = gatesmith.torch.LSTM(3, 4, dtype=torch.float64)
    x = torch.randn(5, 2, 3, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(module(x)[0].sum(), x)
    y = torch.utils.checkpoint.checkpoint(lambda x: module(x)[0], x, use_reentrant=False)
    (actual,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(actual, expected)


def test_a_weight_changed_between_forward_and_backward_is_an_error() -> None:
    module = gatesmith.torch.LSTM(3, 4, dtype=torch.float64)
    y, _ = module(torch.randn(5, 2, 3, dtype=torch.float64))
    with torch.no_grad():
        module.weight_hh_l0.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_meta_tensors_give_shapes() -> None:
    module = gatesmith.torch.LSTM(3, 4, 2, bidirectional=True, device="meta")
    y, (h_n, _) = module(torch.empty(5, 2, 3, device="meta"))
    assert y.shape == (5, 2, 8)
    assert h_n.shape == (4, 2, 4)
