"""Times calls fairly: several variants in turn, many rounds, and the whole spread reported."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any

import numpy as np

MIN_ROUNDS, MAX_ROUNDS = 15, 2000
"""On a busy machine the fastest of 7 was off by a tenth where a call takes tens of milliseconds, that of 15 by less."""


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Seconds of one call over many repeats."""

    median: float
    p10: float
    p90: float
    p99: float
    least: float
    repeats: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def time_in_turn(variants: Mapping[str, Callable[[], object]], *, seconds: float) -> dict[str, Latency]:
    """Run every variant once in each round, for about ``seconds`` in all, so that what disturbs one disturbs all.

    The first round warms caches up and is not counted.
    """
    samples: dict[str, list[float]] = {name: [] for name in variants}
    for variant in variants.values():
        variant()
    end = perf_counter() + seconds
    for rounds in range(MAX_ROUNDS):
        if rounds >= MIN_ROUNDS and perf_counter() > end:
            break
        for name, variant in variants.items():
            start = perf_counter()
            variant()
            samples[name].append(perf_counter() - start)
    return {name: summarise(times) for name, times in samples.items()}


def summarise(times: list[float]) -> Latency:
    """Median and percentiles of measured seconds."""
    p10, median, p90, p99 = np.percentile(times, [10, 50, 90, 99])
    return Latency(
        median=float(median),
        p10=float(p10),
        p90=float(p90),
        p99=float(p99),
        least=float(min(times)),
        repeats=len(times),
    )
