"""Model energy of every cell of an export on real sequences: activity from simulation, times energies of operations."""

from pathlib import Path
from typing import Any

import numpy.typing as npt

from gatesmith.fixed.model import run
from gatesmith.hardware.activity import measure_activity
from gatesmith.hardware.energy import HOROWITZ_45_NM, Energy, EnergyTable, estimate_energy
from gatesmith.hardware.manifest import load_export, read_export_weights
from gatesmith.hardware.verify import inputs_of, read_by_cell

Array = npt.NDArray[Any]


def measure_energy(
    folder: str | Path,
    x: Array,
    lengths: npt.ArrayLike | None = None,
    *,
    table: EnergyTable = HOROWITZ_45_NM,
    timeout_s: float = 600.0,
) -> dict[str, Energy]:
    """Model energy of a time step, by the name of the cell.

    Args:
        folder: written by :func:`gatesmith.hardware.export.export`.
        x: [T, N, D] real inputs; lengths [N], all T where None.
        table: energies of single operations.

    Raises:
        ExportError, InputError, MissingToolError, ToolError: as :func:`gatesmith.hardware.simulate.simulate`.
    """
    exported = load_export(folder)
    inputs = inputs_of(exported, x, lengths)
    expected = run(exported.spec, exported.plan, read_export_weights(folder), inputs, keep_cells=True)
    energies: dict[str, Energy] = {}
    for at, cell in enumerate(exported.cells):
        layer_x = read_by_cell(exported, at, inputs, expected)
        activity = measure_activity(
            folder, layer_x, inputs.lengths, inputs.h0[at], inputs.c0[at], cell=at, timeout_s=timeout_s
        )
        energies[cell.name] = estimate_energy(cell, activity, table=table)
    return energies
