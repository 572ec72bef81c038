"""Gate summaries against hand-made gates, simulated decay, and sums counted the slow way."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatesmith.analysis.gates import gate_errors, look_at_cells, time_constants
from gatesmith.errors import InputError, UnsupportedError
from gatesmith.ops import reference
from gatesmith.ops.call import make_call
from gatesmith.spec import Activation, LSTMSpec
from gatesmith.weights import initialise

Array = npt.NDArray[Any]
STEPS, BATCH, UNITS = 6, 3, 4
LENGTHS = np.array([6, 2, 0])
SPEC = LSTMSpec(input_size=2, hidden_size=UNITS)


@dataclass(frozen=True, kw_only=True, eq=False)
class Signals:
    i: Array
    f: Array
    g: Array
    o: Array
    c: Array
    h: Array


def hand_made(**values: float) -> Signals:
    """Constant signals, 0.5 unless given."""
    return Signals(**{name: np.full((STEPS, BATCH, UNITS), values.get(name, 0.5)) for name in "ifgoch"})


def traced(spec: LSTMSpec, seed: int = 0) -> tuple[Any, Any]:
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(STEPS, BATCH, spec.input_size)) * 3
    call = make_call(initialise(spec, seed=seed, dtype=np.float64), x, lengths=LENGTHS)
    return call, reference.trace(call)


def test_saturation_counts_valid_steps_only() -> None:
    signals = hand_made()
    signals.f[:, :, 1] = 0.95
    signals.f[3, 0, 1] = 0.5
    signals.i[0, 1, 2] = 0.01
    signals.g[1, 0, 3] = -0.99
    signals.f[5, 1] = 0.99  # beyond the second sequence's end: must not count
    (cell,) = look_at_cells(SPEC, [signals], LENGTHS)
    assert cell.saturation["f"].high.tolist() == [0, 7 / 8, 0, 0]
    assert cell.saturation["i"].low.tolist() == [0, 0, 1 / 8, 0]
    assert cell.saturation["g"].low.tolist() == [0, 0, 0, 1 / 8]
    assert cell.to_dict()["saturation"]["f"]["high"] == 7 / 32


def test_signals_are_nan_beyond_the_end() -> None:
    (cell,) = look_at_cells(SPEC, [hand_made()], LENGTHS)
    present = np.isfinite(cell.signals["c"]).all(axis=2)
    assert (present.sum(axis=0) == LENGTHS).all()


def test_units_that_never_open_or_never_forget() -> None:
    signals = hand_made()
    signals.i[:, :, 2] = 0.04
    signals.f[:, :, (0, 3)] = 0.96
    signals.f[1, 1, 3] = 0.5
    (cell,) = look_at_cells(SPEC, [signals], LENGTHS)
    assert cell.never_opens == (2,)
    assert cell.never_forgets == (0,)


@settings(derandomize=True, max_examples=50, deadline=None)
@given(st.lists(st.floats(0.2, 0.99), min_size=1, max_size=20), st.sampled_from([0.0, 0.3]))
def test_time_constant_is_that_of_a_simulated_decay(forget: list[float], zoneout: float) -> None:
    """Multiply a state through the gates, again and again, and see how long it takes to fall to 1/e."""
    (constant,) = time_constants(np.array(forget)[:, None], zoneout=zoneout)
    state, rounds = 1.0, 0
    while state > 1e-6:
        for f in forget:
            state = zoneout * state + (1 - zoneout) * f * state
        rounds += 1
    simulated = rounds * len(forget) / -np.log(state)
    assert constant == pytest.approx(simulated, rel=1e-9)


def test_a_memory_that_never_decays_is_infinite_and_null_in_json() -> None:
    (cell,) = look_at_cells(SPEC, [hand_made(f=1.0)], LENGTHS)
    assert np.isinf(cell.time_constant).all()
    assert cell.to_dict()["time_constant_steps"] == [None] * UNITS
    assert time_constants(np.zeros((3, 1))).tolist() == [0]


def test_no_valid_step_at_all_is_no_error() -> None:
    (cell,) = look_at_cells(SPEC, [hand_made()], np.zeros(BATCH, np.int64))
    assert cell.never_opens == cell.never_forgets == ()
    assert cell.to_dict()["time_constant_steps"] == [None] * UNITS


@pytest.mark.parametrize(
    "spec",
    [
        SPEC,
        replace(SPEC, direction="reverse"),
        replace(SPEC, cell_clip=0.3, gate_clip=0.2),
        replace(SPEC, zoneout_c=0.4, coupled_gates="f=1-i", peepholes="ifo"),
        replace(SPEC, activations=(Activation(name="sigmoid"), Activation(name="softsign"), Activation(name="elu"))),
    ],
)
def test_outputs_run_again_from_the_gates_are_those_of_the_reference(spec: LSTMSpec) -> None:
    """With gates that are the reference's own, every row is zero; that needs the cell's exact order and equations."""
    call, traces = traced(spec)
    (real,) = look_at_cells(spec, traces, LENGTHS)
    rows = gate_errors(spec, real, real, call.c0[0], LENGTHS)
    assert [row.gate for row in rows] == [*"ifgo", "all"]
    assert all(row.worst == row.output_worst == 0 for row in rows)
    # And a changed output gate gives the change of h itself, which the cell's equations don't touch.
    shifted = replace(traces[0], o=traces[0].o + 0.01)
    (other,) = look_at_cells(spec, [shifted], LENGTHS)
    row = gate_errors(spec, real, other, call.c0[0], LENGTHS)[3]
    ratio = traces[0].h / np.where(traces[0].o == 0, 1, traces[0].o)
    valid = np.arange(STEPS)[:, None] < LENGTHS
    assert row.worst == pytest.approx(0.01)
    assert row.output_worst == pytest.approx(0.01 * np.abs(ratio[valid]).max(), rel=1e-9)


def test_a_forget_gate_s_error_accumulates_as_in_a_loop_by_hand() -> None:
    call, traces = traced(SPEC)
    (real,) = look_at_cells(SPEC, traces, LENGTHS)
    (other,) = look_at_cells(SPEC, [replace(traces[0], f=traces[0].f - 0.02)], LENGTHS)
    worst = 0.0
    for n, length in enumerate(LENGTHS):
        c = np.zeros(UNITS)
        for t in range(length):
            c = (traces[0].f[t, n] - 0.02) * c + traces[0].i[t, n] * traces[0].g[t, n]
            worst = max(worst, np.abs(traces[0].o[t, n] * np.tanh(c) - traces[0].h[t, n]).max())
    row = gate_errors(SPEC, real, other, call.c0[0], LENGTHS)[1]
    assert row.output_worst == pytest.approx(worst, rel=1e-9)
    assert worst > 0


def test_layer_norm_is_refused_by_name() -> None:
    spec = replace(SPEC, layer_norm="gates_and_cell")
    call, traces = traced(spec)
    (real,) = look_at_cells(spec, traces, LENGTHS)
    with pytest.raises(UnsupportedError, match="layer_norm"):
        gate_errors(spec, real, real, call.c0[0], LENGTHS)


def test_a_missing_cell_is_refused() -> None:
    with pytest.raises(InputError, match="1 traces are given; expected one for each of the 2 cells"):
        look_at_cells(replace(SPEC, num_layers=2), [hand_made()], LENGTHS)
