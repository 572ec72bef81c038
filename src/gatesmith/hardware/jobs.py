"""What is asked of a simulated design and what it answers: integer codes in, integer codes out."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gatesmith.fixed.qformat import Codes
from gatesmith.hardware.verilator import Parameter


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
        contexts: [steps out] ``tid`` of the step; -1 where its beats don't agree.
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
