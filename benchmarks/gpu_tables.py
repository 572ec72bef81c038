"""The tables of the GPU benchmark, in Markdown: floors, compiled kernels, results."""

from typing import Any

from benchmarks.gpu_points import PASSES, Point, floor_of
from benchmarks.markdown import table


def floors(points: list[Point]) -> str:
    """What bytes, operations and barriers alone would take on an H100."""
    heads = ("point (N, T, D, H)", "type", "pass", "programs", "weights", "GFLOP", "memory MB", "products ms")
    heads += ("L2 µs", "shared µs", "operations µs", "barriers ms", "total ms")
    rows: list[tuple[str, ...]] = []
    for point in points:
        for dtype in ("bfloat16", "float32") if not point.ragged else ():
            for pass_ in PASSES:
                floor = floor_of(point, dtype, pass_)
                where = "resident" if floor.tiling.resident else "streamed"
                where += "" if floor.tiling.persistent else ", a launch a step"
                where += ", wave" if point.runs_as_wave(dtype) else ""
                work = (f"{floor.flops / 1e9:.1f}", f"{floor.bytes / 1e6:.1f}", f"{floor.products * 1e3:.2f}")
                step = (f"{value * 1e6:.2f}" for value in (floor.cache, floor.shared, floor.operations))
                whole = (f"{floor.barriers * 1e3:.2f}", f"{floor.total * 1e3:.2f}")
                rows.append((point.name, dtype, pass_, str(floor.programs), where, *work, *step, *whole))
    return table(heads, rows)


def binaries(points: list[Point]) -> str:
    """What a program of every kernel that would be launched takes, compiled for compute capability 9.0."""
    from gatesmith.ops.cuda.compile import compile_kernel
    from gatesmith.spec import LSTMSpec

    heads = ("point (N, T, D, H)", "type", "pass", "tiles n × h × k", "warps", "shared KiB", "registers", "spilled B")
    rows: list[tuple[str, ...]] = []
    for point in points:
        for dtype in ("bfloat16", "float32") if not point.ragged else ():
            for pass_ in PASSES:
                tiling = point.tiling(pass_, dtype)
                direction = "bidirectional" if point.directions == 2 else "forward"
                spec = LSTMSpec(point.inputs, point.hidden, point.layers, direction)
                binary = compile_kernel(pass_, spec, dtype, tiling, wave=point.runs_as_wave(dtype))
                tiles = f"{tiling.block_n} × {tiling.block_h} × {tiling.block_k}"
                taken = (f"{binary.shared_bytes / 1024:.0f}", str(binary.registers), str(binary.spilled_bytes))
                rows.append((point.name, dtype, pass_, tiles, str(tiling.num_warps), *taken))
    return table(heads, rows)


def results(report: dict[str, Any]) -> str:
    """What was measured, the mean of every class, and what failed."""
    heads = ("point (N, T, D, H)", "type", "mode", "ours ms", "cuDNN ms", "ratio", "floor ms", "class")
    rows = [
        (
            row["point"],
            row["dtype"],
            row["mode"],
            *(f"{row[name] * 1e3:.2f}" for name in ("ours", "cudnn")),
            f"{row['ratio']:.2f}",
            f"{row['floor'] * 1e3:.2f}",
            row["class"],
        )
        for row in report["rows"]
    ]
    lines = [f"{report['machine']}, PyTorch {report['torch']}", "", table(heads, rows), ""]
    lines += [f"- {kind}: geometric mean {mean:.2f}" for kind, mean in report["means"].items()]
    lines += [f"- {ratio:.2f} × as fast as {name}, as published" for name, ratio in report["published"].items()]
    lines += [f"- failed: {where}: {why}" for where, why in report["failures"].items()]
    return "\n".join(lines)
