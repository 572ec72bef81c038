"""Holds the simulated hardware against the integer model: every element of every step, and the last states, by `==`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gatesmith.errors import MismatchError
from gatesmith.fixed.model import CodeInputs, CodeOutputs, run
from gatesmith.fixed.qformat import Codes
from gatesmith.fixed.weights import CellWeights
from gatesmith.hardware.emitted import emitted
from gatesmith.hardware.manifest import Export, load_export, read_export_head, read_export_weights
from gatesmith.hardware.options import HEAD_OUTPUTS
from gatesmith.hardware.simulate import ModelSimulation, Simulator, Stimulus, simulate_model
from gatesmith.hardware.turns import groups

Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Verification:
    """What the comparison found.

    Attributes:
        sequences, steps: that went in.
        compared_elements: every output, and final h, final c and saturation flags of all cells.
        mismatched_elements: of those, how many differ.
        first_mismatch: where the first one is, in words; empty where there is none.
        cycles_per_step: clocks per time step, the average over all sequences, one after another.
        mac_utilisation: share of the multipliers' time spent on products, 4H(D + R)T of all cells / (P * clocks) of all
            engines.
        y: [T, N, directions * R] codes of the last layer's output.
        head: [N, elements] codes of the scores, or the class, of every sequence; None where the design has no head.
    """

    sequences: int
    steps: int
    compared_elements: int
    mismatched_elements: int
    first_mismatch: str
    cycles: int
    cycles_per_step: float
    mac_utilisation: float
    y: Codes
    head: Codes | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, without the codes."""
        return {name: value for name, value in vars(self).items() if name not in ("y", "head")}

    def require_equal(self) -> None:
        """Raise MismatchError where anything differs."""
        if self.mismatched_elements:
            raise MismatchError(
                f"{self.mismatched_elements} of {self.compared_elements} elements of the hardware differ from the "
                f"integer model, first {self.first_mismatch}"
            )


def verify(
    folder: str | Path,
    x: Array,
    lengths: npt.ArrayLike | None = None,
    *,
    weights: tuple[CellWeights, ...] | None = None,
    stimulus: Stimulus | None = None,
    simulator: Simulator = "verilator",
    timeout_s: float = 600.0,
    progress: Callable[[int, int, str], None] | None = None,
) -> Verification:
    """Stream real sequences through all layers of an export, and compare with the model that the same files describe.

    A design that ends in a head is run twice: as it is, and with every h coming out instead.

    Args:
        folder: written by :func:`gatesmith.hardware.export.export`.
        x: [T, N, D] real inputs; lengths [N], all T where None.
        weights: integer weights to hold the hardware against; None for those in the folder's own memory files.
        stimulus: how the streams behave; None for no waiting.
        simulator: which; they have no front end in common.

    Raises:
        ExportError, InputError, MissingToolError, ToolError: as :func:`gatesmith.hardware.simulate.simulate`.
    """
    exported = load_export(folder)
    inputs = inputs_of(exported, x, lengths)
    expected = run(exported.spec, exported.plan, weights or read_export_weights(folder), inputs)

    def simulated(output: str | None) -> ModelSimulation:
        return simulate_model(
            folder,
            inputs,
            output=output,
            timeout_s=timeout_s,
            stimulus=stimulus,
            simulator=simulator,
            progress=progress,
        )

    if exported.options.output not in HEAD_OUTPUTS:
        return _compare(exported, inputs, expected, simulated(None), None)
    return _compare(exported, inputs, expected, simulated("sequence"), simulated(None))


def inputs_of(exported: Export, x: Array, lengths: npt.ArrayLike | None) -> CodeInputs:
    """Real sequences as the codes that an export reads, from zero states."""
    cells, (steps, batch, _), spec = len(exported.cells), x.shape, exported.spec
    counts: Codes = np.asarray([steps] * batch if lengths is None else lengths, np.int64)
    return CodeInputs(
        x=exported.plan.x_format.quantise(x),
        h0=np.zeros((cells, batch, spec.output_size), np.int64),
        c0=np.zeros((cells, batch, spec.hidden_size), np.int64),
        lengths=counts,
    )


def _compare(
    exported: Export, inputs: CodeInputs, expected: CodeOutputs, found: ModelSimulation, ended: ModelSimulation | None
) -> Verification:
    """Hold ``found``, and ``ended`` of a design that ends in a head, against what is expected."""
    spec, theirs, steps = exported.spec, found.outputs, found.steps
    t: Array = np.arange(len(inputs.x))[:, None]  # [T, 1]
    compared_steps = t == inputs.lengths - 1 if exported.options.output == "last" else t < inputs.lengths  # [T, N]
    compared, mismatched, first = 0, 0, ""
    for name, (given, wanted) in {
        "h": (theirs.y[compared_steps], expected.y[compared_steps]),
        "final h": (theirs.h_n, expected.h_n),
        "final c": (theirs.c_n, expected.c_n),
        "saturation flag": (theirs.saturated, _shared(expected.saturated, inputs.lengths, exported)),
        **_of_head(exported, inputs, expected, ended),
    }.items():
        different: Array = np.argwhere(np.not_equal(given, wanted))
        compared += wanted.size
        mismatched += len(different)
        if len(different) and not first:
            where = tuple(int(i) for i in different[0])
            cell = "head" if "head" in name else exported.cells[-1 if name == "h" else where[0]].name
            first = f"{name} of cell {cell} at {where}: {given[where]}, expected {wanted[where]}"
    products = 4 * spec.hidden_size * sum(cell.plan.input_size + spec.output_size for cell in exported.cells)
    lanes = exported.multipliers * len(exported.engines)
    return Verification(
        sequences=len(inputs.lengths),
        steps=steps,
        compared_elements=compared,
        mismatched_elements=mismatched,
        first_mismatch=first,
        cycles=found.cycles,
        cycles_per_step=found.cycles / max(1, steps),
        mac_utilisation=products * steps / max(1, lanes * found.cycles),
        y=theirs.y,
        head=ended.head if ended else None,
    )


def _shared(saturated: Array, lengths: Codes, exported: Export) -> Array:
    """[cells, N, 3] flags as the hardware can tell them: those of sequences, or cells, that take turns are one."""
    found = saturated.copy()
    for group in groups(lengths, exported.options.interleave):
        found[:, group] = saturated[:, group].any(axis=1, keepdims=True)
    for engine in exported.engines:
        cells = [at for at, cell in enumerate(exported.cells) if cell.engine == engine]
        found[cells] = found[cells].any(axis=0, keepdims=True)
    return found


def _of_head(
    exported: Export, inputs: CodeInputs, expected: CodeOutputs, ended: ModelSimulation | None
) -> dict[str, tuple[Array, Array]]:
    """Pairs of what the head gave and should have given, for every sequence that has a step, and of the states."""
    if ended is None or ended.head is None:
        return {}
    weights = read_export_head(exported.folder)
    wanted = emitted(exported.plan, exported.options.output, weights, expected.y, inputs.lengths)
    present = inputs.lengths > 0
    return {
        "output of the head": (ended.head[present], np.concatenate(wanted or [ended.head[:0]])),
        "final h before the head": (ended.outputs.h_n, expected.h_n),
    }
