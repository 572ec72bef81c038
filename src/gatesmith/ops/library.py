"""The compiled library as Python sees it: its structures, its functions, and memory aligned for it."""

import ctypes
import threading
from contextlib import suppress
from ctypes import POINTER, Structure, c_char_p, c_double, c_float, c_int, c_int64, c_void_p
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from weakref import finalize

import numpy as np
import numpy.typing as npt

ALIGNMENT_BYTES = 64


class CActivation(Structure):
    """``gatesmith_activation`` of csrc/gatesmith.h."""

    _fields_ = [("function", c_int64), ("alpha", c_float), ("beta", c_float)]


class CVariant(Structure):
    """``gatesmith_variant``: how a cell differs from the plain one."""

    _fields_ = [
        ("proj_size", c_int64),
        ("peepholes", c_int64),
        ("full_peepholes", c_int64),
        ("derived_gate", c_int64),
        ("layer_norm", c_int64),
        ("drop_states", c_int64),
        ("residual", c_int64),
        ("gate_clip", c_float),
        ("cell_clip", c_float),
        ("proj_clip", c_float),
        ("forget_bias", c_float),
        ("zoneout_h", c_float),
        ("zoneout_c", c_float),
        ("activations", (CActivation * 3) * 2),
    ]


class CNoise(Structure):
    """``gatesmith_noise``: what training draws for one cell."""

    _fields_ = [(name, c_void_p) for name in ("hidden", "keep_h", "keep_c")]


class CSpec(Structure):
    """``gatesmith_spec``: what an LSTM is."""

    _fields_ = [
        *((name, c_int64) for name in ("input_size", "hidden_size", "num_layers", "directions", "reverse")),
        ("variant", POINTER(CVariant)),
    ]


class CCell(Structure):
    """``gatesmith_cell``: the parameters of one direction of one layer, or their gradients."""

    _fields_ = [
        *((name, c_void_p) for name in ("w_ih", "w_hh", "b", "b_also")),
        ("peepholes", c_void_p * 3),
        ("w_hr", c_void_p),
        ("b_hr", c_void_p),
        ("norm_gain", c_void_p * 3),
        ("norm_shift", c_void_p * 3),
    ]


class CRun(Structure):
    """``gatesmith_run``: one forward or backward run."""

    _fields_ = [
        ("spec", CSpec),
        ("steps", c_int64),
        ("batch", c_int64),
        ("threads", c_int64),
        ("lengths", c_void_p),
        ("x", c_void_p),
        ("x_step", c_int64),
        ("x_row", c_int64),
        ("h0", c_void_p),
        ("c0", c_void_p),
        ("y", c_void_p),
        ("y_step", c_int64),
        ("y_row", c_int64),
        ("h_n", c_void_p),
        ("c_n", c_void_p),
        ("packed", c_void_p),
        ("workspace", c_void_p),
        ("tape", c_void_p),
        ("recompute", c_int64),
        ("noise", POINTER(CNoise)),
        ("dropout", POINTER(c_void_p)),
        ("packed_backward", c_void_p),
        ("dy", c_void_p),
        ("dy_step", c_int64),
        ("dy_row", c_int64),
        ("dh_n", c_void_p),
        ("dc_n", c_void_p),
        ("dx", c_void_p),
        ("dx_step", c_int64),
        ("dx_row", c_int64),
        ("dh0", c_void_p),
        ("dc0", c_void_p),
        ("gradients", POINTER(CCell)),
        ("skip", c_int64),
    ]


SKIP = {"input": 1, "recurrent": 2, "activations": 4, "weights": 8, "peepholes": 16, "projection": 32}
"""GATESMITH_SKIP_* of csrc/gatesmith.h: stages that a run can leave out, for profiling."""


def library_path() -> Path | None:
    """The shared library that building the package left, or None."""
    places = [Path(__file__).parent.parent]
    with suppress(PackageNotFoundError):
        places.append(Path(str(distribution("gatesmith").locate_file("gatesmith"))))
    found = (place / "_lib" / name for place in places for name in ("libgatesmith.so", "libgatesmith.dylib"))
    return next((path for path in found if path.exists()), None)


@cache
def library() -> Any:
    """The loaded library with typed functions. Calls release the interpreter lock.

    Raises:
        OSError: it isn't built, or can't be loaded.
    """
    path = library_path()
    if path is None:
        raise OSError("the compiled kernel is not built; run `pip install .` in the source folder")
    lib = ctypes.CDLL(str(path))
    spec, cells, run = POINTER(CSpec), POINTER(CCell), POINTER(CRun)
    for name, result, arguments in (
        ("gatesmith_packed_bytes", c_int64, [spec]),
        ("gatesmith_packed_backward_bytes", c_int64, [spec]),
        ("gatesmith_pack", c_int, [spec, cells, c_void_p]),
        ("gatesmith_pack_backward", c_int, [spec, cells, c_void_p]),
        ("gatesmith_workspace_bytes", c_int64, [run, c_int]),
        ("gatesmith_tape_bytes", c_int64, [run]),
        ("gatesmith_forward", c_int, [run]),
        ("gatesmith_backward", c_int, [run]),
        ("gatesmith_set_num_threads", None, [c_int]),
        ("gatesmith_num_threads", c_int, []),
        ("gatesmith_use_openmp", None, [c_void_p, c_void_p, c_void_p]),
        ("gatesmith_target", c_char_p, []),
        ("gatesmith_set_target", c_int, [c_char_p]),
        ("gatesmith_sigmoid", None, [c_void_p, c_void_p, c_int64]),
        ("gatesmith_tanh", None, [c_void_p, c_void_p, c_int64]),
        ("gatesmith_measure_flops", c_double, [c_int]),
        ("gatesmith_measure_bandwidth", c_double, [c_int, c_int64]),
    ):
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


def address(array: npt.NDArray[Any]) -> int:
    """Where an array's first element lies; a tenth of the time of ``array.ctypes.data`` for writable dense ones."""
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError, BufferError):  # read-only, not dense, or empty
        return array.__array_interface__["data"][0]


class SpareMemory:
    """Aligned memory that callers hand back for the next call: fresh memory costs a page fault every 4 KiB."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._lock = threading.RLock()  # a finaliser may give back while the same thread takes
        self._spare: list[npt.NDArray[np.uint8]] = []

    def take(self, size: int) -> npt.NDArray[np.uint8]:
        """At least ``size`` bytes, uninitialised, and less than twice as many unless few."""
        with self._lock:
            for index, memory in enumerate(self._spare):
                if size <= memory.size <= max(2 * size, 1 << 16):
                    return self._spare.pop(index)
        return aligned(size)

    def lend(self, size: int) -> npt.NDArray[np.uint8]:
        """:meth:`take` of exactly ``size`` bytes that come back by themselves when no view of them is left."""
        memory = self.take(size)
        lent = np.frombuffer(memory.data, np.uint8, size)
        # Views of views of an array hold the first array alone, and let go of those between; a buffer they do hold.
        finalize(lent.base, self.give_back, memory)
        return lent

    def give_back(self, memory: npt.NDArray[np.uint8]) -> None:
        """Keep ``memory`` for a later :meth:`take`; what was kept longest goes where there is too much."""
        with self._lock:
            self._spare.append(memory)
            while sum(kept.size for kept in self._spare) > self._limit_bytes:
                self._spare.pop(0)


def aligned(size: int) -> npt.NDArray[np.uint8]:
    """``size`` bytes of uninitialised memory whose address is a multiple of 64."""
    memory = np.empty(size + ALIGNMENT_BYTES, np.uint8)
    start = -address(memory) % ALIGNMENT_BYTES
    return memory[start : start + size]
