"""How the recurrence is cut into programs for one GPU: a choice from sizes alone, made without touching a device.

Hidden units and sequences are partitioned over the multiprocessors. A launch is persistent where all programs can be
resident at once; each then keeps its part of W_hh in shared memory if that fits, else streams it from the L2 cache.
"""

from dataclasses import dataclass
from math import ceil
from typing import Literal

Pass = Literal["forward", "backward"]

RESERVED_SHARED_BYTES = 36 * 1024
"""Of a multiprocessor's shared memory, left for the tiles of h or dz and for the layout changes of the compiler."""


MAX_FLOAT32_TILES = 16
"""Of a resident W_hh in float32: its products unroll into single multiplications, and 64 tiles compile for minutes."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What the choice depends on: multiprocessors, and the shared memory that one program may take."""

    multiprocessors: int
    shared_bytes: int


H100 = Machine(multiprocessors=132, shared_bytes=227 * 1024)


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """The grid and the tiles of one pass.

    Attributes:
        block_n: sequences of a program.
        block_h: hidden units of a program.
        block_k: of the product's inner size in one tile; ``k_tiles`` of them.
        resident: W_hh is loaded once and stays in shared memory.
        persistent: one launch runs all steps; else one launch a step.
    """

    block_n: int
    block_h: int
    block_k: int
    k_tiles: int
    resident: bool
    persistent: bool
    num_warps: int

    def grid(self, hidden: int, batch: int, directions: int) -> tuple[int, int, int]:
        """(hidden tiles, batch tiles, directions)"""
        return ceil(hidden / self.block_h), ceil(batch / self.block_n), directions


def choose_tiling(
    pass_: Pass, *, hidden: int, batch: int, directions: int, element_bytes: int, machine: Machine
) -> Tiling:
    """The cheapest step among the tilings that fit: first persistent and resident ones, then persistent, then others.

    Args:
        element_bytes: of W_hh and h, 2 or 4.
    """
    inner = hidden if pass_ == "forward" else 4 * hidden
    candidates: list[tuple[tuple[float, ...], Tiling]] = []
    for block_n in (16, 32, 64):
        for block_h in (4, 8, 16, 32) if pass_ == "forward" else (16, 32):
            columns = 4 * block_h if pass_ == "forward" else block_h
            block_k = 64 if element_bytes == 2 else 32
            block_k = max(16, min(block_k, _power_of_two(inner)))
            k_tiles = ceil(inner / block_k)
            programs = ceil(hidden / block_h) * ceil(batch / block_n) * directions
            persistent = programs <= machine.multiprocessors
            part_bytes = k_tiles * block_k * columns * element_bytes
            resident = (
                persistent
                and part_bytes <= machine.shared_bytes - RESERVED_SHARED_BYTES
                and (element_bytes == 2 or k_tiles <= MAX_FLOAT32_TILES)
            )
            waves = ceil(programs / machine.multiprocessors)
            # A step costs, per program: h or dz of its sequences and, where it is not resident, its part of W_hh.
            moved = inner * element_bytes * block_n + (0 if resident else part_bytes)
            worked = inner * columns * max(block_n, 16)
            tiling = Tiling(
                block_n=block_n,
                block_h=block_h,
                block_k=block_k,
                k_tiles=k_tiles,
                resident=resident,
                persistent=persistent,
                num_warps=4 if block_n * columns < 2048 else 8,
            )
            candidates.append(((not persistent, waves * (moved + worked / 16), programs, block_n), tiling))
    return min(candidates, key=lambda candidate: candidate[0])[1]


def _power_of_two(size: int) -> int:
    return 1 << (size - 1).bit_length()
