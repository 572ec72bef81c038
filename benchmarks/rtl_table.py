"""What the hardware engine costs and how busy its lanes are: `python -m benchmarks.rtl_table [--pnr SEEDS] [ROW …]`.

Every figure is measured here: clocks by Verilator over a sequence of the row's length, filling and draining counted;
cells by Yosys for ECP5; the frequency by nextpnr, the median over the seeds. Writes build/rtl-table.json and .md.
"""

import argparse
import statistics
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from gatesmith.files import make_folder, write_atomically, write_json
from gatesmith.fixed import calibrate
from gatesmith.hardware.energy import estimate_energy
from gatesmith.hardware.export import export
from gatesmith.hardware.manifest import load_export
from gatesmith.hardware.simulate import Design, Job, exported_design, run_jobs
from gatesmith.hardware.synthesize import TARGETS, map_design, place_and_route
from gatesmith.ops import LSTM
from gatesmith.spec import LSTMSpec

SHALLOW = {"MemoryStages": 0, "OperandStages": 0, "ProductStages": 0, "SumStages": 0}
MIDDLE = {"MemoryStages": 1, "OperandStages": 0, "ProductStages": 1, "SumStages": 1}
LARGEST_MAPPED = 1024
"""Multipliers up to which a row is synthesised: an ECP5-85 has 156 of them, and Yosys takes hours above."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One row of the table: sizes, and pipeline parameters where they are not the default."""

    input_size: int
    hidden_size: int
    multipliers: int
    steps: int
    pipeline: Mapping[str, int]


SHAPES = tuple(
    Shape(input_size=inputs, hidden_size=hidden, multipliers=multipliers, steps=steps, pipeline=pipeline)
    for inputs, hidden, multipliers, steps, pipeline in (
        (32, 64, 16, 100, {}),
        (32, 64, 64, 100, {}),
        (3, 128, 32, 100, {}),
        (6, 120, 32, 100, {}),
        (64, 128, 64, 100, {}),
        (6, 20, 16, 100, MIDDLE),
        (6, 20, 80, 100, SHALLOW),
        (6, 20, 2080, 100, {**SHALLOW, "OutElements": 2}),
    )
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """Figures of one shape; None where they were not measured."""

    input_size: int
    hidden_size: int
    steps: int
    multipliers: int
    cycles_per_step: float
    mac_utilisation: float
    luts: int | None
    ffs: int | None
    dsps: int | None
    brams: int | None
    logic_cells: int | None
    mhz: float | None
    joules_per_step: float


def measure(shape: Shape, seeds: int) -> Row:
    """Export, simulate, and map one shape."""
    generator = np.random.default_rng(0)
    lstm = LSTM(LSTMSpec(shape.input_size, shape.hidden_size), seed=0)
    data = generator.normal(size=(20, 8, shape.input_size))
    plan = calibrate(lstm, data, np.full(8, 20))
    with tempfile.TemporaryDirectory(prefix="gatesmith-") as scratch:
        exported = load_export(export(lstm, plan, Path(scratch, "export"), multipliers=shape.multipliers).folder)
        design = exported_design(exported, 0)
        design = replace(design, parameters={**design.parameters, **shape.pipeline})
        cycles = count_cycles(design, plan.x_format.quantise(generator.normal(size=(shape.steps, shape.input_size))))
        cells, logic_cells, mhz = map_and_place(design, shape, seeds, Path(scratch))
        joules = estimate_energy(exported.cells[0]).joules_per_step
    products = 4 * shape.hidden_size * (shape.input_size + shape.hidden_size)
    counts = {
        kind: sum(count for name, count in cells.items() if name.startswith(getattr(TARGETS["ecp5"], kind)))
        if cells
        else None
        for kind in ("luts", "ffs", "dsps", "brams")
    }
    return Row(
        input_size=shape.input_size,
        hidden_size=shape.hidden_size,
        steps=shape.steps,
        multipliers=shape.multipliers,
        cycles_per_step=cycles / shape.steps,
        mac_utilisation=products * shape.steps / (shape.multipliers * cycles),
        logic_cells=logic_cells,
        mhz=mhz,
        joules_per_step=joules,
        **counts,
    )


def count_cycles(design: Design, x: np.ndarray) -> int:
    """Clocks from the first beat in to the last beat out of one sequence x [T, D]."""
    zero = np.zeros(design.parameters["HiddenSize"], np.int64)
    (result,) = run_jobs(design, [Job(x=x, lengths=(len(x),), h0=zero, c0=zero)])
    return result.cycles


def map_and_place(
    design: Design, shape: Shape, seeds: int, scratch: Path
) -> tuple[dict[str, int], int | None, float | None]:
    """Cells by kind, logic cells after placement, and the median frequency."""
    if shape.multipliers > LARGEST_MAPPED:
        return {}, None, None
    work = scratch / "work"
    work.mkdir()
    cells = map_design(design, TARGETS["ecp5"], work)
    if not seeds:
        return cells, None, None
    placement = place_and_route(work, seeds)
    return cells, placement.logic_cells, statistics.median(placement.mhz)


def to_markdown(rows: list[Row]) -> str:
    """The rows as a table."""
    names = list(asdict(rows[0]))
    lines = [" | ".join(names), " | ".join("---" for _ in names)]
    lines += [" | ".join(_text(value) for value in asdict(row).values()) for row in rows]
    return "".join(f"| {line} |\n" for line in lines)


def _text(value: float | None) -> str:
    if value is None:
        return "–"
    return str(value) if isinstance(value, int) else f"{value:.4g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", type=int, help="numbers of rows, from 0; all where none is given")
    parser.add_argument("--pnr", type=int, default=0, metavar="SEEDS", help="place and route with so many seeds")
    parser.add_argument("--out", type=Path, default=Path("build"))
    arguments = parser.parse_args()
    rows: list[Row] = []
    make_folder(arguments.out)
    for number in arguments.rows or range(len(SHAPES)):
        rows.append(measure(SHAPES[number], arguments.pnr))
        print(asdict(rows[-1]), flush=True)
        write_json(arguments.out / "rtl-table.json", [asdict(row) for row in rows])
        write_atomically(arguments.out / "rtl-table.md", to_markdown(rows))


if __name__ == "__main__":
    main()
