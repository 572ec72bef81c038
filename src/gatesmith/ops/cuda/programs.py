"""Which sequences a program of a Triton kernel has, which way it walks, and where it meets the others."""

# pyright: basic, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false, reportArgumentType=false
# ruff: noqa: RET505
# Triton compiles the functions below: see activations.py.

import triton
import triton.language as tl


@triton.jit
def batch_tile(lengths_ptr, order_ptr, N, BLOCK_N: tl.constexpr):
    """(rows, which of them exist, their lengths, the longest) of this program's tile of the batch."""
    at = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    rows = tl.load(order_ptr + at, at < N, 0)
    length = tl.load(lengths_ptr + rows, at < N, 0)
    return rows, at < N, length, tl.max(length, axis=0).to(tl.int32)


@triton.jit
def runs_backwards(lane, WAVE: tl.constexpr, REVERSE: tl.constexpr):
    if WAVE:
        return (lane < 0) | REVERSE
    else:
        return (lane == 1) | REVERSE


@triton.jit
def meet(barrier_ptr, lane, s, WAVE: tl.constexpr):
    """Wait until the programs of a batch tile have done step s, and see what they stored; of one lane, or of a wave.

    The inner barriers order the whole program around the one thread that counts: release, then acquire.
    """
    company = tl.num_programs(0) * (tl.num_programs(2) if WAVE else 1)
    counter_ptr = barrier_ptr + (0 if WAVE else lane * tl.num_programs(1)) + tl.program_id(1)
    tl.debug_barrier()
    tl.atomic_add(counter_ptr, 1, sem="release", scope="gpu")
    while tl.atomic_add(counter_ptr, 0, sem="acquire", scope="gpu") < (s + 1) * company:
        pass
    tl.debug_barrier()
