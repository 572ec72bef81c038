"""What the compiled kernel holds for a variant of the cell, by the formulas of csrc/variant_memory.cpp; in floats.

⌈H⌉, ⌈R⌉ and ⌈D⌉ are rounded up to whole vectors, ⌈R⌉₄ to blocks of four vectors; S rows of states, Z rows of all else.
"""

from dataclasses import dataclass

from gatesmith.spec import LSTMSpec

H_PADDING = 16
"""Floats between the rows of h, so that they don't fall on the same lines of a cache."""

NORM_SCALES = 8

Terms = list[tuple[str, int]]
"""Symbols and number of the parts of a sum; empty ones are left out when it is shown."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """One cell on one instruction set: V lanes, tiles of M rows."""

    spec: LSTMSpec
    inputs: int
    direction: str
    lanes: int
    tile_rows: int

    def up(self, size: int, to: int) -> int:
        return -(-size // to) * to

    @property
    def hidden(self) -> int:
        return self.up(self.spec.hidden_size, self.lanes)

    @property
    def h_row(self) -> int:
        return self.up(self.spec.output_size, self.lanes) + H_PADDING

    @property
    def output_block(self) -> int:
        return self.up(self.spec.output_size, 4 * self.lanes)

    @property
    def norms(self) -> int:
        """Arrays of four gates that are normalised."""
        return {"none": 0, "gates_and_cell": 1, "inputs_and_cell": 2}[self.spec.layer_norm]

    @property
    def is_elementwise(self) -> bool:
        return not self.norms and not self.spec.full_peepholes

    @property
    def keeps_slopes(self) -> bool:
        gates, candidate, _ = self.spec.activations_of(self.direction)
        return bool(self.spec.gate_clip) or (gates.name, candidate.name) != ("sigmoid", "tanh")


def packed(sizes: Sizes) -> Terms:
    """Weights as the kernel reads them, or their gradients."""
    spec, hidden = sizes.spec, sizes.hidden
    return [
        ("4⌈H⌉·(1 + D + R)", 4 * hidden * (1 + sizes.inputs + spec.output_size)),
        ("3⌈H⌉", 3 * hidden if spec.peepholes else 0),
        (f"{len(spec.full_peepholes)}⌈H⌉²", len(spec.full_peepholes) * hidden**2),
        ("⌈R⌉₄·(1 + ⌈H⌉)", sizes.output_block * (1 + hidden) if spec.proj_size else 0),
        (f"{8 * sizes.norms + 2}⌈H⌉", (8 * sizes.norms + 2) * hidden if sizes.norms else 0),
    ]


def packed_backward(sizes: Sizes) -> Terms:
    spec, hidden = sizes.spec, sizes.hidden
    return [
        ("4⌈H⌉·(⌈R⌉ + ⌈D⌉)", 4 * hidden * (sizes.h_row - H_PADDING + sizes.up(sizes.inputs, sizes.lanes))),
        (f"{len(spec.full_peepholes)}⌈H⌉²", len(spec.full_peepholes) * hidden**2),
        ("⌈R⌉₄·⌈H⌉", sizes.output_block * hidden if spec.proj_size else 0),
    ]


def trace(sizes: Sizes, states: int, rows: int, *, keeps_steps: bool) -> Terms:
    """What a run leaves behind: S rows of states, Z rows of what a step computes."""
    spec, hidden = sizes.spec, sizes.hidden
    gates = (keeps_steps or not sizes.is_elementwise) + (keeps_steps and sizes.keeps_slopes) + sizes.norms
    units = bool(spec.zoneout_c) + (keeps_steps and bool(spec.cell_clip)) + bool(spec.proj_size) + bool(sizes.norms)
    return [
        (f"S·(⌈H⌉ + ⌈R⌉ + {H_PADDING})", states * (hidden + sizes.h_row)),
        (f"{4 * gates + units}Z·⌈H⌉", (4 * gates + units) * rows * hidden),
        (f"Z·(⌈R⌉ + {H_PADDING})", rows * sizes.h_row if keeps_steps and spec.proj_clip else 0),
        (f"{NORM_SCALES}Z", NORM_SCALES * rows if sizes.norms else 0),
    ]


def features(sizes: Sizes, rows: int) -> Terms:
    """What the weights' gradients are products with, transposed in tiles."""
    spec, tile = sizes.spec, sizes.tile_rows
    seen = sizes.up(sizes.hidden, tile)
    count = sizes.up(1 + sizes.inputs, tile) + sizes.up(spec.output_size, tile)
    full = bool(set("if") & set(spec.full_peepholes)) + ("o" in spec.full_peepholes)
    count += full * seen + (sizes.up(1 + sizes.hidden, tile) if spec.proj_size else 0)
    symbols = "1 + D + R" + (f" + {full}⌈H⌉" if full else "") + (" + 1 + ⌈H⌉" if spec.proj_size else "")
    return [(f"K·({symbols})", rows * count)]


def gradients(sizes: Sizes, batch: int, rows: int) -> Terms:
    """Running gradients of the states, and those of a chunk of K rows."""
    spec, hidden = sizes.spec, sizes.hidden
    gates = 1 + (spec.layer_norm == "gates_and_cell") + 2 * (spec.layer_norm == "inputs_and_cell")
    units = 1 + bool(sizes.norms)
    return [
        (f"N·(⌈H⌉ + ⌈R⌉ + {H_PADDING})", batch * (hidden + sizes.h_row)),
        (f"{4 * gates + units}K·⌈H⌉", (4 * gates + units) * rows * hidden),
        ("K·⌈R⌉₄", rows * sizes.output_block if spec.proj_size else 0),
        *features(sizes, rows),
        *packed(sizes),
    ]


def show(terms: Terms) -> str:
    """The sum in symbols, without the parts that are empty."""
    return " + ".join(symbols for symbols, count in terms if count)


def total(terms: Terms) -> int:
    return sum(count for _, count in terms)
