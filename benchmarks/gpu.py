"""`python -m benchmarks.gpu`: our LSTM and cuDNN's through ``torch.nn.LSTM``, in turn, in one run on one GPU.

Prints a table and writes benchmarks/results/gpu.json. `--floor` prints what bytes, operations and barriers alone would
take on an H100, and `--compile` what the compiled kernels take of a multiprocessor; neither needs a GPU.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.gpu_points import ELEMENT_BYTES, POINTS, Point, floor_of
from gatesmith.ops.cuda.tiling import H100, Pass, choose_tiling

RESULTS = Path(__file__).parent / "results"
PASSES: tuple[Pass, ...] = ("forward", "backward")
PUBLISHED = {
    "FlashRNN, fused CUDA": {"forward": 4.87e-3, "training": 13.61e-3},
    "haste": {"forward": 18.4e-3, "training": 43.9e-3},
}
"""Seconds at (16, 1024, 768, 768) in fp16 on an H100, as their authors give them; not measured here."""
TURNS = 7


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--floor", action="store_true")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--only", default="", help="points whose name contains this")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    points = [point for point in POINTS if options.only in point.name]
    console = Console(width=120)
    if options.floor:
        console.print(floors(points))
        return 0
    if options.compile:
        console.print(binaries(points))
        return 0
    if not torch.cuda.is_available():
        print("no GPU is here, so nothing was measured; --floor and --compile need none", file=sys.stderr)
        return 3
    rows = [row for point in points for dtype in ELEMENT_BYTES for row in measure(point, dtype)]
    report = {"machine": torch.cuda.get_device_name(), "torch": torch.__version__, "rows": rows, "means": means(rows)}
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "gpu.json").write_text(json.dumps(report, indent=1) + "\n")
    console.print(results(rows))
    console.print(report["means"])
    return 0


def measure(point: Point, dtype: str) -> list[dict[str, Any]]:
    """Forward and training at a point: both contestants checked against each other, then timed in turn."""
    import gatesmith.torch

    kind, device = getattr(torch, dtype), torch.device("cuda")
    torch.manual_seed(0)
    given = (point.inputs, point.hidden, point.layers)
    theirs = torch.nn.LSTM(*given, bidirectional=point.directions == 2, device=device, dtype=kind)
    ours = gatesmith.torch.LSTM(*given, bidirectional=point.directions == 2, device=device, dtype=kind)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(point.steps, point.batch, point.inputs, device=device, dtype=kind, requires_grad=True)
    lengths = torch.full((point.batch,), point.steps)
    if point.ragged:
        lengths = torch.randint(1, point.steps + 1, (point.batch,))
        lengths[0] = point.steps

    def run_ours() -> torch.Tensor:
        return ours(x, lengths=lengths if point.ragged else None)[0]

    def run_theirs() -> torch.Tensor:
        if not point.ragged:
            return theirs(x)[0]
        packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        return torch.nn.utils.rnn.pad_packed_sequence(theirs(packed)[0])[0]

    tolerance = 1e-4 if dtype == "float32" else 5e-2
    difference = float((run_ours().float() - run_theirs().float()).abs().max())
    if not difference <= tolerance:
        raise SystemExit(f"{point.name} in {dtype}: ours and cuDNN's differ by {difference:.2e}; nothing was timed")

    def train(run: Callable[[], torch.Tensor]) -> Callable[[], object]:
        return lambda: run().float().sum().backward()  # pyright: ignore[reportUnknownMemberType]

    def infer(run: Callable[[], torch.Tensor]) -> Callable[[], object]:
        return torch.no_grad()(run)

    rows: list[dict[str, Any]] = []
    for mode, wrap in (("forward", infer), ("training", train)):
        seconds = in_turn(wrap(run_ours), wrap(run_theirs))
        floor = sum(floor_of(point, dtype, pass_).total for pass_ in (PASSES if mode == "training" else PASSES[:1]))
        rows.append(
            {
                "point": point.name,
                "dtype": dtype,
                "mode": mode,
                "ours": seconds[0],
                "cudnn": seconds[1],
                "ratio": seconds[1] / seconds[0],
                "floor": floor,
                "class": "ragged" if point.ragged else "home" if point.is_home_of_cudnn(dtype) else "outside",
            }
        )
    return rows


def in_turn(*contestants: Callable[[], object]) -> list[float]:
    """The median seconds of each contestant, measured by the GPU's own clock, turn about."""
    for contestant in contestants:
        for _ in range(3):
            contestant()
    taken: list[list[float]] = [[] for _ in contestants]
    for _ in range(TURNS):
        for contestant, times in zip(contestants, taken, strict=True):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            contestant()
            end.record()
            end.synchronize()
            times.append(begin.elapsed_time(end) / 1e3)
    return [statistics.median(times) for times in taken]


def means(rows: list[dict[str, Any]]) -> dict[str, float]:
    """The geometric mean ratio of every class: targets are 1.5 outside cuDNN's home, 0.7 at home, 5 ragged."""
    kinds = sorted({row["class"] for row in rows})
    return {kind: statistics.geometric_mean(row["ratio"] for row in rows if row["class"] == kind) for kind in kinds}


def results(rows: list[dict[str, Any]]) -> Table:
    table = Table("point", "type", "mode", "ours ms", "cuDNN ms", "ratio", "floor ms", "class")
    for row in rows:
        times = [f"{row[name] * 1e3:.2f}" for name in ("ours", "cudnn")]
        table.add_row(
            row["point"],
            row["dtype"],
            row["mode"],
            *times,
            f"{row['ratio']:.2f}",
            f"{row['floor'] * 1e3:.2f}",
            row["class"],
        )
    return table


def floors(points: list[Point]) -> Table:
    columns = ("products ms", "L2 µs", "shared µs", "ops µs", "total ms")
    table = Table("point", "type", "pass", "programs", "W_hh", *columns)
    for point in points:
        if point.ragged:
            continue
        for dtype in ("bfloat16", "float32"):
            for pass_ in PASSES:
                floor = floor_of(point, dtype, pass_)
                where = "resident" if floor.resident else "streamed"
                steps = [f"{value * 1e6:.2f}" for value in (floor.cache, floor.shared, floor.operations)]
                table.add_row(
                    point.name, dtype, pass_, str(floor.programs), where if floor.persistent else f"{where}, launched",
                    f"{floor.products * 1e3:.2f}", *steps, f"{floor.total * 1e3:.2f}",
                )  # fmt: skip
    return table


def binaries(points: list[Point]) -> Table:
    from gatesmith.ops.cuda.compile import compile_kernel
    from gatesmith.spec import LSTMSpec

    table = Table("point", "type", "pass", "tiles n × h × k", "warps", "shared KiB", "registers", "spilled B")
    for point in points:
        if point.ragged:
            continue
        for dtype in ("bfloat16", "float32"):
            for pass_ in PASSES:
                tiling = choose_tiling(
                    pass_,
                    hidden=point.hidden,
                    batch=point.batch,
                    lanes=point.directions,
                    element_bytes=ELEMENT_BYTES[dtype],
                    machine=H100,
                )
                direction = "bidirectional" if point.directions == 2 else "forward"
                spec = LSTMSpec(point.inputs, point.hidden, point.layers, direction)
                binary = compile_kernel(pass_, spec, dtype, tiling)
                table.add_row(
                    point.name, dtype, pass_, f"{tiling.block_n} × {tiling.block_h} × {tiling.block_k}",
                    str(tiling.num_warps), f"{binary.shared_bytes / 1024:.0f}", str(binary.registers),
                    str(binary.spilled_bytes),
                )  # fmt: skip
    return table


if __name__ == "__main__":
    sys.exit(main())
