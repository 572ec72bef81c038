"""How much faster the native twin of the integer model is than the golden model in NumPy, on one core.

Both run in turn on the same codes and are compared with ``==`` first; the ratio is that of the least processor
times: ``python -m benchmarks.fixed [--json FILE]``. Other load on the machine makes both slower, vector code more.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from gatesmith.fixed import calibrate, model, native
from gatesmith.fixed.model import CodeOutputs, quantise_inputs
from gatesmith.fixed.weights import quantise_weights
from gatesmith.ops.call import make_call
from gatesmith.ops.operator import LSTM
from gatesmith.spec import LSTMSpec

# (D, H, sequences, steps, data bits, weight bits)
SHAPES = (
    (12, 32, 370, 29, 16, 8),  # the demo
    (6, 20, 1000, 20, 16, 8),  # the top-tagging LSTM
    (64, 128, 256, 20, 16, 8),
    (12, 32, 370, 29, 8, 4),
    (12, 32, 370, 29, 16, 16),
    (12, 32, 370, 29, 24, 18),
)
ROUNDS = 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the rows to this file too")
    arguments = parser.parse_args()
    rows = [measure(*shape) for shape in SHAPES]
    print("| D | H | sequences | steps | bits | NumPy, µs per step | native, µs per step | ratio |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for row in rows:
        bits = f"{row['data_width']}/{row['weight_width']}"
        print(
            f"| {row['input_size']} | {row['hidden_size']} | {row['sequences']} | {row['steps']} | {bits} "
            f"| {row['numpy_us_per_step']:.2f} | {row['native_us_per_step']:.3f} | {row['ratio']:.1f} |"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


def measure(
    inputs: int, hidden: int, sequences: int, steps: int, data_width: int, weight_width: int
) -> dict[str, float]:
    """Times of one shape; a step is one time step of one sequence."""
    lstm = LSTM(LSTMSpec(inputs, hidden), seed=1)
    x = np.random.default_rng(0).normal(size=(steps, sequences, inputs))
    plan = calibrate(lstm, x, data_width=data_width, weight_width=weight_width)
    weights = quantise_weights(lstm.weights, plan)
    codes = quantise_inputs(plan, make_call(lstm.weights.astype(np.float64), x))
    golden: Callable[[], CodeOutputs] = lambda: model.run(lstm.spec, plan, weights, codes)  # noqa: E731
    twin: Callable[[], CodeOutputs] = lambda: native.run(lstm.spec, plan, weights, codes)  # noqa: E731
    expected, given = golden(), twin()
    for name in ("y", "h_n", "c_n", "saturated"):
        if not (getattr(expected, name) == getattr(given, name)).all():
            raise SystemExit(f"{name} differs between the golden model and its native twin")
    numpy_s, native_s = float("inf"), float("inf")
    for _ in range(ROUNDS):
        numpy_s = min(numpy_s, seconds(golden))
        native_s = min(native_s, *(seconds(twin) for _ in range(10)))
    return {
        "input_size": inputs,
        "hidden_size": hidden,
        "sequences": sequences,
        "steps": steps,
        "data_width": data_width,
        "weight_width": weight_width,
        "numpy_us_per_step": numpy_s / sequences / steps * 1e6,
        "native_us_per_step": native_s / sequences / steps * 1e6,
        "ratio": numpy_s / native_s,
    }


def seconds(run: Callable[[], CodeOutputs]) -> float:
    start = time.process_time()  # of one core, whoever else runs
    run()
    return time.process_time() - start


if __name__ == "__main__":
    main()
