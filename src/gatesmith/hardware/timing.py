"""How many clocks a design takes: the formula of rtl/README.md, exact for every shape, and what it depends on."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from gatesmith.errors import ExportError

PIPELINE = {
    "InElements": 1,
    "OutElements": 1,
    "MemoryStages": 3,
    "OperandStages": 2,
    "ProductStages": 3,
    "SumStages": 1,
}
"""Parameters of the SystemVerilog that change latency but no value, with the defaults they have there."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Everything about clocks that follows from a design's sizes.

    Attributes:
        lanes: sums that grow in one clock, at most 4H.
        columns_per_cycle: above 1 only where there are more multipliers than rows.
        units: elements of h that are finished in one clock, at most.
        out_units: elements that leave the cell in one clock, at most: of h, or of its projection.
        words: clocks in which a step's products are multiplied.
        turns: steps in a round: of sequences, or of cells, that take turns.
        sequences: how many sequences these are of.
        cycles_per_round: clocks in which each of them takes a step, in long sequences, input and output never waiting;
            the average, where rounds differ.
    """

    lanes: int
    columns_per_cycle: int
    units: int
    out_units: int
    words: int
    turns: int
    sequences: int
    cycles_per_round: int | Fraction

    @property
    def cycles_per_step(self) -> float:
        """Clocks from one time step, of all cells, to the next, of whichever sequence; with several, the average."""
        clocks = Fraction(self.cycles_per_round) / self.sequences
        return float(clocks) if clocks.denominator > 1 else int(clocks)


def timing(parameters: Mapping[str, int], *, chained: bool = False) -> Timing:
    """The timing of module ``lstm`` with these parameters; missing pipeline parameters have their defaults.

    Args:
        chained: as of :class:`gatesmith.hardware.options.Options`.

    Raises:
        ExportError: a size is below 1.
    """
    given = {**PIPELINE, **parameters}
    inputs, hidden, multipliers = (given[name] for name in ("InputSize", "HiddenSize", "Multipliers"))
    if min(inputs, hidden, multipliers) < 1:
        raise ExportError(
            f"InputSize, HiddenSize, Multipliers are {inputs}, {hidden}, {multipliers}; expected at least 1"
        )
    outputs = cell_output_size(given)
    rows, columns = 4 * hidden, inputs + outputs
    lanes, per_cycle = min(multipliers, rows), max(1, multipliers // rows)
    units = min(per_cycle, hidden)
    words = -(-columns // per_cycle) if per_cycle > 1 else -(-rows * columns // lanes)
    contexts, cells = given.get("Contexts", 1), given.get("WeightSets", 1)
    turns = cells if cells > 1 else contexts
    # Where nothing else is waited for: a step that begins with a word of h is looked at a clock before, and sums of
    # less than four lanes are read one by one.
    busy = max(words + (1 if contexts > 1 and inputs < per_cycle else 0), 4 * hidden if lanes < 4 else 0)
    transfers = max(-(-inputs // given["InElements"]), -(-outputs // given["OutElements"]))
    dependence = _dependence(given, lanes, per_cycle, words)
    per_round = max(dependence.loop, turns * max(busy, transfers))
    if chained and cells > 1:
        # A step goes through all layers but the last, and then the next new one begins behind it: so many rounds.
        through = Fraction((cells - 1) * _return(given, dependence, lanes) + max(busy, transfers), cells)
        per_round = max(per_round, through)
    return Timing(
        lanes=lanes,
        columns_per_cycle=per_cycle,
        units=units,
        out_units=min(per_cycle, outputs),
        words=words,
        turns=turns,
        sequences=turns // cells,
        cycles_per_round=per_round,
    )


def cell_output_size(parameters: Mapping[str, int]) -> int:
    """R: elements that leave ``lstm`` in a step."""
    return parameters.get("ProjSize", 0) or parameters["HiddenSize"]


def projection_multipliers(parameters: Mapping[str, int]) -> int:
    """The fewest products in a clock with which a projection costs no time, at most P; 0 where there is none.

    Where every number costs some, it is P, or R where that is less.
    """
    most = min(parameters.get("ProjSize", 0), parameters["Multipliers"])
    for lanes in range(1, most):
        found = timing({**parameters, "ProjMultipliers": lanes, "InElements": 1, "OutElements": 1})
        if found.cycles_per_step == max(found.words, parameters["InputSize"], parameters["ProjSize"]):
            return lanes
    return most


@dataclass(frozen=True, kw_only=True)
class _Dependence:
    """How a step depends on the h of the step before, in clocks.

    Attributes:
        enough: from the issue of a step's first word to that of the one which completes the first sums.
        latency: from there to the issue of the first operand that is made of them.
        loop: around it, where nothing else is waited for.
    """

    enough: int
    latency: int
    loop: int


def _dependence(given: Mapping[str, int], lanes: int, per_cycle: int, words: int) -> _Dependence:
    inputs, hidden = given["InputSize"], given["HiddenSize"]
    rows = 4 * hidden
    memory, operand, product, add = (given[f"{name}Stages"] for name in ("Memory", "Operand", "Product", "Sum"))
    tree = (per_cycle - 1).bit_length() if add else 0
    serial = lanes < 4  # rows of a unit are read one by one
    # From the issue of the word that completes the first sums to the first operand that they produce.
    sums = 1 + memory + operand + product + tree
    pointwise = 5 + 3 * memory + 4 * operand + 4 * product + 17 * add + _variant_stages(given)
    gather = 1 + add * _joins(lanes, min(per_cycle, hidden)) + (4 if serial else 0)
    latency = sums + gather + pointwise + 2 + memory + 3 * add
    outputs = cell_output_size(given)
    out_units = min(per_cycle, outputs)
    if per_cycle > 1:
        enough, uses = words - 1, [inputs // per_cycle + group for group in range(-(-outputs // out_units))]
        uses = [min(use, words - 1) for use in uses]
    else:
        first = rows * (inputs + outputs - 1)  # product with which the last column begins
        enough = first // lanes + (1 if first % lanes else 0)
        uses = [rows * (inputs + unit) // lanes for unit in range(outputs)]
    pace = 4 if serial else 1
    if given.get("ProjSize", 0):
        latency += _projection_stages(given, pace=pace, out_units=out_units)
        after = [min((group + 1) * out_units, outputs) - 1 for group in range(len(uses))]  # r's come one a clock
    else:
        after = [pace * group for group in range(len(uses))]
    loop = max(enough - use + latency + late for late, use in zip(after, uses, strict=True))
    return _Dependence(enough=enough, latency=latency, loop=loop)


def _return(given: Mapping[str, int], dependence: _Dependence, lanes: int) -> int:
    """Clocks from a step's first word to that of the next layer's, which waits until all of its x is stored.

    h goes beat by beat, and the last beat is waited for.
    """
    memory, add = given["MemoryStages"], given["SumStages"]
    leaves = add + (memory + 2) + 1  # a register, the FIFO, and the register slice of the output
    returns = memory + 2  # the FIFO of layer_turns
    enters = 1 + 2  # the register slice of the input; stored, and known to be
    fetched = 2 + memory + 2 * add  # from there to the operand
    directly = 2 + memory + 3 * add  # what the latency holds for all of that: to the next step of the same layer
    beats = -(-given["HiddenSize"] // given["OutElements"])
    around = leaves + returns + enters + fetched - directly + (beats - 1) * (4 if lanes < 4 else 1)
    return dependence.enough + dependence.latency + around


def _joins(lanes: int, units: int) -> int:
    """Registers, one for each step of four to one, in which the capture buffer's windows become the rows of a group."""
    if lanes < 4:
        return 1
    stride = 4 * units if units > 1 or lanes % 4 == 0 else 2 if lanes % 2 == 0 else 1
    steps = ((-(-lanes // stride) - 1).bit_length() + 1) // 2
    return steps + 1 if steps > 1 else 1  # and one for the way, where they are many


def _projection_stages(given: Mapping[str, int], *, pace: int, out_units: int) -> int:
    """Clocks from the first h of a step to its first r; a group of r comes with its last element."""
    memory, operand, product, add = (given[f"{name}Stages"] for name in ("Memory", "Operand", "Product", "Sum"))
    wait = memory + 3
    columns = (given["HiddenSize"] - 1) * max(pace, -(-given["ProjSize"] // given["ProjMultipliers"]))
    sums = 2 * memory + operand + product + 3 * add + 3 + (add if given.get("ProjClip", 0) else 0)
    return wait + columns + sums + (1 if out_units > 1 else 0)


def _variant_stages(given: Mapping[str, int]) -> int:
    """Clocks that peepholes and the clip of c add to the pointwise part."""
    product, add = given["OperandStages"] + given["ProductStages"], given["SumStages"]
    peepholes = given.get("Peepholes", 0)
    early = max(product, 3 * add) - 2 * add if peepholes & 3 else 0
    late = product + 1 if peepholes & 4 else 0
    return early + late + (add if given.get("CellClip", 0) else 0)
