"""Result files: one JSON object that names its kind, version and machine, with arrays in an npz file beside it."""

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from gatesmith.analysis.machine import this_machine
from gatesmith.errors import InputError
from gatesmith.files import write_atomically

Array = npt.NDArray[Any]

RESULT_KEY = "gatesmith_result"
"""Key whose value is the version of the result format; its presence makes a JSON file a result."""

RESULT_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Result:
    """One result, as read from a file.

    Attributes:
        kind: what it is, such as "footprint", "profile" or "inspection".
        title: of the model or run it is about; plain text.
        data: the result itself.
        machine: of the machine that it was made on, as :class:`gatesmith.analysis.machine.Machine` has it.
        arrays: by name; empty where the result has none.
    """

    kind: str
    title: str
    data: Mapping[str, Any]
    machine: Mapping[str, Any]
    gatesmith: str
    arrays: Mapping[str, Array] = field(default_factory=dict[str, Array])


def save_result(
    path: str | Path,
    kind: str,
    data: Mapping[str, Any],
    *,
    title: str = "",
    arrays: Mapping[str, Array] | None = None,
) -> None:
    """Write ``path`` (JSON) and, where there are arrays, an npz file of the same stem; beside, then renamed.

    Raises:
        InputError: the data holds what JSON can't.
        OutputError: the folder is missing or not writable.
    """
    path = Path(path)
    content: dict[str, Any] = {
        RESULT_KEY: RESULT_VERSION,
        "kind": kind,
        "title": title,
        "gatesmith": gatesmith_version(),
        "machine": this_machine().to_dict(),
        "arrays": path.with_suffix(".npz").name if arrays else None,
        "data": data,
    }
    try:
        text = json.dumps(content, indent=1, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"the result {kind!r} can't be written as JSON: {error}") from None
    if arrays:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **cast("Any", dict(arrays)))
        write_atomically(path.with_suffix(".npz"), buffer.getvalue())
    write_atomically(path, text.encode())


def load_result(path: str | Path) -> Result:
    """Read what :func:`save_result` wrote. The files are untrusted: they are parsed, never unpickled.

    Raises:
        InputError: the file is missing, truncated, foreign, or of another version; the message names it.
    """
    path = Path(path)
    content = read_json(path)
    found = content.get(RESULT_KEY)
    if found is None:
        raise InputError(f"{path.name} is not a gatesmith result; expected a file with {RESULT_KEY!r} in it")
    if found != RESULT_VERSION:
        raise InputError(
            f"{path.name} has result version {found!r}; this gatesmith reads {RESULT_VERSION}, make the file again"
        )
    kinds: dict[str, type] = {"kind": str, "title": str, "gatesmith": str, "machine": dict, "data": dict}
    for name, kind in kinds.items():
        if not isinstance(content.get(name), kind):
            raise InputError(f"{path.name} has no proper {name!r}; expected a file written by gatesmith, make it again")
    arrays = content.get("arrays")
    fields = {name: content[name] for name in kinds}
    return Result(**fields, arrays={} if arrays is None else _load_arrays(path, arrays))


def read_json(path: Path) -> dict[str, Any]:
    """One JSON object from an untrusted file.

    Raises:
        InputError: the file is missing, truncated or no JSON object.
    """
    try:
        content: object = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"can't read {path.name}: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise InputError(f"{path.name} is truncated or not JSON; make the file again") from None
    if not isinstance(content, dict):
        raise InputError(f"{path.name} holds a {type(content).__name__}; expected a JSON object")
    return cast("dict[str, Any]", content)


def gatesmith_version() -> str:
    """The installed version; "unknown" where gatesmith runs from a folder."""
    try:
        return version("gatesmith")
    except PackageNotFoundError:
        return "unknown"


def _load_arrays(path: Path, name: object) -> dict[str, Array]:
    beside = path.with_suffix(".npz")
    if name != beside.name:
        raise InputError(f"{path.name} names its arrays {name!r}; expected {beside.name} beside it")
    try:
        content = io.BytesIO(beside.read_bytes())
    except OSError as error:
        raise InputError(f"can't read {beside.name}: {error.strerror}") from None
    try:
        with np.lib.npyio.NpzFile(content, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except (ValueError, zipfile.BadZipFile, zlib.error, EOFError, KeyError, MemoryError):
        raise InputError(f"{beside.name} is truncated or not an npz file; make {path.name} again") from None
