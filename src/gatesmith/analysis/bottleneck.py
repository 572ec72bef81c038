"""Which bound holds a call that was measured: some follow from the machine's limits, others are measured beside it."""

from dataclasses import replace
from math import isfinite

import numpy as np

from gatesmith.analysis.bounds import Bound, compute_seconds, rank_bounds, weight_seconds
from gatesmith.analysis.limits import Limits
from gatesmith.analysis.stages import CALL, Components, backward_run, empty_call, forward_run
from gatesmith.analysis.timing import time_in_turn
from gatesmith.ops import cpu
from gatesmith.ops.call import Call, make_call
from gatesmith.weights import initialise

COMPUTED_BOUNDS = ("arithmetic", "weight bandwidth")
"""Bounds that follow from the machine's limits; the others are measured beside the call."""

RUNS = {"forward": forward_run, "backward": backward_run}


def bounds_of(components: Components, call: Call, limits: Limits, *, seconds: float) -> tuple[Bound, ...]:
    """The bounds of one call, computed from the machine's limits or measured beside it, the one that holds first."""
    spec, (steps, batch, _) = call.spec, call.x.shape
    products, whole = (1 if components.mode == "forward" else 2), components.whole.least
    weights, level = weight_seconds(spec, steps, limits, products=products)
    found = {
        "arithmetic": (
            compute_seconds(spec, batch, steps, limits, products=products),
            "all products at the peak of multiply-adds, all activations at their own peak",
        ),
        "weight bandwidth": (weights, f"every weight read once a step from {level}"),
        "recurrence": (
            _recurrence(components.mode, call, seconds=seconds / 2),
            f"{steps} steps of the smallest LSTM (D = H = N = 1), measured",
        ),
        "call": (
            components.seconds(CALL),
            "a call without any step, measured: checks, arrays for the results, packed weights, threads' start",
        ),
    }
    if limits.threads > 1:
        alone = _on_one_thread(components.mode, call, limits.threads, seconds=seconds / 2) / limits.threads
        found["synchronisation"] = (
            max(0.0, whole - alone),
            f"what {limits.threads} threads take beyond 1/{limits.threads} of one thread's time, measured",
        )
    call_name = f"{components.mode} call, N = {batch}"
    return tuple(bound for bound in rank_bounds(call_name, whole, found) if isfinite(bound.speedup_if_removed))


def _recurrence(mode: str, call: Call, *, seconds: float) -> float:
    """Seconds of as many steps of the smallest LSTM, without the call around them."""
    smallest = replace(call.spec, input_size=1, hidden_size=1)
    chain = make_call(initialise(smallest), np.zeros((call.x.shape[0], 1, 1), np.float32))
    runner = RUNS[mode]
    long, none = runner(chain), runner(empty_call(chain))
    times = time_in_turn({"chain": lambda: long(0), "call": lambda: none(0)}, seconds=seconds)
    return max(0.0, times["chain"].least - times["call"].least)


def _on_one_thread(mode: str, call: Call, threads: int, *, seconds: float) -> float:
    run = RUNS[mode](call)
    try:
        cpu.set_num_threads(1)
        return time_in_turn({"one": lambda: run(0)}, seconds=seconds)["one"].least
    finally:
        cpu.set_num_threads(threads)


def beats_a_limit(components: Components, bounds: tuple[Bound, ...]) -> bool:
    """Whether the steps took less than a bound that follows from the limits, the call around them left out."""
    steps = components.whole.least - components.seconds(CALL)
    return any(bound.name in COMPUTED_BOUNDS and bound.seconds > steps for bound in bounds)
