"""Bounds and buffers against sums by hand."""

import pytest

from gatesmith.analysis.bounds import buffers, compute_seconds, dependency_chain, rank_bounds, weight_seconds
from gatesmith.analysis.kernel_cost import Kernel
from gatesmith.analysis.limits import Limits
from gatesmith.analysis.machine import this_machine
from gatesmith.spec import LSTMSpec

LIMITS = Limits(
    machine="m",
    target="avx512",
    threads=2,
    flops=1e9,
    sigmoids=1e8,
    tanhs=2e8,
    bandwidth={"L1": 4e9, "L2": 3e9, "L3": 2e9, "memory": 1e9},
)
SPEC = LSTMSpec(3, 5)


def test_arithmetic_is_products_at_their_peak_and_activations_at_theirs() -> None:
    products = 2 * 4 * 5 * (3 + 5) * 2 * 7
    units = 5 * 2 * 7
    forward = products / 1e9 + units * (3 / 1e8 + 2 / 2e8)
    assert compute_seconds(SPEC, 2, 7, LIMITS, products=1) == pytest.approx(forward)
    assert compute_seconds(SPEC, 2, 7, LIMITS, products=2) == pytest.approx(2 * products / 1e9 + units / 2e8)


def test_weights_come_from_the_nearest_memory_that_holds_them() -> None:
    small, level = weight_seconds(SPEC, 7, LIMITS, products=1)
    sizes = this_machine().cache_bytes
    assert level == ("L1" if sizes.get("L1", 0) * 2 >= 4 * 5 * 8 * 4 else "memory")
    assert small == pytest.approx(7 * 4 * 5 * 8 * 4 / LIMITS.bandwidth[level])
    assert weight_seconds(LSTMSpec(20000, 20000), 1, LIMITS, products=1)[1] == "memory"


def test_the_bound_that_holds_comes_first_and_the_next_one_limits_the_gain() -> None:
    found = {"a": (2.0, "x"), "b": (5.0, "y"), "c": (0.0, "z")}
    bounds = rank_bounds("call", 10.0, found)
    assert [bound.name for bound in bounds] == ["b", "a", "c"]
    assert [bound.speedup_if_removed for bound in bounds] == [10 / 2, 10 / 5, 10 / 5]
    assert bounds[0].share == 0.5
    assert rank_bounds("call", 10.0, {"a": (2.0, "x")})[0].speedup_if_removed == float("inf")


def test_buffers_are_read_as_often_as_the_tiles_of_the_kernel_ask() -> None:
    kernel = Kernel(lanes=4, tile_rows=2)
    found = {buffer.name: buffer for buffer in buffers(SPEC, 5, 7, kernel)}
    weights = found["weights W_hh"]
    assert weights.bytes == 4 * 5 * 5 * 4
    assert weights.read_per_step == 3 * weights.bytes  # five sequences make three tiles of two
    assert weights.reuse == 7 * 3
    assert found["input xₜ"].read_per_step == 2 * 5 * 3 * 4  # five units make two panels of four
    assert found["pre-activations (in registers)"].read_per_step == 0


def test_the_chain_counts_steps_and_layers() -> None:
    text = " ".join(dependency_chain(LSTMSpec(3, 5, num_layers=3), 7))
    assert "7 steps in a row" in text
    assert "21 stand in a row over 3 layers" in text
