"""The ``cpu`` device: checks layouts, calls the compiled kernel.

Weights are packed once for each :class:`~gatesmith.weights.Weights` object, which can't change, and kept as long as it
lives.
"""

import math
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from weakref import finalize

import numpy as np
import numpy.typing as npt

from gatesmith.errors import InputError, UnsupportedError
from gatesmith.ops.call import Array, Call, Gradients, Outputs
from gatesmith.ops.library import CRun, SpareMemory, address, aligned, library
from gatesmith.ops.variant import Noise, c_cells, c_spec, draw_noise, is_variant, set_noise

FLOAT_BYTES = 4
_spare = SpareMemory(limit_bytes=1 << 28)
"""Workspaces, tapes and packed weights of calls that are over, and large outputs that nobody holds any more."""
LENT_ELEMENTS = 1 << 16
"""The allocator gets larger arrays from the system at every call."""


@contextmanager
def no_spare_memory() -> Generator[None]:
    """Meanwhile nothing is kept for the next call, so that what a call allocates can be weighed."""
    global _spare
    kept, _spare = _spare, SpareMemory(limit_bytes=0)
    try:
        yield
    finally:
        _spare = kept


def spare_memory() -> SpareMemory:
    """Where calls take their memory from."""
    return _spare


def new_array(shape: tuple[int, ...], dtype: npt.DTypeLike = np.float32) -> Array:
    """An uninitialised array: of spare memory where fresh memory would come page by page from the system."""
    elements = math.prod(shape)
    if elements < LENT_ELEMENTS:
        return np.empty(shape, dtype)
    return _spare.lend(elements * np.dtype(dtype).itemsize).view(dtype).reshape(shape)


@dataclass(frozen=True, kw_only=True, eq=False)
class CpuTape:
    """What a forward run leaves for backward."""

    call: Call
    y: Array
    memory: Array
    recompute: bool
    noise: Noise | None


def missing() -> str | None:
    """Why the kernel can't run here; None where it can."""
    try:
        library()
    except OSError as error:
        return str(error)
    return None


def unsupported(call: Call) -> str | None:
    """The feature of this call that the kernel can't run; None where it runs all of it: every spec, in float32."""
    if call.x.dtype != np.float32:
        return f"{call.x.dtype} (the kernel computes in float32)"
    return None


def set_num_threads(threads: int) -> None:
    """Let a call of the kernel use up to this many threads; results don't depend on it.

    Raises:
        InputError: less than 1.
    """
    if threads < 1:
        raise InputError(f"threads is {threads}; expected at least 1")
    library().gatesmith_set_num_threads(min(threads, 1 << 16))


def num_threads() -> int:
    """Threads that a call may use: GATESMITH_NUM_THREADS, else OMP_NUM_THREADS, else one for each of our cores."""
    return library().gatesmith_num_threads()


def forward(call: Call, *, skip: int = 0) -> Outputs:
    """Run forward, keeping nothing.

    Args:
        call: what to run.
        skip: for profiling, a sum of GATESMITH_SKIP_* of stages to leave out; the results are then meaningless.
    """
    return _forward(call, draw_noise(call), tape=None, recompute=False, skip=skip)


def forward_for_training(call: Call, *, recompute: bool = False) -> tuple[Outputs, CpuTape]:
    """Run forward and keep what :func:`backward` needs.

    Args:
        call: what to run.
        recompute: keep c alone (and y), and compute the gates again in backward: 1/5 of the memory, more time.
    """
    run = _run(call, recompute=recompute)
    memory = _spare.take(_size(library().gatesmith_tape_bytes(run), call))
    noise = draw_noise(call)
    outputs = _forward(call, noise, tape=memory, recompute=recompute)
    tape = CpuTape(call=call, y=outputs.y, memory=memory, recompute=recompute, noise=noise)
    finalize(tape, _spare.give_back, memory)
    return outputs, tape


def backward(tape: CpuTape, dy: Array, dh_n: Array, dc_n: Array, *, skip: int = 0) -> Gradients:
    """Gradients of x, h0, c0 and every parameter, from those of y, h_n and c_n; ``skip`` as in :func:`forward`."""
    call, lib = tape.call, library()
    run = _run(call, recompute=tape.recompute)
    set_noise(run, tape.noise)
    run.skip = skip
    dy, dh_n, dc_n = (np.ascontiguousarray(array, np.float32) for array in (dy, dh_n, dc_n))
    x, h0, c0 = _dense_features(call.x), np.ascontiguousarray(call.h0), np.ascontiguousarray(call.c0)
    packed, packed_backward = _packed(call, backward=False), _packed(call, backward=True)
    dx, dh0, dc0 = new_array(call.x.shape), np.empty_like(h0), np.empty_like(c0)
    dweights: dict[str, Array] = {
        name: np.empty(shape, np.float32) for name, shape in call.spec.parameter_shapes().items()
    }
    cells = c_cells(call.spec, dweights)
    _set_input(run, x, h0, c0, call.lengths)
    run.packed, run.packed_backward, run.tape = address(packed), address(packed_backward), address(tape.memory)
    run.y, run.y_step, run.y_row = _strided(tape.y)
    run.dy, run.dy_step, run.dy_row = _strided(dy)
    run.dx, run.dx_step, run.dx_row = _strided(dx)
    run.dh_n, run.dc_n, run.dh0, run.dc0 = address(dh_n), address(dc_n), address(dh0), address(dc0)
    run.gradients = cells
    workspace = _spare.take(_size(lib.gatesmith_workspace_bytes(run, 1), call))
    run.workspace = address(workspace)
    _check(lib.gatesmith_backward(run))
    _spare.give_back(workspace)
    return Gradients(dx=dx, dh0=dh0, dc0=dc0, dweights=dweights)


def footprint(call: Call) -> dict[str, int]:
    """Bytes that a call takes: its output, the workspaces of both passes, and the tape, whole and recomputing."""
    lib, result = library(), dict[str, int]()
    for recompute in (False, True):
        run = _run(call, recompute=recompute)
        suffix = "_recomputing" if recompute else ""
        result["backward_workspace" + suffix] = _size(lib.gatesmith_workspace_bytes(run, 1), call)
        result["tape" + suffix] = _size(lib.gatesmith_tape_bytes(run), call)
    steps, batch, _ = call.x.shape
    result["output"] = FLOAT_BYTES * steps * batch * call.spec.num_directions * call.spec.output_size
    result["forward_workspace"] = _size(lib.gatesmith_workspace_bytes(_run(call, recompute=False), 0), call)
    return result


def _forward(call: Call, noise: Noise | None, *, tape: Array | None, recompute: bool, skip: int = 0) -> Outputs:
    lib, spec = library(), call.spec
    run = _run(call, recompute=recompute)
    set_noise(run, noise)
    run.skip = skip
    x, h0, c0 = _dense_features(call.x), np.ascontiguousarray(call.h0), np.ascontiguousarray(call.c0)
    packed = _packed(call, backward=False)
    steps, batch, _ = x.shape
    y = new_array((steps, batch, spec.num_directions * spec.output_size))
    h_n, c_n = np.empty_like(h0), np.empty_like(c0)
    _set_input(run, x, h0, c0, call.lengths)
    run.packed, run.h_n, run.c_n = address(packed), address(h_n), address(c_n)
    run.y, run.y_step, run.y_row = _strided(y)
    run.tape = None if tape is None else address(tape)
    workspace = _spare.take(_size(lib.gatesmith_workspace_bytes(run, 0), call))
    run.workspace = address(workspace)
    _check(lib.gatesmith_forward(run))
    _spare.give_back(workspace)
    return Outputs(y=y, h_n=h_n, c_n=c_n)


def prepare_stream(call: Call, *, y: Array, h: Array, c: Array) -> tuple[CRun, list[Array]]:
    """A run of one step that reads call.x and the state (h, c), and writes y and the new state over the old one.

    Returns it with the arrays that must live as long as it does.
    """
    run = _run(call, recompute=False)
    packed = _packed(call, backward=False)
    _set_input(run, call.x, h, c, call.lengths)
    run.lengths = None
    run.packed, run.h_n, run.c_n = address(packed), address(h), address(c)
    run.y, run.y_step, run.y_row = _strided(y)
    workspace = aligned(_size(library().gatesmith_workspace_bytes(run, 0), call))
    run.workspace = address(workspace)
    return run, [call.x, y, h, c, packed, workspace]


def _run(call: Call, *, recompute: bool) -> CRun:
    steps, batch, _ = call.x.shape
    run = CRun(
        spec=c_spec(call.spec, training=call.training),
        steps=steps,
        batch=batch,
        threads=num_threads(),
        recompute=recompute,
    )
    run.lengths = address(call.lengths)
    return run


def _set_input(run: CRun, x: Array, h0: Array, c0: Array, lengths: Array) -> None:
    run.x, run.x_step, run.x_row = _strided(x)
    run.h0, run.c0, run.lengths = address(h0), address(c0), address(lengths)


# Of every living Weights object, by its identity (a mapping compares by value and so can't be hashed).
_packed_weights: dict[int, dict[tuple[bytes, bool, bool], Array]] = {}
_packing = threading.Lock()


def _forget_packed(key: int) -> None:
    for memory in _packed_weights.pop(key, {}).values():
        _spare.give_back(memory)


def _packed(call: Call, *, backward: bool) -> Array:
    """The weights in the kernel's layout, for backward transposed; packed on first use."""
    lib, weights = library(), call.weights
    variant = is_variant(weights.spec, training=call.training)
    key = (lib.gatesmith_target(), variant, backward)
    with _packing:
        if id(weights) not in _packed_weights:
            _packed_weights[id(weights)] = {}
            finalize(weights, _forget_packed, id(weights))
        kept = _packed_weights[id(weights)]
        if key not in kept:
            spec = c_spec(weights.spec, training=call.training)
            size = lib.gatesmith_packed_backward_bytes(spec) if backward else lib.gatesmith_packed_bytes(spec)
            if size < 0:
                raise InputError(f"{weights.spec} has too many parameters for this machine")
            memory = _spare.take(size)
            arrays = {name: np.ascontiguousarray(array) for name, array in weights.items()}
            cells = c_cells(weights.spec, arrays)
            extra = np.zeros((4, weights.spec.hidden_size), np.float32)
            if weights.spec.forget_bias and not variant:
                # It is a second bias to the plain cell, which sums the two.
                extra[1] = weights.spec.forget_bias
                for cell in cells:
                    cell.b_also = address(extra)
            pack = lib.gatesmith_pack_backward if backward else lib.gatesmith_pack
            pack(spec, cells, address(memory))
            kept[key] = memory
        return kept[key]


def _size(size: int, call: Call) -> int:
    if size < 0:
        raise InputError(f"x of shape {call.x.shape} needs more memory than a machine can address")
    return size


def _dense_features(x: Array) -> Array:
    """x itself where the features of a step lie side by side, in any order of steps and rows; else a copy."""
    steps_apart, rows_apart, features_apart = x.strides
    aligned_strides = steps_apart % FLOAT_BYTES == 0 and rows_apart % FLOAT_BYTES == 0 and x.flags.aligned
    return x if aligned_strides and features_apart == FLOAT_BYTES else np.ascontiguousarray(x)


def _strided(array: Array) -> tuple[int, int, int]:
    return address(array), array.strides[0] // FLOAT_BYTES, array.strides[1] // FLOAT_BYTES


def _check(code: int) -> None:
    if code != 0:
        raise UnsupportedError(f"the kernel refused its arguments with code {code}; please report this")
