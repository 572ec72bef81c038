"""Holds every SystemVerilog file, as a top of its own and over many sizes, against Verilator and slang: no warnings."""

import importlib.util
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gatesmith.errors import MissingToolError, ToolError
from gatesmith.hardware import verilator
from gatesmith.hardware.export import source_files
from gatesmith.hardware.options import PIPELINES

Progress = Callable[[int, int, str], None]

TIMEOUT_S = 120.0
SLANG = "pyslang"
# A cast to a width by formula is needed for some parameters and useless for others.
SLANG_OPTIONS = ("-Wextra", "-Wconversion", "-Wno-sign-conversion", "-Wno-useless-cast", "-Werror")

SIZES: tuple[Mapping[str, int], ...] = (
    {},
    {"InputSize": 1, "HiddenSize": 1, "Multipliers": 1},
    {"InputSize": 3, "HiddenSize": 5, "Multipliers": 3},
    {"InputSize": 3, "HiddenSize": 5, "Multipliers": 7},
    {"InputSize": 6, "HiddenSize": 20, "Multipliers": 80, "MemoryStages": 1},
    {"InputSize": 3, "HiddenSize": 5, "Multipliers": 45},
    {"InputSize": 7, "HiddenSize": 2, "Multipliers": 40, "InElements": 5, "OutElements": 2},
    {"InputSize": 2, "HiddenSize": 4, "Multipliers": 96, "OutElements": 2, **PIPELINES["shallow"].stages()},
    {
        "ProjSize": 3,
        "Multipliers": 3,
        "HiddenSize": 3,
        "ProjClip": 99,
        "ProjWidth": 20,
        **PIPELINES["shallow"].stages(),
    },
    {"ProjSize": 4, "Multipliers": 16, "ProjMultipliers": 3, "WritableWeights": 1, "ProjFrac": 23, "ProjAccFrac": 20},
    {"InputSize": 2, "HiddenSize": 4, "Multipliers": 64, "ProjSize": 3, "ProjMultipliers": 2, "OutElements": 3},
    {"InputSize": 2, "HiddenSize": 4, "Multipliers": 96, "ProjSize": 1},
    {"InputSize": 3, "HiddenSize": 5, "Multipliers": 7, "Contexts": 2, "Peepholes": 7},
    {"HiddenSize": 5, "Multipliers": 60, "InElements": 3, "Contexts": 16, **PIPELINES["shallow"].stages()},
    {"InputSize": 1, "HiddenSize": 1, "Multipliers": 3, "Contexts": 4},
    {
        "InputSize": 3,
        "HiddenSize": 5,
        "Multipliers": 7,
        "Contexts": 2,
        "WeightSets": 2,
        "Peepholes": 7,
        "WritableWeights": 1,
    },
    {"ZWidth": 8, "ZFrac": 4, "HFrac": 2, "CellWidth": 30, "CellFrac": 25, "XShift": 3},
)
"""Parameters of the whole engine that between them elaborate every branch of the sources."""

STACKS: tuple[Mapping[str, int], ...] = (
    {"Layers": 2},
    {"Layers": 3, "Direction": 1, "LastOnly": 1, "MaxSteps": 1},
    {"Layers": 2, "Contexts": 4, "LastOnly": 1},
    {"Layers": 2, "Direction": 2, "LastOnly": 1, "MaxSteps": 5},
    {"Layers": 2, "Direction": 2, "ProjSize": 6, "HiddenSize": 8, "MaxSteps": 5, "LinkElements": 1},
    {"Layers": 2, "Direction": 2, "Share": 1, "MaxSteps": 5},
    {"Layers": 3, "Share": 2},
    {"Layers": 2, "Share": 2, "InputSize": 64, "Direction": 1, "LastOnly": 1, "MaxSteps": 5},
    {"Direction": 2, "InputSize": 3, "HiddenSize": 4, "Multipliers": 36, "OutElements": 2, "InElements": 2},
)
"""The same for whole models."""

BUSES: tuple[Mapping[str, int], ...] = (
    {"InputSize": 3, "HiddenSize": 4, "Layers": 2, "Direction": 2, "Multipliers": 40, "WritableWeights": 1},
    {"InputSize": 3, "HiddenSize": 5, "Layers": 2, "Multipliers": 64, "ProjSize": 2, "Head": 1, "WritableWeights": 1},
    {"Head": 2, "Classes": 3, "Peepholes": 7, "WritableWeights": 1},
    {"Head": 2, "Classes": 3, "LastOnly": 1, "Contexts": 2},
    {"Direction": 2, "Share": 1, "WritableWeights": 1},
    {"Layers": 4, "Share": 2, "WritableWeights": 1},
)
"""The same for whole models behind their buses."""


@dataclass(frozen=True, kw_only=True)
class Linted:
    """One top module with some parameters, in which the tools found nothing."""

    top: str
    parameters: Mapping[str, int]
    tools: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def sentence(self) -> str:
        """What was found, for people."""
        sizes = ", ".join(f"{name} = {value}" for name, value in self.parameters.items())
        return f"{self.top}{f' ({sizes})' if sizes else ''}: no warnings from {' and '.join(self.tools)}"


def lint(sources: Sequence[Path] | None = None, *, progress: Progress | None = None) -> tuple[Linted, ...]:
    """Lint every module alone, and the engine at every one of ``SIZES``.

    Args:
        sources: SystemVerilog files; None for gatesmith's own.

    Raises:
        MissingToolError: Verilator or slang is not installed.
        ToolError: a tool has a warning, or could not be run; the message holds what it said.
    """
    tools = {"verilator": verilator_says, "slang": slang_says}
    sources = source_files() if sources is None else sources
    tops: list[tuple[str, Mapping[str, int]]] = [(source.stem, {}) for source in sources]
    for top, sizes in (("lstm", SIZES), ("lstm_stack", STACKS), ("lstm_axi", BUSES)):
        tops += [(top, parameters) for parameters in sizes if any(source.stem == top for source in sources)]
    linted: list[Linted] = []
    for at, (top, parameters) in enumerate(tops):
        if progress:
            progress(at, len(tops), top)
        for tool, say in tools.items():
            text = say(sources, top, parameters)
            if text:
                raise ToolError(f"{tool} has warnings about {top} {dict(parameters)}:\n{text}")
        linted.append(Linted(top=top, parameters=parameters, tools=tuple(tools)))
    return tuple(linted)


def verilator_says(sources: Sequence[Path], top: str, parameters: Mapping[str, int]) -> str:
    """Verilator's warnings about a top module, with all of them on; empty where there are none."""
    tools = verilator.toolchain()
    command = [str(tools.program), "--lint-only", "-Wall", "--quiet-stats", "--top-module", top]
    command += [f"-G{name}={value}" for name, value in parameters.items()]
    for folder in sorted({str(source.parent) for source in sources}):
        command += ["-y", folder]
    chosen = next(source for source in sources if source.stem == top)
    said = _run([*command, str(chosen)], tools.environment)
    return "\n".join(line for line in said.splitlines() if not line.startswith("- "))  # its report of the run


def slang_says(sources: Sequence[Path], top: str, parameters: Mapping[str, int]) -> str:
    """slang's warnings about a top module; empty where there are none.

    It runs in a process of its own, because it prints from C++.
    """
    if importlib.util.find_spec(SLANG) is None:
        raise MissingToolError("lint needs the package pyslang, install gatesmith[rtl]")
    options = [*SLANG_OPTIONS, "--top", top, *(f"-G{name}={value}" for name, value in parameters.items())]
    quoted = [f'"{source}"' for source in sources]
    return _run([sys.executable, "-c", SLANG_PROGRAM, " ".join(["slang", *options, *quoted])])


SLANG_PROGRAM = """
import sys
from pyslang import driver
slang = driver.Driver()
slang.addStandardArgs()
ready = slang.parseCommandLine(sys.argv[1]) and slang.processOptions() and slang.parseAllSources()
sys.exit(0 if ready and slang.runFullCompilation(True) else 1)
"""


def _run(command: list[str], environment: Mapping[str, str] | None = None) -> str:
    name = Path(command[0]).name
    try:
        done = subprocess.run(
            command, env=environment and dict(environment), capture_output=True, text=True, timeout=TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        raise ToolError(f"{name} was stopped after {TIMEOUT_S:.0f} s of lint") from None
    output = (done.stdout + done.stderr).strip()
    return output or (f"exit code {done.returncode}" if done.returncode else "")
