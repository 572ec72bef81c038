"""`python -m benchmarks.cpu`: the CPU kernel and its peers at every point, in turn, in one process.

Prints a table, writes benchmarks/results/cpu.json with machine and commit, and draws benchmarks/results/cpu.svg.
"""

import argparse
import json
import math
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import chart, extras
from benchmarks.contestants import Contestant, contestants
from benchmarks.points import POINTS, QUICK_POINTS, Point
from benchmarks.timing import seconds
from gatesmith.ops.library import library

RESULTS = Path(__file__).parent / "results"
OUTPUT_TOLERANCE = 5e-5
"""The peers' float32 activations are approximations; a wrong gate order or bias would be off by 1e-2."""
GRADIENT_TOLERANCE = 1e-3
"""Relative to the largest element: sums over T * N rows in different orders."""

Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes and short turns: a smoke test")
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of cpu.json and cpu.svg")
    parser.add_argument("--only", default="", help="points whose name contains this")
    options = parser.parse_args()
    points = [point for point in (QUICK_POINTS if options.quick else POINTS) if options.only in point.name]
    turn = 0.02 if options.quick else 0.2
    report: dict[str, Any] = {"machine": machine(), "limits": {}, "points": []}
    for threads in options.threads:
        report["limits"][str(threads)] = limits(threads)
    console = Console(stderr=True)
    for threads in options.threads:
        for point in points:
            console.print(f"{point.name}, {threads} threads", highlight=False)
            report["points"] += measure(point, threads, report["limits"][str(threads)], turn)
    report["stream"] = extras.stream(turn)
    report["ragged"] = extras.ragged(turn, quick=options.quick)
    report["steps"] = extras.steps(turn)
    report["memory"] = extras.memory(turn, quick=options.quick)
    report["summary"] = summary(report["points"])
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "cpu.json").write_text(json.dumps(report, indent=1) + "\n")
    (options.out / "cpu.svg").write_text(chart.svg(report))
    show(report)


def measure(point: Point, threads: int, limit: Row, turn: float) -> list[Row]:
    """Time inference and training of one point, after checking that all contestants compute the same."""
    everyone = contestants(point, threads)
    check_outputs(point, everyone)
    rows: list[Row] = []
    for mode in ("inference", "training"):
        works = {c.name: c.infer if mode == "inference" else c.train for c in everyone}
        times = seconds({name: work for name, work in works.items() if work}, turn_seconds=turn)
        ours = times["gatesmith"]
        fastest = min((name for name in times if name != "gatesmith"), key=times.__getitem__)
        flops = point.flops(training=mode == "training")
        row: Row = {
            "point": point.name,
            "threads": threads,
            "mode": mode,
            "seconds": times,
            "fastest_peer": fastest,
            "ratio": times[fastest] / ours,
            "gflops": flops / ours / 1e9,
            "share_of_peak": flops / ours / limit["flops"],
        }
        row["floor_seconds"] = floor_seconds(point, limit, training=mode == "training")
        row["possible_ratio"] = times[fastest] / row["floor_seconds"]
        if point.batch == 1 and mode == "inference":
            row["share_of_bandwidth"] = point.weight_bytes_read() / ours / bandwidth(point, limit)
        rows.append(row)
    return rows


def check_outputs(point: Point, everyone: list[Contestant]) -> None:
    """Stop where a contestant computes something else: its time would mean nothing."""
    expected, *others = [contestant.infer() for contestant in everyone]
    for contestant, outputs in zip(everyone[1:], others, strict=True):
        for name, want, got in zip(("y", "h_n", "c_n"), expected, outputs, strict=True):
            error = float(np.abs(want - got).max())
            if not error < OUTPUT_TOLERANCE:
                sys.exit(f"{contestant.name} differs from gatesmith by {error} in {name} at {point.name}")
    ours, torchs = [contestant.train() for contestant in everyone if contestant.train]
    for index, (want, got) in enumerate(zip(ours, torchs, strict=True)):
        error = float(np.abs(want - got).max() / np.abs(got).max())
        if not error < GRADIENT_TOLERANCE:
            sys.exit(f"PyTorch differs from gatesmith by {error} in gradient {index} at {point.name}")


def floor_seconds(point: Point, limit: Row, *, training: bool) -> float:
    """The least time at this machine's measured limits: all products at FMA peak.

    For N = 1 the recurrent ones run at the speed of reading W_hh (twice in training), since each weight is used once.
    Gates, packing and calls count nothing.
    """
    flops = point.flops(training=training)
    if point.batch > 1:
        return flops / limit["flops"]
    recurrent = point.weight_bytes_read() * (2 if training else 1)
    return (flops - recurrent / 2) / limit["flops"] + recurrent / bandwidth(point, limit)


def bandwidth(point: Point, limit: Row) -> float:
    """Bytes/s at which W_hh can be read: from the caches that hold it, split over the threads."""
    share = 16 * point.hidden_size**2 / limit["threads"]
    return limit["l2"] if share <= limit["l2_bytes"] else limit["l3"]


def limits(threads: int) -> Row:
    """What this machine can do at best: FMA peak, and reading from L2 and L3, measured with all threads at once."""
    lib = library()
    lib.gatesmith_set_num_threads(threads)
    return {
        "threads": threads,
        "flops": lib.gatesmith_measure_flops(threads),
        "l2_bytes": 1 << 20,
        "l2": lib.gatesmith_measure_bandwidth(threads, 1 << 19),
        "l3": lib.gatesmith_measure_bandwidth(threads, 1 << 22),
    }


def machine() -> Row:
    """What a reader needs to compare figures: processor, kernel, versions, commit."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, cwd=RESULTS.parent, check=False
    )
    model = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    return {
        "processor": model[0] if model else platform.processor(),
        "cores": os.cpu_count(),
        "instructions": library().gatesmith_target().decode(),
        "commit": commit.stdout.strip(),
        "versions": {name: version(name) for name in ("numpy", "torch", "onnxruntime", "openvino")},
        "load_average": os.getloadavg()[0],
    }


def summary(rows: list[Row]) -> Row:
    """Geometric mean and least ratio to the fastest peer, for each mode and number of threads."""
    result: Row = {}
    for mode in ("inference", "training"):
        for threads in sorted({row["threads"] for row in rows}):
            ratios = [row["ratio"] for row in rows if row["mode"] == mode and row["threads"] == threads]
            mean = math.exp(sum(math.log(ratio) for ratio in ratios) / len(ratios))
            result[f"{mode}, {threads} threads"] = {"geometric_mean": mean, "least": min(ratios)}
    return result


def show(report: Row) -> None:
    """Print the table."""
    console = Console(width=150)
    for threads, limit in report["limits"].items():
        console.print(
            f"{threads} threads: FMA peak {limit['flops'] / 1e9:.0f} GFLOP/s, "
            f"L2 {limit['l2'] / 1e9:.0f} GB/s, L3 {limit['l3'] / 1e9:.0f} GB/s",
            highlight=False,
        )
    names = ["gatesmith", "PyTorch", "ONNX Runtime", "OpenVINO"]
    table = Table(
        "point", "threads", "mode", *(f"{name} ms" for name in names), "ratio", "GFLOP/s", "of peak", "of bandwidth"
    )
    for row in report["points"]:
        times = [f"{row['seconds'][name] * 1e3:.3f}" if name in row["seconds"] else "" for name in names]
        share = f"{row['share_of_bandwidth']:.0%}" if "share_of_bandwidth" in row else ""
        table.add_row(
            row["point"],
            str(row["threads"]),
            row["mode"],
            *times,
            f"{row['ratio']:.2f}",
            f"{row['possible_ratio']:.2f}",
            f"{row['gflops']:.0f}",
            f"{row['share_of_peak']:.0%}",
            share,
        )
    console.print(table)
    for name, value in report["summary"].items():
        console.print(
            f"{name}: geometric mean {value['geometric_mean']:.2f}, least {value['least']:.2f}", highlight=False
        )
    for name in ("stream", "ragged", "steps", "memory"):
        console.print(f"{name}: {json.dumps(report[name])}", highlight=False)


if __name__ == "__main__":
    main()
