"""The manifest of an export folder: what follows from a plan, and how a folder is read back without trusting it."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from gatesmith.errors import ExportError, FormatError, SpecError
from gatesmith.fixed.cell import CellPlan
from gatesmith.fixed.linear import LinearPlan, LinearWeights
from gatesmith.fixed.plan import Plan
from gatesmith.fixed.support import SHARES, cells_in_turn
from gatesmith.fixed.weights import CellWeights
from gatesmith.hardware.handover import handover_paths
from gatesmith.hardware.memfile import HEAD_BIAS, HEAD_WEIGHT, cell_files, read_linear, read_weights
from gatesmith.hardware.names import require_identifier
from gatesmith.hardware.options import HEAD_OUTPUTS, Options, Pipeline
from gatesmith.hardware.timing import projection_multipliers
from gatesmith.hardware.verilator import Parameter
from gatesmith.spec import LSTMSpec

MANIFEST = "manifest.json"
FILE_LIST = "files.f"
FORMAT = 4
FIELDS = ("format", "name", "spec", "plan", "options", "stack", "cells", "sources", "sha256")
SHARED = ("InputSize", "HiddenSize", "ProjSize", "Multipliers", *Pipeline().stages())
"""Parameters of ``lstm`` that are one number in ``lstm_stack``, or follow from it."""
CELL_FILES = {f"{memory.capitalize()}File": memory for memory in ("weight", "bias", "sigmoid", "tanh", "output")}
PEEPHOLE_FILES = {"PeepholeFile": "peephole"}
PROJECTION_FILES = {"ProjWeightFile": "projection_weight", "ProjBiasFile": "projection_bias"}
"""Memories by the parameter that names their file; the end of the file's name."""
DIRECTION_CODES = {"forward": 0, "reverse": 1, "bidirectional": 2}
SOURCE = re.compile(r"rtl/[A-Za-z0-9_]+\.sv")


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


@dataclass(frozen=True, kw_only=True)
class Export:
    """An export folder whose every file agrees with its manifest."""

    folder: Path
    name: str
    spec: LSTMSpec
    plan: Plan
    options: Options
    cells: tuple[ExportedCell, ...]
    sources: tuple[str, ...]

    @property
    def multipliers(self) -> int:
        """P of each cell."""
        return self.options.multipliers

    @property
    def engines(self) -> dict[str, dict[str, int]]:
        """The parameters of each ``lstm`` by its name, in the order of their first cells."""
        return engines_of(self.cells)

    @property
    def stack(self) -> dict[str, Parameter]:
        """The parameters of ``lstm_stack``, which holds all cells."""
        return stack_parameters(self.spec, self.plan, self.options)


def load_export(folder: str | Path) -> Export:
    """Read an export folder back; the folder is untrusted, and every file's hash is checked.

    Raises:
        ExportError: the folder is no export, contradicts itself, or a file has changed since.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    name = require_identifier(manifest["name"])
    try:
        spec, plan = LSTMSpec.from_dict(manifest["spec"]), Plan.from_dict(manifest["plan"])
        plan.require(spec)
    except (SpecError, FormatError) as error:
        raise ExportError(f"{folder / MANIFEST} can't be used: {error}") from None
    options = Options.from_dict(manifest["options"])
    cells = exported_cells(spec, plan, options)
    stack = json.loads(json.dumps(stack_parameters(spec, plan, options)))
    if manifest["cells"] != [asdict(cell) for cell in cells] or manifest["stack"] != stack:
        raise ExportError(f"{folder / MANIFEST} describes cells that don't follow from its plan; export it again")
    sources = manifest["sources"]
    if not isinstance(sources, list) or not all(isinstance(s, str) and SOURCE.fullmatch(s) for s in sources):  # type: ignore[arg-type]
        raise ExportError(f"{folder / MANIFEST} has a source that is no rtl/name.sv; export it again")
    sources = tuple(cast("list[str]", sources))
    memories = memory_files(cells, options)
    expected = {*sources, FILE_LIST, *handover_paths(name), *memories}
    _check_hashes(folder, manifest["sha256"], expected)
    return Export(folder=folder, name=name, spec=spec, plan=plan, options=options, cells=cells, sources=sources)


def memory_files(cells: Sequence[ExportedCell], options: Options) -> tuple[str, ...]:
    """Every memory file of an export, relative to its folder."""
    head = (HEAD_WEIGHT, HEAD_BIAS) if options.output in HEAD_OUTPUTS else ()
    return (*dict.fromkeys(path for cell in cells for path in cell.files.values()), *head)


def read_export_head(folder: str | Path) -> LinearWeights | None:
    """The integer weights of the head, from the memory files of an export; None where it has no head.

    Raises:
        ExportError: as :func:`read_export_weights`.
    """
    exported = load_export(folder)
    if exported.plan.head is None or exported.options.output not in HEAD_OUTPUTS:
        return None
    weights, biases = ((exported.folder / path).read_text() for path in (HEAD_WEIGHT, HEAD_BIAS))
    return read_linear("head", exported.plan.head, weights, biases)


def read_export_weights(folder: str | Path) -> tuple[CellWeights, ...]:
    """The integer weights of every cell, reconstructed from the memory files of an export.

    Raises:
        ExportError: as :func:`load_export`, or a memory file has the wrong number of words.
    """
    exported = load_export(folder)
    return tuple(
        read_weights(
            cell.plan,
            {parameter: (exported.folder / path).read_text() for parameter, path in cell.files.items()},
            exported.multipliers,
            cell.parameters.get("ProjMultipliers", 1),
            at=cell.context,
            sets=cell.parameters["WeightSets"],
        )
        for cell in exported.cells
    )


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


def read_manifest(folder: Path) -> dict[str, Any]:
    """The raw fields of a folder's manifest; their values are still untrusted.

    Raises:
        ExportError: there is no manifest of this version.
    """
    path = folder / MANIFEST
    try:
        values: object = json.loads(path.read_bytes())
    except OSError as error:
        raise ExportError(
            f"can't read {path}: {error.strerror}; expected a folder that `gatesmith export` wrote"
        ) from None
    except (ValueError, RecursionError) as error:
        raise ExportError(f"{path} is not valid JSON ({error}); export it again") from None
    if not isinstance(values, dict) or set(cast("dict[str, Any]", values)) != set(FIELDS):
        raise ExportError(f"{path} is no manifest of gatesmith; expected an object with {', '.join(FIELDS)}")
    manifest = cast("dict[str, Any]", values)
    if manifest["format"] != FORMAT:
        raise ExportError(f"{path} has format {manifest['format']!r}; expected {FORMAT}, export it again")
    return manifest


def _check_hashes(folder: Path, hashes: object, expected: set[str]) -> None:
    given = cast("dict[str, object]", hashes if isinstance(hashes, dict) else {})
    if set(given) != expected:
        odd = min(set(given) ^ expected)
        raise ExportError(f"{folder / MANIFEST} lists hashes that don't match its files ({odd!r}); export it again")
    for path in sorted(expected):
        try:
            content = (folder / path).read_bytes()
        except OSError as error:
            raise ExportError(f"can't read {folder / path}: {error.strerror}; export it again") from None
        if hashlib.sha256(content).hexdigest() != given[path]:
            raise ExportError(f"{folder / path} has changed since it was exported (its hash differs); export it again")
