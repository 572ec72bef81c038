"""`python -m benchmarks.scale`: the rate of training in one process and in two, at the same global batch.

Prints sequences per second and the efficiency, rate of two / (2 x rate of one), and writes them to
benchmarks/results/scale.json. Each process computes on one core; the machine's load is written down beside them.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results"
SIZES = {"sequences": 256, "steps": 50, "features": 16, "hidden": 96, "batch": 64, "epochs": 5}
LIMIT_SECONDS = 600
ROUNDS = 2
"""Of turns; the best of them counts, since what disturbs the machine only takes time."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--job", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        job()
        return 0
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    taken = [{count: rate(count) for count in options.processes} for _ in range(ROUNDS)]
    rates = {count: max(round[count] for round in taken) for count in options.processes}
    one = rates[min(rates)] / min(rates)
    report = {
        "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count(), "load": load},
        "sizes": SIZES,
        "sequences_per_second": rates,
        "efficiency": {count: value / (count * one) for count, value in rates.items()},
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "scale.json").write_text(json.dumps(report, indent=1) + "\n")
    for count, value in rates.items():
        print(f"{count} processes: {value:.0f} sequences/s, efficiency {report['efficiency'][count]:.2f}")
    print(f"load before: {load}, cores: {os.cpu_count()}")
    return 0


def rate(count: int) -> float:
    """Sequences per second of a job of ``count`` processes."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}  # a core a process
    done = subprocess.run(
        [*command, "-m", "benchmarks.scale", "--job"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"the job of {count} processes failed: {done.stderr[-2000:]}")
    return float(done.stdout.strip().splitlines()[-1])


def job() -> None:
    """Train on random sequences, and print the median rate over the epochs but the first."""
    from gatesmith.datasets import Sequences
    from gatesmith.train import Recipe, is_first_process, train

    generator = np.random.default_rng(0)
    shape = (SIZES["steps"], SIZES["sequences"], SIZES["features"])
    data = Sequences(
        x=generator.normal(size=shape).astype(np.float32),
        lengths=np.full(SIZES["sequences"], SIZES["steps"]),
        labels=np.arange(SIZES["sequences"]) % 4,
    )
    recipe = Recipe(
        hidden_size=SIZES["hidden"], epochs=SIZES["epochs"], batch_size=SIZES["batch"], validation_share=0.05, noise=0.0
    )
    ends: list[float] = []
    progress: Any = lambda *_: ends.append(time.perf_counter())  # noqa: E731
    train(data, recipe, progress=progress)
    if is_first_process():
        print(SIZES["sequences"] / statistics.median(np.diff(ends)))


if __name__ == "__main__":
    sys.exit(main())
