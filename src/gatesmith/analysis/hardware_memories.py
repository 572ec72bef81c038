"""The memories of an export, as the RTL declares them, and the block RAMs that they take, from its parameters alone."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

BLOCK_SHAPES = ((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18), (512, 36))
"""Words and bits of an ECP5 block RAM in each of its modes (Lattice FPGA-TN-02204)."""

ROM_BLOCK_WORDS, RAM_BLOCK_WORDS = 16, 8
"""Memories of fewer words are built from logic: BlockDepth of rtl/rom.sv and rtl/ram.sv."""

LANES_OF_A_PART, REGISTER_WORDS, MEMORY_STAGES = 4, 2, 2
"""GroupLanes of rtl/lstm_mac.sv and PartLanes of rtl/lstm_gather.sv; RegisterDepth of rtl/lstm_ring.sv; the reads'
default latency."""

WIDE_LANES, WIDE_BLOCK_WORDS = 32, 4
"""From so many lanes on, finished sums lie in block RAM from so few words on: BlockWords of rtl/lstm_gather.sv."""

DEEPEST_BLOCK, BLOCK_BITS = 16384, 18432
"""DeepestBlock of rtl/rom.sv, where words are no longer rounded up to a power of two; bits of an ECP5 block RAM."""

Declared = tuple[str, str, int, int, int, int]
"""Name, formula of the bits, words, width, bits that hold information, copies."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """One memory of one cell.

    Attributes:
        formula: of its bits, in symbols.
        words, width: as the RTL declares it; up to DEEPEST_BLOCK, words are rounded up to a power of two there.
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


def cell_memories(cell: str, p: Mapping[str, int]) -> tuple[Memory, ...]:
    """Every memory of one cell as the RTL declares it, with the copies that it makes.

    With P above 4H, ``units`` elements of h are finished in one clock: the pointwise pipeline, with its biases, tables
    and cell states, is there so many times.
    """
    inputs, hidden, rows, lanes = p["InputSize"], p["HiddenSize"], 4 * p["HiddenSize"], _lanes(p)
    outputs, y_width = _outputs(p)
    columns = max(1, p["Multipliers"] // rows)
    units = min(columns, hidden)
    sets = p.get("WeightSets", 1)
    words = -(-(inputs + outputs) // columns) if columns > 1 else -(-rows * (inputs + outputs) // lanes)
    all_words = words_in_sets(words, sets)
    weight, entry = p["WeightWidth"], p["SlopeWidth"] + p["ActWidth"]
    segments, groups = 2 ** p["TableBits"], -(-hidden // units)
    turns = _Turns.of(p, words, columns)
    slots, states = turns.slots, 2 * turns.contexts
    x_words = slots * _power_of_two(-(-inputs // columns))
    h_words, c_words = (states * _power_of_two(n) for n in (-(-outputs // columns), groups))
    readers = 2 if p.get("Peepholes", 0) % 4 else 1  # peepholes of i and f read c before the gates are there
    read_only = (
        ("weights", "4H·(D + R)·w", all_words, lanes * columns * weight, products_of_a_step(p) * weight, 1),
        ("biases", "4H·b", words_in_sets(hidden, sets), 4 * p["BiasWidth"], sets * rows * p["BiasWidth"], units),
        *_peephole_memories(p, units),
        ("sigmoid tables", "3·2^A·(a + slope)", segments, entry, 3 * segments * entry, 3 * units),
        ("tanh tables", "2·2^A·(a + slope)", segments, entry, 2 * segments * entry, 2 * units),
    )
    writable = (
        (_steps("x", slots), f"{slots}D·x", x_words, p["XWidth"], slots * inputs * p["XWidth"], columns),
        (_steps("h", states), f"{states}R·h", h_words, y_width, states * outputs * y_width, columns),
        (
            "cell states c and c0",
            f"{states}H·c",
            c_words,
            p["CellWidth"],
            states * hidden * p["CellWidth"],
            readers * units,
        ),
        *_sum_memories(p, columns, turns.captures),
        _waiting("output, two steps", "2R·h", outputs, min(columns, outputs), y_width, turns),
    )
    own = _memories(cell, read_only, writable)
    if not p.get("ProjSize"):
        return own
    sizes = (p["ProjSize"], p["ProjMultipliers"], p["ProjAccWidth"], p["ProjWeightWidth"], p["ProjBiasWidth"])
    before = _waiting("h, to be projected", "2H·h", hidden, units, p["HWidth"])
    return (*own, *_memories(cell, (), (before,)), *_dense_memories(cell, "projection: ", "RH", hidden, *sizes))


def _memories(cell: str, read_only: Iterable[Declared], writable: Iterable[Declared]) -> tuple[Memory, ...]:
    return tuple(
        _memory(cell, *declared, least)
        for memories, least in ((read_only, ROM_BLOCK_WORDS), (writable, RAM_BLOCK_WORDS))
        for declared in memories
    )


def _outputs(p: Mapping[str, int]) -> tuple[int, int]:
    """R and the width of its elements: of the projection, or of h."""
    return (p["ProjSize"], p["ProjWidth"]) if p.get("ProjSize") else (p["HiddenSize"], p["HWidth"])


def _steps(what: str, count: int) -> str:
    return f"{what}, {'two' if count == 2 else count} steps"


@dataclass(frozen=True, kw_only=True)
class _Turns:
    """What sequences that take turns add to the memories of a cell.

    Attributes:
        contexts: their number; 1 adds nothing.
        slots: steps of x that are held.
        captures: steps whose finished sums are held.
        latency: clocks from the first read of a step's sums to its h, at most.
    """

    contexts: int = 1
    slots: int = 2
    captures: int = 1
    latency: int = 0

    @classmethod
    def of(cls, p: Mapping[str, int], words: int, columns: int) -> "_Turns":
        """As rtl/lstm_operands.sv, rtl/lstm_cell.sv and rtl/lstm.sv choose them."""
        contexts = p.get("Contexts", 1)
        if contexts == 1:
            return cls()
        inputs, hidden, lanes = p["InputSize"], p["HiddenSize"], _lanes(p)
        memory, operand, product, add = (p[f"{stage}Stages"] for stage in ("Memory", "Operand", "Product", "Sum"))
        straddles = columns == 1 and 4 * hidden * (inputs + hidden - 1) % lanes != 0
        sums = 1 + memory + operand + product + (columns - 1).bit_length() * add
        hold = sums + (3 if straddles else 2) + (4 if lanes < 4 else 1) * -(-hidden // min(columns, hidden))
        return cls(
            contexts=contexts,
            slots=2 if words - inputs // columns > 4 else 8,
            captures=_power_of_two(-(-hold // words)),
            latency=12 + 3 * memory + 6 * (operand + product) + 20 * add,
        )


def _waiting(name: str, formula: str, size: int, units: int, width: int, turns: _Turns | None = None) -> Declared:
    """The FIFO of rtl/lstm_output.sv: two vectors, in groups; more where sequences take turns."""
    groups = -(-size // units)
    if turns is None or turns.contexts == 1:
        return (name, formula, _power_of_two(2 * groups), units * width + 2, 2 * size * width, 1)
    depth = _power_of_two((2 if groups > 3 else 5) * groups + turns.latency + MEMORY_STAGES + 10)
    bits = units * width + 2 + (turns.contexts - 1).bit_length()
    return ("output", "h", depth, bits, depth * units * width, 1)


def _dense_memories(
    cell: str, prefix: str, symbols: str, inputs: int, outputs: int, lanes: int, acc: int, weight: int, bias: int
) -> tuple[Memory, ...]:
    """Those of rtl/dense.sv; ``symbols`` stand for outputs and inputs in the formulas."""
    out, into, turns = symbols[0], symbols[1], -(-outputs // lanes)
    read_only: list[Declared] = [
        (f"{prefix}weights", f"{out}·{into}·w", inputs * turns, lanes * weight, inputs * outputs * weight, 1),
        (f"{prefix}biases", f"{out}·b", outputs, bias, outputs * bias, 1),
    ]
    writable: list[Declared] = [(f"{prefix}finished sums", f"{out}·acc", turns, lanes * acc, outputs * acc, 1)]
    if turns - 1 > REGISTER_WORDS:
        writable.append(_ring(turns - 1, lanes, acc, prefix))
    return _memories(cell, read_only, writable)


def _peephole_memories(p: Mapping[str, int], units: int) -> list[Declared]:
    if not p.get("Peepholes"):
        return []
    hidden, width, sets = p["HiddenSize"], p["PeepholeWidth"], p.get("WeightSets", 1)
    return [("peephole weights", "3H·p", words_in_sets(hidden, sets), 3 * width, sets * 3 * hidden * width, units)]


def words_in_sets(words: int, sets: int) -> int:
    """Words of a memory that holds ``sets`` of so many, all but the last filled up to a power of two of two or more."""
    return (sets - 1) * max(2, _power_of_two(words)) + words


def _sum_memories(p: Mapping[str, int], columns: int, steps: int = 1) -> list[Declared]:
    """The sums that wait to be added to (lstm_ring) and those that wait for the gates (lstm_gather)."""
    rows, lanes, acc = 4 * p["HiddenSize"], _lanes(p), p["AccWidth"]
    late, turns = rows % lanes, rows // lanes
    found: list[Declared] = []
    for first in range(0, lanes, LANES_OF_A_PART):
        end = min(first + LANES_OF_A_PART, lanes)
        behind = max(0, min(late, end) - first)
        for count, depth in ((behind, turns), (end - first - behind, turns - 1)):
            if count and depth > REGISTER_WORDS:
                found.append(_ring(depth, count, acc))
    offset = 0 if columns > 1 else rows * (p["InputSize"] + _outputs(p)[0] - 1) % lanes
    waiting = steps * -(-(offset + rows) // lanes)
    alone = 0 if lanes < 4 or lanes % 4 == 0 else 4 - (2 if lanes % 2 == 0 else 1)
    # Where no window wraps around, a part that is not wanted reads zeros from the upper half of its words.
    aligned = not alone and lanes > 4 * min(columns, p["HiddenSize"])
    least = WIDE_BLOCK_WORDS if lanes >= WIDE_LANES else RAM_BLOCK_WORDS
    places = 2 * _power_of_two(waiting) if aligned and waiting >= least else waiting
    if alone:
        found.append(("finished sums", "acc", waiting, acc, alone * waiting * acc, alone))
    for first in range(0, lanes, LANES_OF_A_PART):
        count = min(first + LANES_OF_A_PART, lanes) - max(first, alone)
        found.append(("finished sums", "acc", places, count * acc, waiting * count * acc, 1))
    return _gathered(found)


def _ring(depth: int, lanes: int, acc: int, prefix: str = "") -> Declared:
    """Sums on their ring: where it is block RAM, the last ones stand in the registers of the read."""
    stored = depth - MEMORY_STAGES if depth >= RAM_BLOCK_WORDS else depth
    return (f"{prefix}sums on their ring", "acc", stored, lanes * acc, depth * lanes * acc, 1)


def _gathered(memories: Sequence[Declared]) -> list[Declared]:
    """One line for equal memories."""
    counts = Counter(memories)
    return [
        (name, formula, words, width, count * bits, count * copies)
        for (name, formula, words, width, bits, copies), count in counts.items()
    ]


def stack_memories(p: Mapping[str, int], cells: Sequence[Mapping[str, int]]) -> tuple[Memory, ...]:
    """What stands around the cells: buffers that turn sequences around or hold last steps, and the head's memories.

    Args:
        p: those parameters of ``lstm_stack`` that are one number for all cells.
        cells: the parameters of each cell, in their order.
    """
    head = _head_memories(p, _outputs(cells[-1])[0]) if p["Head"] else ()
    return (*_memories("stack", (), _gathered(list(_buffers(p, cells)))), *head)


def _buffers(p: Mapping[str, int], cells: Sequence[Mapping[str, int]]) -> Iterator[Declared]:
    both, reverse, longest = p["Direction"] == 2, p["Direction"] == 1, p["MaxSteps"]
    first_cells = cells[:: 2 if both and not p.get("Share", 0) else 1]  # of every layer
    for cell in first_cells:
        bottom, top = cell is first_cells[0], cell is first_cells[-1]
        (size, width), elements = _outputs(cell), cell["OutElements"]
        if both or (reverse and bottom):
            name = "x, to be turned around"
            yield _turned(name, "2S·D·x", cell["InputSize"], cell["InElements"], cell["XWidth"], longest)
        if both:
            words = _power_of_two(2 * longest * size // elements)
            yield ("h forward, waiting for reverse", "2S·R·h", words, elements * width, words * elements * width, 1)
        if both or (reverse and top):
            yield _turned("h, to be turned back", "2S·R·h", size, elements, width, longest)
        if p.get("Share", 0) == 2 and top:
            layers, beats = cell["WeightSets"], -(-size // elements)
            words, bits = _power_of_two(layers * beats + 2), elements * cell["XWidth"]
            beat = bits + 1 + (layers - 1).bit_length()
            yield ("h between layers", "L·R·x", words, beat, layers * size * cell["XWidth"], 1)
        if p["LastOnly"] and top:
            yield _turned("h of the last step", "2R·h", (2 if both else 1) * size, elements, width, 1)


def _turned(name: str, formula: str, size: int, elements: int, width: int, steps: int) -> Declared:
    """The memory of a sequence_reverser: two halves, one read while the other is written."""
    words = 2 * _power_of_two(max(2, steps * -(-size // elements)))
    return (name, formula, words, elements * width, 2 * steps * size * width, 1)


def _head_memories(p: Mapping[str, int], size: int) -> tuple[Memory, ...]:
    """Those of rtl/dense_head.sv; one product in a clock, so that a ring holds the sums of all classes but one."""
    inputs = (2 if p["Direction"] == 2 else 1) * size
    classes, acc, w, b = p["Classes"], p["HeadAccWidth"], p["HeadWeightWidth"], p["HeadBiasWidth"]
    scores, width = (1, max(2, (classes - 1).bit_length() + 1)) if p["Head"] == 2 else (classes, p["ScoreWidth"])
    out = _memories("head", (), (_waiting("output, two vectors", "2K·y", scores, 1, width),))
    return (*_dense_memories("head", "", "KR", inputs, classes, 1, acc, w, b), *out)


def _lanes(p: Mapping[str, int]) -> int:
    """Sums that grow in one clock."""
    return min(p["Multipliers"], 4 * p["HiddenSize"])


def blocks_for(words: int, width: int) -> int:
    """Block RAMs of an ECP5 that hold ``words`` of ``width`` bits, in the mode that takes the fewest.

    Deeper than any block, Yosys fills the blocks to the last bit, with modes side by side and a multiplexer behind.
    """
    if words > DEEPEST_BLOCK:
        return -(-words * width // BLOCK_BITS)
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
        blocks=copies * blocks_for(words if words > DEEPEST_BLOCK else _power_of_two(words), width) if in_blocks else 0,
    )


def products_of_a_step(p: Mapping[str, int]) -> int:
    """4H(D + R) of every cell that the engine computes."""
    return p.get("WeightSets", 1) * 4 * p["HiddenSize"] * (p["InputSize"] + _outputs(p)[0])


def _power_of_two(count: int) -> int:
    return 1 << max(0, count - 1).bit_length()
