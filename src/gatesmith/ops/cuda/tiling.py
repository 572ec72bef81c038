"""How the recurrence is cut into programs for one GPU: a choice from sizes alone, made without touching a device.

Hidden units and sequences are partitioned over the multiprocessors. A launch is persistent where all programs can be
resident at once; each then keeps its part of W_hh in shared memory if that fits, else streams it from the L2 cache.
"""

from dataclasses import dataclass, replace
from functools import partial
from math import ceil
from typing import Literal

from gatesmith.errors import ToolError

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
        block_k: of the product's inner size in one tile; ``k_tiles`` of them a matrix.
        resident: the weights are loaded once and stay in shared memory.
        persistent: one launch runs all steps; else one launch a step.
    """

    block_n: int
    block_h: int
    block_k: int
    k_tiles: int
    resident: bool
    persistent: bool
    num_warps: int

    def grid(self, hidden: int, batch: int, lanes: int) -> tuple[int, int, int]:
        """(hidden tiles, batch tiles, lanes)"""
        return ceil(hidden / self.block_h), ceil(batch / self.block_n), lanes


def choose_tiling(
    pass_: Pass, *, hidden: int, batch: int, lanes: int, element_bytes: int, machine: Machine, matrices: int = 1
) -> Tiling:
    """The cheapest step among the tilings that fit: first persistent and resident ones, then persistent, then others.

    Args:
        lanes: directions of a layer, or layers of a wave.
        element_bytes: of W_hh and h, 2 or 4.
        matrices: of a lane: W_hh, and in a wave W_ih.
    """
    inner = hidden if pass_ == "forward" else 4 * hidden
    candidates: list[tuple[tuple[float, ...], Tiling]] = []
    for block_n in (16, 32, 64):
        for block_h in (4, 8, 16, 32) if pass_ == "forward" else (16, 32):
            columns = 4 * block_h if pass_ == "forward" else block_h
            block_k = 64 if element_bytes == 2 else 32
            block_k = max(16, min(block_k, _power_of_two(inner)))
            k_tiles = ceil(inner / block_k)
            programs = ceil(hidden / block_h) * ceil(batch / block_n) * lanes
            persistent = programs <= machine.multiprocessors
            part_bytes = matrices * k_tiles * block_k * columns * element_bytes
            resident = (
                persistent
                and part_bytes <= machine.shared_bytes - RESERVED_SHARED_BYTES
                and (element_bytes == 2 or matrices * k_tiles <= MAX_FLOAT32_TILES)
            )
            waves = ceil(programs / machine.multiprocessors)
            # A step costs, per program: h or dz of its sequences and, where it is not resident, its part of W_hh.
            moved = matrices * inner * element_bytes * block_n + (0 if resident else part_bytes)
            worked = matrices * inner * columns * max(block_n, 16)
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


def smaller(tiling: Tiling) -> Tiling:
    """The next one to try where the compiled kernel takes more shared memory or registers than a multiprocessor has.

    The weights leave first, then the tiles halve.

    Raises:
        ToolError: there is none.
    """
    if tiling.resident:
        return replace(tiling, resident=False)
    if tiling.block_k > 16:
        return replace(tiling, block_k=tiling.block_k // 2, k_tiles=2 * tiling.k_tiles)
    raise ToolError(f"the GPU has too little shared memory for the smallest tiles, {tiling}")


def runs_as_wave(*, hidden: int, batch: int, layers: int, element_bytes: int, machine: Machine) -> bool:
    """Whether layers of one direction run at once: in both passes one launch, that holds what one layer's would hold.

    A wave has T + L - 1 barriers where layers one after the other have T * L; its lanes share the device.
    """
    choose = partial(choose_tiling, hidden=hidden, batch=batch, element_bytes=element_bytes, machine=machine)
    passes: tuple[Pass, ...] = ("forward", "backward")
    for pass_ in passes:
        wave, alone = choose(pass_, lanes=layers, matrices=2), choose(pass_, lanes=1)
        if not wave.persistent or (alone.resident and not wave.resident):
            return False
    return True


def _power_of_two(size: int) -> int:
    return 1 << (size - 1).bit_length()
