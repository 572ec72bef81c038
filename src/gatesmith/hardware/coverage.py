"""Line and toggle coverage of the SystemVerilog: what simulations recorded, merged, counted for each module.

A point of a module (a branch, or one bit of a signal) is covered when it was in any instance, with any parameters, of
any simulation: parameters change how wide a module is, not what it does.
"""

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gatesmith.errors import MissingToolError, ToolError
from gatesmith.hardware.activity import read_nets
from gatesmith.hardware.verilator import Parameter, literal

RECORD = re.compile(r"C '(?P<fields>.*)' (?P<count>\d+)")
TOGGLE = "toggle"


@dataclass(frozen=True, kw_only=True, order=True)
class Point:
    """One thing that a simulation can reach.

    Attributes:
        module: its name, without parameters.
        kind: ``toggle`` for a bit that rises and falls; ``line`` or ``branch`` for code that is reached.
        line, column: where it stands.
        what: the bit, or the branch.
    """

    module: str
    kind: str
    line: int
    column: int
    what: str


@dataclass(frozen=True, kw_only=True)
class Exemption:
    """Points that can't be covered; patterns match the whole name."""

    module: str
    what: str
    reason: str

    def holds(self, point: Point) -> bool:
        """Whether the point is one of them."""
        name = re.sub(r"[\[(].*", "", point.what) if point.kind == TOGGLE else point.kind
        return bool(re.fullmatch(self.module, point.module) and re.fullmatch(self.what, name))


@dataclass(frozen=True, kw_only=True)
class ModuleCoverage:
    """Points of one module, those that are exempt apart."""

    module: str
    lines: int
    lines_hit: int
    toggles: int
    toggles_hit: int
    exempt: int


def read_coverage(path: Path) -> dict[Point, int]:
    """How often Verilator saw each point in one simulation.

    Raises:
        ToolError: the file isn't what Verilator writes.
    """
    found: dict[Point, int] = {}
    for line in path.read_text().splitlines():
        if line.startswith("#"):
            continue
        record = RECORD.fullmatch(line)
        fields = dict(part.split("\2", 1) for part in record["fields"].split("\1")[1:]) if record else {}
        if not record or not {"f", "l", "n", "page", "o"} <= fields.keys():
            raise ToolError(f"{path} holds {line[:80]!r}; expected a coverage file of Verilator, simulate again")
        point = Point(
            module=Path(fields["f"]).stem,
            kind=fields["page"].removeprefix("v_").partition("/")[0],
            line=int(fields["l"]),
            column=int(fields["n"]),
            what=fields["o"],
        )
        found[point] = found.get(point, 0) + int(record["count"])
    return found


def read_toggles(report: Path, modules: Mapping[str, str]) -> dict[Point, int]:
    """How often each bit rose and fell in one simulation, by a SAIF file.

    Args:
        modules: of every instance, from :func:`modules_of`.
    """
    found: dict[Point, int] = {}
    for net, _, changes in read_nets(report):
        path = net.split(".")[1:]  # below Verilator's own top
        depth = next((n for n in range(len(path) - 1, 0, -1) if ".".join(path[:n]) in modules), 0)
        bit = ".".join([*(block.partition("[")[0] for block in path[depth:-1]), path[-1]])
        if not depth or path[-1][0].isupper():  # a port at the top, or a parameter
            continue
        point = Point(module=modules[".".join(path[:depth])], kind=TOGGLE, line=0, column=0, what=bit)
        found[point] = found.get(point, 0) + changes // 2
    return found


def modules_of(sources: Sequence[Path], top: str, parameters: Mapping[str, Parameter]) -> dict[str, str]:
    """The module of every instance below a top module, by its path, from slang.

    Raises:
        MissingToolError: slang is not installed.
        ToolError: slang can't read the sources.
    """
    if importlib.util.find_spec("pyslang") is None:
        raise MissingToolError("coverage needs the package pyslang, install gatesmith[rtl]")
    options = [*(f"-G{name}={literal(value)}" for name, value in parameters.items()), *map(str, sources)]
    command = " ".join(["slang", "--top", top, *(f'"{option}"' for option in options)])
    done = subprocess.run([sys.executable, "-c", INSTANCES, command], capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise ToolError(f"slang can't read the design: {(done.stdout + done.stderr)[-2000:]}")
    return dict(line.rsplit(" ", 1) for line in done.stdout.splitlines())


INSTANCES = """
import sys
from pyslang import driver
from pyslang.ast import InstanceSymbol
slang = driver.Driver()
slang.addStandardArgs()
ready = slang.parseCommandLine(sys.argv[1]) and slang.processOptions() and slang.parseAllSources()
def show(symbol):
    if isinstance(symbol, InstanceSymbol) and symbol.isModule:
        print(symbol.hierarchicalPath, symbol.definition.name)
if not ready:
    sys.exit(1)
slang.createCompilation().getRoot().visit(show)
"""
"""Prints every instance; a process of its own, because slang prints from C++."""


def merge(simulations: Iterable[Mapping[Point, int]]) -> dict[Point, int]:
    """The sum over simulations."""
    total: dict[Point, int] = {}
    for simulation in simulations:
        for point, count in simulation.items():
            total[point] = total.get(point, 0) + count
    return total


def by_module(points: Mapping[Point, int], exemptions: Sequence[Exemption]) -> list[ModuleCoverage]:
    """One row for each module, by name."""
    rows: list[ModuleCoverage] = []
    for module in sorted({point.module for point in points}):
        own = {point: count for point, count in points.items() if point.module == module}
        counted = {point: n for point, n in own.items() if n or not any(e.holds(point) for e in exemptions)}
        toggles = [count for point, count in counted.items() if point.kind == TOGGLE]
        lines = [count for point, count in counted.items() if point.kind != TOGGLE]
        rows.append(
            ModuleCoverage(
                module=module,
                lines=len(lines),
                lines_hit=sum(count > 0 for count in lines),
                toggles=len(toggles),
                toggles_hit=sum(count > 0 for count in toggles),
                exempt=len(own) - len(counted),
            )
        )
    return rows


def missed(points: Mapping[Point, int], exemptions: Sequence[Exemption]) -> list[Point]:
    """What was never reached and is not exempt."""
    return sorted(point for point, n in points.items() if not n and not any(e.holds(point) for e in exemptions))


def markdown(rows: Sequence[ModuleCoverage]) -> str:
    """The rows and their sum as a table."""
    total = ModuleCoverage(
        module="all",
        **{
            name: sum(getattr(row, name) for row in rows)
            for name in ("lines", "lines_hit", "toggles", "toggles_hit", "exempt")
        },
    )
    text = "| module | lines | toggles | exempt points |\n| --- | --- | --- | --- |\n"
    for row in (*rows, total):
        text += (
            f"| {row.module} | {_share(row.lines_hit, row.lines)} | {_share(row.toggles_hit, row.toggles)}"
            f" | {row.exempt} |\n"
        )
    return text


def _share(hit: int, of: int) -> str:
    return f"{hit} of {of}, {100 * hit / of:.1f} %" if of else "–"
