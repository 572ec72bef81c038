"""Products inside a Triton kernel, with weights that stay in shared memory or are streamed from the cache."""

# pyright: basic, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false, reportArgumentType=false
# ruff: noqa: RET505, RUF005
# Triton compiles the functions below: see activations.py.

import triton
import triton.language as tl


@triton.jit
def held_tiles(w_ptrs, stride, inner, w_there, BLOCK_K: tl.constexpr, K_TILES: tl.constexpr):
    """Tiles [BLOCK_K, columns] of a matrix whose columns begin at ``w_ptrs``, and whose rows are ``stride`` apart."""
    tiles = ()
    for tile in tl.static_range(K_TILES):
        at = tile * BLOCK_K + tl.arange(0, BLOCK_K)
        w = tl.load(w_ptrs[None, :] + at.to(tl.int64)[:, None] * stride, (at < inner)[:, None] & w_there[None, :], 0.0)
        tiles = tiles + (w,)
    return tiles


@triton.jit
def add_product(
    acc,
    row_ptrs,  # [BLOCK_N], where the rows of the left matrix begin
    there,  # [BLOCK_N], which of them are
    w_ptrs,  # of the right matrix, as in held_tiles
    stride,
    inner,
    w_there,
    held,  # its tiles where RESIDENT
    scale_rows,  # [BLOCK_N], where the factors of the left matrix begin, where SCALED
    SCALED: tl.constexpr,
    RESIDENT: tl.constexpr,
    BLOCK_K: tl.constexpr,
    K_TILES: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """acc plus a product over ``inner``."""
    if RESIDENT:
        for tile in tl.static_range(K_TILES):
            at = tile * BLOCK_K + tl.arange(0, BLOCK_K)
            a = _left_tile(row_ptrs, there, at, inner, scale_rows, SCALED)
            acc = _dot(a, held[tile], acc, PRECISION)
    else:
        for tile in tl.range(0, K_TILES):
            at = tile * BLOCK_K + tl.arange(0, BLOCK_K)
            a = _left_tile(row_ptrs, there, at, inner, scale_rows, SCALED)
            w_at = w_ptrs[None, :] + at.to(tl.int64)[:, None] * stride
            acc = _dot(a, tl.load(w_at, (at < inner)[:, None] & w_there[None, :], 0.0), acc, PRECISION)
    return acc


@triton.jit
def _left_tile(row_ptrs, there, at, inner, scale_rows, SCALED: tl.constexpr):
    """[BLOCK_N, BLOCK_K], times the factors of recurrent dropout where there are some, in its own type."""
    mask = there[:, None] & (at < inner)[None, :]
    a = tl.load(row_ptrs[:, None] + at[None, :], mask, 0.0)
    if SCALED:
        a = (a * tl.load(scale_rows[:, None] + at[None, :], mask, 0.0)).to(a.dtype)
    return a


@triton.jit
def _dot(a, b, acc, PRECISION: tl.constexpr):
    """acc + a b in float32; "widened" is for the interpreter, whose product can't read bfloat16."""
    if PRECISION == "widened":
        return tl.dot(a.to(tl.float32), b.to(tl.float32), acc, input_precision="ieee")
    else:
        return tl.dot(a, b, acc, input_precision=PRECISION)
