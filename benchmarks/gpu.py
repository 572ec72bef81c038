"""`python -m benchmarks.gpu`: our LSTM and cuDNN's through ``torch.nn.LSTM``, in turn, in one run on one GPU.

Prints tables and writes benchmarks/results/gpu.json after every point. Without a GPU: `--floor` prints what bytes,
operations and barriers alone would take on an H100, `--compile` what the compiled kernels take of a multiprocessor,
and `--dry-run` goes through the whole measurement with tiny sizes in Triton's interpreter.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from benchmarks import gpu_tables
from benchmarks.gpu_points import ELEMENT_BYTES, PASSES, POINTS, Point, floor_of

RESULTS = Path(__file__).parent / "results"
PUBLISHED = {
    "FlashRNN, fused CUDA": {"forward": 4.87e-3, "training": 13.61e-3},
    "haste": {"forward": 18.4e-3, "training": 43.9e-3},
}
"""Seconds at (16, 1024, 768, 768) in fp16 on an H100, as their authors give them; not measured here."""
TURNS, WARM_UPS = 7, 3
# How far two results may be apart before nothing is timed: of y, and of gradients by their largest element.
DIFFERENCE = {"float32": 1e-4, "tf32": 5e-3, "bfloat16": 5e-2, "float16": 5e-2}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--floor", action="store_true")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--only", default="", help="points whose name contains this")
    parser.add_argument("--dtypes", nargs="*", default=list(ELEMENT_BYTES), choices=list(ELEMENT_BYTES))
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    points = [point for point in POINTS if options.only in point.name]
    if options.floor:
        print(gpu_tables.floors(points))
        return 0
    if options.compile:
        print(gpu_tables.binaries(points))
        return 0
    if options.dry_run:
        with interpreted():
            tiny = [replace(point, batch=3, steps=2, inputs=3, hidden=5) for point in points]
            return run(tiny, options.dtypes, torch.device("cpu"), options.out)
    if not torch.cuda.is_available():
        print("no GPU is here, so nothing was measured; --floor, --compile and --dry-run need none", file=sys.stderr)
        return 3
    return run(points, options.dtypes, torch.device("cuda"), options.out)


def run(points: list[Point], dtypes: list[str], device: torch.device, out: Path) -> int:
    """Measure every point in every type; one that fails is written down and the others go on."""
    name = torch.cuda.get_device_name() if device.type == "cuda" else "Triton's interpreter: no figure means anything"
    report: dict[str, Any] = {"machine": name, "torch": torch.__version__, "rows": [], "failures": {}}
    out.mkdir(parents=True, exist_ok=True)
    for point in points:
        for dtype in dtypes:
            print(f"{point.name} in {dtype}", file=sys.stderr)
            try:
                report["rows"] += measure(point, dtype, device)
            except Exception as error:
                report["failures"][f"{point.name} in {dtype}"] = f"{type(error).__name__}: {error}"
                print(f"failed: {error}", file=sys.stderr)
        report["means"], report["published"] = means(report["rows"]), published(report["rows"])
        (out / "gpu.json").write_text(json.dumps(report, indent=1) + "\n")
    print(gpu_tables.results(report))
    return 1 if report["failures"] else 0


def measure(point: Point, dtype: str, device: torch.device) -> list[dict[str, Any]]:
    """Forward and training at a point: both contestants checked against each other, then timed in turn."""
    import gatesmith.torch

    for switch in (torch.backends.cuda.matmul, torch.backends.cudnn):
        switch.allow_tf32 = dtype == "tf32"
    kind = torch.float32 if dtype == "tf32" else getattr(torch, dtype)
    torch.manual_seed(0)
    given, two = (point.inputs, point.hidden, point.layers), point.directions == 2
    theirs = torch.nn.LSTM(*given, bidirectional=two, device=device, dtype=kind)
    ours = gatesmith.torch.LSTM(*given, bidirectional=two, device=device, dtype=kind)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(point.steps, point.batch, point.inputs, device=device, dtype=kind, requires_grad=True)
    lengths = torch.randint(1, point.steps + 1, (point.batch,))
    lengths[0] = point.steps
    lengths_there = lengths.to(device)

    def run_ours() -> torch.Tensor:
        return ours(x, lengths=lengths_there if point.ragged else None)[0]

    def run_theirs() -> torch.Tensor:
        if not point.ragged:
            return theirs(x)[0]
        packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        return torch.nn.utils.rnn.pad_packed_sequence(theirs(packed)[0], total_length=point.steps)[0]

    def trained(run: Callable[[], torch.Tensor], module: torch.nn.Module) -> Callable[[], tuple[torch.Tensor, ...]]:
        return lambda: torch.autograd.grad(run().float().square().sum(), [x, *module.parameters()])

    works = {
        "forward": (torch.no_grad()(run_ours), torch.no_grad()(run_theirs)),
        "training": (trained(run_ours, ours), trained(run_theirs, theirs)),
    }
    require_equal(point, dtype, *works["forward"], *works["training"])
    rows: list[dict[str, Any]] = []
    for mode, contestants in works.items():
        seconds = in_turn(device, *contestants)
        passes = PASSES if mode == "training" else PASSES[:1]
        rows.append(
            {
                "point": point.name,
                "dtype": dtype,
                "mode": mode,
                "ours": seconds[0],
                "cudnn": seconds[1],
                "ratio": seconds[1] / seconds[0],
                "floor": sum(floor_of(point, dtype, pass_).total for pass_ in passes),
                "class": point.kind(dtype),
            }
        )
    return rows


def require_equal(point: Point, dtype: str, *works: Callable[[], Any]) -> None:
    """Stop unless both contestants have the same outputs and gradients, to rounding."""
    ours, theirs, our_gradients, their_gradients = (work() for work in works)
    pairs = [(ours, theirs), *zip(our_gradients, their_gradients, strict=True)]
    for index, (mine, other) in enumerate(pairs):
        size = max(1.0, float(other.float().abs().max()))
        difference = float((mine.float() - other.float()).abs().max()) / size
        if not difference <= DIFFERENCE[dtype]:
            what = "the outputs" if index == 0 else "dx" if index == 1 else f"the gradients of parameter {index - 2}"
            raise RuntimeError(f"{point.name} in {dtype}: {what} differ by {difference:.2e}; nothing was timed")


def in_turn(device: torch.device, *contestants: Callable[[], object]) -> list[float]:
    """The median seconds of each contestant, by the GPU's own clock, turn about."""
    on_gpu = device.type == "cuda"
    turns, warm_ups = (TURNS, WARM_UPS) if on_gpu else (1, 0)
    for contestant in contestants:
        for _ in range(warm_ups):
            contestant()
    taken: list[list[float]] = [[] for _ in contestants]
    for _ in range(turns):
        for contestant, times in zip(contestants, taken, strict=True):
            times.append(seconds_on_gpu(contestant) if on_gpu else seconds_here(contestant))
    return [statistics.median(times) for times in taken]


def seconds_on_gpu(work: Callable[[], object]) -> float:
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    begin.record()
    work()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / 1e3


def seconds_here(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def means(rows: list[dict[str, Any]]) -> dict[str, float]:
    """The geometric mean ratio of every class: targets are 1.5 outside cuDNN's home, 0.7 at home, 5 ragged."""
    kinds = sorted({row["class"] for row in rows})
    return {kind: statistics.geometric_mean(row["ratio"] for row in rows if row["class"] == kind) for kind in kinds}


def published(rows: list[dict[str, Any]]) -> dict[str, float]:
    """How many times faster than published figures we are where they were taken; the target is 2."""
    ratios: dict[str, float] = {}
    for row in rows:
        if (row["point"], row["dtype"]) == (POINTS[0].name, "float16"):
            ratios |= {f"{name}, {row['mode']}": times[row["mode"]] / row["ours"] for name, times in PUBLISHED.items()}
    return ratios


@contextmanager
def interpreted() -> Iterator[None]:
    """CPU tensors go to the Triton kernels, and Triton interprets them, if nobody has imported it before."""
    os.environ["TRITON_INTERPRET"] = "1"
    torch.set_num_threads(1)
    from gatesmith.ops.cuda.problem import unsupported_feature
    from gatesmith.torch import cuda

    def takes(x: torch.Tensor, spec: Any) -> bool:
        return x.dtype == torch.float32 and unsupported_feature(spec) is None

    with mock.patch.object(cuda, "takes", takes):
        yield


if __name__ == "__main__":
    sys.exit(main())
