"""What an export costs in hardware, from its integer parameters alone: bits and blocks of memory, clocks of a step."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gatesmith.analysis.hardware_memories import Memory, cell_memories, products_of_a_step, stack_memories
from gatesmith.analysis.results import save_result
from gatesmith.errors import InputError

NEEDED = (
    "InputSize",
    "HiddenSize",
    "Multipliers",
    "WeightWidth",
    "BiasWidth",
    "XWidth",
    "HWidth",
    "CellWidth",
    "ActWidth",
    "SlopeWidth",
    "TableBits",
    "AccWidth",
)


@dataclass(frozen=True, kw_only=True)
class CellCycles:
    """Clocks of one time step of one cell, or of several that take turns in one engine.

    Attributes:
        cells: how many.
        output_size: R, elements of the projection, or of h.
        floor_cycles: 4H * (D + R) of all of them / P, rounded up: every multiplier busy in every clock.
        predicted_cycles: by the formula of rtl/README.md; None where it was not given.
        measured_cycles: in simulation; None where it was not given.
    """

    name: str
    cells: int
    input_size: int
    hidden_size: int
    output_size: int
    multipliers: int
    floor_cycles: int
    predicted_cycles: float | None
    measured_cycles: float | None

    @property
    def utilisation(self) -> float | None:
        """Share of clocks in which a multiplier works on a product of the step."""
        cycles = self.measured_cycles or self.predicted_cycles
        products = self.cells * 4 * self.hidden_size * (self.input_size + self.output_size)
        return products / (self.multipliers * cycles) if cycles else None

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "utilisation": self.utilisation}


@dataclass(frozen=True, kw_only=True)
class HardwareFootprint:
    """Memories and clocks of an export, beside what synthesis and simulation found.

    Attributes:
        synthesised: of :class:`gatesmith.hardware.synthesize.Synthesis`, such as luts, dsps, brams; empty without.
    """

    cells: tuple[CellCycles, ...]
    memories: tuple[Memory, ...]
    synthesised: Mapping[str, Any]

    @property
    def predicted_blocks(self) -> int:
        return sum(memory.blocks for memory in self.memories)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What holds, in words."""
        said: list[str] = []
        for cell in self.cells:
            cycles = cell.measured_cycles or cell.predicted_cycles
            if cycles:
                said.append(
                    f"Cell {cell.name}: {cycles:.6g} clocks per step, where 4H(D + R)/P allows no less than"
                    f" {cell.floor_cycles}; its multipliers are busy {cell.utilisation:.1%} of the time."
                )
        bits = sum(memory.bits for memory in self.memories)
        blocks = f"Memories hold {bits:,} bits and take {self.predicted_blocks} block RAMs by the formulas"
        found = self.synthesised.get("brams")
        after = f", {found} after synthesis" if isinstance(found, int) else ""
        return (*said, f"{blocks}{after}.")

    def to_dict(self) -> dict[str, Any]:
        return {
            "cells": [cell.to_dict() for cell in self.cells],
            "memories": [memory.to_dict() for memory in self.memories],
            "predicted_blocks": self.predicted_blocks,
            "synthesised": dict(self.synthesised),
            "sentences": list(self.sentences),
        }

    def save(self, path: str | Path, *, title: str = "") -> None:
        """Write the result file that :func:`gatesmith.report.write_report` reads."""
        save_result(path, "hardware", self.to_dict(), title=title)


def hardware_footprint(
    cells: Mapping[str, Mapping[str, int]],
    *,
    predicted_cycles: Sequence[float] | None = None,
    measured_cycles: Sequence[float] | None = None,
    synthesised: Mapping[str, Any] | None = None,
    stack: Mapping[str, int] | None = None,
) -> HardwareFootprint:
    """Bits of weight ROM, state RAM and tables of every cell of an export, and its clocks per step.

    Args:
        cells: the integer parameters of the RTL by the cell's name, as an export's manifest has them.
        predicted_cycles: per cell, from :func:`gatesmith.hardware.timing.timing`.
        measured_cycles: per cell, from simulation.
        synthesised: luts, dsps, brams … of the whole design.
        stack: the numbers among the parameters of ``lstm_stack``, for the buffers around the cells and the head.

    Raises:
        InputError: a parameter is missing, or a list has not one value for each cell.
    """
    for name, parameters in cells.items():
        missing = [parameter for parameter in NEEDED if parameter not in parameters]
        if missing:
            raise InputError(f"cell {name} has no parameter {missing[0]}; expected those of module lstm")
    for given in (predicted_cycles, measured_cycles):
        if given is not None and len(given) != len(cells):
            raise InputError(f"{len(given)} numbers of cycles are given; expected one for each of {len(cells)} cells")
    rows = [
        CellCycles(
            name=name,
            cells=parameters.get("WeightSets", 1),
            input_size=parameters["InputSize"],
            hidden_size=parameters["HiddenSize"],
            output_size=parameters.get("ProjSize") or parameters["HiddenSize"],
            multipliers=parameters["Multipliers"],
            floor_cycles=-(-products_of_a_step(parameters) // parameters["Multipliers"]),
            predicted_cycles=predicted_cycles[at] if predicted_cycles else None,
            measured_cycles=measured_cycles[at] if measured_cycles else None,
        )
        for at, (name, parameters) in enumerate(cells.items())
    ]
    memories = tuple(memory for name, parameters in cells.items() for memory in cell_memories(name, parameters))
    around = stack_memories(stack, list(cells.values())) if stack else ()
    return HardwareFootprint(cells=tuple(rows), memories=(*memories, *around), synthesised=dict(synthesised or {}))
