"""The native twin of the golden model: the same codes bit for bit, from the compiled core."""

import ctypes
from ctypes import POINTER, Structure, c_int64, c_void_p
from functools import cache, lru_cache
from typing import Any

import numpy as np

from gatesmith.fixed.cell import CellPlan
from gatesmith.fixed.model import FLAGS, CodeInputs, CodeOutputs, require_codes
from gatesmith.fixed.plan import Plan
from gatesmith.fixed.qformat import Codes, QFormat
from gatesmith.fixed.weights import CellWeights
from gatesmith.ops.call import Array
from gatesmith.ops.cpu import new_array
from gatesmith.ops.library import address, aligned, library
from gatesmith.spec import GATES, LSTMSpec

_FORMATS = """
input_size hidden_size output_size x_width x_shift h_width h_shift h_frac y_width w_width acc_frac
z_width z_frac a_width a_frac c_width c_frac table_bits slope_width peepholes p_frac
z_clip c_clip projected r_round r_clip
"""
FORMATS = tuple(_FORMATS.split())
_ARRAYS = "w_ih w_hh b gate_value gate_slope cell_value cell_slope candidate_value candidate_slope p w_hr b_hr"
ARRAYS = tuple(_ARRAYS.split())


class CCell(Structure):
    """``gatesmith_fixed_cell`` of csrc/fixed_model.h."""

    _fields_ = [(name, c_int64) for name in FORMATS] + [(name, c_void_p) for name in ARRAYS]


class CRun(Structure):
    """``gatesmith_fixed_run``."""

    _fields_ = [
        ("steps", c_int64),
        ("batch", c_int64),
        ("reverse", c_int64),
        ("threads", c_int64),
        ("order", c_void_p),
        ("lengths", c_void_p),
        ("x", c_void_p),
        ("x_step", c_int64),
        ("x_row", c_int64),
        ("x_given_width", c_int64),
        ("x_round", c_int64),
        ("h0", c_void_p),
        ("c0", c_void_p),
        ("y", c_void_p),
        ("y_step", c_int64),
        ("y_row", c_int64),
        ("h_n", c_void_p),
        ("c_n", c_void_p),
        ("saturated", c_void_p),
        ("workspace", c_void_p),
    ]


@cache
def missing() -> str | None:
    """Why the compiled core can't be used, as the rest of a sentence; None where it can."""
    try:
        _functions()
    except (OSError, AttributeError) as error:
        return str(error)
    return None


def run(
    spec: LSTMSpec, plan: Plan, weights: tuple[CellWeights, ...], inputs: CodeInputs, *, threads: int = 1
) -> CodeOutputs:
    """As :func:`gatesmith.fixed.model.run`, without what happens inside the cells.

    Args:
        threads: at most this many; the codes don't depend on it.

    Raises:
        InputError: a code doesn't fit its format.
        OSError: the compiled core isn't built.
    """
    plan.require(spec)
    require_codes(plan, inputs)
    steps, batch, _ = inputs.x.shape
    outputs, directions = spec.output_size, spec.num_directions
    h_n, c_n = (np.empty((len(plan.cells), batch, size), np.int64) for size in (outputs, spec.hidden_size))
    saturated = np.zeros((len(plan.cells), batch, len(FLAGS)), np.uint8)
    x, x_format = inputs.x, plan.x_format
    for layer in range(spec.num_layers):
        y = new_array((steps, batch, directions * outputs), np.int64)
        if (inputs.lengths < steps).any():
            y[np.arange(steps)[:, None] >= inputs.lengths] = 0
        for at, direction in enumerate(spec.directions, start=layer * directions):
            part = y[:, :, at % directions * outputs :]
            found = (part, h_n[at], c_n[at], saturated[at])
            _run_cell(plan.cells[at], weights[at], x, x_format, inputs, at, found, direction == "reverse", threads)
        x, x_format = y, plan.cells[layer * directions].y_format
    return CodeOutputs(y=x, h_n=h_n, c_n=c_n, saturated=saturated.astype(bool))


def _run_cell(
    cell: CellPlan,
    weights: CellWeights,
    x: Codes,
    x_format: QFormat,
    inputs: CodeInputs,
    at: int,
    outputs: tuple[Codes, Codes, Codes, Array],
    reverse: bool,
    threads: int,
) -> None:
    """One cell over all sequences; ``outputs`` are y (a view of all features), h_n, c_n and the flags."""
    workspace_bytes, forward = _functions()
    x = x if x.strides[-1] == x.itemsize else np.ascontiguousarray(x)
    y, h_n, c_n, saturated = outputs
    # What C reads has to stay alive until it returns.
    arrays = _cell_arrays(cell, weights)
    order, lengths = np.argsort(-inputs.lengths, kind="stable"), np.ascontiguousarray(inputs.lengths)
    h0, c0 = np.ascontiguousarray(inputs.h0[at]), np.ascontiguousarray(inputs.c0[at])
    c_cell = CCell(**_formats(cell), **{name: address(array) for name, array in arrays.items()})
    workspace = aligned(workspace_bytes(ctypes.byref(c_cell), threads))
    c_run = CRun(
        steps=x.shape[0],
        batch=x.shape[1],
        reverse=reverse,
        threads=threads,
        order=address(order),
        lengths=address(lengths),
        x=address(x),
        x_step=x.strides[0] // x.itemsize,
        x_row=x.strides[1] // x.itemsize,
        x_given_width=x_format.width,
        x_round=x_format.fraction - cell.x_frac,
        h0=address(h0),
        c0=address(c0),
        y=address(y),
        y_step=y.strides[0] // y.itemsize,
        y_row=y.strides[1] // y.itemsize,
        h_n=address(h_n),
        c_n=address(c_n),
        saturated=address(saturated),
        workspace=address(workspace),
    )
    forward(ctypes.byref(c_cell), ctypes.byref(c_run))


@lru_cache(maxsize=64)
def _formats(cell: CellPlan) -> dict[str, int]:
    """Every number of ``CCell``."""
    seeing = sum(1 << GATES.index(gate) for gate in cell.peepholes)
    projection = cell.projection
    own = {
        "table_bits": min(cell.table_bits, cell.z_width - 1),
        "peepholes": seeing,
        "y_width": cell.y_format.width,
        "projected": int(projection is not None),
        "r_round": projection.acc_frac - projection.y_frac if projection else 0,
        "r_clip": projection.y_clip if projection else 0,
    }
    return own | {name: getattr(cell, name) for name in FORMATS if name not in own}


def _cell_arrays(cell: CellPlan, weights: CellWeights) -> dict[str, Codes]:
    tables = (cell.gate_table, cell.cell_table, cell.candidate_table)
    entries = [array for table in tables for array in (table.value, table.slope)]
    p = np.zeros_like(weights.b) if weights.p is None else weights.p
    projection = weights.projection
    linear = (projection.w, projection.b) if projection else (p, p)  # not read
    arrays = (weights.w_ih, weights.w_hh, weights.b, *entries, p, *linear)
    return {name: np.ascontiguousarray(array, np.int64) for name, array in zip(ARRAYS, arrays, strict=True)}


@cache
def _functions() -> tuple[Any, Any]:
    lib = library()
    workspace_bytes, forward = lib.gatesmith_fixed_workspace_bytes, lib.gatesmith_fixed_forward
    workspace_bytes.restype, workspace_bytes.argtypes = c_int64, [POINTER(CCell), c_int64]
    forward.restype, forward.argtypes = None, [POINTER(CCell), POINTER(CRun)]
    return workspace_bytes, forward
