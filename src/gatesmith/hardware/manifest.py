"""The manifest of an export folder: what follows from a plan, and how a folder is read back without trusting it."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from gatesmith.errors import ExportError, FormatError, SpecError
from gatesmith.fixed.plan import CellPlan, Plan
from gatesmith.fixed.weights import CellWeights
from gatesmith.hardware.memfile import read_weights
from gatesmith.hardware.names import require_identifier
from gatesmith.spec import LSTMSpec

MANIFEST = "manifest.json"
FILE_LIST = "files.f"
FORMAT = 1
FIELDS = ("format", "name", "spec", "plan", "cells", "sources", "sha256")
MAX_MULTIPLIERS = 1 << 16
SOURCE = re.compile(r"rtl/[A-Za-z0-9_]+\.sv")


@dataclass(frozen=True, kw_only=True)
class ExportedCell:
    """One instance of the hardware: a layer and direction.

    Attributes:
        name: of the instance, such as ``l0`` or ``l1_reverse``.
        module: the SystemVerilog module.
        parameters: its integer parameters by name.
        files: its memory files by the name of the parameter, relative to the folder.
    """

    name: str
    layer: int
    direction: str
    module: str
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
    multipliers: int
    cells: tuple[ExportedCell, ...]
    sources: tuple[str, ...]


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
    multipliers = _multipliers_in(manifest["cells"])
    cells = exported_cells(spec, plan, multipliers)
    if manifest["cells"] != [asdict(cell) for cell in cells]:
        raise ExportError(f"{folder / MANIFEST} describes cells that don't follow from its plan; export it again")
    sources = manifest["sources"]
    if not isinstance(sources, list) or not all(isinstance(s, str) and SOURCE.fullmatch(s) for s in sources):  # type: ignore[arg-type]
        raise ExportError(f"{folder / MANIFEST} has a source that is no rtl/name.sv; export it again")
    sources = tuple(cast("list[str]", sources))
    expected = {*sources, FILE_LIST, *(path for cell in cells for path in cell.files.values())}
    _check_hashes(folder, manifest["sha256"], expected)
    return Export(folder=folder, name=name, spec=spec, plan=plan, multipliers=multipliers, cells=cells, sources=sources)


def read_export_weights(folder: str | Path) -> tuple[CellWeights, ...]:
    """The integer weights of every cell, reconstructed from the memory files of an export.

    Raises:
        ExportError: as :func:`load_export`, or a memory file has the wrong number of words.
    """
    exported = load_export(folder)
    return tuple(
        read_weights(
            cell.plan,
            (exported.folder / cell.files["WeightFile"]).read_text(),
            (exported.folder / cell.files["BiasFile"]).read_text(),
            exported.multipliers,
        )
        for cell in exported.cells
    )


def exported_cells(spec: LSTMSpec, plan: Plan, multipliers: int) -> tuple[ExportedCell, ...]:
    """The instances that a plan asks for; follows from its arguments alone.

    Raises:
        FormatError: the plan doesn't belong to the spec.
    """
    plan.require(spec)
    return tuple(
        ExportedCell(
            name=name,
            layer=layer,
            direction=direction,
            module="lstm",
            parameters=module_parameters(cell, multipliers),
            plan=cell,
            files={
                f"{memory.capitalize()}File": f"weights/{name}_{memory}.hex"
                for memory in ("weight", "bias", "sigmoid", "tanh")
            },
        )
        for (layer, direction, name), cell in zip(spec.cells(), plan.cells, strict=True)
    )


def module_parameters(cell: CellPlan, multipliers: int) -> dict[str, int]:
    """The integer parameters of the SystemVerilog module ``lstm``."""
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
    }


def require_multipliers(multipliers: object) -> int:
    """``multipliers`` itself, checked as an untrusted number of lanes.

    Raises:
        ExportError: it is no integer from 1 to 65536.
    """
    if isinstance(multipliers, bool) or not isinstance(multipliers, int) or not 1 <= multipliers <= MAX_MULTIPLIERS:
        raise ExportError(f"multipliers is {multipliers!r}; expected an integer from 1 to {MAX_MULTIPLIERS}")
    return multipliers


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


def _multipliers_in(cells: object) -> int:
    try:
        return require_multipliers(cast("Any", cells)[0]["parameters"]["Multipliers"])
    except (TypeError, KeyError, IndexError):
        raise ExportError("the manifest's cells lack the parameter Multipliers; export it again") from None


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
