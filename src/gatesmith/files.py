"""Writing files so that a reader never sees half of one."""

import contextlib
import json
import os
import tempfile
from collections.abc import Generator
from pathlib import Path

from gatesmith.errors import OutputError


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file beside its place and rename it.

    Raises:
        OutputError: the folder is missing or not writable.
    """
    with beside(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, where they are missing.

    Raises:
        OutputError: it can't be made, or a file stands in its place.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"can't make the folder {path}: {error.strerror}; expected a place to write to") from None


def write_json(path: Path, values: object) -> None:
    """Write plain values as indented JSON, atomically."""
    write_atomically(path, json.dumps(values, indent=2) + "\n")


@contextlib.contextmanager
def beside(path: Path) -> Generator[Path]:
    """A temporary path in the same folder that becomes ``path`` if the block succeeds and disappears if it fails."""
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"can't write {path}: {error.strerror or error}; expected a writable folder") from None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
