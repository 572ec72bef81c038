"""The words that a simulator's program (harness.cpp) reads, and those that it writes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import cast

import numpy as np

from gatesmith.errors import ToolError
from gatesmith.fixed.qformat import Codes
from gatesmith.hardware.jobs import Design, Job, JobResult, Stimulus
from gatesmith.hardware.timing import PIPELINE, cell_output_size, timing
from gatesmith.hardware.verilator import Parameter

PATIENCE = 20_000
"""Clocks without a beat in or out, beyond what steps on their way take, after which a simulation counts as stuck."""


@dataclass(frozen=True, kw_only=True)
class Shape:
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
    def of(cls, design: Design) -> "Shape":
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


def encode(shape: Shape, jobs: Sequence[Job], stimulus: Stimulus) -> Codes:
    """The words of a request, in the order in which the harness reads them."""
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


def decode(shape: Shape, words: Codes, jobs: Sequence[Job], stimulus: Stimulus) -> list[JobResult]:
    """What the words of a response tell of the jobs that were asked for.

    Raises:
        ToolError: a sequence got stuck.
    """
    if words[0]:
        raise ToolError(
            f"the simulated hardware got stuck in job {int(words[-1])} of {len(jobs)}; this is a bug, please report it"
        )
    results: list[JobResult] = []
    at = 2

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
                contexts=np.where((ids == ids[:, :1]).all(axis=1), ids[:, 0], -1),
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
