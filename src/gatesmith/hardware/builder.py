"""Programs that are built once: a cache under the hash of everything that went in, published whole or not at all."""

import contextlib
import hashlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Generator, Mapping
from pathlib import Path

from gatesmith.errors import MissingToolError, ToolError

CACHE_VARIABLE = "GATESMITH_CACHE"
BUILD_TIMEOUT_S = 600.0


def cache_folder() -> Path:
    """Where finished simulators are kept: $GATESMITH_CACHE, or the user's cache folder."""
    given = os.environ.get(CACHE_VARIABLE)
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gatesmith"


@contextlib.contextmanager
def published(folder: Path) -> Generator[Path]:
    """A scratch folder that becomes ``folder`` if the block succeeds and disappears if it fails."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".build-", dir=folder.parent) as scratch:
        inner = Path(scratch, "inner")
        inner.mkdir()
        yield inner
        try:
            inner.rename(folder)
        except OSError:
            if not folder.exists():  # else another process was faster, with the same content
                raise


def call(command: list[str], folder: Path, environment: Mapping[str, str]) -> None:
    """Run a tool of a build in ``folder``.

    Raises:
        ToolError: it failed; the message holds the end of its output.
    """
    name = Path(command[0]).name
    try:
        done = subprocess.run(
            command, cwd=folder, env=dict(environment), capture_output=True, text=True, timeout=BUILD_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        raise ToolError(f"{name} was stopped after {BUILD_TIMEOUT_S:.0f} s; the design may be too large") from None
    except OSError as error:
        raise ToolError(f"{name} can't be started: {error.strerror}") from None
    if done.returncode:
        raise ToolError(f"{name} failed with exit code {done.returncode}:\n{(done.stdout + done.stderr)[-4000:]}")


def compiler() -> str:
    """The C++ compiler's command."""
    return os.environ.get("CXX", "g++")


def missing(package: str) -> str | None:
    """What a simulator lacks that comes with ``package``, as the rest of a sentence; None where it can be built."""
    if importlib.util.find_spec(package) is None:
        return f"the package {package.replace('_', '-')}, install gatesmith[rtl]"
    if shutil.which(compiler()) is None:
        return f"the C++ compiler {compiler()}, install g++ or set CXX"
    return None


def package_folder(package: str, purpose: str) -> Path:
    """Where ``package`` is installed.

    Raises:
        MissingToolError: it or the compiler is not; the message names what brings it.
    """
    lacking, spec = missing(package), importlib.util.find_spec(package)
    if lacking or spec is None or spec.origin is None:
        raise MissingToolError(f"{purpose} needs {lacking or package}")
    return Path(spec.origin).resolve().parent


def digest(*parts: bytes) -> str:
    """A name for a build: it changes when any part does."""
    joined = hashlib.sha256()
    for part in parts:
        joined.update(hashlib.sha256(part).digest())
    return joined.hexdigest()[:24]
