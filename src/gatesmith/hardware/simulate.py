"""Runs exported SystemVerilog under Verilator on integer codes: a whole model, or one of its cells."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from gatesmith.errors import InputError
from gatesmith.fixed.model import CodeInputs, CodeOutputs
from gatesmith.fixed.qformat import Codes
from gatesmith.hardware import verilator
from gatesmith.hardware.emitted import output_size
from gatesmith.hardware.instances import memory_files
from gatesmith.hardware.jobs import Design, Job, JobResult, Stimulus
from gatesmith.hardware.manifest import Export, load_export
from gatesmith.hardware.options import HEAD_OUTPUTS
from gatesmith.hardware.runner import Simulator, run_jobs
from gatesmith.hardware.timing import cell_output_size
from gatesmith.hardware.turns import groups, job_in_turn
from gatesmith.hardware.verilator import Parameter

__all__ = [
    "Design",
    "Job",
    "JobResult",
    "ModelSimulation",
    "Simulation",
    "Simulator",
    "Stimulus",
    "exported_design",
    "run_jobs",
    "simulate",
    "simulate_model",
    "stack_design",
]

Progress = Callable[[int, int, str], None]

CHUNK_STEPS = 4096
"""Time steps that one run of the simulator takes: often enough to show progress, rarely enough to cost nothing."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Simulation:
    """What one cell returned.

    Attributes:
        y: [T, N, R] codes, zero beyond a sequence's length.
        h_n: [N, R], c_n: [N, H]
        saturated: [N, 3] whether a z, c or h of a sequence, or of one that took turns with it, was saturated.
        steps: time steps that were run, over all sequences.
        cycles: clocks that they took, from each sequence's first beat in to its last beat out.
    """

    y: Codes
    h_n: Codes
    c_n: Codes
    saturated: npt.NDArray[np.bool_]
    steps: int
    cycles: int
    parameters: Mapping[str, Parameter] = field(default_factory=dict[str, Parameter])


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelSimulation:
    """What a whole model returned.

    Attributes:
        outputs: as the integer model's, but that sequences which take turns share their flags; where only last steps
            come out, y is zero at all others, and zero where a
            head replaces it.
        head: [N, elements] scores, or the class, of every sequence; None where the design has no head.
        steps: time steps that went in, over all sequences.
        cycles: clocks that they took, from each sequence's first beat in to its last beat out.
    """

    outputs: CodeOutputs
    head: Codes | None
    steps: int
    cycles: int


def missing() -> str | None:
    """What simulation lacks here, as the rest of a sentence; None where it can run."""
    return verilator.missing()


def simulate(
    folder: str | Path,
    x: Codes,
    lengths: npt.ArrayLike,
    h0: Codes,
    c0: Codes,
    *,
    cell: int = 0,
    timeout_s: float = 600.0,
    stimulus: Stimulus | None = None,
    simulator: Simulator = "verilator",
    progress: Progress | None = None,
) -> Simulation:
    """Stream sequences through one cell of an export and return what came out.

    Args:
        folder: written by :func:`gatesmith.hardware.export.export`.
        x: [T, N, D] codes of the cell's input, in the cell's own order of time.
        lengths: [N] valid steps of each sequence.
        h0: [N, R] codes, c0: [N, H].
        cell: which of the manifest's cells.
        timeout_s: seconds after which the simulator is stopped.
        simulator: which; they have no front end in common.
        progress: told (steps done, steps in all, what is under way).

    Raises:
        ExportError: the folder is no export, or a file in it has changed.
        InputError: a shape doesn't fit the cell.
        MissingToolError: Verilator or a C++ compiler is not installed.
        ToolError: the simulator can't be built, died, got stuck or ran out of time.
    """
    exported = load_export(folder)
    return simulate_design(
        exported_design(exported, cell),
        x,
        lengths,
        h0,
        c0,
        timeout_s=timeout_s,
        stimulus=stimulus or Stimulus(),
        simulator=simulator,
        progress=progress,
        context=exported.cells[cell].context if exported.cells[cell].parameters["WeightSets"] > 1 else None,
    )


def simulate_model(
    folder: str | Path,
    inputs: CodeInputs,
    *,
    output: str | None = None,
    timeout_s: float = 600.0,
    stimulus: Stimulus | None = None,
    simulator: Simulator = "verilator",
    progress: Progress | None = None,
) -> ModelSimulation:
    """Stream sequences through all layers and directions of an export at once.

    Args:
        folder: written by :func:`gatesmith.hardware.export.export`.
        inputs: codes of x and of the first states, in order of time.
        output: what comes out, where it shall be something else than in the export, from the same sources and files.
        stimulus: how the streams behave; None for no waiting.
        timeout_s, simulator, progress: as for :func:`simulate`.

    Raises:
        ExportError: the folder is no export, or a file in it has changed.
        InputError: a shape doesn't fit the model, a sequence is longer than a reverse direction can turn around, or
            states are to be kept where a direction is reverse.
        MissingToolError, ToolError: as for :func:`simulate`.
    """
    exported = load_export(folder)
    if output:
        exported = replace(exported, options=replace(exported.options, output=output))
    spec, plan, output = exported.spec, exported.plan, exported.options.output
    require_fitting(exported, inputs, stimulus)
    counts, (steps, batch, _) = np.asarray(inputs.lengths, np.int64), inputs.x.shape
    cells = len(exported.cells)
    y = np.zeros((steps, batch, spec.num_directions * spec.output_size), np.int64)
    head = np.zeros((batch, output_size(plan, output, y.shape[2])), np.int64)
    h_n, c_n, saturated = inputs.h0.copy(), inputs.c0.copy(), np.zeros((cells, batch, 3), np.bool_)
    contexts = exported.options.interleave
    together = groups(counts, contexts)
    jobs = [job_in_turn(inputs.x, counts, group, inputs.h0, inputs.c0, contexts) for group in together]
    cycles = 0
    for at, result in _run_in_chunks(
        stack_design(exported), jobs, stimulus or Stimulus(), simulator, timeout_s, progress
    ):
        for context, n in enumerate(together[at]):
            found = result.y[result.contexts == context]
            if output in HEAD_OUTPUTS:
                head[n] = found[0]
            else:
                y[counts[n] - 1 if output == "last" else slice(counts[n]), n] = found
            h_n[:, n], c_n[:, n] = result.h_n[context], result.c_n[context]
            saturated[:, n] = np.reshape(result.saturated, (-1, 3))
        cycles += result.cycles
    return ModelSimulation(
        head=head if output in HEAD_OUTPUTS else None,
        outputs=CodeOutputs(y=y, h_n=h_n, c_n=c_n, saturated=saturated),
        steps=int(counts.sum()),
        cycles=cycles,
    )


def require_fitting(exported: Export, inputs: CodeInputs, stimulus: Stimulus | None) -> None:
    """Raise InputError where shapes don't fit the model, or a reverse direction can't do what is asked."""
    spec, counts, (steps, batch, _) = exported.spec, np.asarray(inputs.lengths, np.int64), inputs.x.shape
    cells = len(exported.cells)
    _require_shapes(
        ("x", inputs.x, (steps, batch, spec.input_size)),
        ("lengths", counts, (batch,)),
        ("h0", inputs.h0, (cells, batch, spec.output_size)),
        ("c0", inputs.c0, (cells, batch, spec.hidden_size)),
    )
    if spec.direction != "forward" and stimulus and stimulus.keep:
        raise InputError(
            f"states can't be kept in a {spec.direction} model: a reverse direction reads each sequence from its end"
            " and begins from h0; give h0 and c0 instead"
        )
    if spec.direction != "forward" and counts.max(initial=0) > exported.options.max_steps:
        raise InputError(
            f"a sequence has {counts.max()} steps; the reverse direction of this design turns around at most"
            f" {exported.options.max_steps}, export it with a larger max_steps"
        )


def exported_design(exported: Export, cell: int) -> Design:
    """One cell of an export, as the tools see it."""
    chosen = exported.cells[cell]
    return Design(
        folder=exported.folder,
        sources=tuple(exported.folder / source for source in exported.sources),
        parameters=chosen.parameters,
        files=chosen.files,
    )


def stack_design(exported: Export) -> Design:
    """A whole export, as the tools see it."""
    return Design(
        folder=exported.folder,
        sources=tuple(exported.folder / source for source in exported.sources),
        parameters=exported.stack,
        files={path: path for path in memory_files(exported.cells, exported.options)},
        cells=tuple(cell.parameters for cell in exported.cells),
    )


def simulate_design(
    design: Design,
    x: Codes,
    lengths: npt.ArrayLike,
    h0: Codes,
    c0: Codes,
    *,
    timeout_s: float = 600.0,
    stimulus: Stimulus,
    simulator: Simulator = "verilator",
    progress: Progress | None = None,
    context: int | None = None,
) -> Simulation:
    """As :func:`simulate`, for an ``lstm`` that no export describes; ``context``: the one that all sequences are in."""
    parameters = cast("Mapping[str, int]", design.parameters)
    inputs, hidden, outputs = parameters["InputSize"], parameters["HiddenSize"], cell_output_size(parameters)
    counts, (steps, batch, _) = np.asarray(lengths, np.int64), x.shape
    _require_shapes(
        ("x", x, (steps, batch, inputs)),
        ("lengths", counts, (batch,)),
        ("h0", h0, (batch, outputs)),
        ("c0", c0, (batch, hidden)),
    )
    y = np.zeros((steps, batch, outputs), np.int64)
    h_n, c_n, saturated = h0.copy(), c0.copy(), np.zeros((batch, 3), np.bool_)
    contexts = parameters.get("Contexts", 1)
    together = groups(counts, contexts if context is None else 1)
    jobs = [job_in_turn(x, counts, group, h0[None], c0[None], contexts, first=context or 0) for group in together]
    cycles = 0
    for at, result in _run_in_chunks(design, jobs, stimulus, simulator, timeout_s, progress):
        for turn, n in enumerate(together[at], start=context or 0):
            y[: counts[n], n] = result.y[result.contexts == turn]
            h_n[n], c_n[n], saturated[n] = result.h_n[turn, 0], result.c_n[turn, 0], result.saturated
        cycles += result.cycles
    return Simulation(
        y=y,
        h_n=h_n,
        c_n=c_n,
        saturated=saturated,
        steps=int(counts.sum()),
        cycles=cycles,
        parameters=dict(design.parameters),
    )


def _require_shapes(*arrays: tuple[str, Codes, tuple[Any, ...]]) -> None:
    for name, value, shape in arrays:
        if value.shape != shape:
            raise InputError(f"{name} has shape {value.shape}; the hardware expects {shape}")


def _run_in_chunks(
    design: Design,
    jobs: Sequence[Job],
    stimulus: Stimulus,
    simulator: Simulator,
    timeout_s: float,
    progress: Progress | None,
) -> Iterable[tuple[int, JobResult]]:
    """The results of jobs by their numbers. A sequence without steps is in none: its last state is the first."""
    total, done = sum(len(job.x) for job in jobs), 0
    for chunk in _chunks(jobs):
        results = run_jobs(design, [jobs[n] for n in chunk], stimulus, timeout_s=timeout_s, simulator=simulator)
        yield from zip(chunk, results, strict=True)
        done += sum(len(jobs[n].x) for n in chunk)
        if progress:
            progress(done, total, "time steps")


def _chunks(jobs: Sequence[Job]) -> Iterable[list[int]]:
    chunk: list[int] = []
    steps = 0
    for n, job in enumerate(jobs):
        chunk.append(n)
        steps += len(job.x)
        if steps >= CHUNK_STEPS:
            yield chunk
            chunk, steps = [], 0
    if chunk:
        yield chunk
