"""Leaving stages out: the kernel leaves out exactly what it says, and what is attributed adds up to the whole."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatesmith.analysis import stages
from gatesmith.analysis.limits import Limits
from gatesmith.analysis.stages import (
    BACKWARD,
    FORWARD,
    Part,
    backward_components,
    forward_components,
    gates_of,
    shapley,
)
from gatesmith.analysis.timing import Latency
from gatesmith.ops import cpu
from gatesmith.ops.call import Call, make_call
from gatesmith.ops.library import SKIP
from gatesmith.spec import LSTMSpec
from gatesmith.weights import Weights, initialise

needs_kernel = pytest.mark.skipif(cpu.missing() is not None, reason=f"device 'cpu': {cpu.missing()}")
LIMITS = Limits(
    machine="m", target="avx512", threads=1, flops=1e11, sigmoids=1e9, tanhs=2e9, bandwidth={"L1": 1e11, "memory": 1e10}
)


def some_call(batch: int = 5) -> Call:
    weights = initialise(LSTMSpec(7, 20), seed=1)
    return make_call(weights, np.random.default_rng(1).normal(size=(6, batch, 7)).astype(np.float32))


def without(weights: Weights, *names: str) -> Weights:
    arrays = {name: np.zeros_like(array) if name in names else array for name, array in weights.items()}
    return Weights(weights.spec, arrays)


def test_the_masks_are_those_of_the_header() -> None:
    header = (Path(__file__).parents[2] / "csrc" / "gatesmith.h").read_text()
    found = {name.lower(): int(value) for name, value in re.findall(r"GATESMITH_SKIP_(\w+) = (\d+)", header)}
    assert found == SKIP


@needs_kernel
@pytest.mark.parametrize("batch", [1, 5, 40])
@pytest.mark.parametrize(("stage", "weight"), [("input", "weight_ih_l0"), ("recurrent", "weight_hh_l0")])
def test_a_product_left_out_is_a_weight_of_zero(batch: int, stage: str, weight: str) -> None:
    call = some_call(batch)
    left_out = cpu.forward(call, skip=SKIP[stage])
    zero = cpu.forward(replace(call, weights=without(call.weights, weight)))
    np.testing.assert_array_equal(left_out.y, zero.y)
    assert not np.array_equal(left_out.y, cpu.forward(call).y)


@needs_kernel
def test_activations_left_out_leave_a_linear_gate() -> None:
    call = replace(some_call(2), weights=without(some_call().weights, "weight_hh_l0"))
    one = replace(call, x=call.x[:1], lengths=np.ones_like(call.lengths))
    z = call.x[0] @ call.weights["weight_ih_l0"].T + call.weights["bias_l0"]
    i, _, g, o = np.split(z, 4, axis=1)
    np.testing.assert_allclose(cpu.forward(one, skip=SKIP["activations"]).y[0], o * (i * g), rtol=1e-4, atol=1e-6)


@needs_kernel
def test_backward_leaves_out_one_gradient_and_keeps_the_others() -> None:
    call = some_call()
    outputs, tape = cpu.forward_for_training(call)
    gradients = (outputs.y, outputs.h_n, outputs.c_n)
    whole = cpu.backward(tape, *gradients)
    without_weights = cpu.backward(tape, *gradients, skip=SKIP["weights"])
    without_input = cpu.backward(tape, *gradients, skip=SKIP["input"])
    np.testing.assert_array_equal(without_weights.dx, whole.dx)
    for name, gradient in whole.dweights.items():
        np.testing.assert_array_equal(without_input.dweights[name], gradient)
    np.testing.assert_array_equal(without_weights.dh0, whole.dh0)


@settings(derandomize=True, max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 10), min_size=8, max_size=8))
def test_shares_add_up_to_what_all_stages_take(values: list[float]) -> None:
    names = ("a", "b", "c")
    subsets = [frozenset(n for bit, n in enumerate(names) if mask >> bit & 1) for mask in range(8)]
    seconds = dict(zip(subsets, values, strict=True))
    shares = [shapley(name, names, seconds) for name in names]
    assert sum(shares) == pytest.approx(seconds[frozenset()] - seconds[frozenset(names)], abs=1e-9)


def test_stages_that_don_t_overlap_have_their_own_time() -> None:
    times = {"a": 3.0, "b": 5.0}
    seconds = {gone: 8.0 - sum(times[name] for name in gone) for gone in map(frozenset, ("", "a", "b", "ab"))}
    assert {name: shapley(name, ("a", "b"), seconds) for name in times} == times


class Costs:
    """Stands in for the clock: each stage costs so much, the call itself 1, moving data 2."""

    def __init__(self, stages: Mapping[str, str], costs: Mapping[str, float]) -> None:
        self.stages, self.costs = stages, costs

    def __call__(self, variants: Mapping[str, Callable[[], object]], *, seconds: float) -> dict[str, Latency]:
        times = {"whole": 3 + sum(self.costs.values()), "the call itself": 1.0}
        for variant in variants:
            if variant.startswith("without"):
                gone = variant.removeprefix("without ").split(", ")
                times[variant] = 3 + sum(cost for name, cost in self.costs.items() if name not in gone)
        assert set(times) == set(variants)
        return {
            name: Latency(median=value * seconds, p10=0, p90=0, p99=0, least=value, repeats=9)
            for name, value in times.items()
        }


@needs_kernel
@pytest.mark.parametrize(("stages_", "make"), [(FORWARD, forward_components), (BACKWARD, backward_components)])
def test_every_stage_gets_the_time_that_it_costs(
    monkeypatch: pytest.MonkeyPatch, stages_: dict[str, str], make: Callable[..., stages.Components]
) -> None:
    costs = {name: 2.0 + at for at, name in enumerate(stages_)}
    monkeypatch.setattr(stages, "time_in_turn", Costs(stages_, costs))
    components = make(some_call(), seconds=1)
    found = {part.name: part.seconds for part in components.parts}
    assert found == pytest.approx({**costs, "the call itself": 1.0, "data movement": 2.0})
    assert components.unexplained == pytest.approx(0)


@needs_kernel
def test_gates_share_the_products_and_the_activations(monkeypatch: pytest.MonkeyPatch) -> None:
    costs = {"input projection": 4.0, "recurrent product": 8.0, "activations": 8.0}
    monkeypatch.setattr(stages, "time_in_turn", Costs(FORWARD, costs))
    components = forward_components(some_call(batch=5), seconds=1)
    gates = {gate.name: gate for gate in gates_of(components, LIMITS)}
    # 3 sigmoids at 1 ns and 2 tanhs at 0.5 ns share 8 seconds: 2 for each sigmoid, 1 for each tanh.
    assert {name: gate.seconds for name, gate in gates.items()} == pytest.approx(
        {
            "input gate i": 3 + 2,
            "forget gate f": 3 + 2,
            "candidate g and cell state c": 3 + 1,
            "output gate o": 3 + 2 + 1,
        }
    )
    assert sum(gate.seconds for gate in gates.values()) == pytest.approx(sum(costs.values()))
    assert gates["input gate i"].throughput == pytest.approx(5 * (7 + 20) * 6 / 5)
    assert gates["candidate g and cell state c"].throughput == pytest.approx(5 * 20 * 6 / 4)


def made_of(spec: LSTMSpec, **seconds: float) -> stages.Components:
    latency = Latency(median=1, p10=1, p90=1, p99=1, least=1, repeats=1)
    named = {"input projection": 4.0, "recurrent product": 4.0, "activations": 4.0, **seconds}
    parts = tuple(
        Part(name=name, formula="", seconds=taken, elements=1, steps=6, work=None) for name, taken in named.items()
    )
    return stages.Components(spec=spec, mode="forward", batch=5, whole=latency, parts=parts)


def test_a_peephole_adds_h_elements_and_its_own_time_to_the_output_gate() -> None:
    formulas = {}
    for peepholes in ("", "if", "o"):
        made = made_of(LSTMSpec(7, 20, peepholes=peepholes), peepholes=3.0)
        output = gates_of(made, LIMITS)[3]
        formulas[peepholes] = (output.formula, output.elements)
    assert formulas[""] == formulas["if"] == ("N·(D + H)/latency", 5 * 27)
    assert formulas["o"] == ("N·(D + 2H)/latency", 5 * 47)


def test_peepholes_are_shared_by_what_they_read() -> None:
    none, diagonal, mixed = (
        {gate.name[-1]: gate.seconds for gate in gates_of(made_of(LSTMSpec(7, 20, **kinds), peepholes=21.0), LIMITS)}
        for kinds in ({}, {"peepholes": "ifo"}, {"peepholes": "i", "full_peepholes": "o"})
    )
    assert {gate: diagonal[gate] - none[gate] for gate in none} == pytest.approx({"i": 7, "f": 7, "c": 0, "o": 7})
    assert {gate: mixed[gate] - none[gate] for gate in none} == pytest.approx({"i": 1, "f": 0, "c": 0, "o": 20})


@needs_kernel
@pytest.mark.parametrize(
    ("features", "stage", "names"),
    [
        ({"peepholes": "ifo"}, "peepholes", ["peephole_i_l0", "peephole_f_l0", "peephole_o_l0"]),
        ({"full_peepholes": "io"}, "peepholes", ["peephole_i_l0", "peephole_o_l0"]),
        ({"proj_size": 6}, "projection", ["weight_hr_l0"]),
    ],
)
def test_a_stage_of_a_variant_left_out_is_a_weight_of_zero(
    features: dict[str, str | int], stage: str, names: list[str]
) -> None:
    weights = initialise(LSTMSpec(7, 20, **features), seed=1)  # type: ignore[arg-type]
    call = make_call(weights, some_call().x)
    left_out = cpu.forward(call, skip=SKIP[stage])
    np.testing.assert_array_equal(left_out.y, cpu.forward(replace(call, weights=without(weights, *names))).y)
    assert not np.array_equal(left_out.y, cpu.forward(call).y)


@needs_kernel
@pytest.mark.parametrize("make", [forward_components, backward_components])
def test_the_stages_of_a_variant_get_their_time(
    monkeypatch: pytest.MonkeyPatch, make: Callable[..., stages.Components]
) -> None:
    spec = LSTMSpec(7, 20, 2, peepholes="o", proj_size=6)
    call = make_call(initialise(spec), some_call().x)
    there = stages.stages_of(spec, FORWARD if make is forward_components else BACKWARD)
    costs = {name: 2.0 + at for at, name in enumerate(there)}
    monkeypatch.setattr(stages, "time_in_turn", Costs(there, costs))
    found = {part.name: part for part in make(call, seconds=1).parts}
    assert {name: found[name].seconds for name in there} == pytest.approx(costs)
    assert found["peepholes"].elements == 5 * 2 * 20
    assert found["projection"].work is not None
    assert found["projection"].work.flops == 6 * 5 * 2 * 2 * 6 * 20


@needs_kernel
def test_a_part_stands_at_its_place_on_the_roofline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "time_in_turn", Costs(FORWARD, dict.fromkeys(FORWARD, 2.0)))
    values = forward_components(some_call(batch=5), seconds=1).to_dict(LIMITS)
    projection = values["parts"][0]
    assert projection["flops"] == 6 * 5 * 2 * 4 * 20 * 7
    assert projection["gflops"] == pytest.approx(projection["flops"] / 2 / 1e9)
    assert projection["intensity"] == pytest.approx(projection["flops"] / projection["bytes"])
    assert projection["share"] == pytest.approx(2 / 9)


@needs_kernel
def test_parts_that_miss_the_whole_are_timed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first round's whole is disturbed; the fastest of both is kept."""
    calm, rounds = Costs(FORWARD, dict.fromkeys(FORWARD, 2.0)), []

    def disturbed(variants: Mapping[str, Callable[[], object]], *, seconds: float) -> dict[str, Latency]:
        found = calm(variants, seconds=seconds)
        rounds.append(found["whole"].least)
        if len(rounds) == 1:
            found["whole"] = replace(found["whole"], least=2 * found["whole"].least)
        return found

    monkeypatch.setattr(stages, "time_in_turn", disturbed)
    components = forward_components(some_call(), seconds=1)
    assert len(rounds) == 2
    assert components.adds_up
    assert components.unexplained == pytest.approx(0)


@needs_kernel
def test_what_never_adds_up_is_given_back_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    calm, rounds = Costs(FORWARD, dict.fromkeys(FORWARD, 2.0)), []

    def disturbed(variants: Mapping[str, Callable[[], object]], *, seconds: float) -> dict[str, Latency]:
        found = calm(variants, seconds=seconds)
        rounds.append(1)
        return found | {"whole": replace(found["whole"], least=2 * found["whole"].least)}

    monkeypatch.setattr(stages, "time_in_turn", disturbed)
    assert not forward_components(some_call(), seconds=1).adds_up
    assert len(rounds) == 1 + stages.RETRIES
