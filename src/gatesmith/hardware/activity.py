"""How often the bits of a design change while it runs real sequences, by part, measured under Verilator."""

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gatesmith.errors import InputError, ToolError
from gatesmith.fixed.model import CodeInputs
from gatesmith.hardware.manifest import Export, load_export
from gatesmith.hardware.runner import Job, Stimulus, run_jobs
from gatesmith.hardware.simulate import require_fitting, stack_design
from gatesmith.hardware.timing import timing
from gatesmith.hardware.verilator import ACTIVITY

NET = re.compile(r"\s*\((\S+) \(T0 \d+\).*\(TC (\d+)\)\)\s*")
INSTANCE = re.compile(r"\s*\(INSTANCE (\S+)")
PARTS = {
    "multipliers": re.compile(r"\.u_mac\..*\.(left|right)$"),
    "accumulators": re.compile(r"\.u_mac\.sums_q$"),
    "activations": re.compile(r"\.u_pointwise(\[\d+\])?\..*_q$"),
    "registers and control": re.compile(r"_q$"),
}
"""Nets of a cell whose changes stand for a part, the first pattern that fits; ``_q`` is a register. Operands count
where they enter the multipliers. The last part is every register that is in no other, pipelines and broadcasts too."""

HEAD_PARTS = {
    "multipliers": re.compile(r"\.g_lane\[\d+\]\.(weight|value)$"),
    "accumulators": re.compile(r"\.u_dense\.sums_q$"),
    "registers and control": re.compile(r"_q$"),
}
"""The same of the head."""

STREAM_PARTS = {"registers and control": re.compile(r"_q$")}
"""The same of everything around cells and head: buffers, forks, joins, the streams in and out."""

HEAD, STREAMS = "head", "streams"
OF_A_CELL = re.compile(r"\.g_layer\[(\d+)\]\.g_direction\[(\d+)\]\.u_lstm\.")
OF_THE_HEAD = re.compile(r"\.u_output\..*\.u_head\.")


@dataclass(frozen=True, kw_only=True)
class Activity:
    """What a simulation of a whole model saw in one cell, in the head, or around them, once a clock, without glitches.

    Attributes:
        steps, sequences: run through the model.
        cycles: clocks from the first beat in to the last beat out, over all sequences.
        toggles: changes of single bits, by part (the names of ``PARTS``, ``HEAD_PARTS`` or ``STREAM_PARTS``).
        bits: bits that were watched, by part.
    """

    steps: int
    sequences: int
    cycles: int
    toggles: dict[str, int]
    bits: dict[str, int]

    @property
    def cycles_per_step(self) -> float:
        return self.cycles / self.steps


def measure_activity(
    folder: str | Path, inputs: CodeInputs, *, stimulus: Stimulus | None = None, timeout_s: float = 600.0
) -> dict[str, Activity]:
    """Stream sequences through a whole export and count what changes, by cell; then of ``HEAD`` and ``STREAMS``.

    Writing h0 and c0 and reading the last states counts too: once where all sequences begin alike, else for each.

    Args:
        folder: written by :func:`gatesmith.hardware.export.export`.
        inputs: codes of x and of the first states, in order of time.
        stimulus: how the streams behave; None for no waiting.

    Raises:
        ExportError: the folder is no export, or a file in it has changed.
        InputError: no sequence has a step, or one is longer than a reverse direction can turn around.
        MissingToolError, ToolError: as :func:`gatesmith.hardware.simulate.simulate_model`.
    """
    exported, counts = load_export(folder), np.asarray(inputs.lengths, np.int64)
    require_fitting(exported, inputs, stimulus)
    present = [int(n) for n in np.flatnonzero(counts)]
    if not present:
        raise InputError("every sequence has length 0; expected sequences to measure activity on")
    jobs = [
        Job(x=inputs.x[: counts[n], n], lengths=(int(counts[n]),), h0=inputs.h0[:, n], c0=inputs.c0[:, n])
        for n in present
    ]
    if all((states == states[:, :1]).all() for states in (inputs.h0, inputs.c0)):
        # Then states move once, and sequences follow without a pause.
        every, lengths = np.concatenate([job.x for job in jobs]), tuple(int(counts[n]) for n in present)
        jobs = [Job(x=every, lengths=lengths, h0=jobs[0].h0, c0=jobs[0].c0)]
    with tempfile.TemporaryDirectory(prefix="gatesmith-") as scratch:
        design = stack_design(exported)
        # A simulator that records is compiled for longer than it runs.
        results = run_jobs(
            design, jobs, stimulus, timeout_s=timeout_s, optimise=0, probe=ACTIVITY, record=Path(scratch)
        )
        found = _count(Path(scratch, *ACTIVITY.files), exported)
    cycles = sum(result.cycles for result in results)
    return {
        name: Activity(steps=int(counts.sum()), sequences=len(present), cycles=cycles, toggles=toggles, bits=bits)
        for name, (toggles, bits) in found.items()
    }


def evaluations_per_step(parameters: dict[str, int]) -> float:
    """How many values each register of the pointwise pipeline takes in one step."""
    return -(-parameters["HiddenSize"] // timing(parameters).units)


def _count(report: Path, exported: Export) -> dict[str, tuple[dict[str, int], dict[str, int]]]:
    """(changes, bits) by part, of every cell, the head if there is one, and the streams if they have registers."""
    directions = exported.spec.num_directions
    parts = {cell.name: PARTS for cell in exported.cells} | {HEAD: HEAD_PARTS, STREAMS: STREAM_PARTS}
    found = {owner: (dict.fromkeys(own, 0), dict.fromkeys(own, 0)) for owner, own in parts.items()}
    for net, changes in read_nets(report):
        name = re.sub(r"\[\d+\]$", "", net)
        in_cell = OF_A_CELL.search(name)
        owner = HEAD if OF_THE_HEAD.search(name) else STREAMS
        if in_cell:
            owner = exported.cells[int(in_cell[1]) * directions + int(in_cell[2])].name
        for part, pattern in parts[owner].items():
            if pattern.search(name):
                toggles, bits = found[owner]
                toggles[part] += changes
                bits[part] += 1
                break
    for owner, own in ((STREAMS, found[STREAMS]), (HEAD, found[HEAD])):
        if not any(own[1].values()):
            del found[owner]
    for owner, (_, bits) in found.items():
        for part in (part for part, count in bits.items() if not count):
            raise ToolError(f"no net of {owner} belongs to its {part}; this is a bug, please report it")
    return found


def read_nets(report: Path) -> Iterator[tuple[str, int]]:
    """(path of the net with the bit's index, changes) of every bit in a SAIF file."""
    path: list[tuple[str, int]] = []
    depth = 0
    with report.open(encoding="ascii", errors="replace") as lines:
        for line in lines:
            net = NET.fullmatch(line)
            if net:
                name = net[1].replace("\\", "")
                yield ".".join([*(instance for instance, _ in path), name]), int(net[2])
                continue
            instance = INSTANCE.match(line)
            if instance:
                path.append((instance[1].replace("\\", ""), depth))
            depth += line.count("(") - line.count(")")
            while path and depth <= path[-1][1]:
                path.pop()
