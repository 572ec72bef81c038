"""Predicted bytes and operations against the issue's formula, real parameter arrays, and loops that count."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatesmith.analysis.cost import OPTIMISERS, Line, one_step, operands, parameter_formula, training_operands, work
from gatesmith.spec import LSTMSpec
from gatesmith.weights import initialise

SPEC = LSTMSpec(input_size=12, hidden_size=32)
SIZES = st.integers(1, 40)


@settings(derandomize=True, max_examples=30, deadline=None)
@given(inputs=SIZES, hidden=SIZES, batch=st.integers(0, 9), itemsize=st.sampled_from([4, 8]))
def test_one_step_is_the_sum_of_its_components(inputs: int, hidden: int, batch: int, itemsize: int) -> None:
    *components, total = one_step(LSTMSpec(inputs, hidden), batch, itemsize)
    assert len(components) == 5
    assert (
        total.predicted == sum(line.predicted or 0 for line in components) == batch * (inputs + 6 * hidden) * itemsize
    )
    assert total.formula == "N·(D + 6H)·s"


@pytest.mark.parametrize(
    "spec",
    [
        SPEC,
        replace(SPEC, num_layers=3, direction="bidirectional", bias=False),
        replace(SPEC, peepholes="io", full_peepholes="f", proj_size=7, proj_bias=True),
        replace(SPEC, layer_norm="gates_and_cell"),
        replace(SPEC, layer_norm="inputs_and_cell"),
    ],
)
def test_the_formula_of_the_parameters_is_that_of_real_arrays(spec: LSTMSpec) -> None:
    """The printed symbols are evaluated, with H, R and each layer's D put in, and compared with arrays' sizes."""
    arrays = initialise(spec)
    formula = parameter_formula(spec)
    body = formula.partition("cells ")[2] or formula
    body = body.removesuffix("·s").replace("H²", "H*H").replace("·", "*")
    for number in "0123456789":
        body = body.replace(f"{number}H", f"{number}*H")
    total = 0
    for layer, _, _ in spec.cells():
        values = {"D": spec.layer_input_size(layer), "H": spec.hidden_size, "R": spec.output_size}
        total += eval(body.replace("D_l", "D"), {}, values)
    assert total * 4 == sum(array.nbytes for array in arrays.values())
    assert operands(spec, 1, 1, 4)[0].predicted == total * 4


def test_sequences_and_states_have_the_sizes_of_the_operator_s_own() -> None:
    spec = replace(SPEC, num_layers=2, direction="bidirectional", proj_size=5)
    lines = {line.component: line.predicted for line in operands(spec, 3, 7, 4)}
    assert lines["input sequence x"] == 7 * 3 * 12 * 4
    assert lines["output sequence y"] == 7 * 3 * 2 * 5 * 4
    assert lines["initial states h0, c0"] == lines["final states h_n, c_n"] == 4 * 3 * (5 + 32) * 4


@pytest.mark.parametrize(("optimiser", "kept"), list(OPTIMISERS.items()))
def test_optimisers_keep_so_many_values_a_parameter(optimiser: str, kept: int) -> None:
    line = training_operands(SPEC, 1, 1, 4, optimiser)[-1]
    assert line.predicted == kept * SPEC.parameter_count() * 4


def test_operations_are_those_of_the_products_counted_one_by_one() -> None:
    spec = LSTMSpec(2, 3, num_layers=2, direction="bidirectional", peepholes="o")
    batch, steps = 2, 3
    counted = {"input projection": 0, "recurrent product": 0, "peepholes": 0}
    for layer, _, _ in spec.cells():
        for _ in range(steps * batch * 4 * spec.hidden_size):
            counted["input projection"] += 2 * spec.layer_input_size(layer)
            counted["recurrent product"] += 2 * spec.hidden_size
        counted["peepholes"] += steps * batch * 2 * spec.hidden_size
    stages = {stage.stage: stage for stage in work(spec, batch, steps, 4)}
    assert {name: stages[name].flops for name in counted} == counted
    assert stages["input projection"].sequential is False
    assert stages["recurrent product"].sequential is True


def test_disagreement_is_relative_to_the_measurement() -> None:
    assert Line(component="a", formula="", predicted=95, measured=100).disagreement == pytest.approx(-0.05)
    assert Line(component="a", formula="", predicted=None, measured=100).disagreement is None
    assert Line(component="a", formula="", predicted=0, measured=0).disagreement == 0
