"""The compiled kernel's variants against the reference on every instruction set, and that their bits are their own."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ops.test_cpu import arrays_of, in_float64
from tests.strategies import calls, deterministic, random_weights, specs
from tests.tolerances import TOLERANCES

from gatesmith.ops import cpu, reference
from gatesmith.ops.call import Call, make_call
from gatesmith.ops.library import library
from gatesmith.spec import ACTIVATION_DEFAULTS, Activation, LSTMSpec
from gatesmith.weights import Weights

VARIANTS: dict[str, dict[str, Any]] = {
    "peepholes": {"peepholes": "ifo"},
    "peephole of o": {"peepholes": "o"},
    "full peepholes": {"full_peepholes": "ifo"},
    "both kinds of peepholes": {"full_peepholes": "io", "peepholes": "f"},
    "f=1-i": {"coupled_gates": "f=1-i", "peepholes": "if"},
    "i=1-f": {"coupled_gates": "i=1-f", "full_peepholes": "if"},
    "gate clip": {"gate_clip": 0.6},
    "cell clip": {"cell_clip": 0.4, "peepholes": "o"},
    "projection": {"proj_size": 7},
    "projection with bias and clip": {"proj_size": 7, "proj_bias": True, "proj_clip": 0.2},
    "activations": {"activations": ("hard_sigmoid", "softsign", "elu")},
    "norm of gates and cell": {"layer_norm": "gates_and_cell", "peepholes": "i", "cell_clip": 0.9},
    "norm with coupled gates": {"layer_norm": "gates_and_cell", "full_peepholes": "fo", "coupled_gates": "i=1-f"},
    "norm of inputs and cell": {"layer_norm": "inputs_and_cell", "peepholes": "o"},
    "norm of inputs, coupled": {"layer_norm": "inputs_and_cell", "coupled_gates": "f=1-i", "proj_size": 5},
    "zoneout": {"zoneout_h": 0.3, "zoneout_c": 0.2},
    "zoneout of a projection": {"zoneout_h": 0.3, "zoneout_c": 0.2, "proj_size": 6, "full_peepholes": "o"},
    "recurrent dropout": {"recurrent_dropout": 0.3},
    "dropout and residual": {"dropout": 0.4, "residual": True},
    "dropped states": {"drop_states": True, "forget_bias": 1.0, "peepholes": "f"},
}
SIZES = {
    "two layers, both directions": (6, 5, 6, 20, 2, "bidirectional"),
    "tiles and panels with a rest": (4, 15, 3, 70, 1, "forward"),
    "reverse": (3, 2, 20, 9, 1, "reverse"),
    "no steps": (0, 2, 4, 9, 1, "forward"),
    "no sequences": (3, 0, 4, 9, 1, "forward"),
}
LARGE = (5, 1, 33, 140, 1, "forward")
LONG = (300, 3, 2, 9, 1, "reverse")


@pytest.fixture(params=["avx512", "avx2", "portable"])
def _target(request: pytest.FixtureRequest) -> Iterator[None]:
    before = library().gatesmith_target()
    if not library().gatesmith_set_target(request.param.encode()):
        pytest.skip(f"this processor has no {request.param}")
    yield
    library().gatesmith_set_target(before)


@pytest.fixture(autouse=True)
def _same_threads_after() -> Iterator[None]:
    before = cpu.num_threads()
    yield
    cpu.set_num_threads(before)


def random_call(variant: str, size: tuple[Any, ...], *, training: bool = False, ragged: bool = True) -> Call:
    steps, batch, inputs, hidden, layers, direction = size
    spec = LSTMSpec(inputs, hidden, layers, direction, **VARIANTS[variant])
    rng = np.random.default_rng(5)
    shapes = ((len(spec.cells()), batch, spec.output_size), (len(spec.cells()), batch, hidden))
    h0, c0 = (rng.standard_normal(shape).astype(np.float32) for shape in shapes)
    return make_call(
        random_weights(spec, 3, "float32"),
        rng.standard_normal((steps, batch, inputs)).astype(np.float32),
        (h0, c0),
        lengths=rng.integers(0, steps, batch, endpoint=True) if ragged else None,
        training=training,
        seed=11,
    )


def upstream(call: Call) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(6)
    width = call.spec.num_directions * call.spec.output_size
    shapes = ((*call.x.shape[:2], width), call.h0.shape, call.c0.shape)
    return tuple(rng.standard_normal(shape).astype(np.float32) for shape in shapes)


def run(call: Call, *, recompute: bool = False) -> dict[str, np.ndarray]:
    outputs, tape = cpu.forward_for_training(call, recompute=recompute)
    return arrays_of(outputs, cpu.backward(tape, *upstream(call)))


def truth(call: Call) -> dict[str, np.ndarray]:
    outputs, tape = reference.forward_for_training(in_float64(call))
    return arrays_of(outputs, reference.backward(tape, *(d.astype(np.float64) for d in upstream(call))))


def nudged(call: Call) -> Call:
    """The call in float64 with every number off by up to half a unit in the last place of float32."""
    rng, wide = np.random.default_rng(7), in_float64(call)

    def nudge(array: np.ndarray) -> np.ndarray:
        return array * (1 + rng.uniform(-(2.0**-24), 2.0**-24, array.shape))

    weights = Weights(call.spec, {name: nudge(array) for name, array in wide.weights.items()})
    return replace(wide, weights=weights, x=nudge(wide.x), h0=nudge(wide.h0), c0=nudge(wide.c0))


def errors(call: Call, ours: dict[str, np.ndarray]) -> tuple[float, float]:
    """Worst error of an output and of a gradient, relative to its largest element or 1.

    Where layer normalisation divides by a small deviation, rounding the arguments to float32 moves the result by more
    than that: an error counts beyond a multiple of that move.
    """
    want = truth(call)
    assert ours.keys() == want.keys()
    moved = want if call.spec.layer_norm == "none" else truth(nudged(call))
    worst = [0.0, 0.0]
    for index, name in enumerate(want):
        assert ours[name].shape == want[name].shape
        assert ours[name].dtype == np.float32
        slack = TOLERANCES["cpu_norm_amplification"] * np.abs(moved[name] - want[name]).max(initial=0)
        error = max(0.0, np.abs(ours[name] - want[name]).max(initial=0) - slack)
        kind = int(index >= 3)
        worst[kind] = max(worst[kind], error / max(1.0, np.abs(want[name]).max(initial=0)))
    return worst[0], worst[1]


def assert_right(call: Call, ours: dict[str, np.ndarray]) -> None:
    output_error, gradient_error = errors(call, ours)
    print(f"outputs {output_error:.2g}, gradients {gradient_error:.2g}")
    assert output_error <= TOLERANCES["cpu_outputs"]
    assert gradient_error <= TOLERANCES["cpu_gradients"]


def assert_same(got: dict[str, np.ndarray], want: dict[str, np.ndarray], what: str) -> None:
    for name, array in want.items():
        np.testing.assert_array_equal(got[name], array, err_msg=f"{name}, {what}")


@pytest.mark.usefixtures("_target")
@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_variant_agrees_with_the_reference(variant: str, training: bool) -> None:
    for name, size in SIZES.items():
        print(name)
        call = random_call(variant, size, training=training)
        assert_right(call, run(call))


@pytest.mark.parametrize("name", sorted(ACTIVATION_DEFAULTS))
def test_every_activation_with_its_defaults_and_with_parameters(name: str) -> None:
    given = {p: 0.7 for p, value in zip(("alpha", "beta"), ACTIVATION_DEFAULTS[name], strict=True) if value is not None}
    for parameters in ({}, given):
        activation = Activation(name=name, **parameters)
        call = random_call("gate clip", SIZES["two layers, both directions"])
        spec = replace(
            call.spec, activations=(activation,) * 3, reverse_activations=(activation, "tanh", "sigmoid"), cell_clip=0.7
        )
        changed = replace(call, weights=Weights(spec, call.weights.arrays))
        assert_right(changed, run(changed))


def calls_of_any_spec(norm: str, max_hidden: int, max_batch: int) -> st.SearchStrategy[Call]:
    normed = specs(max_hidden, max_hidden // 2).map(lambda spec: replace(spec, layer_norm=norm))
    return calls(normed, dtype="float32", max_batch=max_batch)


@pytest.mark.parametrize("norm", ["none", "gates_and_cell", "inputs_and_cell"])
@given(data=st.data(), training=st.booleans(), recompute=st.booleans())
@deterministic(40)
def test_any_spec_agrees_with_the_reference(norm: str, data: st.DataObject, training: bool, recompute: bool) -> None:
    call = replace(data.draw(calls_of_any_spec(norm, 24, 8)), training=training)
    assert_right(call, run(call, recompute=recompute))


@pytest.mark.nightly
@pytest.mark.parametrize("norm", ["none", "gates_and_cell", "inputs_and_cell"])
@given(data=st.data(), training=st.booleans(), recompute=st.booleans())
@deterministic(600)
def test_many_specs_agree_with_the_reference(norm: str, data: st.DataObject, training: bool, recompute: bool) -> None:
    call = replace(data.draw(calls_of_any_spec(norm, 70, 20)), training=training)
    assert_right(call, run(call, recompute=recompute))


@pytest.mark.usefixtures("_target")
@pytest.mark.parametrize("size", [SIZES["two layers, both directions"], LARGE, LONG], ids=["small", "large", "long"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_bits_depend_on_neither_threads_nor_recomputation(variant: str, size: tuple[Any, ...]) -> None:
    call = random_call(variant, size, training=size is not LARGE)
    cpu.set_num_threads(1)
    expected = run(call)
    outputs = cpu.forward(call)
    assert_same(
        {"y": outputs.y, "h_n": outputs.h_n, "c_n": outputs.c_n}, {k: expected[k] for k in ("y", "h_n", "c_n")}, ""
    )
    for threads in (1, 2, 3):
        cpu.set_num_threads(threads)
        for recompute in (False, True):
            assert_same(run(call, recompute=recompute), expected, f"{threads} threads, recompute={recompute}")


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_layers_run_chunk_by_chunk_in_bounded_memory(variant: str, direction: str, ragged: bool) -> None:
    call = random_call(variant, (60, 20, 4, 9, 3, direction), ragged=ragged)
    whole, chunked = cpu.forward_for_training(call)[0], cpu.forward(call)
    for name in ("y", "h_n", "c_n"):
        np.testing.assert_array_equal(getattr(chunked, name), getattr(whole, name))
    twice = replace(call, x=np.concatenate([call.x, call.x]))
    if not call.spec.drop_states:
        assert cpu.footprint(twice)["forward_workspace"] == cpu.footprint(call)["forward_workspace"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_sequence_does_not_depend_on_its_company(variant: str) -> None:
    call = random_call(variant, (5, 9, 6, 20, 2, "bidirectional"))
    call = replace(call, weights=Weights(replace(call.spec, drop_states=False), call.weights.arrays))
    among = cpu.forward(call)
    for row, length in enumerate(call.lengths):
        state = call.h0[:, row : row + 1], call.c0[:, row : row + 1]
        alone = cpu.forward(make_call(call.weights, call.x[:length, row : row + 1], state))
        np.testing.assert_array_equal(alone.y[:, 0], among.y[:length, row])
        np.testing.assert_array_equal(alone.h_n[:, 0], among.h_n[:, row])
        np.testing.assert_array_equal(alone.c_n[:, 0], among.c_n[:, row])
        assert not among.y[length:, row].any()


@pytest.mark.usefixtures("_target")
@pytest.mark.parametrize("variant", VARIANTS)
def test_nan_spreads_as_in_the_reference(variant: str) -> None:
    call = random_call(variant, (4, 5, 6, 20, 1, "forward"), ragged=False)
    call.x[2, 1, 3] = np.nan
    got, want = run(call), truth(call)
    for name in ("y", "h_n", "c_n", "dx", "dh0", "dc0", "weight_ih_l0"):
        np.testing.assert_array_equal(np.isnan(got[name]), np.isnan(want[name]), err_msg=name)
    assert np.isnan(got["y"]).any()


BREAKS = {
    "peepholes": ("peephole_i_l0", "swap"),
    "full peepholes": ("peephole_o_l0", "transpose"),
    "projection": ("weight_hr_l0", "swap"),
    "projection with bias and clip": ("bias_hr_l0", "swap"),
    "norm of gates and cell": ("norm_cell_gain_l0", "swap"),
    "norm of inputs and cell": ("norm_hh_shift_l0", "swap"),
}


@pytest.mark.parametrize("variant", BREAKS)
def test_the_comparison_bites(variant: str) -> None:
    call = random_call(variant, SIZES["tiles and panels with a rest"])
    name, how = BREAKS[variant]
    arrays = {key: array.copy() for key, array in call.weights.items()}
    arrays[name] = arrays[name].T.copy() if how == "transpose" else np.roll(arrays[name], 1, axis=0)
    wrong = run(replace(call, weights=Weights(call.spec, arrays)))
    output_error, gradient_error = errors(call, wrong)
    assert output_error > 10 * TOLERANCES["cpu_outputs"]
    assert gradient_error > 10 * TOLERANCES["cpu_gradients"]


@pytest.mark.parametrize(
    "change",
    [
        {"gate_clip": 0.61},
        {"cell_clip": 0.41},
        {"proj_clip": 0.021},
        {"zoneout_h": 0.31},
        {"zoneout_c": 0.21},
        {"forget_bias": 0.01},
        {"coupled_gates": "i=1-f"},
        {"residual": True},
        {"drop_states": True},
        {"activations": ("sigmoid", "tanh", "softsign")},
        {"reverse_activations": ("sigmoid", "softsign", "tanh")},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_comparison_sees_every_option(change: dict[str, Any]) -> None:
    base = LSTMSpec(
        5,
        18,
        2,
        "bidirectional",
        gate_clip=0.6,
        cell_clip=0.4,
        proj_size=7,
        proj_clip=0.02,
        zoneout_h=0.3,
        zoneout_c=0.2,
    )
    rng = np.random.default_rng(5)
    x = rng.standard_normal((5, 4, 5)).astype(np.float32)
    call = make_call(random_weights(base, 3, "float32"), x, lengths=[5, 3, 0, 4])
    other = replace(call, weights=Weights(replace(base, **change), call.weights.arrays))
    assert_right(call, run(call))
    assert errors(call, run(other))[0] > 10 * TOLERANCES["cpu_outputs"]


@pytest.mark.parametrize("rate", ["dropout", "recurrent_dropout", "zoneout_h", "zoneout_c"])
def test_noise_is_of_its_seed_and_off_in_evaluation(rate: str) -> None:
    spec = LSTMSpec(5, 18, 2, **{rate: 0.4})
    x = np.random.default_rng(5).standard_normal((5, 4, 5)).astype(np.float32)
    call = make_call(random_weights(spec, 3, "float32"), x, training=True, seed=1)
    first, again = cpu.forward(call), cpu.forward(call)
    np.testing.assert_array_equal(first.y, again.y)
    assert not np.array_equal(first.y, cpu.forward(replace(call, seed=2)).y)
    np.testing.assert_array_equal(*(cpu.forward(replace(call, training=False, seed=seed)).y for seed in (1, 2)))
