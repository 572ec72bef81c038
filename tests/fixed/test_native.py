"""The native twin against the golden model: the same codes, on every instruction set of this machine."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.fixed.plans import RAILS, RANDOM, cell_weights, plans, random_inputs, variants

from gatesmith.errors import FormatError, InputError
from gatesmith.fixed import calibrate, model, native
from gatesmith.fixed.model import CodeInputs, CodeOutputs, quantise_inputs
from gatesmith.fixed.plan import Plan
from gatesmith.fixed.weights import CellWeights, quantise_weights
from gatesmith.ops.call import make_call
from gatesmith.ops.library import library
from gatesmith.ops.operator import LSTM
from gatesmith.spec import Direction, LSTMSpec

pytestmark = pytest.mark.skipif(native.missing() is not None, reason=str(native.missing()))

DIRECTIONS: list[Direction] = ["forward", "reverse", "bidirectional"]
TARGETS = ["avx512", "avx2", "portable"]


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest) -> Iterator[None]:
    """An instruction set that this machine has."""
    lib = library()
    before = lib.gatesmith_target()
    if not lib.gatesmith_set_target(request.param.encode()):
        pytest.skip(f"this machine has no {request.param}")
    yield
    lib.gatesmith_set_target(before)


def assert_equal(given_: CodeOutputs, expected: CodeOutputs) -> None:
    for name in ("y", "h_n", "c_n", "saturated"):
        assert getattr(given_, name).dtype == getattr(expected, name).dtype
        assert (getattr(given_, name) == getattr(expected, name)).all(), name


def calibrated(
    spec: LSTMSpec, batch: int, steps: int, *, data_width: int = 16, weight_width: int = 8
) -> tuple[Plan, tuple[CellWeights, ...], CodeInputs]:
    generator = np.random.default_rng(batch)
    lstm, x = LSTM(spec, seed=1), generator.normal(size=(steps, batch, spec.input_size))
    plan = calibrate(lstm, x, data_width=data_width, weight_width=weight_width)
    lengths = generator.integers(0, steps + 1, size=batch)
    call = make_call(lstm.weights.astype(np.float64), x, lengths=lengths)
    return plan, quantise_weights(lstm.weights, plan), quantise_inputs(plan, call)


@pytest.mark.usefixtures("target")
@settings(
    derandomize=True, deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_plan(data: st.DataObject) -> None:
    sizes = (data.draw(st.integers(1, most), name) for name, most in (("D", 7), ("H", 7), ("L", 3)))
    spec = data.draw(variants(*sizes, data.draw(st.sampled_from(DIRECTIONS))))
    plan = data.draw(plans(spec))
    generator = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    kinds = [data.draw(st.sampled_from([RANDOM, RAILS])) for _ in range(2)]
    lengths = generator.integers(0, 4, size=data.draw(st.integers(0, 40), "N")).tolist()
    weights = tuple(cell_weights(generator, cell, kinds[0]) for cell in plan.cells)
    inputs = random_inputs(generator, plan, 3, lengths, kinds[1])
    assert_equal(native.run(spec, plan, weights, inputs), model.run(spec, plan, weights, inputs))


@pytest.mark.usefixtures("target")
@pytest.mark.parametrize(
    ("data_width", "weight_width"), [(8, 4), (8, 8), (10, 5), (16, 8), (16, 12), (16, 16), (18, 18), (24, 18)]
)
@pytest.mark.parametrize(("inputs", "hidden"), [(1, 1), (12, 32), (300, 9), (5, 130)])
def test_calibrated_plans(inputs: int, hidden: int, data_width: int, weight_width: int) -> None:
    spec = LSTMSpec(inputs, hidden)
    plan, weights, given_ = calibrated(spec, 37, 4, data_width=data_width, weight_width=weight_width)
    assert_equal(native.run(spec, plan, weights, given_), model.run(spec, plan, weights, given_))
    at_rails = random_inputs(np.random.default_rng(0), plan, 4, given_.lengths.tolist(), RAILS)
    assert_equal(native.run(spec, plan, weights, at_rails), model.run(spec, plan, weights, at_rails))


@pytest.mark.usefixtures("target")
def test_sums_at_the_edge_of_32_bits() -> None:
    """Rails of every size around the switch from 32-bit to 64-bit sums."""
    plan, _, _ = calibrated(LSTMSpec(3, 5), 3, 2)
    generator = np.random.default_rng(0)
    for inputs in (100, 127, 128, 129, 255, 256, 257, 511, 512, 513, 600):
        cell = replace(plan.cells[0], input_size=inputs, x_frac=15, w_ih_frac=7, w_hh_frac=7, b_width=30)
        wide = Plan(cells=(cell,))
        weights = (cell_weights(generator, cell, RAILS),)
        least = replace(weights[0], w_ih=np.full_like(weights[0].w_ih, cell.w_ih_format.min_code))
        codes = random_inputs(generator, wide, 2, [2, 1, 2], RAILS)
        lowest = replace(codes, x=np.full_like(codes.x, cell.x_format.min_code))
        for w, i in ((weights, codes), ((least,), lowest)):
            assert_equal(native.run(LSTMSpec(inputs, 5), wide, w, i), model.run(LSTMSpec(inputs, 5), wide, w, i))


@pytest.mark.usefixtures("target")
@pytest.mark.parametrize("inputs", [2, 61, 127, 190, 255, 400, 700])
@pytest.mark.parametrize(("x_frac", "weight"), [(15, 32767), (15, 20000), (13, 9000), (17, 16500)])
def test_sums_modulo_32_bits(inputs: int, x_frac: int, weight: int) -> None:
    """Sums beyond 32 bits, all rounding of the coarse ones in one direction: no multiple of 2^32 goes missing."""
    plan, _, _ = calibrated(LSTMSpec(3, 5), 3, 2)
    generator = np.random.default_rng(inputs)
    cell = replace(
        plan.cells[0], input_size=inputs, w_width=16, x_frac=x_frac, w_ih_frac=16, w_hh_frac=16, b_width=32, z_width=18
    )
    wide, spec = Plan(cells=(cell,)), LSTMSpec(inputs, 5)
    for step in (1 << np.arange(5, 11)).tolist():
        # Just below halves of the steps that bytes round to, in the sign of the operand, which is at a rail; what
        # remains of the weights in any sign, so that z is within its range.
        signs = generator.choice([-1, 1], size=inputs)
        steps = generator.integers(-(weight // step) + 1, weight // step, size=(20, inputs)) * step
        weights = replace(cell_weights(generator, cell, RANDOM), w_ih=steps + (step // 2 - 1) * signs)
        rails = np.where(signs > 0, 32767, -32768)
        codes = random_inputs(generator, wide, 2, [2, 1, 2, 0, 2], RAILS)
        codes = replace(codes, x=np.broadcast_to(rails, codes.x.shape) * generator.choice([0, 1], size=(2, 5, 1)))
        assert_equal(native.run(spec, wide, (weights,), codes), model.run(spec, wide, (weights,), codes))


@pytest.mark.usefixtures("target")
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(("hidden", "batch"), [(8, 700), (9, 656), (9, 655)])
@pytest.mark.parametrize("data_width", [16, 24])
def test_outputs_past_the_cache(hidden: int, batch: int, direction: Direction, data_width: int) -> None:
    """Enough of them to go past it, in whole lines of memory and not; most sequences are of one length."""
    spec, steps = LSTMSpec(2, hidden, 1, direction), 25
    plan, weights, inputs = calibrated(spec, batch, steps, data_width=data_width)
    lengths = np.full(batch, steps)
    lengths[batch // 2] = 3
    codes = replace(inputs, lengths=lengths)
    assert_equal(native.run(spec, plan, weights, codes), model.run(spec, plan, weights, codes))


@pytest.mark.usefixtures("target")
def test_threads_and_strides_change_nothing() -> None:
    spec = LSTMSpec(3, 5, 2, "bidirectional")
    plan, weights, inputs = calibrated(spec, 150, 6)
    one = native.run(spec, plan, weights, inputs)
    assert_equal(native.run(spec, plan, weights, inputs, threads=7), one)
    turned = replace(inputs, x=np.asfortranarray(inputs.x), lengths=inputs.lengths.astype(np.int64)[:])
    assert_equal(native.run(spec, plan, weights, turned), one)
    shared = replace(inputs, x=np.broadcast_to(inputs.x[:, :1], inputs.x.shape))
    assert_equal(native.run(spec, plan, weights, shared), model.run(spec, plan, weights, shared))


def test_no_steps_and_no_sequences() -> None:
    spec = LSTMSpec(3, 5)
    plan, weights, inputs = calibrated(spec, 4, 3)
    none = replace(inputs, x=inputs.x[:0], lengths=inputs.lengths * 0)
    assert_equal(native.run(spec, plan, weights, none), model.run(spec, plan, weights, none))
    empty = replace(inputs, x=inputs.x[:, :0], h0=inputs.h0[:, :0], c0=inputs.c0[:, :0], lengths=inputs.lengths[:0])
    assert_equal(native.run(spec, plan, weights, empty), model.run(spec, plan, weights, empty))


def test_bad_codes_are_refused() -> None:
    spec = LSTMSpec(3, 5)
    plan, weights, inputs = calibrated(spec, 4, 3)
    with pytest.raises(InputError, match="x holds codes of dtype int64 outside"):
        native.run(spec, plan, weights, replace(inputs, x=inputs.x + (1 << 20)))
    with pytest.raises(FormatError, match="the plan has 1 cells; expected 2"):
        native.run(LSTMSpec(3, 5, 2), plan, weights, inputs)
