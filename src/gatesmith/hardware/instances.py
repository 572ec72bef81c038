"""The instances of the SystemVerilog modules that a plan asks for: their parameters and their memory files."""

from collections.abc import Sequence
from dataclasses import dataclass

from gatesmith.fixed.cell import CellPlan
from gatesmith.fixed.linear import LinearPlan
from gatesmith.fixed.plan import Plan
from gatesmith.fixed.support import SHARES, cells_in_turn
from gatesmith.fixed.weights import CellWeights
from gatesmith.hardware.memfile import HEAD_BIAS, HEAD_WEIGHT, cell_files
from gatesmith.hardware.options import HEAD_OUTPUTS, Options, Pipeline
from gatesmith.hardware.timing import projection_multipliers
from gatesmith.hardware.verilator import Parameter
from gatesmith.spec import LSTMSpec

SHARED = ("InputSize", "HiddenSize", "ProjSize", "Multipliers", *Pipeline().stages())
"""Parameters of ``lstm`` that are one number in ``lstm_stack``, or follow from it."""
CELL_FILES = {f"{memory.capitalize()}File": memory for memory in ("weight", "bias", "sigmoid", "tanh", "output")}
PEEPHOLE_FILES = {"PeepholeFile": "peephole"}
PROJECTION_FILES = {"ProjWeightFile": "projection_weight", "ProjBiasFile": "projection_bias"}
"""Memories by the parameter that names their file; the end of the file's name."""
DIRECTION_CODES = {"forward": 0, "reverse": 1, "bidirectional": 2}


@dataclass(frozen=True, kw_only=True)
class ExportedCell:
    """A layer and direction, and the instance of the hardware that computes it.

    Attributes:
        name: such as ``l0`` or ``l1_reverse``.
        module: the SystemVerilog module.
        engine: its instance: named as the cell, or as ``l0_in_turn`` where several cells take turns in it.
        context: the cell's turn in its engine, and the number of its weights there.
        parameters: the engine's integer parameters by name.
        files: the engine's memory files by the name of the parameter, relative to the folder.
    """

    name: str
    layer: int
    direction: str
    module: str
    engine: str
    context: int
    parameters: dict[str, int]
    plan: CellPlan
    files: dict[str, str]


def engines_of(cells: Sequence[ExportedCell]) -> dict[str, dict[str, int]]:
    """As :attr:`Export.engines`."""
    return {cell.engine: cell.parameters for cell in cells}


def engine_files(cells: Sequence[ExportedCell], weights: Sequence[CellWeights]) -> dict[str, str]:
    """The text of every engine's memory files by path; ``weights`` of every cell."""
    found: dict[str, str] = {}
    for first in (cell for cell in cells if not cell.context):
        sets = [given for cell, given in zip(cells, weights, strict=True) if cell.engine == first.engine]
        texts = cell_files(
            first.plan, sets, first.parameters["Multipliers"], first.parameters.get("ProjMultipliers", 1)
        )
        found |= {first.files[parameter]: text for parameter, text in texts.items()}
    return found


def memory_files(cells: Sequence[ExportedCell], options: Options) -> tuple[str, ...]:
    """Every memory file of an export, relative to its folder."""
    head = (HEAD_WEIGHT, HEAD_BIAS) if options.output in HEAD_OUTPUTS else ()
    return (*dict.fromkeys(path for cell in cells for path in cell.files.values()), *head)


def exported_cells(spec: LSTMSpec, plan: Plan, options: Options) -> tuple[ExportedCell, ...]:
    """The instances of ``lstm`` that a plan asks for; follows from its arguments alone.

    Raises:
        FormatError: the plan doesn't belong to the spec.
    """
    plan.require(spec)
    pipeline = options.pipeline
    groups = {at: group for group in cells_in_turn(spec, options.share) for at in group}
    # An engine of several cells is named after the layer of the first.
    shared = {at: f"l{group[0] // spec.num_directions}_in_turn" for at, group in groups.items() if len(group) > 1}
    return tuple(
        ExportedCell(
            name=name,
            layer=layer,
            direction=direction,
            module="lstm",
            engine=shared.get(at, name),
            context=at - groups[at][0],
            parameters={
                **cell_parameters(cell, options),
                "InElements": pipeline.in_elements if layer == 0 else pipeline.link_elements,
                "OutElements": pipeline.out_elements if layer == spec.num_layers - 1 else pipeline.link_elements,
                "WritableWeights": int(options.writable_weights),
                "Contexts": options.interleave * (1 << (len(groups[at]) - 1).bit_length()),
                "WeightSets": len(groups[at]),
            },
            plan=cell,
            files={
                parameter: f"weights/{shared.get(at, f'l{layer}_{direction}')}_{memory}.hex"
                for parameter, memory in {
                    **CELL_FILES,
                    **(PEEPHOLE_FILES if cell.peepholes else {}),
                    **(PROJECTION_FILES if cell.projection else {}),
                }.items()
            },
        )
        for at, ((layer, direction, name), cell) in enumerate(zip(spec.cells(), plan.cells, strict=True))
    )


def stack_parameters(spec: LSTMSpec, plan: Plan, options: Options) -> dict[str, Parameter]:
    """The parameters of the SystemVerilog module ``lstm_stack``; a tuple has one value for each cell."""
    cells = [cell_parameters(cell, options) for cell in plan.cells]
    pipeline = options.pipeline
    return {
        "InputSize": spec.input_size,
        "HiddenSize": spec.hidden_size,
        **({"ProjSize": spec.proj_size} if spec.proj_size else {}),
        "Layers": spec.num_layers,
        "Direction": DIRECTION_CODES[spec.direction],
        "MaxSteps": options.max_steps,
        "LastOnly": int(options.output != "sequence"),
        "Multipliers": options.multipliers,
        **head_parameters(plan.head, options.output),
        "XFrac": tuple(cell.x_frac for cell in plan.cells),
        **{name: tuple(cell[name] for cell in cells) for name in cells[0] if name not in SHARED},
        "InElements": pipeline.in_elements,
        "OutElements": pipeline.out_elements,
        "LinkElements": pipeline.link_elements,
        **pipeline.stages(),
        "WritableWeights": int(options.writable_weights),
        "Contexts": options.interleave,
        "Share": SHARES.index(options.share),
    }


def head_parameters(head: LinearPlan | None, output: str) -> dict[str, Parameter]:
    """The parameters of ``lstm_stack`` that describe a head; those of a design without one are its defaults."""
    if head is None or output not in HEAD_OUTPUTS:
        return {"Head": 0}
    return {
        "Head": 1 + HEAD_OUTPUTS.index(output),
        "Classes": head.output_size,
        "HeadWeightWidth": head.w_width,
        "HeadBiasWidth": head.b_width,
        "HeadAccWidth": head.acc_width,
        "HeadAccFrac": head.acc_frac,
        "ScoreWidth": head.y_width,
        "ScoreFrac": head.y_frac,
    }


def cell_parameters(cell: CellPlan, options: Options) -> dict[str, int]:
    """The parameters of an ``lstm`` that don't depend on where it stands in a stack."""
    parameters = {**module_parameters(cell, options.multipliers), **options.pipeline.stages()}
    if cell.projection:
        parameters["ProjMultipliers"] = options.projection_multipliers or projection_multipliers(parameters)
    return parameters


def module_parameters(cell: CellPlan, multipliers: int) -> dict[str, int]:
    """The integer parameters of the SystemVerilog module ``lstm`` that follow from the plan."""
    return {
        "InputSize": cell.input_size,
        "HiddenSize": cell.hidden_size,
        "Multipliers": multipliers,
        "XWidth": cell.x_width,
        "XShift": cell.x_shift,
        "HWidth": cell.h_width,
        "HShift": cell.h_shift,
        "HFrac": cell.h_frac,
        "WeightWidth": cell.w_width,
        "BiasWidth": cell.b_width,
        "AccWidth": cell.acc_width,
        "AccFrac": cell.acc_frac,
        "ZWidth": cell.z_width,
        "ZFrac": cell.z_frac,
        "ActWidth": cell.a_width,
        "ActFrac": cell.a_frac,
        "CellWidth": cell.c_width,
        "CellFrac": cell.c_frac,
        "TableBits": min(cell.table_bits, cell.z_width - 1),
        "SlopeWidth": cell.slope_width,
        "Peepholes": sum(bit for gate, bit in (("i", 1), ("f", 2), ("o", 4)) if gate in cell.peepholes),
        "PeepholeWidth": cell.p_width,
        "PeepholeFrac": cell.p_frac,
        "GateClip": int(cell.z_clip > 0),
        "CellClip": cell.c_clip,
        **(_projection_parameters(cell.projection) if cell.projection else {}),
    }


def _projection_parameters(projection: LinearPlan) -> dict[str, int]:
    return {
        "ProjSize": projection.output_size,
        "ProjWidth": projection.y_width,
        "ProjFrac": projection.y_frac,
        "ProjWeightWidth": projection.w_width,
        "ProjBiasWidth": projection.b_width,
        "ProjAccWidth": projection.acc_width,
        "ProjAccFrac": projection.acc_frac,
        "ProjClip": projection.y_clip,
    }
