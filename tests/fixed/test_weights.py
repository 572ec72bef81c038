"""Integer weights: their order, their rounding, and the bias that the hardware adds."""

import numpy as np
import pytest

from gatesmith.fixed import calibrate
from gatesmith.fixed.weights import interleave, quantise_weights, real_bias
from gatesmith.spec import CoupledGates, LSTMSpec
from gatesmith.weights import Weights, initialise


def test_interleave_is_the_contract_s_order() -> None:
    stacked = np.arange(4 * 3 * 2).reshape(12, 2)
    rows = interleave(stacked)
    for unit in range(3):
        for gate in range(4):
            assert rows[4 * unit + gate].tolist() == stacked[gate * 3 + unit].tolist()


def test_every_code_is_the_nearest_to_its_weight() -> None:
    spec = LSTMSpec(3, 5, 2, "bidirectional")
    weights = initialise(spec, seed=1)
    plan = calibrate(weights, np.random.default_rng(0).normal(size=(4, 2, 3)))
    for (_, _, suffix), cell, codes in zip(spec.cells(), plan.cells, quantise_weights(weights, plan), strict=True):
        for real, code, form in (
            (weights[f"weight_ih_{suffix}"], codes.w_ih, cell.w_ih_format),
            (weights[f"weight_hh_{suffix}"], codes.w_hh, cell.w_hh_format),
            (weights[f"bias_{suffix}"], codes.b, cell.b_format),
        ):
            error = np.abs(form.dequantise(code) - interleave(real))
            inside = np.abs(interleave(real)) <= form.max
            assert (error[inside] <= form.resolution / 2).all()


@pytest.mark.parametrize(("coupled", "source", "derived"), [("f=1-i", 0, 1), ("i=1-f", 1, 0)])
def test_a_coupled_gate_is_the_other_of_negated_weights(coupled: CoupledGates, source: int, derived: int) -> None:
    spec = LSTMSpec(3, 5, coupled_gates=coupled, forget_bias=0.5)
    arrays = {name: array.copy() for name, array in initialise(spec, seed=1).items()}
    arrays["weight_ih_l0"][derived * 5 : derived * 5 + 5] = 1e6  # rows that the operator ignores
    weights = Weights(spec, arrays)
    plan = calibrate(weights, np.random.default_rng(0).normal(size=(4, 2, 3)))
    (codes,) = quantise_weights(weights, plan)
    for rows in (codes.w_ih, codes.w_hh, codes.b):
        assert (rows[derived::4] == -rows[source::4]).all()
    real = weights["weight_ih_l0"].astype(float)[source * 5 : source * 5 + 5]
    form = plan.cells[0].w_ih_format
    error = np.abs(form.dequantise(codes.w_ih[source::4]) - real)
    assert (error[np.abs(real) <= form.max] <= form.resolution / 2).all()


def test_forget_bias_is_part_of_the_bias_and_none_is_zero() -> None:
    spec = LSTMSpec(3, 2, bias=False, forget_bias=1.5)
    assert real_bias(initialise(spec), "l0").tolist() == [0, 0, 1.5, 1.5, 0, 0, 0, 0]
    weights = initialise(LSTMSpec(3, 2, forget_bias=1.5), seed=3)
    expected = weights["bias_l0"].astype(float) + np.repeat([0, 1.5, 0, 0], 2)
    assert real_bias(weights, "l0").tolist() == expected.tolist()
