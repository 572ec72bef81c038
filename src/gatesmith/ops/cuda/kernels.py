"""The recurrence of an LSTM, forward and backward, as two Triton kernels over all steps of several lanes.

Lanes are the directions of one layer, which have nothing to do with each other, or, with ``WAVE``, the layers of one
direction: lane l is l steps behind lane 0 and reads what the lane before it has written a step ago.

A program owns ``BLOCK_H`` hidden units (all their gates) of ``BLOCK_N`` sequences of one lane. It walks the steps from
``first`` to ``last``. With ``BARRIER`` the programs of one batch tile meet after every step, so that one launch runs
the whole sequence (all programs must then be resident at once); without it a launch runs one step, and what a step
leaves for the next one is in memory. Both are the same code, and a launch of one program needs no company.

With ``RESIDENT`` the program's part of the weights is loaded once, in ``K_TILES`` tiles a matrix, which the compiler
keeps in shared memory; without it, it is streamed from the cache at every step.

Letters: N batch, H hidden units, R lanes; offsets are int64. Shapes stand at each kernel's head.
"""

# pyright: basic, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false, reportArgumentType=false
# Triton compiles the functions below: see activations.py.

from typing import Any

import triton
import triton.language as tl

from gatesmith.ops.cuda.activations import activate, clip, clip_gradient, slope
from gatesmith.ops.cuda.gates import gates_of, load_peepholes, mix, through_activation, unmix
from gatesmith.ops.cuda.products import add_product, held_tiles
from gatesmith.ops.cuda.programs import batch_tile, meet, runs_backwards

# One compilation serves every step.
ONCE = ("first", "last")


@triton.jit(do_not_specialize=ONCE)
def forward_kernel(
    z_ptr,  # [T, N, R, 4, H] in: W_ih x + b (b alone in the later lanes of a wave); out: the input of every gate's
    #         activation, before gate_clip
    w_ptr,  # [R, 4, H, H] W_hh
    w_below_ptr,  # [R, 4, H, H] W_ih of every lane but the first, where WAVE
    y_ptr,  # [T, N, R, H] out: h of every valid step
    c_ptr,  # [T, N, R, H] float32, out: c of every valid step, where KEEP
    h0_ptr,  # [R, N, H]
    h_ptr,  # [R, N, H] in and out: the running h
    c_now_ptr,  # [R, N, H] float32, in and out: the running c
    lengths_ptr,  # [N] int64
    order_ptr,  # [N] int64, sequences by falling length, so that those of a tile end together
    peephole_ptr,  # [R, 3, H] of i, f, o, where PEEPHOLES
    scale_ptr,  # [R, N, H] factors of h_{t-1}, where SCALED
    keep_h_ptr,  # [T, N, R, H] shares of the old h, where ZONEOUT is "drawn"
    keep_c_ptr,
    barrier_ptr,  # [R, batch tiles] int32, zero at the start; of a wave one row
    N,
    H,
    first,
    last,
    first_lane,
    R: tl.constexpr,
    WAVE: tl.constexpr,
    REVERSE: tl.constexpr,  # whether a wave, or direction 0, runs backwards; direction 1 always does
    BLOCK_N: tl.constexpr,
    BLOCK_H: tl.constexpr,
    BLOCK_K: tl.constexpr,
    K_TILES: tl.constexpr,
    RESIDENT: tl.constexpr,
    BARRIER: tl.constexpr,
    KEEP: tl.constexpr,
    PRECISION: tl.constexpr,
    ACTIVATIONS: tl.constexpr,  # of (gates, candidate, output), each (name, alpha, beta)
    COUPLED: tl.constexpr,  # "none", "f=1-i" or "i=1-f"
    PEEPHOLES: tl.constexpr,
    GATE_CLIP: tl.constexpr,  # 0 for none
    CELL_CLIP: tl.constexpr,
    FORGET_BIAS: tl.constexpr,
    SCALED: tl.constexpr,
    ZONEOUT: tl.constexpr,  # "none", "expected" or "drawn"
    RATE_H: tl.constexpr,
    RATE_C: tl.constexpr,
):
    lane = first_lane + tl.program_id(2)
    rows, in_batch, length, steps = batch_tile(lengths_ptr, order_ptr, N, BLOCK_N)
    lanes = lane + tl.zeros_like(rows)  # [BLOCK_N], the same everywhere
    units = tl.program_id(0) * BLOCK_H + tl.arange(0, BLOCK_H)
    own = in_batch[:, None] & (units < H)[None, :]
    columns = tl.arange(0, 4 * BLOCK_H)  # of the product: gate = column mod 4, unit = column div 4
    w_there = tl.program_id(0) * BLOCK_H + columns // 4 < H
    w_rows = (columns % 4) * H + tl.program_id(0) * BLOCK_H + columns // 4
    w_at = lane.to(tl.int64) * 4 * H * H + w_rows.to(tl.int64) * H
    w_hh = held_tiles(w_ptr + w_at, 1, H, w_there, BLOCK_K, K_TILES if RESIDENT else 0)
    w_below = held_tiles(w_below_ptr + w_at, 1, H, w_there, BLOCK_K, K_TILES if RESIDENT and WAVE else 0)
    state = (lane * N + rows)[:, None] * H + units[None, :]
    c = tl.load(c_now_ptr + state, own, 0.0)
    h = tl.load(h_ptr + state, own, 0.0).to(tl.float32)
    p_i, p_f, p_o = load_peepholes(peephole_ptr + lane * 3 * H, units, H, PEEPHOLES)
    scale_rows = scale_ptr + (lane * N + rows) * H
    backwards = runs_backwards(lane, WAVE, REVERSE)
    behind = lane if WAVE else 0
    for s in tl.range(first, tl.minimum(last, steps + (R - 1 if WAVE else 0)), num_stages=1):
        at_step = tl.where(backwards, steps - 1 - (s - behind), s - behind)
        t = at_step + tl.zeros_like(rows)  # [BLOCK_N] int64, the same everywhere
        valid = (t >= 0) & (t < length)
        here = (t * N + rows) * R + lane  # [BLOCK_N]
        is_start = t == tl.where(backwards, length - 1, 0)
        before = tl.where(backwards, here + N * R, here - N * R)
        h_rows = tl.where(is_start, h0_ptr + (lane * N + rows) * H, y_ptr + before * H)
        acc = tl.zeros((BLOCK_N, 4 * BLOCK_H), tl.float32)
        acc = add_product(
            acc, h_rows, valid, w_ptr + w_at, 1, H, w_there, w_hh,
            scale_rows, SCALED, RESIDENT, BLOCK_K, K_TILES, PRECISION,
        )  # fmt: skip
        if WAVE:
            from_below = valid & (lanes > 0)
            acc = add_product(
                acc, y_ptr + (here - 1) * H, from_below, w_below_ptr + w_at, 1, H, w_there, w_below,
                scale_rows, False, RESIDENT, BLOCK_K, K_TILES, PRECISION,
            )  # fmt: skip
        even, odd = tl.split(tl.reshape(acc, (BLOCK_N, BLOCK_H, 2, 2)))  # [BLOCK_N, BLOCK_H, 2]: (i, g) and (f, o)
        r_i, r_g = tl.split(even)
        r_f, r_o = tl.split(odd)
        there = own & valid[:, None]
        z_at = z_ptr + here[:, None] * 4 * H + units[None, :]
        z_i = tl.load(z_at, there, 0.0) + r_i + c * p_i
        z_f = tl.load(z_at + H, there, 0.0) + r_f + c * p_f + FORGET_BIAS
        z_g = tl.load(z_at + 2 * H, there, 0.0) + r_g
        i, f, g = gates_of(z_i, z_f, z_g, ACTIVATIONS, COUPLED, GATE_CLIP)
        c_new = clip(f * c + i * g, CELL_CLIP)
        z_o = tl.load(z_at + 3 * H, there, 0.0) + r_o + c_new * p_o
        o = activate(clip(z_o, GATE_CLIP), ACTIVATIONS[0])
        h_new = o * activate(c_new, ACTIVATIONS[2])
        out_at = here[:, None] * H + units[None, :]
        h_new = mix(h, h_new, keep_h_ptr + out_at, there, ZONEOUT, RATE_H)
        c_new = mix(c, c_new, keep_c_ptr + out_at, there, ZONEOUT, RATE_C)
        # What the next step reads is what was stored, so h is rounded to the stored type here too.
        h = tl.where(there, h_new.to(y_ptr.dtype.element_ty).to(tl.float32), h)
        c = tl.where(there, c_new, c)
        tl.store(y_ptr + out_at, h, there)
        if KEEP:
            tl.store(c_ptr + out_at, c, there)
            tl.store(z_at, z_i, there)
            tl.store(z_at + H, z_f, there)
            tl.store(z_at + 2 * H, z_g, there)
            tl.store(z_at + 3 * H, z_o, there)
        if BARRIER:
            meet(barrier_ptr, lane, s, WAVE)
    tl.store(h_ptr + state, h, own)
    tl.store(c_now_ptr + state, c, own)


@triton.jit(do_not_specialize=ONCE)
def backward_kernel(
    z_ptr,  # [T, N, R, 4, H] what forward left
    w_ptr,  # [R, 4, H, H] W_hh
    w_below_ptr,  # [R, 4, H, H] W_ih of every lane but the first, where WAVE
    dy_ptr,  # [T, N, R, H]; of a wave [T, N, H], of its last lane
    c_ptr,  # [T, N, R, H] float32, what forward left
    dz_ptr,  # [T, N, R, 4, H] out, for every valid step
    c0_ptr,  # [R, N, H] float32
    dh_ptr,  # [R, N, H] float32, in: dh_n; out: the part of dh0 that does not go through W_hh
    dc_ptr,  # [R, N, H] float32, in: dc_n; out: dc0
    lengths_ptr,  # from here on as in forward_kernel
    order_ptr,
    peephole_ptr,
    scale_ptr,
    keep_h_ptr,
    keep_c_ptr,
    barrier_ptr,
    N,
    H,
    first,
    last,
    first_lane,
    R: tl.constexpr,
    WAVE: tl.constexpr,
    REVERSE: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_H: tl.constexpr,
    BLOCK_K: tl.constexpr,
    K_TILES: tl.constexpr,  # of the 4H rows of W_hh
    RESIDENT: tl.constexpr,
    BARRIER: tl.constexpr,
    PRECISION: tl.constexpr,
    ACTIVATIONS: tl.constexpr,
    COUPLED: tl.constexpr,
    PEEPHOLES: tl.constexpr,
    GATE_CLIP: tl.constexpr,
    CELL_CLIP: tl.constexpr,
    SCALED: tl.constexpr,
    ZONEOUT: tl.constexpr,
    RATE_H: tl.constexpr,
    RATE_C: tl.constexpr,
):
    lane = first_lane + tl.program_id(2)
    rows, in_batch, length, steps = batch_tile(lengths_ptr, order_ptr, N, BLOCK_N)
    lanes = lane + tl.zeros_like(rows)  # [BLOCK_N], the same everywhere
    units = tl.program_id(0) * BLOCK_H + tl.arange(0, BLOCK_H)
    own = in_batch[:, None] & (units < H)[None, :]
    w_there = units < H
    w_at = lane.to(tl.int64) * 4 * H * H + units
    w_hh = held_tiles(w_ptr + w_at, H, 4 * H, w_there, BLOCK_K, K_TILES if RESIDENT else 0)
    # From above comes the gradient through W_ih of the next lane; the last one, which has none, reads its own in vain.
    w_above_at = tl.minimum(lane + 1, R - 1).to(tl.int64) * 4 * H * H + units
    w_above = held_tiles(w_below_ptr + w_above_at, H, 4 * H, w_there, BLOCK_K, K_TILES if RESIDENT and WAVE else 0)
    state = (lane * N + rows)[:, None] * H + units[None, :]
    dh_held = tl.load(dh_ptr + state, own, 0.0)
    dc_held = tl.load(dc_ptr + state, own, 0.0)
    p_i, p_f, p_o = load_peepholes(peephole_ptr + lane * 3 * H, units, H, PEEPHOLES)
    backwards = runs_backwards(lane, WAVE, REVERSE)
    behind = R - 1 - lane if WAVE else 0
    for s in tl.range(first, tl.minimum(last, steps + (R - 1 if WAVE else 0)), num_stages=1):
        at_step = tl.where(backwards, s - behind, steps - 1 - (s - behind))
        t = at_step + tl.zeros_like(rows)
        valid = (t >= 0) & (t < length)
        here = (t * N + rows) * R + lane
        after = tl.where(backwards, here - N * R, here + N * R)
        t_after = tl.where(backwards, t - 1, t + 1)
        has_after = valid & (t_after >= 0) & (t_after < length)
        is_start = t == tl.where(backwards, length - 1, 0)
        before = tl.where(backwards, here + N * R, here - N * R)
        acc = tl.zeros((BLOCK_N, BLOCK_H), tl.float32)
        acc = add_product(
            acc, dz_ptr + after * 4 * H, has_after, w_ptr + w_at, H, 4 * H, w_there, w_hh,
            scale_ptr, False, RESIDENT, BLOCK_K, K_TILES, PRECISION,
        )  # fmt: skip
        there = own & valid[:, None]
        if SCALED:
            acc = acc * tl.load(scale_ptr + state, there, 0.0)
        out_at = here[:, None] * H + units[None, :]
        if WAVE:
            acc = add_product(
                acc, dz_ptr + (here + 1) * 4 * H, valid & (lanes < R - 1), w_below_ptr + w_above_at, H, 4 * H, w_there,
                w_above, scale_ptr, False, RESIDENT, BLOCK_K, K_TILES, PRECISION,
            )  # fmt: skip
            dy_at = (t * N + rows)[:, None] * H + units[None, :]
            dy = tl.load(dy_ptr + dy_at, there & (lanes == R - 1)[:, None], 0.0)
        else:
            dy = tl.load(dy_ptr + out_at, there, 0.0)
        dh_all = dh_held + dy + acc
        dh_kept, dh = unmix(dh_all, keep_h_ptr + out_at, there, ZONEOUT, RATE_H)
        dc_kept, dc = unmix(dc_held, keep_c_ptr + out_at, there, ZONEOUT, RATE_C)
        c_rows = tl.where(is_start, c0_ptr + (lane * N + rows) * H, c_ptr + before * H)
        c = tl.load(c_rows[:, None] + units[None, :], there, 0.0)
        z_at = here[:, None] * 4 * H + units[None, :]
        z_i = tl.load(z_ptr + z_at, there, 0.0).to(tl.float32)
        z_f = tl.load(z_ptr + z_at + H, there, 0.0).to(tl.float32)
        z_g = tl.load(z_ptr + z_at + 2 * H, there, 0.0).to(tl.float32)
        z_o = tl.load(z_ptr + z_at + 3 * H, there, 0.0).to(tl.float32)
        i, f, g = gates_of(z_i, z_f, z_g, ACTIVATIONS, COUPLED, GATE_CLIP)
        o = activate(clip(z_o, GATE_CLIP), ACTIVATIONS[0])
        c_raw = f * c + i * g
        c_new = clip(c_raw, CELL_CLIP)
        dz_o = through_activation(dh * activate(c_new, ACTIVATIONS[2]), z_o, ACTIVATIONS[0], GATE_CLIP)
        dc = dc + dh * o * slope(c_new, ACTIVATIONS[2]) + dz_o * p_o
        dc = clip_gradient(dc, c_raw, CELL_CLIP)
        di, df = dc * g, dc * c
        if COUPLED == "f=1-i":
            di, df = di - df, df * 0.0
        elif COUPLED == "i=1-f":
            di, df = di * 0.0, df - di
        dz_i = through_activation(di, z_i, ACTIVATIONS[0], GATE_CLIP)
        dz_f = through_activation(df, z_f, ACTIVATIONS[0], GATE_CLIP)
        dz_g = through_activation(dc * i, z_g, ACTIVATIONS[1], GATE_CLIP)
        tl.store(dz_ptr + z_at, dz_i, there)
        tl.store(dz_ptr + z_at + H, dz_f, there)
        tl.store(dz_ptr + z_at + 2 * H, dz_g, there)
        tl.store(dz_ptr + z_at + 3 * H, dz_o, there)
        dh_held = tl.where(there, dh_kept, dh_held)
        dc_held = tl.where(there, dc_kept + dc * f + dz_i * p_i + dz_f * p_f, dc_held)
        if BARRIER:
            meet(barrier_ptr, lane, s, WAVE)
    tl.store(dh_ptr + state, dh_held, own)
    tl.store(dc_ptr + state, dc_held, own)


KERNELS: dict[str, Any] = {"forward": forward_kernel, "backward": backward_kernel}
