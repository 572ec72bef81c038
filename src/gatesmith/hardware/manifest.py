"""The manifest of an export folder, by which the folder is read back without trusting it."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from gatesmith.errors import ExportError, FormatError, SpecError
from gatesmith.fixed.linear import LinearWeights
from gatesmith.fixed.plan import Plan
from gatesmith.fixed.weights import CellWeights
from gatesmith.hardware.handover import handover_paths
from gatesmith.hardware.instances import ExportedCell, engines_of, exported_cells, memory_files, stack_parameters
from gatesmith.hardware.memfile import HEAD_BIAS, HEAD_WEIGHT, read_linear, read_weights
from gatesmith.hardware.names import require_identifier
from gatesmith.hardware.options import HEAD_OUTPUTS, Options
from gatesmith.hardware.verilator import Parameter
from gatesmith.spec import LSTMSpec

MANIFEST = "manifest.json"
FILE_LIST = "files.f"
FORMAT = 4
FIELDS = ("format", "name", "spec", "plan", "options", "stack", "cells", "sources", "sha256")
SOURCE = re.compile(r"rtl/[A-Za-z0-9_]+\.sv")


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
