"""Look inside a model over real sequences: its gates, its memory, its gradients, and its fixed-point twin."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gatesmith.analysis.flow import GradientFlow, gradient_flow
from gatesmith.analysis.gates import SIGNALS, Array, CellGates, GateError, Trace, gate_errors, look_at_cells
from gatesmith.analysis.results import save_result
from gatesmith.errors import InputError
from gatesmith.ops import reference
from gatesmith.ops.call import State, make_call
from gatesmith.spec import LSTMSpec
from gatesmith.weights import Weights

Progress = Callable[[int, int, str], None]
"""Called with (parts done, parts in all, what comes now)."""

KEPT_SEQUENCES = 8
"""How many sequences' signals :meth:`Inspection.save` keeps; the summaries are over all of them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Inspection:
    """What :func:`inspect` found.

    Attributes:
        lengths: [N] of the sequences that were looked at.
        cells: one entry per layer and direction, from the float64 reference.
        flows: gradients that flow back through each cell.
        fixed: the cells of the fixed-point model; empty where none was given.
        errors: per cell, what each gate contributes to the fixed-point error; empty without a fixed-point model, or
            with layer normalisation, under which the contributions can't be told apart.
    """

    spec: LSTMSpec
    lengths: Array
    cells: tuple[CellGates, ...]
    flows: tuple[GradientFlow, ...]
    fixed: tuple[CellGates, ...] = ()
    errors: tuple[tuple[GateError, ...], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Summaries as JSON holds them; the signals over time are in :meth:`arrays`."""
        return {
            "spec": self.spec.to_json(),
            "sequences": len(self.lengths),
            "steps": int(self.lengths.sum()),
            "lengths": [int(length) for length in self.lengths],
            "cells": [cell.to_dict() for cell in self.cells],
            "gradients": [flow.to_dict() for flow in self.flows],
            "fixed_cells": [cell.to_dict() for cell in self.fixed],
            "gate_errors": [[row.to_dict() for row in rows] for rows in self.errors],
        }

    def arrays(self, sequences: int = KEPT_SEQUENCES) -> dict[str, Array]:
        """Of the first sequences, float32: ``{float|fixed}_{cell}_{signal}`` [T, n, H], ``dh_{cell}`` [T, n]."""
        few = slice(0, sequences)
        arrays = {
            f"{kind}_{cell}_{name}": found.signals[name][:, few].astype(np.float32)
            for kind, cells in (("float", self.cells), ("fixed", self.fixed))
            for cell, found in enumerate(cells)
            for name in SIGNALS
        }
        for cell, flow in enumerate(self.flows):
            arrays |= {f"dh_{cell}": flow.dh[:, few], f"dc_{cell}": flow.dc[:, few]}
        return arrays

    def gates_of(self, sequence: int, *, cell: int = 0, fixed: bool = False) -> Mapping[str, Array]:
        """i, f, g, o, c, h of one sequence at its true length, each [T, H]."""
        cells = self.fixed if fixed else self.cells
        length = int(self.lengths[sequence])
        return {name: signal[:length, sequence] for name, signal in cells[cell].signals.items()}

    def save(self, path: str | Path, *, title: str = "", sequences: int = KEPT_SEQUENCES) -> None:
        """Write the result file that :func:`gatesmith.report.write_report` reads."""
        save_result(path, "inspection", self.to_dict(), title=title, arrays=self.arrays(sequences))


def inspect(
    weights: Weights,
    x: Array,
    state: State | None = None,
    *,
    lengths: npt.ArrayLike | None = None,
    dy: Array | None = None,
    dh_n: Array | None = None,
    fixed: Sequence[Trace] | None = None,
    progress: Progress | None = None,
) -> Inspection:
    """Run sequences through the float64 reference and look at every gate of every cell.

    Args:
        weights: the model; x [T, N, D], state and lengths as for calling it.
        dy: [T, N, directions * R] gradient of the output that is sent back, or dh_n [L * directions, N, R] that of the
            final h; without both, a gradient of norm 1 on the last layer's final h, so that norms read as gains.
        fixed: traces of the fixed-point model on the same sequences as real values, one per cell.
        progress: called before each part.

    Raises:
        InputError: an argument doesn't fit the spec, or the traces of the fixed-point model don't fit the sequences.
    """
    say = progress or _silent
    call = make_call(weights, x, state, lengths=lengths)
    spec = call.spec
    say(0, 3, "gates")
    cells = look_at_cells(spec, reference.trace(call), call.lengths)
    say(1, 3, "gradients")
    flows = gradient_flow(call, dy, dh_n)
    if fixed is None:
        return Inspection(spec=spec, lengths=call.lengths, cells=cells, flows=flows)
    say(2, 3, "fixed-point gates")
    _check_shapes(cells, fixed)
    fixed_cells = look_at_cells(spec, fixed, call.lengths)
    errors = ()
    if spec.layer_norm == "none":
        errors = tuple(
            gate_errors(spec, real, other, c0, call.lengths)
            for real, other, c0 in zip(cells, fixed_cells, call.c0, strict=True)
        )
    return Inspection(spec=spec, lengths=call.lengths, cells=cells, flows=flows, fixed=fixed_cells, errors=errors)


def _silent(_: int, __: int, ___: str) -> None:
    """Progress that nobody asked for."""


def _check_shapes(cells: Sequence[CellGates], fixed: Sequence[Trace]) -> None:
    for cell, trace in zip(cells, fixed, strict=False):
        for name in SIGNALS:
            given, expected = np.shape(getattr(trace, name)), cell.signals[name].shape
            if given != expected:
                raise InputError(f"the fixed-point {name} of {cell.name} has shape {given}; expected {expected}")
