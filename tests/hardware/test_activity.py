"""Activity under Verilator against changes that are counted from the weight file and the data."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.tolerances import TOLERANCES

from gatesmith.errors import InputError, ToolError
from gatesmith.fixed import calibrate
from gatesmith.fixed.model import CodeInputs, quantise_inputs
from gatesmith.hardware import activity, verilator
from gatesmith.hardware.activity import MEMORIES, PARTS, Memory, evaluations_per_step, measure_activity, read_nets
from gatesmith.hardware.export import Export, export
from gatesmith.hardware.jobs import Stimulus
from gatesmith.hardware.memfile import from_hex
from gatesmith.hardware.timing import timing
from gatesmith.ops.call import make_call
from gatesmith.ops.operator import LSTM
from gatesmith.spec import LSTMSpec
from gatesmith.weights import Weights

X = np.random.default_rng(0).normal(size=(40, 2, 2))

SAIF = """(SAIFILE
(DURATION 9)
 (INSTANCE top
  (NET
   (clk (T0 0) (T1 9) (TZ 0) (TX 0) (TB 0) (TC 1))
  )
  (INSTANCE g_layer\\[0\\]
   (INSTANCE g_direction\\[1\\]
    (INSTANCE u_lstm
     (INSTANCE u_mac
      (NET
       (sums_q\\[0\\] (T0 0) (T1 9) (TZ 0) (TX 0) (TB 0) (TC 7))
       (sums_q\\[1\\] (T0 0) (T1 9) (TZ 0) (TX 0) (TB 0) (TC 5))
      )
      (INSTANCE u_weights
       (NET
        (read (T0 4) (T1 5) (TZ 0) (TX 0) (TB 0) (TC 8))
        (write_i (T0 9) (T1 0) (TZ 0) (TX 0) (TB 0) (TC 0))
        (address_i (T0 4) (T1 5) (TZ 0) (TX 0) (TB 0) (TC 8))
        (data_o\\[0\\] (T0 4) (T1 5) (TZ 0) (TX 0) (TB 0) (TC 8))
        (data_o\\[1\\] (T0 4) (T1 5) (TZ 0) (TX 0) (TB 0) (TC 8))
       )
      )
      (INSTANCE g_lane\\[3\\]
       (NET
        (left\\[0\\] (T0 0) (T1 9) (TZ 0) (TX 0) (TB 0) (TC 2))
        (left_q\\[0\\] (T0 0) (T1 9) (TZ 0) (TX 0) (TB 0) (TC 3))
       )
      )
     )
     (INSTANCE u_pointwise
      (NET
       (p_q\\[0\\] (T0 0) (T1 9) (TZ 0) (TX 0) (TB 0) (TC 4))
       (p_d\\[0\\] (T0 0) (T1 9) (TZ 0) (TX 0) (TB 0) (TC 100))
      )
     )
    )
   )
  )
  (INSTANCE u_fork
   (NET
    (busy_q (T0 0) (T1 9) (TZ 0) (TX 0) (TB 0) (TC 6))
   )
   (INSTANCE u_memory
    (NET
     (read (T0 5) (T1 4) (TZ 0) (TX 0) (TB 0) (TC 8))
     (write_i (T0 6) (T1 3) (TZ 0) (TX 0) (TB 0) (TC 6))
     (read_address_i (T0 4) (T1 5) (TZ 0) (TX 0) (TB 0) (TC 8))
     (write_address_i (T0 4) (T1 5) (TZ 0) (TX 0) (TB 0) (TC 8))
     (read_data_o (T0 4) (T1 5) (TZ 0) (TX 0) (TB 0) (TC 8))
    )
   )
  )
 )
)
"""


@pytest.fixture
def both(tmp_path: Path) -> Export:
    """A layer in both directions."""
    lstm = LSTM(LSTMSpec(2, 3, direction="bidirectional"), seed=0)
    return export(lstm, calibrate(lstm, X), tmp_path / "both", multipliers=4)


def of_one_direction(exported: Export) -> Export:
    """As if the forward cell were not there: the report has no net of it."""
    first, second = exported.cells
    return replace(exported, cells=(replace(first, engine=second.engine), second))


def test_every_bit_is_counted_once_in_its_part(tmp_path: Path, both: Export) -> None:
    report = tmp_path / "a.saif"
    report.write_text(SAIF)
    cell = "top.g_layer[0].g_direction[1].u_lstm"
    nets = list(read_nets(report))
    assert {(f"{cell}.u_mac.sums_q[0]", 9, 7), (f"{cell}.u_mac.g_lane[3].left_q[0]", 9, 3)} <= set(nets)
    found = activity._count(report, of_one_direction(both))  # type: ignore[attr-defined]
    of_cell = found["l0_reverse"]
    assert of_cell.toggles == {"multipliers": 2, "accumulators": 12, "activations": 4, "registers and control": 3}
    assert of_cell.bits == {"multipliers": 1, "accumulators": 2, "activations": 1, "registers and control": 1}
    assert of_cell.memories() == {"weight memory": (Memory(width=2, words=2, reads=5, writes=0),)}
    streams = found["streams"]
    assert (streams.toggles, streams.bits) == ({"registers and control": 6}, {"registers and control": 1})
    assert streams.memories() == {"buffer memory": (Memory(width=1, words=2, reads=4, writes=3),)}
    assert list(found) == ["l0_reverse", "streams"]


def test_a_part_without_nets_is_an_error(tmp_path: Path, both: Export) -> None:
    report = tmp_path / "a.saif"
    report.write_text(SAIF)
    with pytest.raises(ToolError, match="no net of l0 belongs to its multipliers"):
        activity._count(report, both)  # type: ignore[attr-defined]
    report.write_text(SAIF.replace("u_pointwise", "renamed"))
    with pytest.raises(ToolError, match="no net of l0_reverse belongs to its activations"):
        activity._count(report, of_one_direction(both))  # type: ignore[attr-defined]


def design(folder: Path, x: np.ndarray, *, zero: bool = False) -> tuple[Export, CodeInputs]:
    """An export and its inputs; always the same formats, so that one simulator serves all."""
    weights = LSTM(LSTMSpec(2, 3), seed=1).weights
    plan = calibrate(weights, X)
    if zero:
        weights = Weights(weights.spec, {name: np.zeros_like(array) for name, array in weights.items()})
    exported = export(weights, plan, folder, multipliers=4)
    return exported, quantise_inputs(plan, make_call(weights.astype(np.float64), x))


@pytest.mark.skipif(verilator.missing() is not None, reason=str(verilator.missing()))
def test_changes_of_a_simulation(tmp_path: Path) -> None:
    exported, inputs = design(tmp_path / "real", X)
    found = measure_activity(exported.folder, inputs)["l0"]
    cell = exported.cells[0]
    assert (found.steps, found.sequences) == (80, 2)
    ends = TOLERANCES["activity_at_the_ends"]
    assert found.cycles_per_step == pytest.approx(timing(cell.parameters).cycles_per_step, rel=ends)
    assert set(found.toggles) == set(PARTS)
    assert evaluations_per_step(cell.parameters) == 3
    # Units without work stand still: a step changes as many bits when it takes much longer.
    waiting = measure_activity(exported.folder, inputs, stimulus=Stimulus(valid_duty=0.02))["l0"]
    assert waiting.cycles > 1.3 * found.cycles
    for part, toggles in waiting.toggles.items():
        print(f"{part}: {toggles} changes where streams wait, {found.toggles[part]} where they don't")
        assert toggles == pytest.approx(found.toggles[part], rel=TOLERANCES["activity_while_idle"])
    # Memories read what is needed and no more; they would read in every clock.
    steps, given = found.steps, timing(cell.parameters)
    restless = measure_activity(exported.folder, inputs, stimulus=Stimulus(valid_duty=0.02), memories_rest=False)["l0"]
    assert set(found.memories) == set(waiting.memories) == set(restless.memories)
    assert set(found.memories) == set(MEMORIES) - {"projection memory"}
    once = {"weight memory": given.words * steps, "bias memory": 3 * steps, "output memory": 3 * steps}
    for seen in (found, waiting):
        for name, reads in once.items():
            assert 0 <= sum(memory.reads for memory in seen.memories[name]) - reads < 12  # some while it is reset
        assert all(0 <= memory.reads - 3 * steps < 12 for memory in seen.memories["activation tables"])
    for name, memories in restless.memories.items():
        for one, other in zip(memories, waiting.memories[name], strict=True):
            assert (one.width, one.words, one.writes) == (other.width, other.words, other.writes)
            assert one.reads >= restless.cycles
    assert restless.cycles == waiting.cycles
    # The weights enter the lanes word after word, and again in every step.
    words = from_hex((exported.folder / cell.files["WeightFile"]).read_text(), 4 * cell.plan.w_width)
    changes = sum((a ^ b).bit_count() for a, b in zip(words, [*words[1:], words[0]], strict=True))

    silent, nothing = design(tmp_path / "zero", X * 0, zero=True)
    quiet = measure_activity(silent.folder, nothing)["l0"]
    still, zeros = design(tmp_path / "still", X * 0)
    weights_only = measure_activity(still.folder, zeros)["l0"]
    assert quiet.toggles["multipliers"] < found.toggles["multipliers"] / 50
    assert weights_only.toggles["multipliers"] < found.toggles["multipliers"]
    expected = changes * found.steps
    print(f"weights alone: {weights_only.toggles['multipliers']} changes, the file has {expected}")
    assert weights_only.toggles["multipliers"] >= expected * (1 - ends)


def test_nothing_to_run_is_refused(tmp_path: Path) -> None:
    exported, inputs = design(tmp_path / "real", X)
    with pytest.raises(InputError, match="every sequence has length 0"):
        measure_activity(exported.folder, replace(inputs, lengths=inputs.lengths * 0))
