"""Medians of contestants that take turns, so that what disturbs the machine disturbs all of them."""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

ROUNDS = 5
"""Turns of each contestant."""


def seconds(works: dict[str, Callable[[], Any]], *, turn_seconds: float) -> dict[str, float]:
    """Median time of one run of each, over rounds in which each has a turn of about `turn_seconds`.

    The first run of a turn is not counted: the peers' threads of the turn before may still be going to sleep.
    """
    samples: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(ROUNDS):
        for name, work in works.items():
            work()
            end = time.perf_counter() + turn_seconds
            while True:
                start = time.perf_counter()
                work()
                stop = time.perf_counter()
                samples[name].append(stop - start)
                if stop > end:
                    break
    return {name: median(values) for name, values in samples.items()}
