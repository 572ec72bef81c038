"""Keeps what synthesis found beside an export, and brings its data sheet up to date."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gatesmith.files import make_folder, write_atomically, write_json
from gatesmith.hardware.datasheet import RESULTS, read_results
from gatesmith.hardware.handover import DATA_SHEET, data_sheet
from gatesmith.hardware.manifest import MANIFEST, load_export, read_manifest


def record_synthesis(folder: str | Path, found: Mapping[str, Any]) -> Path:
    """Write a result into the export's build folder, and the data sheet anew; returns the data sheet's path.

    Args:
        found: ``Synthesis.to_dict()``; a later result of the same module for the same target takes the place of an
            earlier one.

    Raises:
        ExportError: the folder is no export, or a file in it has changed.
        OutputError: it can't be written.
    """
    exported = load_export(folder)
    result = exported.folder / RESULTS.replace("*", f"{found['target']}{'-bus' if found['bus'] else ''}")
    make_folder(result.parent)
    write_json(result, dict(found))
    page = data_sheet(
        exported.name,
        exported.spec,
        exported.plan,
        exported.options,
        exported.stack,
        exported.engines,
        read_results(exported.folder),
    )
    manifest = read_manifest(exported.folder)
    manifest["sha256"][DATA_SHEET] = hashlib.sha256(page.encode()).hexdigest()
    write_atomically(exported.folder / DATA_SHEET, page)
    write_atomically(exported.folder / MANIFEST, json.dumps(manifest, indent=2) + "\n")
    return exported.folder / DATA_SHEET
