"""What an export costs in hardware, from its integer parameters alone: bits and blocks of memory, clocks of a step."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gatesmith.analysis.results import save_result
from gatesmith.errors import InputError

BLOCK_SHAPES = ((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18), (512, 36))
"""Words and bits of an ECP5 block RAM in each of its modes (Lattice FPGA-TN-02204)."""

ROM_BLOCK_WORDS, RAM_BLOCK_WORDS = 16, 8
"""Memories of fewer words are built from logic: BlockDepth of rtl/rom.sv and rtl/ram.sv."""

LANES_OF_A_RING, REGISTER_WORDS, MEMORY_STAGES = 8, 3, 2
"""GroupLanes of rtl/lstm_mac.sv, RegisterDepth of rtl/lstm_ring.sv, and the reads' default latency."""

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
class Memory:
    """One memory of one cell.

    Attributes:
        formula: of its bits, in symbols.
        words, width: as the RTL declares it; words are rounded up to a power of two there.
        bits: that hold information.
        blocks: block RAMs of an ECP5; 0 where it is too small and is built from logic.
    """

    cell: str
    memory: str
    formula: str
    words: int
    width: int
    bits: int
    kind: str
    blocks: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class CellCycles:
    """Clocks of one step of one cell.

    Attributes:
        floor_cycles: 4H * (D + H) / P, rounded up: every multiplier busy in every clock.
        predicted_cycles: by the formula of rtl/README.md; None where it was not given.
        measured_cycles: in simulation; None where it was not given.
    """

    name: str
    input_size: int
    hidden_size: int
    multipliers: int
    floor_cycles: int
    predicted_cycles: int | None
    measured_cycles: float | None

    @property
    def utilisation(self) -> float | None:
        """Share of clocks in which a multiplier works on a product of the step."""
        cycles = self.measured_cycles or self.predicted_cycles
        products = 4 * self.hidden_size * (self.input_size + self.hidden_size)
        return products / (self.multipliers * cycles) if cycles else None

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "utilisation": self.utilisation}


@dataclass(frozen=True, kw_only=True)
class HardwareFootprint:
    """Memories and clocks of an export, beside what synthesis and simulation found.

    Attributes:
        synthesised: of :class:`gatesmith.hardware.synthesize.Synthesis`, such as luts, dsps, brams; empty without.
        uncounted: parts of the design whose memories no formula here has.
    """

    cells: tuple[CellCycles, ...]
    memories: tuple[Memory, ...]
    synthesised: Mapping[str, Any]
    uncounted: tuple[str, ...] = ()

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
                    f"Cell {cell.name}: {cycles:.6g} clocks per step, where 4H(D + H)/P allows no less than"
                    f" {cell.floor_cycles}; its multipliers are busy {cell.utilisation:.1%} of the time."
                )
        bits = sum(memory.bits for memory in self.memories)
        blocks = f"Memories hold {bits:,} bits and take {self.predicted_blocks} block RAMs by the formulas"
        found = self.synthesised.get("brams")
        after = f", {found} after synthesis" if isinstance(found, int) else ""
        without = f"; the formulas don't count those of {' and '.join(self.uncounted)}" if self.uncounted else ""
        return (*said, f"{blocks}{after}{without}.")

    def to_dict(self) -> dict[str, Any]:
        return {
            "cells": [cell.to_dict() for cell in self.cells],
            "memories": [memory.to_dict() for memory in self.memories],
            "predicted_blocks": self.predicted_blocks,
            "synthesised": dict(self.synthesised),
            "uncounted": list(self.uncounted),
            "sentences": list(self.sentences),
        }

    def save(self, path: str | Path, *, title: str = "") -> None:
        """Write the result file that :func:`gatesmith.report.write_report` reads."""
        save_result(path, "hardware", self.to_dict(), title=title)


def hardware_footprint(
    cells: Mapping[str, Mapping[str, int]],
    *,
    predicted_cycles: Sequence[int] | None = None,
    measured_cycles: Sequence[float] | None = None,
    synthesised: Mapping[str, Any] | None = None,
    uncounted: Sequence[str] = (),
) -> HardwareFootprint:
    """Bits of weight ROM, state RAM and tables of every cell of an export, and its clocks per step.

    Args:
        cells: the integer parameters of the RTL by the cell's name, as an export's manifest has them.
        predicted_cycles: per cell, from :func:`gatesmith.hardware.timing.timing`.
        measured_cycles: per cell, from simulation.
        synthesised: luts, dsps, brams … of the whole design.
        uncounted: parts of the design whose memories no formula here has.

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
            input_size=parameters["InputSize"],
            hidden_size=parameters["HiddenSize"],
            multipliers=parameters["Multipliers"],
            floor_cycles=-(-_products(parameters) // parameters["Multipliers"]),
            predicted_cycles=predicted_cycles[at] if predicted_cycles else None,
            measured_cycles=measured_cycles[at] if measured_cycles else None,
        )
        for at, (name, parameters) in enumerate(cells.items())
    ]
    memories = tuple(memory for name, parameters in cells.items() for memory in memories_of(name, parameters))
    return HardwareFootprint(
        cells=tuple(rows), memories=memories, synthesised=dict(synthesised or {}), uncounted=tuple(uncounted)
    )


def memories_of(cell: str, p: Mapping[str, int]) -> tuple[Memory, ...]:
    """Every memory of one cell as the RTL declares it, with the copies that it makes.

    With P above 4H, ``units`` elements of h are finished in one clock: the pointwise pipeline, with its biases, tables
    and cell states, is there so many times.
    """
    inputs, hidden, rows, lanes = p["InputSize"], p["HiddenSize"], 4 * p["HiddenSize"], _lanes(p)
    columns = max(1, p["Multipliers"] // rows)
    units = min(columns, hidden)
    words = -(-(inputs + hidden) // columns) if columns > 1 else -(-_products(p) // lanes)
    entry, segments, groups = p["SlopeWidth"] + p["ActWidth"], 2 ** p["TableBits"], -(-hidden // units)
    x_words, h_words, c_words = (2 * _power_of_two(n) for n in (-(-inputs // columns), -(-hidden // columns), groups))
    read_only = (
        ("weights", "4H·(D + H)·w", words, lanes * columns * p["WeightWidth"], _products(p) * p["WeightWidth"], 1),
        ("biases", "4H·b", groups, 4 * p["BiasWidth"], rows * p["BiasWidth"], units),
        ("sigmoid tables", "3·2^A·(a + slope)", segments, entry, 3 * segments * entry, 3 * units),
        ("tanh tables", "2·2^A·(a + slope)", segments, entry, 2 * segments * entry, 2 * units),
    )
    writable = (
        ("x, two steps", "2D·x", x_words, p["XWidth"], 2 * inputs * p["XWidth"], columns),
        ("h, two steps", "2H·h", h_words, p["HWidth"], 2 * hidden * p["HWidth"], columns),
        ("cell states c and c0", "2H·c", c_words, p["CellWidth"], 2 * hidden * p["CellWidth"], units),
        *_sum_memories(p, columns),
        ("output, two steps", "2H·h", 2 * _power_of_two(groups), units * p["HWidth"] + 2, 2 * hidden * p["HWidth"], 1),
    )
    return tuple(
        _memory(cell, name, formula, words, width, bits, copies, least)
        for memories, least in ((read_only, ROM_BLOCK_WORDS), (writable, RAM_BLOCK_WORDS))
        for name, formula, words, width, bits, copies in memories
    )


def _sum_memories(p: Mapping[str, int], columns: int) -> list[tuple[str, str, int, int, int, int]]:
    """The sums that wait to be added to (lstm_ring) and those that wait for the gates (lstm_gather)."""
    rows, lanes, acc = 4 * p["HiddenSize"], _lanes(p), p["AccWidth"]
    late, turns = rows % lanes, rows // lanes
    found: list[tuple[str, str, int, int, int, int]] = []
    for first in range(0, lanes, LANES_OF_A_RING):
        end = min(first + LANES_OF_A_RING, lanes)
        behind = max(0, min(late, end) - first)
        for count, depth in ((behind, turns), (end - first - behind, turns - 1)):
            if count and depth > REGISTER_WORDS:
                stored = depth - MEMORY_STAGES if depth >= RAM_BLOCK_WORDS else 0
                found.append(("sums on their ring", "acc", stored or depth, count * acc, depth * count * acc, 1))
    if len(found) > 1 and len(set(found)) == 1:  # one line for equal ones
        name, formula, words, width, bits, _ = found[0]
        found = [(name, formula, words, width, len(found) * bits, len(found))]
    offset = 0 if columns > 1 else rows * (p["InputSize"] + p["HiddenSize"] - 1) % lanes
    waiting = -(-(offset + rows) // lanes)
    split = 0 if lanes < 4 or lanes % 4 == 0 else 4 - (2 if lanes % 2 == 0 else 1)
    for count in (split, lanes - split):
        if count:
            found.append(("finished sums", "acc", waiting, count * acc, waiting * count * acc, 1))
    return found


def _lanes(p: Mapping[str, int]) -> int:
    """Sums that grow in one clock."""
    return min(p["Multipliers"], 4 * p["HiddenSize"])


def blocks_for(words: int, width: int) -> int:
    """Block RAMs of an ECP5 that hold ``words`` of ``width`` bits, in the mode that takes the fewest."""
    return min(-(-words // depth) * -(-width // bits) for depth, bits in BLOCK_SHAPES)


def _memory(
    cell: str, name: str, formula: str, words: int, width: int, bits: int, copies: int, least_words: int
) -> Memory:
    in_blocks = words >= least_words
    return Memory(
        cell=cell,
        memory=name if copies == 1 else f"{name} ({copies} copies)",
        formula=formula,
        words=words,
        width=width,
        bits=bits,
        kind="block RAM" if in_blocks else "logic",
        blocks=copies * blocks_for(_power_of_two(words), width) if in_blocks else 0,
    )


def _products(p: Mapping[str, int]) -> int:
    return 4 * p["HiddenSize"] * (p["InputSize"] + p["HiddenSize"])


def _power_of_two(count: int) -> int:
    return 1 << max(0, count - 1).bit_length()
