"""Model energy of a whole export on real sequences: activity from simulation, times energies of operations."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from gatesmith.hardware.activity import HEAD, STREAMS, measure_activity
from gatesmith.hardware.energy import (
    HOROWITZ_45_NM,
    Component,
    Energy,
    EnergyTable,
    estimate_energy,
    estimate_head,
    estimate_streams,
)
from gatesmith.hardware.jobs import Stimulus
from gatesmith.hardware.manifest import load_export
from gatesmith.hardware.verify import inputs_of

Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class ModelEnergy:
    """Model energy of one time step of a whole model.

    Attributes:
        parts: of every engine by its name, then of the ``head`` and of the ``streams`` around, where there are any.
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
        return self._over_parts(lambda component: component.joules)

    @property
    def busy(self) -> dict[str, float]:
        """Operations per step of each kind of component, over all parts; one that changes half its bits counts half."""
        return self._over_parts(lambda component: component.operations * component.activity)

    def _over_parts(self, value: Callable[[Component], float]) -> dict[str, float]:
        found: dict[str, float] = {}
        for part in self.parts.values():
            for component in part.components:
                found[component.name] = found.get(component.name, 0.0) + value(component)
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "joules_per_step": self.joules_per_step,
            "gop_per_joule": self.gop_per_joule,
            "cycles_per_step": self.cycles_per_step,
            "operations_per_step": self.operations_per_step,
            "components": self.components,
            "busy": self.busy,
            "parts": {name: part.to_dict() for name, part in self.parts.items()},
        }


def measure_energy(
    folder: str | Path,
    x: Array,
    lengths: npt.ArrayLike | None = None,
    *,
    table: EnergyTable = HOROWITZ_45_NM,
    stimulus: Stimulus | None = None,
    memories_rest: bool = True,
    timeout_s: float = 600.0,
) -> ModelEnergy:
    """Model energy of a time step, from one simulation of all layers, directions and the head at once.

    Args:
        folder: written by :func:`gatesmith.hardware.export.export`.
        x: [T, N, D] real inputs; lengths [N], all T where None.
        table: energies of single operations.
        stimulus: how the streams behave; None for no waiting.
        memories_rest: False for what would be without read enables: every memory reads in every clock.

    Raises:
        ExportError, InputError, MissingToolError, ToolError: as :func:`gatesmith.hardware.simulate.simulate_model`.
    """
    exported = load_export(folder)
    inputs = inputs_of(exported, x, lengths)
    activity = measure_activity(folder, inputs, stimulus=stimulus, memories_rest=memories_rest, timeout_s=timeout_s)
    firsts = (cell for cell in exported.cells if not cell.context)
    parts = {cell.engine: estimate_energy(cell, activity[cell.engine], table=table) for cell in firsts}
    if HEAD in activity and exported.plan.head:
        parts[HEAD] = estimate_head(exported.plan.head, activity[HEAD], table=table)
    if STREAMS in activity:
        parts[STREAMS] = estimate_streams(activity[STREAMS], table=table)
    return ModelEnergy(parts=parts)


def measure_savings(
    folder: str | Path,
    x: Array,
    lengths: npt.ArrayLike | None = None,
    *,
    table: EnergyTable = HOROWITZ_45_NM,
    stimulus: Stimulus | None = None,
) -> tuple[ModelEnergy, ModelEnergy]:
    """With the memories' read enables, and without: :func:`measure_energy` twice, with the same arguments."""
    with_enables, without = (
        measure_energy(folder, x, lengths, table=table, stimulus=stimulus, memories_rest=rest) for rest in (True, False)
    )
    return with_enables, without
