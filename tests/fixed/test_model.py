"""The golden model against a second implementation in plain integers, against the float reference, and mutated."""

from dataclasses import asdict, replace
from itertools import chain
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fixed.plans import RAILS, RANDOM, cell_weights, plans, random_inputs, variants
from tests.fixed.scalar import clip, round_half_up, run_cell, to_fraction
from tests.tolerances import TOLERANCES

from gatesmith.errors import FormatError, InputError
from gatesmith.fixed import calibrate
from gatesmith.fixed.cell import CellPlan
from gatesmith.fixed.model import FLAGS, CodeInputs, CodeOutputs, convert, quantise_inputs, run
from gatesmith.fixed.plan import Plan
from gatesmith.fixed.qformat import Codes, QFormat
from gatesmith.fixed.weights import CellWeights, quantise_weights
from gatesmith.ops.call import make_call
from gatesmith.ops.operator import LSTM, run_on_device
from gatesmith.spec import CoupledGates, Direction, LSTMSpec
from gatesmith.weights import Weights, initialise

PROJECTIONS: list[tuple[int, dict[str, Any]]] = [
    (40, {"proj_size": 1}),
    (12, {"proj_size": 11, "num_layers": 2, "direction": "bidirectional", "proj_bias": True}),
    (9, {"proj_size": 4, "peepholes": "ifo", "coupled_gates": "f=1-i"}),
    (16, {"proj_size": 8, "direction": "reverse", "proj_clip": 0.1}),
]
DIRECTIONS: list[Direction] = ["forward", "reverse", "bidirectional"]


def scalar_cell(
    cell: CellPlan, weights: CellWeights, xs: list[list[int]], h: list[int], c: list[int]
) -> tuple[list[list[int]], list[int], list[int], set[str]]:
    tables = {
        kind: list(zip(table.value.tolist(), table.slope.tolist(), strict=True))
        for kind, table in (
            ("gate", cell.gate_table),
            ("candidate", cell.candidate_table),
            ("cell", cell.cell_table),
        )
    }

    def stacked(rows: Codes) -> list[list[int]]:
        return [rows[4 * unit + gate].tolist() for gate in range(4) for unit in range(cell.hidden_size)]

    named: dict[str, Any] = {
        name: stacked(rows) for name, rows in vars(weights).items() if isinstance(rows, np.ndarray)
    }
    if weights.projection:
        named["projection"] = {name: rows.tolist() for name, rows in vars(weights.projection).items()}
    return run_cell(asdict(cell), tables, named, xs, h, c)


def check_against_scalar(
    spec: LSTMSpec, plan: Plan, weights: tuple[CellWeights, ...], inputs: CodeInputs, outputs: CodeOutputs
) -> None:
    for n, length in enumerate(inputs.lengths.tolist()):
        layer_input = inputs.x[:length, n].tolist()
        for layer in range(spec.num_layers):
            parts: list[list[list[int]]] = []
            for at, direction in enumerate(spec.directions, start=layer * spec.num_directions):
                xs = layer_input[::-1] if direction == "reverse" else layer_input
                cell, states = plan.cells[at], (inputs.h0[at, n].tolist(), inputs.c0[at, n].tolist())
                ys, h_n, c_n, flags = scalar_cell(cell, weights[at], xs, *states)
                assert outputs.h_n[at, n].tolist() == h_n
                assert outputs.c_n[at, n].tolist() == c_n
                assert {name for name, raised in zip(FLAGS, outputs.saturated[at, n], strict=True) if raised} == flags
                parts.append(ys[::-1] if direction == "reverse" else ys)
            layer_output = [list(chain(*rows)) for rows in zip(*parts, strict=True)]
            if layer + 1 < spec.num_layers:
                source, target = plan.cells[at].y_format, plan.cells[at + 1].x_format
                layer_input = [
                    [clip(round_half_up(to_fraction(v, source.fraction - target.fraction)), target.width) for v in row]
                    for row in layer_output
                ]
        assert outputs.y[:length, n].tolist() == layer_output
        assert not outputs.y[length:, n].any()


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.data())
def test_equals_plain_integers(data: st.DataObject) -> None:
    sizes = (data.draw(st.integers(1, most), name) for name, most in (("D", 4), ("H", 4), ("L", 3)))
    spec = data.draw(variants(*sizes, data.draw(st.sampled_from(DIRECTIONS))))
    plan = data.draw(plans(spec))
    generator = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    kinds = [data.draw(st.sampled_from([RANDOM, RAILS])) for _ in range(2)]
    lengths = data.draw(st.lists(st.integers(0, 4), min_size=0, max_size=3))
    weights = tuple(cell_weights(generator, cell, kinds[0]) for cell in plan.cells)
    inputs = random_inputs(generator, plan, 4, lengths, kinds[1])
    check_against_scalar(spec, plan, weights, inputs, run(spec, plan, weights, inputs))


def test_equals_plain_integers_on_a_calibrated_plan() -> None:
    spec = LSTMSpec(3, 5, 2, "bidirectional")
    lstm, x = LSTM(spec, seed=4), np.random.default_rng(0).normal(size=(6, 3, 3))
    plan = calibrate(lstm, x)
    weights = quantise_weights(lstm.weights, plan)
    inputs = quantise_inputs(plan, make_call(lstm.weights.astype(np.float64), x, lengths=[6, 2, 0]))
    check_against_scalar(spec, plan, weights, inputs, run(spec, plan, weights, inputs))


@pytest.mark.parametrize("coupled_gates", ["none", "f=1-i", "i=1-f"])
@pytest.mark.parametrize("peepholes", ["", "i", "f", "o", "ifo"])
def test_peepholes_and_clips_stay_close_to_the_float_reference(peepholes: str, coupled_gates: CoupledGates) -> None:
    """Peepholes of some size, and clips that bind."""
    generator = np.random.default_rng(3)
    spec = LSTMSpec(
        5, 12, 2, "bidirectional", peepholes=peepholes, coupled_gates=coupled_gates, gate_clip=1.5, cell_clip=0.4
    )
    lstm = LSTM(Weights(spec, {name: 3 * array for name, array in initialise(spec, seed=1).items()}))
    x = generator.normal(size=(20, 8, 5))
    plan = calibrate(lstm, x, data_width=24, weight_width=18)
    y, (_, c_n) = run_on_device(lstm, x, device="fixed", plan=plan)
    expected, (_, c_expected) = run_on_device(lstm, x, device="reference")
    assert np.abs(c_expected).max() == 0.4
    assert np.abs(c_n).max() == pytest.approx(0.4, abs=1e-5)
    assert np.abs(y - expected).max() <= TOLERANCES["fixed_18_bit_weights"]


@pytest.mark.parametrize(
    ("data_width", "weight_width", "tolerance"), [(16, 8, "fixed_8_bit_weights"), (24, 18, "fixed_18_bit_weights")]
)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(("inputs", "hidden", "layers"), [(12, 32, 1), (3, 7, 3), (1, 40, 2)])
def test_stays_close_to_the_float_reference(
    data_width: int, weight_width: int, tolerance: str, direction: Direction, inputs: int, hidden: int, layers: int
) -> None:
    generator = np.random.default_rng(hidden)
    lstm = LSTM(LSTMSpec(inputs, hidden, layers, direction), seed=1)
    x, lengths = generator.normal(size=(30, 16, inputs)), generator.integers(0, 31, size=16)
    cells = len(lstm.spec.cells())
    state = (generator.uniform(-1, 1, (cells, 16, hidden)), generator.normal(size=(cells, 16, hidden)))
    plan = calibrate(lstm, x, lengths, state, data_width=data_width, weight_width=weight_width)
    y, (h_n, c_n) = run_on_device(lstm, x, state, device="fixed", lengths=lengths, plan=plan)
    expected, (eh_n, ec_n) = run_on_device(lstm, x, state, device="reference", lengths=lengths)
    for name, given_, reference in (("y", y, expected), ("h_n", h_n, eh_n), ("c_n", c_n, ec_n)):
        error = float(np.abs(given_ - reference).max())
        print(f"{name}: {error:.1e}")
        assert error < TOLERANCES[tolerance] * max(1.0, float(np.abs(reference).max()))


@pytest.mark.parametrize(
    "variant",
    [
        {"coupled_gates": "f=1-i"},
        {"coupled_gates": "i=1-f", "forget_bias": 1.0},
        {"bias": False, "forget_bias": 1.0},
        {"activations": ("hard_sigmoid", "tanh", "tanh")},
        {"direction": "bidirectional", "reverse_activations": ("hard_sigmoid", "tanh", "tanh")},
        {"num_layers": 2, "dropout": 0.5, "recurrent_dropout": 0.2},
    ],
)
def test_variants_stay_close_to_the_float_reference(variant: dict[str, Any]) -> None:
    lstm = LSTM(LSTMSpec(3, 16, **variant), seed=1)
    x = np.random.default_rng(0).normal(size=(20, 8, 3))
    plan = calibrate(lstm, x, data_width=24, weight_width=18)
    y, _ = run_on_device(lstm, x, device="fixed", plan=plan)
    expected, _ = run_on_device(lstm, x, device="reference")
    error = float(np.abs(y - expected).max())
    print(f"{variant}: {error:.1e}")
    assert error < TOLERANCES["fixed_18_bit_weights"]


@pytest.mark.parametrize(
    ("data_width", "weight_width", "tolerance"), [(16, 8, "fixed_8_bit_weights"), (24, 18, "fixed_18_bit_weights")]
)
@pytest.mark.parametrize(("hidden", "options"), PROJECTIONS)
def test_projections_stay_close_to_the_float_reference(
    hidden: int, options: dict[str, Any], data_width: int, weight_width: int, tolerance: str
) -> None:
    """Of one element, of all but one, from an r0 that needs integer bits, and clipped where that binds."""
    generator = np.random.default_rng(hidden)
    lstm = LSTM(LSTMSpec(5, hidden, **options), seed=1)
    spec, cells = lstm.spec, len(lstm.spec.cells())
    x, lengths = generator.normal(size=(20, 8, 5)), generator.integers(0, 21, size=8)
    state = (generator.uniform(-2, 2, (cells, 8, spec.output_size)), generator.normal(size=(cells, 8, hidden)))
    plan = calibrate(lstm, x, lengths, state, data_width=data_width, weight_width=weight_width)
    y, (h_n, c_n) = run_on_device(lstm, x, state, device="fixed", lengths=lengths, plan=plan)
    expected, (eh_n, ec_n) = run_on_device(lstm, x, state, device="reference", lengths=lengths)
    assert plan.y_format.max > 1.5
    if spec.proj_clip:
        assert np.abs(expected).max() == spec.proj_clip
    for name, given_, reference in (("r", y, expected), ("r_n", h_n, eh_n), ("c_n", c_n, ec_n)):
        error = float(np.abs(given_ - reference).max())
        print(f"{name}: {error:.1e}")
        assert error < TOLERANCES[tolerance] * max(1.0, float(np.abs(reference).max()))
    assert Plan.from_json(plan.to_json()) == plan


@pytest.fixture(scope="module")
def small() -> tuple[LSTMSpec, Plan, tuple[CellWeights, ...], CodeInputs]:
    spec = LSTMSpec(3, 5)
    lstm, x = LSTM(spec, seed=4), np.random.default_rng(0).normal(size=(8, 3, 3))
    plan = calibrate(lstm, x)
    call = make_call(lstm.weights.astype(np.float64), x)
    return spec, plan, quantise_weights(lstm.weights, plan), quantise_inputs(plan, call)


Small = tuple[LSTMSpec, Plan, tuple[CellWeights, ...], CodeInputs]


def test_states_carry_from_call_to_call(small: Small) -> None:
    spec, plan, weights, inputs = small
    whole = run(spec, plan, weights, inputs)
    half = np.full(3, 4)
    first = run(spec, plan, weights, replace(inputs, x=inputs.x[:4], lengths=half))
    rest = replace(inputs, x=inputs.x[4:], h0=first.h_n, c0=first.c_n, lengths=half)
    second = run(spec, plan, weights, rest)
    assert (np.concatenate([first.y, second.y]) == whole.y).all()
    assert (second.c_n == whole.c_n).all()


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_what_stands_beyond_a_length_changes_nothing(direction: Direction) -> None:
    spec = LSTMSpec(3, 5, 2, direction)
    lstm, x = LSTM(spec, seed=4), np.random.default_rng(0).normal(size=(8, 3, 3))
    plan = calibrate(lstm, x)
    weights = quantise_weights(lstm.weights, plan)
    inputs = quantise_inputs(plan, make_call(lstm.weights.astype(np.float64), x, lengths=[8, 3, 0]))
    clean = run(spec, plan, weights, inputs)
    dirty = inputs.x.copy()
    dirty[3:, 1] = plan.x_format.max_code
    dirty[:, 2] = plan.x_format.min_code
    outputs = run(spec, plan, weights, replace(inputs, x=dirty))
    for name in ("y", "h_n", "c_n", "saturated"):
        assert (getattr(outputs, name) == getattr(clean, name)).all()


def test_kept_cells_explain_the_output(small: Small) -> None:
    spec, plan, weights, inputs = small
    outputs = run(spec, plan, weights, inputs, keep_cells=True)
    (cell,) = outputs.cells
    assert (cell.h == outputs.y).all()
    assert (cell.c[-1] == outputs.c_n[0]).all()
    assert (cell.x == inputs.x).all()
    real = {gate: plan.cells[0].a_format.dequantise(getattr(cell, gate)) for gate in "ifgo"}
    c = plan.cells[0].c_format.dequantise(cell.c)
    previous = np.concatenate([np.zeros_like(c[:1]), c[:-1]])
    error = np.abs(real["f"] * previous + real["i"] * real["g"] - c)
    assert error.max() <= plan.cells[0].c_format.resolution / 2
    assert run(spec, plan, weights, inputs).cells == ()


@pytest.mark.parametrize("flag", FLAGS)
def test_each_flag_rises_alone(small: Small, flag: str) -> None:
    spec, plan, (weights,), inputs = small
    cell, zero = plan.cells[0], np.zeros_like(inputs.c0)
    mute = replace(weights, w_ih=weights.w_ih * 0, w_hh=weights.w_hh * 0, b=weights.b * 0)  # every gate is 1/2, g is 0
    bias = mute.b.copy()
    if flag == "z":
        cell = replace(cell, b_width=30)
        bias[0] = 9 << cell.acc_frac  # i of unit 0, beyond [-8, 8)
    elif flag == "c":
        cell = replace(cell, c_frac=17)  # [-1, 1)
        bias[1], bias[2] = 7 << cell.acc_frac, 7 << cell.acc_frac
        cell = replace(cell, b_width=30)
    else:
        cell = replace(cell, b_width=30, h_width=4, h_frac=3, z_width=16)
        bias[3] = 7 << cell.acc_frac
        zero = zero + (4 << cell.c_frac) - 1
    outputs = run(spec, Plan(cells=(cell,)), (replace(mute, b=bias),), replace(inputs, c0=zero, h0=inputs.h0 * 0))
    assert outputs.saturated.any(axis=(0, 1)).tolist() == [name == flag for name in FLAGS]


def mutations(weights: CellWeights) -> dict[str, CellWeights]:
    def swap(rows: Codes) -> Codes:
        return rows.reshape(-1, 4, *rows.shape[1:])[:, [1, 0, 2, 3]].reshape(rows.shape)

    flipped = weights.w_ih.copy()
    flipped[7, 1] ^= 1 << 3
    square = weights.w_hh.reshape(-1, 4, weights.w_hh.shape[1]).transpose(2, 1, 0).reshape(weights.w_hh.shape)
    return {
        "two gates swapped": CellWeights(w_ih=swap(weights.w_ih), w_hh=swap(weights.w_hh), b=swap(weights.b)),
        "W_hh transposed": replace(weights, w_hh=square),
        "a bias dropped": replace(weights, b=weights.b * 0),
        "one weight bit flipped": replace(weights, w_ih=flipped),
    }


@pytest.mark.parametrize("name", ["two gates swapped", "W_hh transposed", "a bias dropped", "one weight bit flipped"])
def test_every_mutation_of_the_weights_shows(small: Small, name: str) -> None:
    spec, plan, weights, inputs = small
    mutated = run(spec, plan, (mutations(weights[0])[name],), inputs)
    assert (mutated.y != run(spec, plan, weights, inputs).y).any()


def test_convert_is_one_rounding_and_one_saturation() -> None:
    source, target = QFormat(width=16, fraction=15), QFormat(width=8, fraction=7)
    assert convert(np.array([128, 127, -32768, 32767]), source, target).tolist() == [1, 0, -128, 127]
    assert convert(np.array([5]), target, source).tolist() == [5 << 8]


def test_codes_outside_their_format_are_refused(small: Small) -> None:
    spec, plan, weights, inputs = small
    with pytest.raises(InputError, match=r"x holds codes of dtype int64 outside Q2\.13; expected int64 from -32768"):
        run(spec, plan, weights, replace(inputs, x=inputs.x + (1 << 15)))
    with pytest.raises(InputError, match="c0 holds codes of dtype float64"):
        run(spec, plan, weights, replace(inputs, c0=inputs.c0.astype(np.float64)))


def test_a_plan_of_another_spec_is_refused(small: Small) -> None:
    _, plan, weights, inputs = small
    with pytest.raises(FormatError, match="the plan has 1 cells; expected 2"):
        run(LSTMSpec(3, 5, 2), plan, weights, inputs)
