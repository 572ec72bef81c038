"""The reference against PyTorch's own LSTM, a second formulation of every variant, and finite differences."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests import oracle
from tests.strategies import calls, deterministic, plain_specs, random_weights, specs
from tests.tolerances import TOLERANCES

from gatesmith.ops import reference
from gatesmith.ops.call import Call, Gradients, Outputs, make_call
from gatesmith.spec import ACTIVATION_DEFAULTS, Activation, LSTMSpec


def relative_error(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Largest difference, against the array's largest magnitude or 1."""
    assert ours.shape == theirs.shape
    if not ours.size:
        return 0.0
    return float(np.abs(ours - theirs).max() / max(1.0, np.abs(theirs).max()))


def upstream(outputs: Outputs, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random gradients of y, h_n and c_n."""
    rng = np.random.default_rng(seed)
    dy, dh_n, dc_n = (rng.normal(size=array.shape) for array in (outputs.y, outputs.h_n, outputs.c_n))
    return dy, dh_n, dc_n


def flat(outputs: Outputs, gradients: Gradients) -> dict[str, np.ndarray]:
    return {
        "y": outputs.y,
        "h_n": outputs.h_n,
        "c_n": outputs.c_n,
        "dx": gradients.dx,
        "dh0": gradients.dh0,
        "dc0": gradients.dc0,
        **{f"d{name}": array for name, array in gradients.dweights.items()},
    }


def ours(call: Call) -> dict[str, np.ndarray]:
    outputs, tape = reference.forward_for_training(call)
    return flat(outputs, reference.backward(tape, *upstream(outputs)))


def theirs(call: Call, masks: dict[str, torch.Tensor] | None = None) -> dict[str, np.ndarray]:
    """The same from the oracle under autograd."""
    params = {name: torch.tensor(array, requires_grad=True) for name, array in call.weights.items()}
    x, h0, c0 = (torch.tensor(array, requires_grad=True) for array in (call.x, call.h0, call.c0))
    y, h_n, c_n = oracle.run(call.spec, params, x, h0, c0, [int(n) for n in call.lengths], masks)
    outputs = Outputs(y=y.detach().numpy(), h_n=h_n.detach().numpy(), c_n=c_n.detach().numpy())
    inputs = [x, h0, c0, *params.values()]
    weighted = sum((out * torch.tensor(d)).sum() for out, d in zip((y, h_n, c_n), upstream(outputs), strict=True))
    if not weighted.requires_grad:
        grads = [torch.zeros_like(tensor) for tensor in inputs]
    else:
        grads = torch.autograd.grad(weighted, inputs, allow_unused=True, materialize_grads=True)
    dx, dh0, dc0, *dweights = (grad.numpy() for grad in grads)
    return flat(outputs, Gradients(dx=dx, dh0=dh0, dc0=dc0, dweights=dict(zip(params, dweights, strict=True))))


def assert_same(actual: dict[str, np.ndarray], expected: dict[str, np.ndarray], tolerance: str) -> None:
    assert actual.keys() == expected.keys()
    errors = {name: relative_error(actual[name], expected[name]) for name in actual}
    worst = max(errors, key=errors.__getitem__)
    assert errors[worst] <= TOLERANCES[tolerance], f"{worst} differs by {errors[worst]:.2e}"


def call_of(spec: LSTMSpec, *, lengths: list[int], steps: int = 5, training: bool = False, seed: int = 3) -> Call:
    rng = np.random.default_rng(seed)
    cells, batch = len(spec.cells()), len(lengths)
    return make_call(
        random_weights(spec, seed),
        rng.normal(size=(steps, batch, spec.input_size)),
        (rng.normal(size=(cells, batch, spec.output_size)), rng.normal(size=(cells, batch, spec.hidden_size))),
        lengths=lengths,
        training=training,
        seed=seed,
    )


@given(call=calls(plain_specs().filter(lambda spec: spec.direction != "reverse"), max_batch=4))
@deterministic(40)
def test_the_plain_lstm_matches_torch_nn_lstm(call: Call) -> None:
    spec = call.spec
    if not call.x.size:
        return  # torch.nn.LSTM refuses empty sequences
    call = dataclasses.replace(call, lengths=np.full_like(call.lengths, len(call.x)))
    module = torch.nn.LSTM(
        spec.input_size,
        spec.hidden_size,
        spec.num_layers,
        bias=spec.bias,
        bidirectional=spec.direction == "bidirectional",
        proj_size=spec.proj_size,
        dtype=torch.float64,
    )
    names = [name for name, _ in module.named_parameters() if not name.startswith("bias_hh")]
    for name, parameter in module.named_parameters():
        array = call.weights[name.replace("bias_ih", "bias")] if not name.startswith("bias_hh") else 0.0
        parameter.data.copy_(torch.tensor(array))
    x, h0, c0 = (torch.tensor(array, requires_grad=True) for array in (call.x, call.h0, call.c0))
    y, (h_n, c_n) = module(x, (h0, c0))
    outputs = Outputs(y=y.detach().numpy(), h_n=h_n.detach().numpy(), c_n=c_n.detach().numpy())
    inputs = [x, h0, c0, *(module.get_parameter(name) for name in names)]
    grads = torch.autograd.grad((y, h_n, c_n), inputs, [torch.tensor(d) for d in upstream(outputs)])
    dx, dh0, dc0, *dweights = (grad.numpy() for grad in grads)
    renamed = [name.replace("bias_ih", "bias") for name in names]
    expected = Gradients(dx=dx, dh0=dh0, dc0=dc0, dweights=dict(zip(renamed, dweights, strict=True)))
    assert_same(ours(call), flat(outputs, expected), "reference_to_pytorch_float64")


@given(call=calls(specs()))
@deterministic(150)
def test_every_variant_matches_the_second_formulation(call: Call) -> None:
    compare_unless_it_explodes(call)


@pytest.mark.nightly
@given(call=calls(specs(), max_steps=9, max_batch=5))
@deterministic(5000)
def test_every_variant_matches_the_second_formulation_at_length(call: Call) -> None:
    compare_unless_it_explodes(call)


def compare_unless_it_explodes(call: Call) -> None:
    """Unbounded activations square the state in every step; past 1e6 nothing is left of a relative 1e-10."""
    expected = theirs(call)
    if all(np.abs(array).max(initial=0.0) < 1e6 for array in expected.values()):
        assert_same(ours(call), expected, "reference_to_pytorch_float64")


@given(call=calls(specs(), training=True))
@deterministic(80)
def test_training_draws_the_documented_masks(call: Call) -> None:
    assert_same(ours(call), theirs(call, documented_masks(call)), "reference_to_pytorch_float64")


def documented_masks(call: Call) -> dict[str, torch.Tensor]:
    """The masks from the documentation alone: NumPy's Philox with key (seed, 8 layer + 2 kind + direction)."""
    spec, (steps, batch) = call.spec, call.x.shape[:2]

    def drawn(layer: int, kind: int, direction: int, *shape: int) -> np.ndarray:
        philox = np.random.Philox(key=np.array([call.seed, 8 * layer + 2 * kind + direction], np.uint64))
        words = philox.random_raw(int(np.prod(shape))) if np.prod(shape) else np.zeros(0, np.uint64)
        return ((words >> np.uint64(11)) * 2.0**-53).reshape(shape)

    masks: dict[str, np.ndarray] = {}
    for layer, direction, suffix in spec.cells():
        at = 1 if direction == "reverse" else 0
        if spec.recurrent_dropout:
            kept = drawn(layer, 1, at, batch, spec.output_size) >= spec.recurrent_dropout
            masks[f"recurrent_{suffix}"] = kept / (1 - spec.recurrent_dropout)
        if spec.zoneout_h:
            masks[f"zoneout_h_{suffix}"] = drawn(layer, 2, at, steps, batch, spec.output_size) < spec.zoneout_h
        if spec.zoneout_c:
            masks[f"zoneout_c_{suffix}"] = drawn(layer, 3, at, steps, batch, spec.hidden_size) < spec.zoneout_c
    for layer in range(spec.num_layers - 1) if spec.dropout else ():
        kept = drawn(layer, 0, 0, steps, batch, spec.num_directions * spec.output_size) >= spec.dropout
        masks[f"dropout_{layer}"] = kept / (1 - spec.dropout)
    return {name: torch.tensor(mask, dtype=torch.float64) for name, mask in masks.items()}


VARIANTS: dict[str, dict[str, object]] = {
    "no_bias": {"bias": False},
    "diagonal_peepholes": {"peepholes": "ifo"},
    "full_peepholes": {"full_peepholes": "ifo"},
    "f=1-i": {"coupled_gates": "f=1-i"},
    "i=1-f": {"coupled_gates": "i=1-f"},
    "gate_clip": {"gate_clip": 0.3},
    "cell_clip": {"cell_clip": 0.3},
    "projection": {"proj_size": 2},
    "projection_bias": {"proj_size": 2, "proj_bias": True},
    "proj_clip": {"proj_size": 2, "proj_clip": 0.05},
    "reverse_activations": {"direction": "bidirectional", "reverse_activations": ("softsign", "elu", "relu")},
    "norm_gates_and_cell": {"layer_norm": "gates_and_cell"},
    "norm_inputs_and_cell": {"layer_norm": "inputs_and_cell"},
    "zoneout_h": {"zoneout_h": 0.3},
    "zoneout_c": {"zoneout_c": 0.3},
    "dropout": {"dropout": 0.4},
    "recurrent_dropout": {"recurrent_dropout": 0.4},
    "forget_bias": {"forget_bias": 1.0},
    "drop_states": {"drop_states": True},
    "residual": {"residual": True},
    **{
        f"activation_{name}": {"activations": (Activation(name=name),) * 3, "forget_bias": 0.01}
        for name in ACTIVATION_DEFAULTS
    },
}


@pytest.mark.parametrize("name", VARIANTS)
def test_variant_matches_finite_differences(name: str) -> None:
    """The directional derivative along a random direction in every input at once, to the square root of float64."""
    spec = LSTMSpec(2, 3, 2, **{"direction": "forward", **VARIANTS[name]})
    call = call_of(spec, lengths=[4, 0, 2], steps=4, training=True)
    outputs, tape = reference.forward_for_training(call)
    up = upstream(outputs)
    gradients = reference.backward(tape, *up)
    rng = np.random.default_rng(1)
    along = {key: rng.normal(size=call.weights[key].shape) for key in call.weights}
    ax, ah, ac = (rng.normal(size=array.shape) for array in (call.x, call.h0, call.c0))
    step = 1e-6

    def value(sign: float) -> float:
        weights = {key: call.weights[key] + sign * step * along[key] for key in call.weights}
        moved = dataclasses.replace(
            call,
            weights=type(call.weights)(spec, weights),
            x=call.x + sign * step * ax,
            h0=call.h0 + sign * step * ah,
            c0=call.c0 + sign * step * ac,
        )
        out = reference.forward(moved)
        return sum(float((array * d).sum()) for array, d in zip((out.y, out.h_n, out.c_n), up, strict=True))

    numeric = (value(1.0) - value(-1.0)) / (2 * step)
    analytic = sum((gradients.dweights[key] * along[key]).sum() for key in along)
    analytic += (gradients.dx * ax).sum() + (gradients.dh0 * ah).sum() + (gradients.dc0 * ac).sum()
    assert numeric == pytest.approx(analytic, rel=TOLERANCES["finite_differences"])


@pytest.mark.parametrize("name", VARIANTS)
def test_variant_changes_the_result(name: str) -> None:
    """A variant that did nothing would pass every comparison between two formulations that forget it."""
    base = {"direction": "bidirectional", "proj_size": 2 if name.startswith("proj") and name != "projection" else 0}
    with_variant = LSTMSpec(2, 3, 2, **{**base, **VARIANTS[name]})
    without = dataclasses.replace(with_variant, **{field: getattr(LSTMSpec(1, 3), field) for field in VARIANTS[name]})
    without = dataclasses.replace(without, direction="bidirectional", proj_size=base["proj_size"])
    if "activations" in VARIANTS[name]:
        without = dataclasses.replace(without, activations=(Activation(name="affine", alpha=2.0),) * 3)
    call = call_of(with_variant, lengths=[4, 0, 2], training=True)
    plain = call_of(without, lengths=[4, 0, 2], training=True)
    shared = {key: call.weights[key] for key in plain.weights if key in call.weights}
    if all(shared[key].shape == plain.weights[key].shape for key in shared):
        plain = dataclasses.replace(plain, weights=type(plain.weights)(without, {**plain.weights, **shared}))
    a, b = reference.forward(call), reference.forward(plain)
    assert any(p.shape != q.shape or not np.allclose(p, q) for p, q in ((a.y, b.y), (a.h_n, b.h_n), (a.c_n, b.c_n)))


@given(call=calls(specs()))
@deterministic(40)
def test_padding_is_zero_and_never_read(call: Call) -> None:
    beyond = np.arange(len(call.x))[:, None] >= call.lengths
    poisoned = dataclasses.replace(call, x=np.where(beyond[:, :, None], np.nan, call.x))
    outputs, tape = reference.forward_for_training(poisoned)
    assert not outputs.y[beyond].any()
    dy, dh_n, dc_n = upstream(outputs)
    gradients = reference.backward(tape, np.where(beyond[:, :, None], np.nan, dy), dh_n, dc_n)
    assert not gradients.dx[beyond].any()
    assert_same(flat(outputs, gradients), ours(call), "equal")


def test_a_sequence_of_length_0_keeps_its_initial_state() -> None:
    call = call_of(LSTMSpec(2, 3, 2, "bidirectional"), lengths=[0, 5])
    outputs = reference.forward(call)
    assert np.array_equal(outputs.h_n[:, 0], call.h0[:, 0])
    assert np.array_equal(outputs.c_n[:, 0], call.c0[:, 0])
    assert not np.array_equal(outputs.h_n[:, 1], call.h0[:, 1])


def test_reverse_runs_over_the_valid_part_only() -> None:
    call = call_of(LSTMSpec(2, 3, direction="reverse"), lengths=[3])
    flipped = dataclasses.replace(call, x=call.x[:3][::-1].copy())
    forward_spec = LSTMSpec(2, 3)
    names = {name.removesuffix("_reverse"): array for name, array in call.weights.items()}
    flipped = dataclasses.replace(flipped, weights=type(call.weights)(forward_spec, names))
    outputs, turned = reference.forward(call), reference.forward(flipped)
    assert np.array_equal(outputs.y[:3][::-1], turned.y)
    assert np.array_equal(outputs.c_n, turned.c_n)


def test_dropped_states_are_those_of_sequences_shorter_than_t() -> None:
    call = call_of(LSTMSpec(2, 3, drop_states=True), lengths=[5, 4, 0])
    outputs = reference.forward(call)
    assert outputs.h_n[0, 0].all()
    assert not outputs.h_n[0, 1:].any()
    assert not outputs.c_n[0, 1:].any()


def test_float32_is_computed_in_float64_and_returned_as_float32() -> None:
    call = call_of(LSTMSpec(3, 4), lengths=[5, 2])
    narrow = make_call(
        call.weights.astype("float32"),
        call.x.astype("float32"),
        (call.h0.astype("float32"), call.c0.astype("float32")),
        lengths=call.lengths,
    )
    wide = make_call(
        narrow.weights.astype("float64"),
        narrow.x.astype("float64"),
        (narrow.h0.astype("float64"), narrow.c0.astype("float64")),
        lengths=call.lengths,
    )
    for name, array in ours(narrow).items():
        assert array.dtype == np.float32
        assert np.array_equal(array, ours(wide)[name].astype(np.float32)), name


def test_nan_stays_in_its_own_sequence() -> None:
    call = call_of(LSTMSpec(2, 3, 2, "bidirectional"), lengths=[5, 5])
    call.x[2, 0] = np.nan
    outputs = reference.forward(call)
    assert np.isnan(outputs.y[:, 0]).all()
    assert np.isfinite(outputs.y[:, 1]).all()


def test_infinite_input_saturates_without_a_warning() -> None:
    call = call_of(LSTMSpec(1, 2, bias=False), lengths=[2], steps=2)
    call.x[:] = np.inf
    assert np.isfinite(reference.forward(call).y).all()


@given(
    call=calls(
        st.builds(
            LSTMSpec,
            st.just(2),
            st.integers(1, 3),
            st.integers(1, 2),
            st.sampled_from(["forward", "reverse", "bidirectional"]),
        )
    )
)
@deterministic(25)
def test_the_trace_satisfies_the_equations(call: Call) -> None:
    spec, traces, outputs = call.spec, reference.trace(call), reference.forward(call)
    assert len(traces) == len(spec.cells())
    for index, (_, direction, suffix) in enumerate(spec.cells()):
        trace = traces[index]
        for n, length in enumerate(call.lengths):
            h, c = call.h0[index, n], call.c0[index, n]
            for t in range(length) if direction == "forward" else reversed(range(length)):
                z = call.weights[f"weight_ih_{suffix}"] @ trace.x[t, n] + call.weights[f"weight_hh_{suffix}"] @ h
                z_i, z_f, z_g, z_o = np.split(z + call.weights[f"bias_{suffix}"], 4)
                assert np.allclose(trace.i[t, n], 1 / (1 + np.exp(-z_i)))
                assert np.allclose(trace.f[t, n], 1 / (1 + np.exp(-z_f)))
                assert np.allclose(trace.g[t, n], np.tanh(z_g))
                assert np.allclose(trace.o[t, n], 1 / (1 + np.exp(-z_o)))
                c = trace.f[t, n] * c + trace.i[t, n] * trace.g[t, n]
                h = trace.o[t, n] * np.tanh(c)
                assert np.allclose(trace.c[t, n], c)
                assert np.allclose(trace.h[t, n], h)
                h, c = trace.h[t, n], trace.c[t, n]
            assert np.array_equal(outputs.c_n[index, n], c)
            for name in ("x", "i", "f", "g", "o", "c", "h"):
                assert not getattr(trace, name)[length:, n].any()


@pytest.mark.parametrize("mutation", ["swap_gates", "transpose_w_hh", "drop_bias", "flip_sign_of_one_weight"])
def test_the_comparison_bites(mutation: str) -> None:
    call = call_of(LSTMSpec(3, 4), lengths=[5, 3])
    arrays = {name: array.copy() for name, array in call.weights.items()}
    if mutation == "swap_gates":
        arrays["weight_ih_l0"] = arrays["weight_ih_l0"].reshape(4, 4, 3)[[1, 0, 2, 3]].reshape(16, 3)
    elif mutation == "transpose_w_hh":
        arrays["weight_hh_l0"] = arrays["weight_hh_l0"].reshape(4, 4, 4).swapaxes(1, 2).reshape(16, 4)
    elif mutation == "drop_bias":
        arrays["bias_l0"][:] = 0
    else:
        arrays["weight_hh_l0"][5, 2] *= -1
    mutated = dataclasses.replace(call, weights=type(call.weights)(call.spec, arrays))
    with pytest.raises(AssertionError, match="differs by"):
        assert_same(ours(mutated), theirs(call), "reference_to_pytorch_float64")
