"""Tables about the hardware say what the numbers are."""

import io

import numpy as np
from rich.console import Console

from gatesmith import LSTM, LSTMSpec
from gatesmith.fixed import calibrate
from gatesmith.hardware.consumption import ModelEnergy
from gatesmith.hardware.energy import estimate_energy
from gatesmith.hardware.instances import exported_cells
from gatesmith.hardware.options import Options
from gatesmith.report.hardware_tables import energy_table, model_energy_table, savings_table


def test_every_part_stands_with_its_share() -> None:
    lstm = LSTM(LSTMSpec(3, 4), seed=0)
    plan = calibrate(lstm, np.random.default_rng(0).normal(size=(8, 3, 3)).astype(np.float32))
    energy = estimate_energy(exported_cells(lstm.spec, plan, Options(multipliers=4))[0])
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(energy_table("l0", energy))
    text = console.export_text()
    for part in energy.components:
        assert part.name in text
    assert f"{energy.joules_per_step * 1e9:.3g} nJ per step" in text
    assert "assumed 1" in text
    assert "Horowitz" in text
    one, two = ModelEnergy(parts={"l0": energy}), ModelEnergy(parts={"l0": energy, "l0_reverse": energy})
    console.print(savings_table(one, two))
    assert "Read enables save 50%" in console.export_text()
    console.print(model_energy_table(two))
    text = console.export_text()
    assert f"{2 * energy.joules_per_step * 1e9:.3g} nJ per step" in text
    assert "l0_reverse" in text
    for part in energy.components:
        assert f"{2 * part.joules * 1e9:.3g}" in text
