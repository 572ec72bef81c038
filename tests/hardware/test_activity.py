"""Activity under Verilator against changes that are counted from the weight file and the data."""

from pathlib import Path

import numpy as np
import pytest
from tests.tolerances import TOLERANCES

from gatesmith.errors import InputError, ToolError
from gatesmith.fixed import calibrate
from gatesmith.fixed.model import CodeInputs, quantise_inputs
from gatesmith.hardware import activity, verilator
from gatesmith.hardware.activity import PARTS, evaluations_per_step, measure_activity
from gatesmith.hardware.export import Export, export
from gatesmith.hardware.memfile import from_hex
from gatesmith.hardware.timing import timing
from gatesmith.ops.call import make_call
from gatesmith.ops.operator import LSTM
from gatesmith.spec import LSTMSpec

SAIF = """(SAIFILE
(DURATION 9)
 (INSTANCE top
  (NET
   (clk (T0 0) (T1 9) (TZ 0) (TX 0) (TB 0) (TC 1))
  )
  (INSTANCE u_mac
   (NET
    (sums_q\\[0\\] (T0 0) (T1 9) (TZ 0) (TX 0) (TB 0) (TC 7))
    (sums_q\\[1\\] (T0 0) (T1 9) (TZ 0) (TX 0) (TB 0) (TC 5))
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
"""


def test_every_bit_is_counted_once_in_its_part(tmp_path: Path) -> None:
    report = tmp_path / "a.saif"
    report.write_text(SAIF)
    assert list(activity._nets(report))[1:5:3] == [("top.u_mac.sums_q", 7), ("top.u_mac.g_lane[3].left_q", 3)]  # type: ignore[attr-defined]
    toggles, bits = activity._count(report)  # type: ignore[attr-defined]
    assert toggles == {"multipliers": 2, "accumulators": 12, "activations": 4, "registers and control": 3}
    assert bits == {"multipliers": 1, "accumulators": 2, "activations": 1, "registers and control": 1}


def test_a_part_without_nets_is_an_error(tmp_path: Path) -> None:
    report = tmp_path / "a.saif"
    report.write_text(SAIF.replace("u_pointwise", "renamed"))
    with pytest.raises(ToolError, match="no net of the design belongs to its activations"):
        activity._count(report)  # type: ignore[attr-defined]


X = np.random.default_rng(0).normal(size=(40, 2, 2))


def design(folder: Path, x: np.ndarray, *, zero: bool = False) -> tuple[Export, CodeInputs]:
    """An export and its inputs; always the same formats, so that one simulator serves all."""
    lstm = LSTM(LSTMSpec(2, 3), seed=1)
    plan = calibrate(lstm, X)
    if zero:
        for array in lstm.weights.values():
            array[:] = 0
    exported = export(lstm, plan, folder, multipliers=4)
    return exported, quantise_inputs(plan, make_call(lstm.weights.astype(np.float64), x))


@pytest.mark.skipif(verilator.missing() is not None, reason=str(verilator.missing()))
def test_changes_of_a_simulation(tmp_path: Path) -> None:
    exported, inputs = design(tmp_path / "real", X)
    found = measure_activity(exported.folder, inputs.x, inputs.lengths, inputs.h0[0], inputs.c0[0])
    cell = exported.cells[0]
    assert found.steps == 80
    ends = TOLERANCES["activity_at_the_ends"]
    assert found.cycles_per_step == pytest.approx(timing(cell.parameters).cycles_per_step, rel=ends)
    assert set(found.toggles) == set(PARTS)
    assert evaluations_per_step(cell.parameters) == 3
    # The weights enter the lanes word after word, and again in every step.
    words = from_hex((exported.folder / cell.files["WeightFile"]).read_text(), 4 * cell.plan.w_width)
    changes = sum((a ^ b).bit_count() for a, b in zip(words, [*words[1:], words[0]], strict=True))

    silent, nothing = design(tmp_path / "zero", X * 0, zero=True)
    quiet = measure_activity(silent.folder, nothing.x, nothing.lengths, nothing.h0[0], nothing.c0[0])
    still, zeros = design(tmp_path / "still", X * 0)
    weights_only = measure_activity(still.folder, zeros.x, zeros.lengths, zeros.h0[0], zeros.c0[0])
    assert quiet.toggles["multipliers"] < found.toggles["multipliers"] / 50
    assert weights_only.toggles["multipliers"] < found.toggles["multipliers"]
    expected = changes * found.steps
    print(f"weights alone: {weights_only.toggles['multipliers']} changes, the file has {expected}")
    assert weights_only.toggles["multipliers"] >= expected * (1 - ends)


def test_nothing_to_run_is_refused(tmp_path: Path) -> None:
    exported, inputs = design(tmp_path / "real", X)
    with pytest.raises(InputError, match="every sequence has length 0"):
        measure_activity(exported.folder, inputs.x, inputs.lengths * 0, inputs.h0[0], inputs.c0[0])
