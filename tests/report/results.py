"""Result files for the report's tests, one of every kind, with values that a reader could check by hand."""

from pathlib import Path
from typing import Any

import numpy as np

from gatesmith.analysis import footprint, inspect, save_result
from gatesmith.analysis.gates import SIGNALS
from gatesmith.spec import LSTMSpec
from gatesmith.weights import initialise

SPEC = LSTMSpec(input_size=3, hidden_size=5)
EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
SUMMARY: dict[str, Any] = {
    "test_sequences": 370,
    "float_accuracy": 0.978,
    "fixed_accuracy": 0.976,
    "rtl_accuracy": 0.976,
    "compared_elements": 183936,
    "mismatched_elements": 0,
    "cycles_per_step": 353.0,
    "mac_utilisation": 0.997,
    "luts": 2100,
    "brams": 12,
    "seconds_per_stage": {"train": 40.1},
}


class Nudged:
    """The signals of a cell, moved a little, as a fixed-point model would."""

    def __init__(self, trace: Any) -> None:
        for name in SIGNALS:
            setattr(self, name, np.round(getattr(trace, name) * 64) / 64)


def write_inspection(folder: Path, *, title: str = "a model") -> None:
    from gatesmith.ops import reference
    from gatesmith.ops.call import make_call

    weights = initialise(SPEC, seed=3, dtype=np.float64)
    x, lengths = np.random.default_rng(3).normal(size=(8, 4, 3)), np.array([8, 5, 1, 0])
    fixed = [Nudged(trace) for trace in reference.trace(make_call(weights, x, lengths=lengths))]
    inspect(weights, x, lengths=lengths, fixed=fixed).save(folder / "inspection.json", title=title)  # type: ignore[arg-type]


def write_footprint(folder: Path, *, title: str = "a model") -> None:
    footprint(SPEC, 4, 8, np.float64, training=True, device="reference").save(folder / "footprint.json", title=title)


def write_profile(folder: Path, *, title: str = "a model") -> None:
    save_result(folder / "profile.json", "profile", PROFILE, title=title)


def write_hardware(folder: Path, *, title: str = "a model") -> None:
    save_result(folder / "hardware.json", "hardware", HARDWARE, title=title)


PARTS = [
    {
        "name": name,
        "formula": formula,
        "seconds": seconds,
        "share": seconds / 10e-6,
        "throughput": 1e6,
        "gflops": gflops,
        "intensity": intensity,
        "roof": "L1",
    }
    for name, formula, seconds, gflops, intensity in (
        ("input projection", "N·D·4H/latency", 2e-6, 20.0, 4.0),
        ("recurrent product", "N·H·4H/latency", 5e-6, 30.0, 3.0),
        ("activations", "N·5H/latency", 2e-6, 5.0, 0.5),
        ("data movement", "", 1e-6, 0.0, 0.0),
    )
]
PROFILE: dict[str, Any] = {
    "spec": SPEC.to_json(),
    "device": "cpu",
    "throughput": [
        {
            "mode": mode,
            "batch": batch,
            "median_seconds": batch * 1e-5,
            "p10_seconds": batch * 0.9e-5,
            "p90_seconds": batch * 1.2e-5,
            "p99_seconds": batch * 2e-5,
            "min_seconds": batch * 0.8e-5,
            "repeats": 100,
            "sequences_per_second": 1e5,
            "gflops": 12.5,
        }
        for mode in ("inference", "training")
        for batch in (1, 16, 64)
    ],
    "components": [
        {
            "mode": mode,
            "batch": 16,
            "whole_seconds": 10e-6,
            "sum_seconds": 10e-6,
            "unexplained": 0.0,
            "method": "Each stage was left out in turn.",
            "parts": PARTS,
            "gates": [{"name": "input gate i", "formula": "N·(D + H)", "seconds": 1e-6, "throughput": 1.28e8}],
        }
        for mode in ("forward", "backward")
    ],
    "limits": {"threads": 2, "flops": 4e11, "bandwidth": {"L1": 8e11, "L2": 3e11, "L3": 1e11, "memory": 2e10}},
    "bottleneck": {
        "bound": "the recurrence",
        "reason": "Each step waits for the one before.",
        "bounds": [
            {
                "call": "forward, N = 16",
                "name": "compute",
                "seconds": 3e-6,
                "share": 0.3,
                "speedup_if_removed": 1.4,
                "explanation": "all multiplications at peak",
            }
        ],
    },
    "buffers": [
        {"name": "weights", "bytes": 640, "read_per_step": 640, "written_per_step": 0, "reuse": 29.0},
    ],
    "dependency_chain": ["hₜ and cₜ need hₜ₋₁: 8 steps in a row."],
}
HARDWARE: dict[str, Any] = {
    "synthesised": {"luts": 872, "brams": 30},
    "sentences": ["The multipliers are busy 99.7% of the time."],
    "cells": [
        {
            "name": "l0",
            "input_size": 3,
            "hidden_size": 5,
            "multipliers": 4,
            "floor_cycles": 40,
            "predicted_cycles": 41,
            "measured_cycles": 41.0,
            "utilisation": 0.976,
        }
    ],
    "memories": [
        {
            "cell": "l0",
            "memory": "weights",
            "formula": "ceil(4H·(D + H)/P)·P·w",
            "words": 40,
            "width": 32,
            "bits": 1280,
            "kind": "block RAM",
            "blocks": 1,
        }
    ],
}
