"""What a variant costs on the compiled kernel: its time over that of the plain cell of the same sizes, in one process.

python -m benchmarks.variants
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from gatesmith.analysis.timing import time_in_turn
from gatesmith.ops import cpu
from gatesmith.ops.call import Call, make_call
from gatesmith.spec import LSTMSpec
from gatesmith.weights import initialise

POINTS = ((1, 100, 256, 256), (32, 64, 128, 128), (64, 50, 256, 256), (256, 50, 64, 64), (128, 20, 6, 20))
SECONDS = 4.0
"""For all variants of one point together."""


def features(hidden: int) -> dict[str, dict[str, Any]]:
    """The variants by the name that the table gives them."""
    return {
        "plain": {},
        "peepholes": {"peepholes": "ifo"},
        "f=1-i": {"coupled_gates": "f=1-i"},
        "gate clip": {"gate_clip": 3.0},
        "cell clip": {"cell_clip": 1.0},
        "projection to H/2": {"proj_size": hidden // 2},
        "zoneout": {"zoneout_h": 0.1, "zoneout_c": 0.1},
        "full peepholes": {"full_peepholes": "ifo"},
        "norm of gates and cell": {"layer_norm": "gates_and_cell"},
        "norm of inputs and cell": {"layer_norm": "inputs_and_cell"},
    }


def training_step(call: Call) -> Callable[[], object]:
    """Forward and backward, from the gradients that y itself would be."""

    def run() -> object:
        outputs, tape = cpu.forward_for_training(call)
        return cpu.backward(tape, outputs.y, outputs.h_n, outputs.c_n)

    return run


def main() -> None:
    rng = np.random.default_rng(0)
    names = list(features(2))[1:]
    print("| (N, T, D, H), threads | " + " | ".join(names) + " |")
    print("| --- |" + " --- |" * len(names))
    for threads in (1, 2):
        cpu.set_num_threads(threads)
        for batch, steps, inputs, hidden in POINTS:
            runs: dict[str, Callable[[], object]] = {}
            for name, options in features(hidden).items():
                weights = initialise(LSTMSpec(inputs, hidden, **options))
                call = make_call(weights, rng.standard_normal((steps, batch, inputs)).astype(np.float32))
                runs[f"{name} forward"] = lambda call=call: cpu.forward(call)
                runs[f"{name} training"] = training_step(call)
            least = {name: latency.least for name, latency in time_in_turn(runs, seconds=SECONDS).items()}
            cells = [
                " / ".join(
                    f"{least[f'{name} {mode}'] / least[f'plain {mode}']:.2f}" for mode in ("forward", "training")
                )
                for name in names
            ]
            print(f"| ({batch}, {steps}, {inputs}, {hidden}), {threads} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
