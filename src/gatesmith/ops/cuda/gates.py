"""Gates, peepholes and zoneout inside a Triton kernel, and their gradients."""

# pyright: basic, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false, reportArgumentType=false
# ruff: noqa: RET505
# Triton compiles the functions below: see activations.py.

import triton
import triton.language as tl

from gatesmith.ops.cuda.activations import activate, clip, clip_gradient, slope


@triton.jit
def load_peepholes(peephole_ptr, units, H, PEEPHOLES: tl.constexpr):
    """Those of i, f, o, [1, BLOCK_H]; zeros where there are none."""
    if PEEPHOLES:
        p_i = tl.load(peephole_ptr + units, units < H, 0.0).to(tl.float32)[None, :]
        p_f = tl.load(peephole_ptr + H + units, units < H, 0.0).to(tl.float32)[None, :]
        p_o = tl.load(peephole_ptr + 2 * H + units, units < H, 0.0).to(tl.float32)[None, :]
        return p_i, p_f, p_o
    else:
        return 0.0, 0.0, 0.0


@triton.jit
def gates_of(z_i, z_f, z_g, ACTIVATIONS: tl.constexpr, COUPLED: tl.constexpr, GATE_CLIP: tl.constexpr):
    """i, f, g from the inputs of their activations; a coupled gate from its partner."""
    i = activate(clip(z_i, GATE_CLIP), ACTIVATIONS[0])
    f = activate(clip(z_f, GATE_CLIP), ACTIVATIONS[0])
    g = activate(clip(z_g, GATE_CLIP), ACTIVATIONS[1])
    if COUPLED == "f=1-i":
        f = 1.0 - i
    elif COUPLED == "i=1-f":
        i = 1.0 - f
    return i, f, g


@triton.jit
def through_activation(d, z, ACTIVATION: tl.constexpr, GATE_CLIP: tl.constexpr):
    """The gradient before ``gate_clip`` and an activation, from the one behind."""
    return clip_gradient(d * slope(clip(z, GATE_CLIP), ACTIVATION), z, GATE_CLIP)


@triton.jit
def mix(old, new, keep_ptrs, there, ZONEOUT: tl.constexpr, RATE: tl.constexpr):
    """Zoneout: the share of the old value that is kept, and the rest of the new one."""
    if RATE == 0.0 or ZONEOUT == "none":
        return new
    elif ZONEOUT == "expected":
        return RATE * old + (1.0 - RATE) * new
    else:
        keep = tl.load(keep_ptrs, there, 0.0)
        return keep * old + (1.0 - keep) * new


@triton.jit
def unmix(d, keep_ptrs, there, ZONEOUT: tl.constexpr, RATE: tl.constexpr):
    """Gradients of (old, new) from that of their mix."""
    if RATE == 0.0 or ZONEOUT == "none":
        return d * 0.0, d
    elif ZONEOUT == "expected":
        return RATE * d, (1.0 - RATE) * d
    else:
        keep = tl.load(keep_ptrs, there, 0.0)
        return keep * d, (1.0 - keep) * d
