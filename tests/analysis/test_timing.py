"""Variants run in turn, as often as each other; the spread is that of the samples. Nothing here depends on a clock."""

import numpy as np

from gatesmith.analysis.timing import MIN_ROUNDS, summarise, time_in_turn


def test_variants_run_in_turn_and_equally_often() -> None:
    ran: list[str] = []
    found = time_in_turn({"a": lambda: ran.append("a"), "b": lambda: ran.append("b")}, seconds=0)
    assert ran == ["a", "b"] * (MIN_ROUNDS + 1)
    assert {name: latency.repeats for name, latency in found.items()} == {"a": MIN_ROUNDS, "b": MIN_ROUNDS}


def test_the_summary_is_that_of_the_samples() -> None:
    latency = summarise([float(n) for n in range(1, 102)])
    assert (latency.least, latency.p10, latency.median, latency.p90, latency.p99) == (1, 11, 51, 91, 100)
    assert latency.repeats == 101
    assert all(type(value) is not np.float64 for value in latency.to_dict().values())
