"""A tiling covers the problem, fits the machine, and lets nobody wait for a program that can't run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.strategies import deterministic

from gatesmith.errors import ToolError
from gatesmith.ops.cuda.launch import INTERPRETER
from gatesmith.ops.cuda.tiling import H100, Machine, choose_tiling, runs_as_wave, smaller

PASSES = st.sampled_from(["forward", "backward"])
SMALL = Machine(multiprocessors=20, shared_bytes=99 * 1024)


@given(
    pass_=PASSES,
    hidden=st.integers(1, 5000),
    batch=st.integers(1, 700),
    directions=st.integers(1, 2),
    element_bytes=st.sampled_from([2, 4]),
    machine=st.sampled_from([H100, SMALL, INTERPRETER]),
)
@deterministic(300)
def test_a_tiling_covers_the_problem_and_fits_the_machine(
    pass_, hidden: int, batch: int, directions: int, element_bytes: int, machine: Machine
) -> None:
    tiling = choose_tiling(
        pass_, hidden=hidden, batch=batch, lanes=directions, element_bytes=element_bytes, machine=machine
    )
    tiles_h, tiles_n, tiles_d = tiling.grid(hidden, batch, directions)
    inner, columns = (hidden, 4 * tiling.block_h) if pass_ == "forward" else (4 * hidden, tiling.block_h)
    assert tiles_h * tiling.block_h >= hidden
    assert tiles_n * tiling.block_n >= batch
    assert tiles_d == directions
    assert tiling.block_k * tiling.k_tiles >= inner
    for size in (tiling.block_n, tiling.block_k, columns):
        assert size >= 16, "the tensor cores take no less"
        assert size & (size - 1) == 0
    if tiling.persistent:
        assert tiles_h * tiles_n * tiles_d <= machine.multiprocessors
    if tiling.resident:
        assert tiling.persistent
        assert tiling.k_tiles * tiling.block_k * columns * element_bytes < machine.shared_bytes


def test_the_points_of_the_issue_run_in_one_launch() -> None:
    points = [(16, 768, 1), (64, 512, 1), (128, 1024, 1), (1, 256, 1), (256, 128, 1), (32, 320, 2)]
    for batch, hidden, directions in points:
        for pass_ in ("forward", "backward"):
            tiling = choose_tiling(pass_, hidden=hidden, batch=batch, lanes=directions, element_bytes=2, machine=H100)
            assert tiling.persistent, (batch, hidden, pass_)


def test_waves_are_for_what_is_held_all_the_same() -> None:
    size = {"layers": 2, "element_bytes": 2, "machine": H100}
    assert runs_as_wave(hidden=256, batch=32, **size)
    assert not runs_as_wave(hidden=1024, batch=64, **size), "W_hh of two layers is more than all multiprocessors hold"
    assert not runs_as_wave(hidden=256, batch=2000, **size), "its programs can't all be resident"
    assert not runs_as_wave(hidden=4, batch=1, layers=2, element_bytes=4, machine=INTERPRETER)


def test_smaller_tilings_keep_the_grid_and_come_to_an_end() -> None:
    tiling = choose_tiling("forward", hidden=768, batch=16, lanes=1, element_bytes=2, machine=H100)
    tried = [tiling]
    while tried[-1].resident or tried[-1].block_k > 16:
        tried.append(smaller(tried[-1]))
    with pytest.raises(ToolError, match="too little shared memory"):
        smaller(tried[-1])
    assert [t.resident for t in tried] == [True, *[False] * (len(tried) - 1)]
    for t in tried:
        assert t.grid(768, 16, 1) == tiling.grid(768, 16, 1)
        assert t.block_k * t.k_tiles == tiling.block_k * tiling.k_tiles
        assert t.block_k >= 16
