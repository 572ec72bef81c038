"""`python -m benchmarks.crowded`: what other busy processes cost a call (decision 0037).

Small sizes, whose threads meet often. Beside as many busy processes as there are cores, half the speed is fair.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

import torch

import gatesmith.torch

SIZES = ((1, 100, 64, 128), (64, 30, 6, 20))
"""(N, T, D, H)."""
TURN_SECONDS = 1.5


def main() -> None:
    for size in SIZES:
        for name, work in (("inference", inference(size)), ("training", training(size))):
            alone = mean_seconds(work)
            with busy_processes(os.cpu_count() or 1):
                crowded = mean_seconds(work)
            print(f"{size} {name}: {1e3 * alone:.2f} ms alone, {1e3 * crowded:.2f} ms beside busy processes")


def mean_seconds(work: Callable[[], object]) -> float:
    """Of a call, over a turn: a median would leave out the few that wait for all the others."""
    work()
    start, calls = time.perf_counter(), 0
    while time.perf_counter() < start + TURN_SECONDS:
        work()
        calls += 1
    return (time.perf_counter() - start) / calls


def inference(size: tuple[int, int, int, int]) -> Callable[[], object]:
    """A call of the module without gradients."""
    batch, steps, inputs, hidden = size
    module, x = gatesmith.torch.LSTM(inputs, hidden), torch.randn(steps, batch, inputs)

    def infer() -> object:
        with torch.inference_mode():
            return module(x)

    return infer


def training(size: tuple[int, int, int, int]) -> Callable[[], object]:
    """Forward, and backward to x and all parameters."""
    batch, steps, inputs, hidden = size
    module, x = gatesmith.torch.LSTM(inputs, hidden), torch.randn(steps, batch, inputs).requires_grad_()

    def train() -> None:
        y, _ = module(x)
        y.backward(torch.ones_like(y))

    return train


@contextmanager
def busy_processes(count: int) -> Generator[None]:
    """Meanwhile this many processes compute without end."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
