"""Calibration: formats that hold what was observed, fit the multiplier, and are refused in a sentence otherwise."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tolerances import TOLERANCES

from gatesmith.errors import FormatError, GatesmithError, InputError, UnsupportedError
from gatesmith.fixed import calibrate
from gatesmith.fixed.accuracy import measure_accuracy
from gatesmith.fixed.calibrate import weight_format
from gatesmith.fixed.model import quantise_inputs, run
from gatesmith.fixed.qformat import QFormat
from gatesmith.fixed.weights import quantise_weights
from gatesmith.ops.call import make_call
from gatesmith.ops.operator import LSTM
from gatesmith.spec import LSTMSpec
from gatesmith.weights import Weights, initialise

RNG = np.random.default_rng(7)
SPEC = LSTMSpec(3, 5)
X = RNG.normal(size=(6, 4, 3))


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.sampled_from([8, 12, 16, 20, 24]), st.integers(4, 18), st.floats(-8, 8), st.integers(1, 3), st.booleans())
def test_calibration_data_never_saturates_x_or_c(
    data_width: int, weight_width: int, log_scale: float, layers: int, both: bool
) -> None:
    lstm = LSTM(LSTMSpec(3, 4, layers, "bidirectional" if both else "reverse"), seed=layers)
    x = X * 2**log_scale
    plan = calibrate(lstm, x, [6, 0, 3, 5], data_width=data_width, weight_width=weight_width)
    call = make_call(lstm.weights.astype(np.float64), x, lengths=[6, 0, 3, 5])
    inputs = quantise_inputs(plan, call)
    valid = np.arange(6)[:, None] < call.lengths
    error = np.abs(plan.x_format.dequantise(inputs.x) - x)[valid]
    assert error.max() <= plan.x_format.resolution / 2
    outputs = run(call.spec, plan, quantise_weights(lstm.weights, plan), inputs)
    assert not outputs.saturated[..., 1].any()


def test_later_layers_read_h_as_it_is() -> None:
    plan = calibrate(LSTM(LSTMSpec(3, 5, 3, "bidirectional")), X)
    for layer in (1, 2):
        for cell in plan.cells[2 * layer : 2 * layer + 2]:
            assert cell.x_format == plan.cells[2 * layer - 1].h_format


def test_layers_that_share_an_engine_have_one_plan() -> None:
    """Wide enough for all of them; a first layer of another size has its own."""
    lstm = LSTM(LSTMSpec(3, 3, 3), seed=0)
    plan, apart = calibrate(lstm, 3 * X, share="layers"), calibrate(lstm, 3 * X)
    assert plan.cells[0] == plan.cells[1] == plan.cells[2]
    assert plan.cells[0].x_format == apart.cells[0].x_format
    assert plan.cells[0].c_frac == min(cell.c_frac for cell in apart.cells)
    first, second, third = calibrate(LSTM(LSTMSpec(3, 5, 3), seed=0), X, share="layers").cells
    assert (first == second, second == third) == (False, True)
    assert second.x_format == first.h_format
    with pytest.raises(InputError, match="share is 'all'; expected none, directions, layers"):
        calibrate(lstm, X, share="all")


@pytest.mark.parametrize("scale", [1e-4, 1.0, 30.0, 1e4])
@pytest.mark.parametrize("weight_scale", [1e-3, 1.0, 20.0])
def test_shifted_operands_fit_the_multiplier(scale: float, weight_scale: float) -> None:
    weights = initialise(SPEC, seed=2)
    lstm = LSTM(Weights(SPEC, {**weights, "weight_hh_l0": weights["weight_hh_l0"] * np.float32(weight_scale)}))
    cell = calibrate(lstm, (X * scale)).cells[0]
    assert cell.operand_width <= 18


@pytest.mark.parametrize(("scale", "weight_width"), [(1.0, 6), (8.0, 4), (8.0, 8), (8.0, 12), (8.0, 18)])
def test_bits_are_given_up_where_they_cost_least(scale: float, weight_width: int) -> None:
    """Beside every other way to take as many bits from h and its weights."""
    weights = initialise(LSTMSpec(3, 16), seed=2)
    weights = Weights(weights.spec, {**weights, "weight_ih_l0": scale * weights["weight_ih_l0"]})
    x = np.random.default_rng(3).normal(size=(30, 40, 3))
    plan = calibrate(LSTM(weights), x, weight_width=weight_width)
    (cell,) = plan.cells
    finest = weight_format(weights["weight_hh_l0"], width=weight_width).fraction
    lost = (15 - cell.h_frac) + (finest - cell.w_hh_frac)
    others = (
        replace(cell, h_width=16 - bits, h_frac=15 - bits, w_hh_frac=finest - lost + bits) for bits in range(lost + 1)
    )
    found = [measure_accuracy(weights, replace(plan, cells=(other,)), x).sqnr_db or 0.0 for other in others]
    assert len(found) > 1
    assert (measure_accuracy(weights, plan, x).sqnr_db or 0.0) >= max(found) - TOLERANCES["calibrated_split_db"]


def test_h0_and_c0_are_part_of_the_range() -> None:
    state = (np.full((1, 4, 5), 3.0), np.full((1, 4, 5), -20.0))
    cell = calibrate(LSTM(SPEC), X, state=state).cells[0]
    assert cell.h_format.max > 3
    assert cell.c_format.min <= -20


def test_the_margin_widens_x_and_c() -> None:
    tight, wide = (calibrate(LSTM(SPEC), X * 10, margin=margin).cells[0] for margin in (1.0, 16.0))
    assert wide.x_format.max >= 8 * tight.x_format.max
    assert wide.c_format.max >= tight.c_format.max


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.integers(0, 1000), st.integers(4, 12))
def test_weight_format_has_the_least_squared_error(seed: int, width: int) -> None:
    weights = np.random.default_rng(seed).standard_t(3, size=50)

    def error(fraction: int) -> float:
        form = QFormat(width=width, fraction=fraction)
        return float(np.square(form.dequantise(form.quantise(weights)) - weights).sum())

    chosen = weight_format(weights, width=width).fraction
    assert error(chosen) <= min(error(fraction) for fraction in range(chosen - 6, chosen + 1))
    assert error(chosen) <= error(chosen + 1) or np.abs(weights).max() > QFormat(width=width, fraction=chosen).max


def test_weights_of_zero_and_widths_at_their_ends() -> None:
    lstm = LSTM(Weights(SPEC, {name: np.zeros_like(array) for name, array in initialise(SPEC).items()}))
    for data_width, weight_width in ((8, 4), (24, 18)):
        cell = calibrate(lstm, X, data_width=data_width, weight_width=weight_width).cells[0]
        assert (cell.x_width, cell.h_width, cell.w_width) == (data_width, data_width, weight_width)
        assert cell.c_width > cell.h_width


def test_hard_activations_are_chosen_in_the_plan() -> None:
    cell = calibrate(LSTM(SPEC), X, hard_activations=True, table_bits=4).cells[0]
    assert (cell.gate_activation, cell.cell_activation, cell.table_bits) == ("hard_sigmoid", "hard_tanh", 4)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"data_width": 7}, FormatError, "data_width is 7; expected an integer from 8 to 24"),
        ({"weight_width": 19}, FormatError, "weight_width is 19; expected an integer from 4 to 18"),
        ({"cell_width": 40}, FormatError, "c_width is 40"),
        ({"table_bits": 0}, FormatError, "table_bits is 0"),
        ({"margin": 0.5}, FormatError, "margin is 0.5; expected a factor from 1 to 1024"),
        ({"margin": float("nan")}, FormatError, "margin is nan"),
        ({"lengths": [0, 0, 0, 0]}, InputError, r"x of shape \(6, 4, 3\) holds no valid step"),
        ({"lengths": [7, 0, 0, 0]}, InputError, r"lengths\[0\] is 7; expected 0 to T = 6"),
        ({"x": X[:, :, :2]}, InputError, r"expected \(T, N, D\) with D = 3"),
        ({"x": np.full((6, 4, 3), np.inf)}, FormatError, "not finite"),
        ({"x": np.full((6, 4, 3), 1e30)}, FormatError, "too wide for 16 bits|x_frac is"),
    ],
)
def test_bad_arguments_are_refused(options: dict[str, Any], error: type[GatesmithError], message: str) -> None:
    with pytest.raises(error, match=message):
        calibrate(LSTM(SPEC), options.pop("x", X), **options)


def test_an_unsupported_spec_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match=r"can't express peepholes with a full matrix \(ifo\)"):
        calibrate(LSTM(LSTMSpec(3, 5, full_peepholes="ifo")), X)
