"""Builds a design's simulator and runs jobs on it: integer codes in, integer codes out, streams that may hesitate."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Literal, cast

import numpy as np
import numpy.typing as npt

from gatesmith.errors import ToolError
from gatesmith.fixed.qformat import Codes
from gatesmith.hardware import cxxrtl, verilator
from gatesmith.hardware.timing import PIPELINE, cell_output_size, timing
from gatesmith.hardware.verilator import Parameter, Probe

Simulator = Literal["verilator", "cxxrtl"]

HARNESS = Path(__file__).with_name("harness.cpp")
PATIENCE = 20_000
"""Clocks without a beat in or out, beyond what steps on their way take, after which a simulation counts as stuck."""


@dataclass(frozen=True, kw_only=True)
class Design:
    """One instance of module ``lstm``, or of ``lstm_stack``, on disk.

    Attributes:
        folder: that the memory files are relative to.
        parameters: integer parameters by name; a tuple stands for a vector of 32-bit fields, the first lowest.
        files: memory files by parameter, relative to ``folder``; of ``lstm_stack`` by the names that it gives them.
        mapped: the sources are a netlist, which has its parameters and memory files inside.
        cells: of ``lstm_stack``, the parameters of each ``lstm``; empty where the design is one.
    """

    folder: Path
    sources: tuple[Path, ...]
    parameters: Mapping[str, Parameter]
    files: Mapping[str, str]
    mapped: bool = False
    cells: tuple[Mapping[str, int], ...] = ()

    @property
    def top(self) -> str:
        """The module."""
        return "lstm_stack" if self.cells else "lstm"

    @property
    def file_names(self) -> dict[str, str]:
        """Where tools find the memory files in their working folder, by the keys of ``files``."""
        return {key: key if self.cells else f"{key}.hex" for key in self.files}


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
    """Sequences that are streamed without a pause: x [steps, D], the number of steps of each, and states.

    h0 is [R] and c0 [H] for ``lstm``, [cells, R] and [cells, H] for ``lstm_stack``, with an axis of contexts before
    where there are several.

    Attributes:
        order: of which sequence every step of x is; empty where they follow each other.
        contexts: in which context every sequence is; empty where all are in the first.
    """

    x: Codes
    lengths: tuple[int, ...]
    h0: Codes
    c0: Codes
    order: tuple[int, ...] = ()
    contexts: tuple[int, ...] = ()

    def steps(self) -> tuple[Codes, npt.NDArray[np.bool_]]:
        """([steps] whose context each step is of, [steps] whether it ends a sequence)."""
        order = np.array(self.order or np.repeat(np.arange(len(self.lengths)), self.lengths), np.int64)
        context = np.array(self.contexts or [0] * len(self.lengths), np.int64)
        ends = np.zeros(len(order), np.bool_)
        ends[len(order) - 1 - np.unique(order[::-1], return_index=True)[1]] = True
        return context[order], ends


@dataclass(frozen=True, kw_only=True, eq=False)
class JobResult:
    """What came out: y [steps out, features], the last states in the job's shape, and what was seen on the way.

    Attributes:
        last: [steps out] whether ``tlast`` stood at the step's end.
        contexts: [steps out] ``tid`` of the step.
        cycles: clocks from the first beat in to the last beat out.
        saturated: whether a z, c or h was, for every cell.
        protocol_error: whether ``tlast`` came inside a step.
        overflow: whether a sequence was longer than a reverse direction can turn around.
        head_saturated: whether a score was.
    """

    y: Codes
    last: npt.NDArray[np.bool_]
    contexts: Codes
    h_n: Codes
    c_n: Codes
    cycles: int
    saturated: tuple[bool, ...]
    protocol_error: bool
    overflow: bool = False
    head_saturated: bool = False


def run_jobs(
    design: Design,
    jobs: Sequence[Job],
    stimulus: Stimulus | None = None,
    *,
    timeout_s: float = 600.0,
    optimise: int = 1,
    simulator: Simulator = "verilator",
    probe: Probe | None = None,
    record: Path | None = None,
) -> list[JobResult]:
    """Build the simulator if it isn't there yet, and run it on jobs.

    Args:
        simulator: ``cxxrtl`` for the second one, which records nothing.
        probe: what to record beside the results, and ``record``, the folder to write its files to.

    Raises:
        MissingToolError: Verilator or a C++ compiler is not installed.
        ToolError: the simulator can't be built, died, got stuck or ran out of time.
    """
    stimulus = stimulus or Stimulus()
    shape = _Shape.of(design)
    # The program reads its memory files by fixed names when it starts, so that it serves any weights.
    names = design.file_names
    texts = names if design.top == "lstm" else {}
    parameters = {} if design.mapped else {**PIPELINE, **design.parameters, **texts}
    if simulator == "cxxrtl":
        memories = {names[key]: design.folder / path for key, path in design.files.items()}
        program = cxxrtl.build(
            design.sources, top=design.top, parameters=parameters, harness=HARNESS, memories=memories, optimise=optimise
        )
    else:
        program = verilator.build(
            design.sources, top=design.top, parameters=parameters, harness=HARNESS, optimise=optimise, probe=probe
        )
    with tempfile.TemporaryDirectory(prefix="gatesmith-") as scratch:
        for parameter, path in design.files.items():
            target = Path(scratch, names[parameter])
            target.parent.mkdir(exist_ok=True)
            _copy(design.folder / path, target)
        request, response = Path(scratch, "request"), Path(scratch, "response")
        request.write_bytes(_encode(shape, jobs, stimulus).tobytes())
        _execute([str(program), str(request), str(response)], Path(scratch), timeout_s)
        words = np.fromfile(response, np.int64)
        if probe and record:
            for file in probe.files:
                shutil.copyfile(Path(scratch, file), record / file)
    if words[0]:
        raise ToolError(
            f"the simulated hardware got stuck in sequence {int(words[2])}; this is a bug, please report it"
        )
    return _decode(shape, words[2:], jobs, stimulus)


@dataclass(frozen=True, kw_only=True)
class _Shape:
    """How elements stand in beats, states in addresses, and steps in time."""

    inputs: int
    outputs: int
    in_elements: int
    in_width: int
    out_elements: int
    out_width: int
    contexts: int
    cells: int
    recurrent: int  # elements of a cell's h, or of its projection
    hidden: int
    units: int
    state_width: int
    read_latency: int
    cycles_per_round: int
    max_steps: int  # of a sequence, 0 for no limit
    last_only: bool

    @classmethod
    def of(cls, design: Design) -> "_Shape":
        top = {**PIPELINE, **design.parameters}
        cells = [{**PIPELINE, **cell} for cell in design.cells or (cast("Mapping[str, int]", design.parameters),)]
        first, last = cells[0], cells[-1]
        direction = _integer(top.get("Direction", 0))
        stacked = len(cells) > 1 or direction or _integer(top.get("LastOnly", 0)) or _integer(top.get("Head", 0))
        widest = max(max(_y_width(cell), cell["CellWidth"]) for cell in cells)
        return cls(
            inputs=first["InputSize"],
            outputs=_outputs(top, last, both=direction == 2),
            in_elements=first["InElements"],
            in_width=first["XWidth"],
            out_elements=last["OutElements"],
            out_width=_output_width(top, last),
            contexts=_integer(top.get("Contexts", 1)),
            cells=len(cells),
            recurrent=cell_output_size(first),
            hidden=first["HiddenSize"],
            units=timing(first).units,
            state_width=32 if design.cells else widest,
            read_latency=first["MemoryStages"] + (3 if stacked else 2),
            cycles_per_round=max(ceil(timing(cell).cycles_per_round) for cell in cells),
            max_steps=_integer(top["MaxSteps"]) if direction else 0,
            last_only=bool(top.get("LastOnly", 0)),
        )

    @property
    def owners(self) -> int:
        """How often there is an h and a c."""
        return self.contexts * self.cells

    @property
    def in_beats(self) -> int:
        return -(-self.inputs // self.in_elements)

    @property
    def out_beats(self) -> int:
        return -(-self.outputs // self.out_elements)

    def steps_out(self, job: Job) -> int:
        """Steps that come out: a sequence beyond the limit is cut."""
        if self.last_only:
            return len(job.lengths)
        return sum(min(length, self.max_steps or length) for length in job.lengths)

    def patience(self, jobs: Sequence[Job]) -> int:
        """Clocks without a beat that need not worry anybody: whole sequences may be on their way in every cell."""
        longest = max((length for job in jobs for length in job.lengths), default=0)
        held = 4 * self.cells * min(longest, self.max_steps or longest)
        return PATIENCE + (10 + held) * self.cycles_per_round


def _outputs(top: Mapping[str, Parameter], last: Mapping[str, int], *, both: bool) -> int:
    """Elements of one step out: h of the last layer, scores, or a class."""
    features = cell_output_size(last) * (2 if both else 1)
    return (features, _integer(top.get("Classes", 0)), 1)[_integer(top.get("Head", 0))]


def _output_width(top: Mapping[str, Parameter], last: Mapping[str, int]) -> int:
    classes = _integer(top.get("Classes", 1))
    class_width = max(1, (classes - 1).bit_length()) + 1
    return (_y_width(last), _integer(top.get("ScoreWidth", 0)), class_width)[_integer(top.get("Head", 0))]


def _y_width(cell: Mapping[str, int]) -> int:
    """Bits of an element that leaves ``lstm``: of h, or of its projection."""
    return cell["ProjWidth"] if cell.get("ProjSize", 0) else cell["HWidth"]


def _integer(value: Parameter) -> int:
    return value if isinstance(value, int) else value[0]


def _encode(shape: _Shape, jobs: Sequence[Job], stimulus: Stimulus) -> Codes:
    header = [
        len(jobs),
        shape.in_elements,
        shape.in_width,
        shape.out_elements,
        shape.out_width,
        shape.contexts,
        shape.cells,
        shape.recurrent,
        shape.hidden,
        shape.units,
        (shape.units - 1).bit_length(),
        shape.state_width,
        shape.read_latency,
        int(stimulus.keep),
        int(stimulus.move_states),
        round(stimulus.valid_duty * 256),
        round(stimulus.ready_duty * 256),
        stimulus.seed,
        shape.patience(jobs),
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
        context, ends = job.steps()
        last = np.zeros(beats, np.int64)
        last[np.minimum((np.flatnonzero(ends) + 1) * shape.in_beats, beats) - 1] = 1
        ids = np.repeat(context, shape.in_beats)[:beats]
        counts = np.array([beats, shape.steps_out(job) * shape.out_beats], np.int64)
        states = np.concatenate([job.h0.reshape(shape.owners, -1), job.c0.reshape(shape.owners, -1)], axis=1)
        sent = data.ravel()[: beats * shape.in_elements]
        parts += [counts, states.astype(np.int64).ravel(), sent, last, ids]
    return np.concatenate(parts)


def _decode(shape: _Shape, words: Codes, jobs: Iterable[Job], stimulus: Stimulus) -> list[JobResult]:
    results: list[JobResult] = []
    at = 0

    def take(count: int) -> Codes:
        nonlocal at
        at += count
        return words[at - count : at]

    for job in jobs:
        steps = shape.steps_out(job)
        first, last_clock, flags = (int(word) for word in take(3))
        y = take(steps * shape.out_beats * shape.out_elements).reshape(steps, -1)[:, : shape.outputs]
        last = take(steps * shape.out_beats).reshape(steps, -1)
        ids = take(steps * shape.out_beats).reshape(steps, -1)
        h_n, c_n = job.h0[..., :0], job.c0[..., :0]
        if stimulus.move_states:
            states = take(shape.owners * (shape.recurrent + shape.hidden)).reshape(shape.owners, -1)
            h_n, c_n = np.split(states, [shape.recurrent], axis=1)
            h_n, c_n = h_n.reshape(job.h0.shape), c_n.reshape(job.c0.shape)
        results.append(
            JobResult(
                y=y,
                last=last[:, -1] == 1,
                contexts=ids[:, 0] if (ids == ids[:, :1]).all() else np.full(steps, -1),
                h_n=h_n,
                c_n=c_n,
                cycles=last_clock - first + 1,
                saturated=tuple(bool(flags >> (3 * at + bit) & 1) for at in range(shape.cells) for bit in (2, 1, 0)),
                protocol_error=bool(flags >> 60 & 1),
                overflow=bool(flags >> 61 & 1),
                head_saturated=bool(flags >> 62 & 1),
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
