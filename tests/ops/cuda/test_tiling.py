"""A tiling covers the problem, fits the machine, and lets nobody wait for a program that can't run."""

from hypothesis import given
from hypothesis import strategies as st
from tests.strategies import deterministic

from gatesmith.ops.cuda.launch import INTERPRETER
from gatesmith.ops.cuda.tiling import H100, Machine, choose_tiling

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
