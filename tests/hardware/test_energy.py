"""Model energy: the literature's figures, what it counts, and what measured activity changes."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from tests.tolerances import TOLERANCES

from gatesmith.errors import FormatError
from gatesmith.fixed import calibrate
from gatesmith.hardware.activity import Activity, Memory
from gatesmith.hardware.energy import HOROWITZ_45_NM, EnergyTable, estimate_energy
from gatesmith.hardware.export import export
from gatesmith.hardware.instances import ExportedCell, exported_cells
from gatesmith.hardware.options import Options
from gatesmith.hardware.timing import timing
from gatesmith.ops.operator import LSTM
from gatesmith.spec import LSTMSpec


@pytest.fixture
def cell(tmp_path: Path) -> ExportedCell:
    lstm = LSTM(LSTMSpec(12, 32), seed=1)
    plan = calibrate(lstm, np.random.default_rng(0).normal(size=(6, 4, 12)))
    return export(lstm, plan, tmp_path / "out", multipliers=16).cells[0]


@pytest.mark.parametrize(
    ("given", "published"),
    [
        (HOROWITZ_45_NM.add(8), 0.03),
        (HOROWITZ_45_NM.add(32), 0.1),
        (HOROWITZ_45_NM.multiply(8, 8), 0.2),
        (HOROWITZ_45_NM.multiply(32, 32), 3.1),
        (HOROWITZ_45_NM.access(64, 8 * 8192), 10.0),
        (HOROWITZ_45_NM.access(64, 8 * 32768), 20.0),
        (HOROWITZ_45_NM.access(64, 8 * 2**20), 100.0),
    ],
)
def test_the_table_passes_through_the_published_points(given: float, published: float) -> None:
    assert given == pytest.approx(published, rel=TOLERANCES["energy_of_published_operations"])


def test_operations_follow_from_the_sizes(cell: ExportedCell) -> None:
    energy = estimate_energy(cell)
    parts = {part.name: part for part in energy.components}
    assert parts["multipliers"].operations == parts["accumulators"].operations == 4 * 32 * (12 + 32)
    assert parts["weight memory"].operations == 4 * 32 * (12 + 32) / 16 == energy.cycles_per_step
    assert parts["activations"].operations == parts["bias memory"].operations == 32
    assert parts["activation tables"].operations == 5 * 32
    assert energy.operations_per_step == 2 * 4 * 32 * 44
    assert not any(part.measured for part in energy.components)
    assert energy.joules_per_step == pytest.approx(sum(part.joules for part in energy.components))
    assert energy.gop_per_joule == pytest.approx(energy.operations_per_step / energy.joules_per_step / 1e9)


def test_layers_in_turn_take_the_clocks_of_their_wavefront() -> None:
    lstm = LSTM(LSTMSpec(20, 20, 3), seed=1)
    plan = calibrate(lstm, np.random.default_rng(0).normal(size=(6, 4, 20)), share="layers")
    options = Options(multipliers=1600, share="layers")
    cell = exported_cells(lstm.spec, plan, options)[0]
    assert options.chained
    expected = timing(cell.parameters, chained=True).cycles_per_step
    assert estimate_energy(cell, chained=True).cycles_per_step == expected > estimate_energy(cell).cycles_per_step


def test_random_bits_have_activity_one(cell: ExportedCell) -> None:
    products, steps = 4 * 32 * 44, 10
    operand = cell.plan.w_width + cell.plan.operand_width
    names = ("multipliers", "accumulators", "activations", "registers and control")
    bits = dict(zip(names, (16 * operand, 16 * cell.plan.acc_width, 3000, 4000), strict=True))
    toggles = {
        "multipliers": products * steps * operand // 2,
        "accumulators": products * steps * cell.plan.acc_width // 2,
        "activations": 3000 * 32 * steps // 2,
        "registers and control": 5000,
    }
    memories = {"weight memory": (Memory(width=128, words=512, reads=3600, writes=0),)}
    measured = Activity(steps=steps, sequences=2, cycles=3700, toggles=toggles, bits=bits, memories=memories)
    energy = estimate_energy(cell, measured)
    parts = {part.name: part for part in energy.components}
    for name in names[:3]:
        assert parts[name].activity == 1
        assert parts[name].measured
    assert parts["registers and control"].operations == 500
    assert parts["weight memory"].operations == 360
    assert parts["weight memory"].picojoules == pytest.approx(HOROWITZ_45_NM.access(128, 8 * 8192))
    assert energy.cycles_per_step == 370
    half = replace(measured, toggles={name: count // 2 for name, count in toggles.items()})
    assert estimate_energy(cell, half).joules_per_step < energy.joules_per_step


def test_a_table_of_one_s_own(cell: ExportedCell) -> None:
    values = {name: 2 * v if name.endswith(("bit", "bit2")) else v for name, v in asdict(HOROWITZ_45_NM).items()}
    twice = EnergyTable.from_json(json.dumps(values))
    assert estimate_energy(cell, table=twice).joules_per_step == pytest.approx(
        2 * estimate_energy(cell).joules_per_step
    )
    json.dumps(estimate_energy(cell, table=twice).to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"add_pj_per_bit": -1}, "add_pj_per_bit is -1; expected a positive number"),
        ({"memory_bytes": "8"}, "memory_bytes is '8'"),
        ({"name": 3}, "name is 3; expected text"),
        ({"extra": 3}, "doesn't have its fields"),
    ],
)
def test_bad_tables_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        EnergyTable.from_json(json.dumps(asdict(HOROWITZ_45_NM) | change))
    with pytest.raises(FormatError, match="not valid JSON"):
        EnergyTable.from_json("{")
