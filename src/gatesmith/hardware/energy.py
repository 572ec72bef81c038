"""Model energy of the hardware: operations of a step, how busy their bits are, and energies from the literature."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, cast

from gatesmith.errors import FormatError
from gatesmith.fixed.linear import LinearPlan
from gatesmith.hardware.activity import Activity, evaluations_per_step
from gatesmith.hardware.instances import ExportedCell
from gatesmith.hardware.timing import timing

PICO = 1e-12


@dataclass(frozen=True, kw_only=True)
class EnergyTable:
    """Energies of single operations in picojoules, for operands of random bits; replaceable by the user's own.

    Attributes:
        add_pj_per_bit: of an integer adder, in proportion to its width.
        multiply_pj_per_bit2: of an integer multiplier, in proportion to the product of its widths.
        memory_pj_per_bit: of reading or writing a bit of an SRAM of ``memory_bytes``; grows with the root of the size.
        register_pj_per_bit: of a register's bit that changes.
    """

    name: str
    source: str
    process: str
    add_pj_per_bit: float
    multiply_pj_per_bit2: float
    memory_pj_per_bit: float
    memory_bytes: float
    register_pj_per_bit: float

    def __post_init__(self) -> None:
        for field in fields(self):
            value = cast("object", getattr(self, field.name))
            if field.type is str:
                if not isinstance(value, str):
                    raise FormatError(f"the energy table's {field.name} is {value!r}; expected text")
            elif isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e12:
                raise FormatError(f"the energy table's {field.name} is {value!r}; expected a positive number")

    def add(self, bits: int) -> float:
        return self.add_pj_per_bit * bits

    def multiply(self, left_bits: int, right_bits: int) -> float:
        return self.multiply_pj_per_bit2 * left_bits * right_bits

    def access(self, bits: int, memory_bits: int) -> float:
        """One read or write of ``bits`` in a memory of ``memory_bits``."""
        return self.memory_pj_per_bit * bits * math.sqrt(memory_bits / 8 / self.memory_bytes)

    @classmethod
    def from_json(cls, text: str) -> "EnergyTable":
        """Read a user's table; the text is untrusted.

        Raises:
            FormatError: it is no JSON object with exactly the fields of this class.
        """
        try:
            values: object = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise FormatError(f"the energy table is not valid JSON ({error}); expected an object") from None
        names = {field.name for field in fields(cls)}
        if not isinstance(values, dict) or set(cast("dict[str, Any]", values)) != names:
            raise FormatError(f"the energy table doesn't have its fields; expected exactly {', '.join(sorted(names))}")
        return cls(**cast("dict[str, Any]", values))


HOROWITZ_45_NM = EnergyTable(
    name="Horowitz 45 nm",
    source="M. Horowitz, Computing's energy problem (and what we can do about it), ISSCC 2014",
    process="45 nm, 0.9 V",
    add_pj_per_bit=0.1 / 32,  # 32 bits: 0.1 pJ; gives 0.025 at 8 bits, where the source has 0.03
    multiply_pj_per_bit2=3.1 / 32**2,  # 32 x 32 bits: 3.1 pJ; gives 0.19 at 8 bits, where the source has 0.2
    memory_pj_per_bit=10 / 64,  # 64 bits of 8 KiB: 10 pJ; gives 20 at 32 KiB as the source, 113 at 1 MiB for its 100
    memory_bytes=8192.0,
    register_pj_per_bit=0.1 / 32,  # not in the source: taken as a bit of an adder
)


@dataclass(frozen=True, kw_only=True)
class Component:
    """One part of the hardware in one time step.

    Attributes:
        operations: in a step.
        picojoules: of one operation with operands of random bits.
        activity: measured changes of bits over those of random bits; 1 where it was not measured.
        measured: whether operations or activity come from a simulation, rather than from the sizes alone.
    """

    name: str
    operations: float
    picojoules: float
    activity: float
    measured: bool

    @property
    def joules(self) -> float:
        return self.operations * self.picojoules * self.activity * PICO


@dataclass(frozen=True, kw_only=True)
class Energy:
    """Model energy of one time step of a cell, a head or streams; the clock's own wiring and leakage are not in it.

    Attributes:
        cycles_per_step: measured where there was a simulation, else by the formula.
        operations_per_step: 2 for each weight, a multiplication and an addition.
    """

    components: tuple[Component, ...]
    table: EnergyTable
    cycles_per_step: float
    operations_per_step: float

    @property
    def joules_per_step(self) -> float:
        return sum(component.joules for component in self.components)

    @property
    def gop_per_joule(self) -> float:
        return self.operations_per_step / self.joules_per_step / 1e9

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        parts = [asdict(component) | {"joules": component.joules} for component in self.components]
        return {
            "joules_per_step": self.joules_per_step,
            "gop_per_joule": self.gop_per_joule,
            "cycles_per_step": self.cycles_per_step,
            "operations_per_step": self.operations_per_step,
            "components": parts,
            "table": asdict(self.table),
        }


def estimate_energy(
    cell: ExportedCell,
    activity: Activity | None = None,
    *,
    chained: bool = False,
    table: EnergyTable = HOROWITZ_45_NM,
) -> Energy:
    """Model energy of a time step of the engine that computes an exported cell, alone or in turn with others.

    Args:
        activity: from :func:`gatesmith.hardware.activity.measure_activity`; None to count operations from the sizes
            alone, with operands of random bits and two 16-bit counters as control.
        chained: as of :class:`gatesmith.hardware.options.Options`; counts where there is no activity.
    """
    plan, given = cell.plan, timing(cell.parameters, chained=chained)
    inputs, hidden = plan.input_size, plan.hidden_size
    outputs, y_width = plan.output_size, plan.y_format.width
    turns = cell.parameters["WeightSets"]  # cells that it computes
    products = turns * 4 * hidden * (inputs + outputs)
    operand_bits = plan.w_width + plan.operand_width
    cycles = activity.cycles_per_step if activity else float(given.cycles_per_step)
    entry = plan.a_width + plan.slope_width
    segment_bits = plan.gate_table.segment_bits
    look_up = table.access(entry, entry << min(plan.table_bits, plan.z_width - 1))
    interpolate = table.multiply(plan.slope_width, max(1, segment_bits)) + table.add(plan.a_width)
    unit = (
        5 * interpolate
        + table.multiply(plan.a_width, plan.c_width)
        + 2 * table.multiply(plan.a_width, plan.a_width)
        + table.add(plan.a_width + plan.c_width)
    )
    x_bits, h_bits, c_bits = inputs * plan.x_width, outputs * y_width, hidden * plan.c_width
    state = (2 * turns) * (  # each is written once and read once
        inputs * table.access(plan.x_width, 2 * x_bits)
        + outputs * table.access(y_width, 2 * turns * h_bits)
        + hidden * table.access(plan.c_width, 2 * turns * c_bits)
    )
    sum_bits = plan.acc_width * given.lanes
    sum_accesses = 2.0 * turns * given.words if 4 * hidden > given.lanes else 0.0
    word = table.access(plan.w_width * given.lanes * given.columns_per_cycle, products * plan.w_width)
    bias = table.access(4 * plan.b_width, turns * 4 * hidden * plan.b_width)
    memories = (
        _assumed("sum memory", sum_accesses, table.access(sum_bits, 4 * hidden * plan.acc_width)),
        _assumed("weight memory", turns * given.words, word),
        _assumed("bias memory", turns * hidden, bias),
        _assumed("activation tables", 5 * turns * hidden, look_up),
        _assumed("state memory", 1, state),
    )
    components = (
        _component("multipliers", products, table.multiply(plan.w_width, plan.operand_width), activity, operand_bits),
        _component("accumulators", products, table.add(plan.acc_width), activity, plan.acc_width),
        *(_memories(activity, table) if activity else memories),
        _activations(cell, turns * hidden, unit, activity),
        *([_projection(plan.projection, cell.parameters, table, activity)] if plan.projection else []),
        _control(cycles, activity, table),
    )
    operations = 2 * (products + (plan.projection.input_size * outputs if plan.projection else 0))
    return Energy(components=components, table=table, cycles_per_step=cycles, operations_per_step=operations)


def estimate_head(plan: LinearPlan, activity: Activity, *, table: EnergyTable = HOROWITZ_45_NM) -> Energy:
    """Model energy of a linear head in a time step of the model; it works once for each sequence."""
    share = activity.sequences / activity.steps
    products = plan.output_size * plan.input_size
    components = (
        _component(
            "multipliers",
            products * share,
            table.multiply(plan.w_width, plan.x_width),
            activity,
            plan.w_width + plan.x_width,
        ),
        _component("accumulators", products * share, table.add(plan.acc_width), activity, plan.acc_width),
        *_memories(activity, table),
        _control(activity.cycles_per_step, activity, table),
    )
    return Energy(
        components=components,
        table=table,
        cycles_per_step=activity.cycles_per_step,
        operations_per_step=2 * products * share,
    )


def estimate_streams(activity: Activity, *, table: EnergyTable = HOROWITZ_45_NM) -> Energy:
    """Model energy of what stands around cells and head, in a time step."""
    return Energy(
        components=(*_memories(activity, table), _control(activity.cycles_per_step, activity, table)),
        table=table,
        cycles_per_step=activity.cycles_per_step,
        operations_per_step=0.0,
    )


def _memories(activity: Activity, table: EnergyTable) -> list[Component]:
    """Reads and writes that a simulation saw."""
    components: list[Component] = []
    for name, memories in activity.memories.items():
        accesses = sum(memory.reads + memory.writes for memory in memories)
        spent = sum(
            (memory.reads + memory.writes) * table.access(memory.width, memory.width * memory.words)
            for memory in memories
        )
        components.append(
            Component(
                name=name,
                operations=accesses / activity.steps,
                picojoules=spent / max(1, accesses),
                activity=1.0,
                measured=True,
            )
        )
    return components


def _assumed(name: str, operations: float, picojoules: float) -> Component:
    """A part of which the sizes tell everything."""
    return Component(name=name, operations=float(operations), picojoules=picojoules, activity=1.0, measured=False)


def _component(name: str, operations: float, picojoules: float, activity: Activity | None, bits: int) -> Component:
    """A part whose ``bits`` take a new value in every operation."""
    busy = 1.0
    if activity:
        busy = activity.toggles[name] / activity.steps / (operations * bits / 2)
    return Component(
        name=name,
        operations=float(operations),
        picojoules=picojoules,
        activity=busy,
        measured=activity is not None,
    )


def _activations(cell: ExportedCell, hidden: int, unit: float, activity: Activity | None) -> Component:
    busy = 1.0
    if activity:
        random = activity.bits["activations"] * evaluations_per_step(cell.parameters) / 2
        busy = activity.toggles["activations"] / activity.steps / random
    return Component(
        name="activations", operations=float(hidden), picojoules=unit, activity=busy, measured=activity is not None
    )


def _projection(
    plan: LinearPlan, parameters: Mapping[str, int], table: EnergyTable, activity: Activity | None
) -> Component:
    """Products and sums by the sizes; memory too where it was not seen in a simulation, which counts the registers."""
    products = plan.input_size * plan.output_size
    picojoules = table.multiply(plan.w_width, plan.x_width) + table.add(plan.acc_width)
    if activity is None:
        lanes = parameters["ProjMultipliers"]
        word, depth = lanes * plan.w_width, plan.input_size * -(-plan.output_size // lanes)
        picojoules += depth * table.access(word, depth * word) / products
    return _assumed("projection", products, picojoules)


def _control(cycles: float, activity: Activity | None, table: EnergyTable) -> Component:
    name = "registers and control"
    if activity is None:
        return _assumed(name, cycles, table.add(32))
    changes = activity.toggles[name] / activity.steps
    return Component(name=name, operations=changes, picojoules=table.register_pj_per_bit, activity=1.0, measured=True)
