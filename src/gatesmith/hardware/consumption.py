"""Model energy of a whole export on real sequences: activity from simulation, times energies of operations."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy.typing as npt

from gatesmith.hardware.activity import HEAD, STREAMS, measure_activity
from gatesmith.hardware.energy import (
    HOROWITZ_45_NM,
    Energy,
    EnergyTable,
    estimate_energy,
    estimate_head,
    estimate_streams,
)
from gatesmith.hardware.manifest import Export, load_export
from gatesmith.hardware.runner import Stimulus
from gatesmith.hardware.verify import inputs_of

Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class ModelEnergy:
    """Model energy of one time step of a whole model.

    Attributes:
        parts: of every cell by its name, then of the ``head`` and of the ``streams`` around them, where there are any.
    """

    parts: Mapping[str, Energy]

    @property
    def joules_per_step(self) -> float:
        return sum(part.joules_per_step for part in self.parts.values())

    @property
    def cycles_per_step(self) -> float:
        """Clocks of the simulation over its time steps; all parts work at once."""
        return max(part.cycles_per_step for part in self.parts.values())

    @property
    def operations_per_step(self) -> float:
        return sum(part.operations_per_step for part in self.parts.values())

    @property
    def gop_per_joule(self) -> float:
        return self.operations_per_step / self.joules_per_step / 1e9

    @property
    def components(self) -> dict[str, float]:
        """Joules per step of each kind of component, over all parts."""
        found: dict[str, float] = {}
        for part in self.parts.values():
            for component in part.components:
                found[component.name] = found.get(component.name, 0.0) + component.joules
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "joules_per_step": self.joules_per_step,
            "gop_per_joule": self.gop_per_joule,
            "cycles_per_step": self.cycles_per_step,
            "operations_per_step": self.operations_per_step,
            "components": self.components,
            "parts": {name: part.to_dict() for name, part in self.parts.items()},
        }


def measure_energy(
    folder: str | Path,
    x: Array,
    lengths: npt.ArrayLike | None = None,
    *,
    table: EnergyTable = HOROWITZ_45_NM,
    stimulus: Stimulus | None = None,
    timeout_s: float = 600.0,
) -> ModelEnergy:
    """Model energy of a time step, from one simulation of all layers, directions and the head at once.

    Args:
        folder: written by :func:`gatesmith.hardware.export.export`.
        x: [T, N, D] real inputs; lengths [N], all T where None.
        table: energies of single operations.
        stimulus: how the streams behave; None for no waiting.

    Raises:
        ExportError, InputError, MissingToolError, ToolError: as :func:`gatesmith.hardware.simulate.simulate_model`.
    """
    exported = load_export(folder)
    activity = measure_activity(folder, inputs_of(exported, x, lengths), stimulus=stimulus, timeout_s=timeout_s)
    parts = {cell.name: estimate_energy(cell, activity[cell.name], table=table) for cell in exported.cells}
    if HEAD in activity and exported.plan.head:
        lanes = cast("int", exported.stack.get("HeadLanes", 1))
        parts[HEAD] = estimate_head(exported.plan.head, lanes, activity[HEAD], table=table)
    if STREAMS in activity:
        parts[STREAMS] = estimate_streams(_buffers(exported), activity[STREAMS], table=table)
    return ModelEnergy(parts=parts)


def _buffers(exported: Export) -> Iterator[tuple[int, int]]:
    """(bits of a step, bits in all) of memories that turn sequences around, let directions wait, or hold last steps.

    Two sequences, or two steps, fit into each.
    """
    both, longest = exported.spec.direction == "bidirectional", exported.options.max_steps
    first_cells = exported.cells[:: 2 if both else 1]  # of every layer
    for cell in first_cells:
        x_bits = cell.plan.input_size * cell.plan.x_width
        h_bits = cell.plan.output_size * cell.plan.y_format.width
        if both or (exported.spec.direction == "reverse" and cell is first_cells[0]):
            yield x_bits, 2 * longest * x_bits
        if both or (exported.spec.direction == "reverse" and cell is first_cells[-1]):
            yield h_bits, 2 * longest * h_bits
        if both:
            yield h_bits, 2 * longest * h_bits
        if exported.options.output != "sequence" and cell is first_cells[-1]:
            yield h_bits * exported.spec.num_directions, 2 * h_bits * exported.spec.num_directions
