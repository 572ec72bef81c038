"""Runs the exported SystemVerilog under Verilator on integer codes, one sequence after another."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gatesmith.errors import InputError, ToolError
from gatesmith.hardware import verilator
from gatesmith.hardware.manifest import Export, load_export
from gatesmith.hardware.timing import PIPELINE, timing

Codes = npt.NDArray[np.int64]
Progress = Callable[[int, int, str], None]

HARNESS = Path(__file__).with_name("harness.cpp")
CHUNK_STEPS = 4096
"""Time steps that one run of the simulator takes: often enough to show progress, rarely enough to cost nothing."""

PATIENCE = 20_000
"""Clocks without a beat in or out, beyond what a step takes, after which a simulation counts as stuck."""


@dataclass(frozen=True, kw_only=True)
class Design:
    """One instance of module ``lstm`` on disk.

    Attributes:
        folder: that the memory files are relative to.
        parameters: integer parameters by name.
        files: memory files by parameter, relative to ``folder``.
        mapped: the sources are a netlist, which has its parameters and memory files inside.
    """

    folder: Path
    sources: tuple[Path, ...]
    parameters: Mapping[str, int]
    files: Mapping[str, str]
    mapped: bool = False


@dataclass(frozen=True, kw_only=True)
class Stimulus:
    """How the streams behave around the design; none of it may change a result.

    Attributes:
        valid_duty, ready_duty: fraction of clocks in which input is offered and output is taken.
        seed: of those, and of the registers' contents before reset.
        keep: sequences go on from the last states.
        move_states: write h0 and c0 before a job, read h and c after it.
        warmup: clocks of the first attempt at every job, which a reset of ``reset`` clocks then ends; 0 for none.
        cut_beats: beats by which the last step of the first ``cut_jobs`` jobs (None: of all) is too short.
    """

    valid_duty: float = 1.0
    ready_duty: float = 1.0
    seed: int = 0
    keep: bool = False
    move_states: bool = True
    warmup: int = 0
    reset: int = 1
    cut_beats: int = 0
    cut_jobs: int | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """Sequences that are streamed without a pause: x [steps, D] and the number of steps of each."""

    x: Codes
    lengths: tuple[int, ...]
    h0: Codes
    c0: Codes


@dataclass(frozen=True, kw_only=True, eq=False)
class JobResult:
    """What came out: y [steps, H], the last states [H], and what was seen on the way.

    Attributes:
        last: [steps] whether ``tlast`` stood at the step's end.
        cycles: clocks from the first beat in to the last beat out.
        saturated: whether a z, c or h was.
        protocol_error: whether ``tlast`` came inside a step.
    """

    y: Codes
    last: npt.NDArray[np.bool_]
    h_n: Codes
    c_n: Codes
    cycles: int
    saturated: tuple[bool, bool, bool]
    protocol_error: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Simulation:
    """What one cell returned.

    Attributes:
        y: [T, N, H] codes, zero beyond a sequence's length.
        h_n, c_n: [N, H]
        saturated: [N, 3] whether a z, c or h of a sequence was saturated.
        steps: time steps that were run, over all sequences.
        cycles: clocks that they took, from each sequence's first beat in to its last beat out.
    """

    y: Codes
    h_n: Codes
    c_n: Codes
    saturated: npt.NDArray[np.bool_]
    steps: int
    cycles: int
    parameters: Mapping[str, int] = field(default_factory=dict[str, int])


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
    progress: Progress | None = None,
) -> Simulation:
    """Stream sequences through one cell of an export and return what came out.

    Args:
        folder: written by :func:`gatesmith.hardware.export.export`.
        x: [T, N, D] codes of the cell's input, in the cell's own order of time.
        lengths: [N] valid steps of each sequence.
        h0, c0: [N, H] codes.
        cell: which of the manifest's cells.
        timeout_s: seconds after which the simulator is stopped.
        progress: told (steps done, steps in all, what is under way).

    Raises:
        ExportError: the folder is no export, or a file in it has changed.
        InputError: a shape doesn't fit the cell.
        MissingToolError: Verilator or a C++ compiler is not installed.
        ToolError: the simulator can't be built, died, got stuck or ran out of time.
    """
    return simulate_design(
        exported_design(load_export(folder), cell),
        x,
        lengths,
        h0,
        c0,
        timeout_s=timeout_s,
        stimulus=stimulus or Stimulus(),
        progress=progress,
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


def simulate_design(
    design: Design,
    x: Codes,
    lengths: npt.ArrayLike,
    h0: Codes,
    c0: Codes,
    *,
    timeout_s: float = 600.0,
    stimulus: Stimulus,
    progress: Progress | None = None,
) -> Simulation:
    """As :func:`simulate`, for a design that no export describes."""
    hidden = design.parameters["HiddenSize"]
    steps, batch, _ = x.shape
    counts = np.asarray(lengths, np.int64)
    for name, value, shape in (
        ("x", x, (steps, batch, design.parameters["InputSize"])),
        ("lengths", counts, (batch,)),
        ("h0", h0, (batch, hidden)),
        ("c0", c0, (batch, hidden)),
    ):
        if value.shape != shape:
            raise InputError(f"{name} has shape {value.shape}; the hardware expects {shape}")
    y = np.zeros((steps, batch, hidden), np.int64)
    h_n, c_n, saturated = h0.copy(), c0.copy(), np.zeros((batch, 3), np.bool_)
    # A sequence without steps never enters the hardware: its last state is the initial one.
    present = [int(index) for index in np.flatnonzero(counts)]
    total, done, cycles = int(counts.sum()), 0, 0
    for chunk in _chunks(present, counts):
        jobs = [
            Job(x=x[: counts[n], n], lengths=(int(counts[n]),), h0=h0[n], c0=c0[n])  # [length, D]
            for n in chunk
        ]
        for n, result in zip(chunk, run_jobs(design, jobs, stimulus, timeout_s=timeout_s), strict=True):
            y[: counts[n], n] = result.y
            h_n[n], c_n[n], saturated[n] = result.h_n, result.c_n, result.saturated
            cycles += result.cycles
            done += int(counts[n])
        if progress:
            progress(done, total, "time steps")
    return Simulation(
        y=y, h_n=h_n, c_n=c_n, saturated=saturated, steps=total, cycles=cycles, parameters=dict(design.parameters)
    )


def run_jobs(
    design: Design,
    jobs: Sequence[Job],
    stimulus: Stimulus | None = None,
    *,
    timeout_s: float = 600.0,
    optimise: int = 1,
    activity: Path | None = None,
) -> list[JobResult]:
    """Build the simulator if it isn't there yet, and run it on jobs.

    Args:
        activity: where to write how often every bit changed, in SAIF; None for not at all.

    Raises:
        MissingToolError: Verilator or a C++ compiler is not installed.
        ToolError: the simulator can't be built, died, got stuck or ran out of time.
    """
    stimulus = stimulus or Stimulus()
    parameters = {**PIPELINE, **design.parameters}
    # The program reads its memory files by fixed names when it starts, so that it serves any weights.
    names = {parameter: f"{parameter}.hex" for parameter in design.files}
    program = verilator.build(
        design.sources,
        top="lstm",
        parameters={} if design.mapped else {**parameters, **names},
        harness=HARNESS,
        optimise=optimise,
        activity=activity is not None,
    )
    shape = _Shape.of(parameters)
    with tempfile.TemporaryDirectory(prefix="gatesmith-") as scratch:
        for parameter, path in design.files.items():
            _copy(design.folder / path, Path(scratch, names[parameter]))
        request, response = Path(scratch, "request"), Path(scratch, "response")
        request.write_bytes(_encode(shape, parameters, jobs, stimulus).tobytes())
        _execute([str(program), str(request), str(response)], Path(scratch), timeout_s)
        words = np.fromfile(response, np.int64)
        if activity is not None:
            shutil.copyfile(Path(scratch, "activity.saif"), activity)
    if words[0]:
        raise ToolError(
            f"the simulated hardware got stuck in sequence {int(words[2])}; this is a bug, please report it"
        )
    return _decode(shape, words[2:], jobs, stimulus)


@dataclass(frozen=True, kw_only=True)
class _Shape:
    """How elements stand in beats and states in addresses."""

    inputs: int
    hidden: int
    units: int
    in_elements: int
    out_elements: int

    @classmethod
    def of(cls, parameters: Mapping[str, int]) -> "_Shape":
        return cls(
            inputs=parameters["InputSize"],
            hidden=parameters["HiddenSize"],
            units=timing(parameters).units,
            in_elements=parameters["InElements"],
            out_elements=parameters["OutElements"],
        )

    @property
    def in_beats(self) -> int:
        return -(-self.inputs // self.in_elements)

    @property
    def out_beats(self) -> int:
        return -(-self.hidden // self.out_elements)


def _encode(shape: _Shape, parameters: Mapping[str, int], jobs: Sequence[Job], stimulus: Stimulus) -> Codes:
    header = [
        len(jobs),
        shape.in_elements,
        parameters["XWidth"],
        shape.out_elements,
        parameters["HWidth"],
        shape.hidden,
        shape.units,
        (shape.units - 1).bit_length(),
        max(parameters["HWidth"], parameters["CellWidth"]),
        parameters["MemoryStages"] + 2,
        int(stimulus.keep),
        int(stimulus.move_states),
        round(stimulus.valid_duty * 256),
        round(stimulus.ready_duty * 256),
        stimulus.seed,
        PATIENCE + 10 * timing(parameters).cycles_per_step,
        stimulus.warmup,
        stimulus.reset,
    ]
    parts: list[Codes] = [np.array(header, np.int64)]
    for index, job in enumerate(jobs):
        steps, beats = len(job.x), len(job.x) * shape.in_beats
        if stimulus.cut_jobs is None or index < stimulus.cut_jobs:
            beats -= stimulus.cut_beats
        data = np.zeros((steps, shape.in_beats * shape.in_elements), np.int64)
        data[:, : shape.inputs] = job.x
        last = np.zeros(beats, np.int64)
        last[np.minimum(np.cumsum(job.lengths) * shape.in_beats, beats) - 1] = 1
        counts = np.array([beats, steps * shape.out_beats], np.int64)
        sent = data.ravel()[: beats * shape.in_elements]
        parts += [counts, job.h0.astype(np.int64), job.c0.astype(np.int64), sent, last]
    return np.concatenate(parts)


def _decode(shape: _Shape, words: Codes, jobs: Iterable[Job], stimulus: Stimulus) -> list[JobResult]:
    results: list[JobResult] = []
    at = 0

    def take(count: int) -> Codes:
        nonlocal at
        at += count
        return words[at - count : at]

    for job in jobs:
        steps = len(job.x)
        first, last_clock, flags = (int(word) for word in take(3))
        y = take(steps * shape.out_beats * shape.out_elements).reshape(steps, -1)[:, : shape.hidden]
        last = take(steps * shape.out_beats).reshape(steps, -1)
        states = take(2 * shape.hidden if stimulus.move_states else 0)
        results.append(
            JobResult(
                y=y,
                last=last[:, -1] == 1,
                h_n=states[: shape.hidden],
                c_n=states[shape.hidden :],
                cycles=last_clock - first + 1,
                saturated=(bool(flags & 4), bool(flags & 2), bool(flags & 1)),
                protocol_error=bool(flags & 8),
            )
        )
    return results


def _copy(source: Path, target: Path) -> None:
    """Verilator only warns when a memory file is missing, and simulates with garbage."""
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise ToolError(f"can't read the memory file {source}: {error.strerror}; export the design again") from None


def _execute(command: list[str], folder: Path, timeout_s: float) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise ToolError(f"the simulator was stopped after {timeout_s:g} s; allow more time or simulate less") from None
    except OSError as error:
        raise ToolError(f"the simulator can't be started: {error.strerror}") from None
    if done.returncode:
        raise ToolError(f"the simulator died with exit code {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")


def _chunks(sequences: Iterable[int], lengths: Codes) -> Iterable[list[int]]:
    chunk: list[int] = []
    steps = 0
    for n in sequences:
        chunk.append(n)
        steps += int(lengths[n])
        if steps >= CHUNK_STEPS:
            yield chunk
            chunk, steps = [], 0
    if chunk:
        yield chunk
