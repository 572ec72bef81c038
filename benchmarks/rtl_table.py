"""What the hardware engine costs and how busy its lanes are: `python -m benchmarks.rtl_table [--pnr SEEDS] [ROW …]`.

Every figure is measured here: clocks by Verilator over a sequence of the row's length, filling and draining counted;
joules from the switching of a simulation; cells by Yosys for ECP5; the frequency by nextpnr, the median over the seeds.
Writes build/rtl-table.json and .md after every row, and the tables into rtl/README.md after all of them with all seeds.
What was measured stays in build/rtl-table under the hash of everything that it depends on, so that a run that was
interrupted goes on.
"""

import argparse
import importlib.metadata
import json
import re
import statistics
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.markdown import between, table
from gatesmith.files import make_folder, write_atomically, write_json
from gatesmith.fixed.calibrate import weight_format
from gatesmith.fixed.cell import CellPlan
from gatesmith.fixed.plan import Plan
from gatesmith.hardware import activity, ecp5, energy, synthesize
from gatesmith.hardware.builder import digest
from gatesmith.hardware.consumption import measure_energy
from gatesmith.hardware.export import export, source_files
from gatesmith.hardware.manifest import load_export
from gatesmith.hardware.options import PIPELINES, Pipeline
from gatesmith.hardware.simulate import Design, Job, exported_design, run_jobs
from gatesmith.hardware.timing import timing
from gatesmith.ops import LSTM
from gatesmith.spec import LSTMSpec

LARGEST_MAPPED = 1024
"""Multipliers up to which a row is synthesised: Yosys takes hours above."""
LARGEST_PLACED = 150
"""Multipliers up to which a row is placed: an ECP5-85 has 156, and the pointwise part takes some."""
ENERGY_STEPS = 10
COUNTED = ("luts", "ffs", "dsps", "brams")
SEEDS = 5
"""Placements of a row whose frequency has a target; its median counts."""
README = Path(__file__).parents[1] / "rtl" / "README.md"
MARKS = ("<!-- rtl-table -->\n", "<!-- /rtl-table -->\n")


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One row of the table."""

    input_size: int
    hidden_size: int
    multipliers: int
    pipeline: str
    out_elements: int = 1
    steps: int = 100
    seeds: int = 1  # placements, at most

    @property
    def stages(self) -> Pipeline:
        return replace(PIPELINES[self.pipeline], out_elements=self.out_elements)


SHAPES = (
    Shape(input_size=32, hidden_size=64, multipliers=16, pipeline="deep", seeds=SEEDS),
    Shape(input_size=32, hidden_size=64, multipliers=64, pipeline="deep", seeds=SEEDS),
    Shape(input_size=6, hidden_size=20, multipliers=16, pipeline="middle"),
    Shape(input_size=6, hidden_size=20, multipliers=80, pipeline="shallow"),
    Shape(input_size=6, hidden_size=20, multipliers=2080, pipeline="shallow", out_elements=2),
    Shape(input_size=3, hidden_size=128, multipliers=32, pipeline="deep"),
    Shape(input_size=6, hidden_size=120, multipliers=32, pipeline="deep"),
    Shape(input_size=64, hidden_size=128, multipliers=64, pipeline="deep"),
)
"""The two whose frequency has a target first."""

HLS4ML = (
    ("latency, reuse 1", 16.6, 2720, 109386),
    ("resource, reuse 32", 75.3, 150, 71113),
    ("resource, reuse 64", 118.9, 105, 76235),
    ("resource, reuse 2048", 1700.0, 64, 69478),
)
"""Strategy, cycles per step, DSP blocks, LUTs: hls4ml's own synthesis of D = 6, H = 20, T = 20 in 16 bits, 6 of them
of the integer part, at 200 MHz.

Top-tagging LSTM of Khoda et al., "Ultra-low latency recurrent neural network inference on FPGAs for physics
applications with hls4ml", 2023: latency in µs times 200 MHz, by 20 steps.
"""


@dataclass(frozen=True, kw_only=True)
class Row:
    """Figures of one shape; None where they were not measured."""

    input_size: int
    hidden_size: int
    steps: int
    multipliers: int
    pipeline: str
    cycles_per_step: float
    mac_utilisation: float
    luts: int | None
    ffs: int | None
    dsps: int | None
    brams: int | None
    logic_cells: int | None
    mhz: float | None
    mhz_per_seed: tuple[float, ...]
    joules_per_step: float


def measure(shape: Shape, seeds: int, board: synthesize.Board, kept: Path) -> Row:
    """The figures of one shape; what is in ``kept`` is not measured again."""
    work = kept / _key(shape, board)
    make_folder(work)
    with tempfile.TemporaryDirectory(prefix="gatesmith-") as scratch:
        folder, plan = Path(scratch, "export"), export_shape(shape, Path(scratch, "export"))
        design = exported_design(load_export(folder), 0)
        cells = _once(work / "cells.json", lambda: _map(design, shape, work))
        placed = seeds > 0 and shape.multipliers <= LARGEST_PLACED
        placement = synthesize.place_and_route(work, min(seeds, shape.seeds), board=board) if placed else None
        counted = digest(*(Path(file).read_bytes() for file in (activity.__file__, energy.__file__)))
        run = _once(work / f"run-{counted}.json", lambda: _simulate(shape, folder, design, plan))
    products = 4 * shape.hidden_size * (shape.input_size + shape.hidden_size)
    return Row(
        input_size=shape.input_size,
        hidden_size=shape.hidden_size,
        steps=shape.steps,
        multipliers=shape.multipliers,
        pipeline=shape.pipeline,
        cycles_per_step=run["cycles"] / shape.steps,
        mac_utilisation=products * shape.steps / (shape.multipliers * run["cycles"]),
        logic_cells=placement.logic_cells if placement else None,
        mhz=statistics.median(placement.mhz) if placement else None,
        mhz_per_seed=placement.mhz if placement else (),
        joules_per_step=run["joules"],
        **cells,
    )


def _once(path: Path, find: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """What a file holds, or what it will hold from now on."""
    if not path.exists():
        write_json(path, find())
    return json.loads(path.read_text())


def export_shape(shape: Shape, folder: Path) -> Plan:
    """A model of random weights as hardware; its plan."""
    lstm = LSTM(LSTMSpec(shape.input_size, shape.hidden_size), seed=0)
    plan = Plan(cells=(plan_of(lstm),))
    export(lstm, plan, folder, multipliers=shape.multipliers, pipeline=shape.stages)
    return plan


def plan_of(lstm: LSTM) -> CellPlan:
    """16-bit x and h, 8-bit weights, operands of 18 bits: the same formats however calibration would choose them."""
    w_frac = weight_format(lstm.weights["weight_ih_l0"], width=8).fraction
    return CellPlan(
        input_size=lstm.spec.input_size,
        hidden_size=lstm.spec.hidden_size,
        x_width=16,
        x_frac=12,
        h_width=16,
        h_frac=15,
        w_width=8,
        w_ih_frac=w_frac,
        w_hh_frac=w_frac - 1,
        b_width=22,
        z_width=16,
        a_width=18,
        c_width=18,
        c_frac=15,
        table_bits=8,
    )


def _simulate(shape: Shape, folder: Path, design: Design, plan: Plan) -> dict[str, float]:
    x = np.random.default_rng(1).normal(size=(shape.steps, shape.input_size))
    spent = measure_energy(folder, x[:ENERGY_STEPS, None])
    return {"cycles": count_cycles(design, plan.x_format.quantise(x)), "joules": spent.joules_per_step}


def count_cycles(design: Design, x: np.ndarray) -> int:
    """Clocks from the first beat in to the last beat out of one sequence x [T, D]."""
    zero = np.zeros(int(str(design.parameters["HiddenSize"])), np.int64)
    (result,) = run_jobs(design, [Job(x=x, lengths=(len(x),), h0=zero, c0=zero)])
    return result.cycles


def _map(design: Design, shape: Shape, work: Path) -> Mapping[str, int | None]:
    if shape.multipliers > LARGEST_MAPPED:
        return dict.fromkeys(COUNTED)
    target = synthesize.TARGETS["ecp5"]
    cells = synthesize.map_design(design, target, work)
    return {
        kind: sum(count for name, count in cells.items() if name.startswith(getattr(target, kind))) for kind in COUNTED
    }


def _key(shape: Shape, board: synthesize.Board) -> str:
    """Hash of what a row's hardware depends on: its shape, the sources, the tools."""
    tools = [importlib.metadata.version(name.replace("_", "-")) for name in (synthesize.YOSYS, synthesize.NEXTPNR)]
    how = [asdict(one) for one in (shape, synthesize.TARGETS["ecp5"], board)]
    files = (*_sources("lstm"), Path(ecp5.__file__))
    return digest(json.dumps([how, tools]).encode(), *(path.read_bytes() for path in files))


def _sources(top: str) -> list[Path]:
    """The files of a module and of all that are instantiated below it."""
    known = {source.stem: source for source in source_files()}
    found, waiting = set[str](), {top}
    while waiting:
        found |= waiting
        used = {name for stem in waiting for name in re.findall(r"^ *(\w+) #\(", known[stem].read_text(), re.MULTILINE)}
        waiting = (used & set(known)) - found
    return [known[stem] for stem in sorted(found)]


def to_markdown(rows: list[Row]) -> str:
    """The rows as a table, and those of hls4ml's shape beside its figures."""
    head = ("D, H, P", "stages", "clocks per step", "lanes busy", "LUTs", "flip-flops", "multipliers", "block RAMs")
    head += ("logic cells placed", "MHz", "nJ per step")
    ours = [
        (f"this engine, P = {row.multipliers}", row.cycles_per_step, multipliers_in_all(row), row.luts)
        for row in rows
        if (row.input_size, row.hidden_size) == (6, 20)
    ]
    theirs = [(f"hls4ml, {name}", cycles, dsps, luts) for name, cycles, dsps, luts in HLS4ML]
    beside = ("D = 6, H = 20", "clocks per step", "multipliers", "clocks x multipliers", "LUTs")
    compared = [(name, cycles, count, round(cycles * count), luts) for name, cycles, count, luts in ours + theirs]
    return f"{table(head, map(_texts, map(_columns, rows)))}\n\n{table(beside, map(_texts, compared))}"


def _columns(row: Row) -> list[Any]:
    return [
        f"{row.input_size}, {row.hidden_size}, {row.multipliers}",
        row.pipeline,
        row.cycles_per_step,
        f"{row.mac_utilisation:.1%}",
        *(getattr(row, kind) for kind in COUNTED),
        row.logic_cells,
        _clock(row),
        row.joules_per_step * 1e9,
    ]


def _clock(row: Row) -> str | float | None:
    """The median, and what it is of."""
    if len(row.mhz_per_seed) < 2:
        return row.mhz
    return f"**{row.mhz:.1f}** of {', '.join(f'{mhz:.1f}' if mhz else 'none' for mhz in row.mhz_per_seed)}"


def multipliers_in_all(row: Row) -> int:
    """Those of the lanes, and of each pointwise pipeline: five interpolate, three make c and h."""
    sizes = {"InputSize": row.input_size, "HiddenSize": row.hidden_size, "Multipliers": row.multipliers}
    return row.multipliers + 8 * timing(sizes).units


def _texts(row: Iterable[float | str | None]) -> list[str]:
    return [_text(value) for value in row]


def _text(value: float | str | None) -> str:
    if value is None:
        return "–"
    return f"{value:.1f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", type=int, help="numbers of rows, from 0; all where none is given")
    parser.add_argument(
        "--pnr",
        type=int,
        default=0,
        metavar="SEEDS",
        help="place and route with so many seeds, one where no clock is asked for",
    )
    parser.add_argument("--pins", action="store_true", help="place the ports at pins, not as wires of a larger design")
    parser.add_argument("--out", type=Path, default=Path("build"))
    arguments = parser.parse_args()
    board = synthesize.Board(pins=arguments.pins)
    rows: list[Row] = []
    make_folder(arguments.out)
    for number in arguments.rows or range(len(SHAPES)):
        rows.append(measure(SHAPES[number], arguments.pnr, board, arguments.out / "rtl-table"))
        print(asdict(rows[-1]), flush=True)
        write_json(arguments.out / "rtl-table.json", [asdict(row) for row in rows])
        write_atomically(arguments.out / "rtl-table.md", to_markdown(rows) + "\n")
    if len(rows) == len(SHAPES) and arguments.pnr >= SEEDS and not arguments.pins:
        write_atomically(README, between(README.read_text(), MARKS, to_markdown(rows)))


if __name__ == "__main__":
    main()
