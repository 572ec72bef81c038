"""How often the bits of a design change while it runs real sequences, by part, measured under Verilator."""

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gatesmith.errors import InputError, ToolError
from gatesmith.fixed.qformat import Codes
from gatesmith.hardware.manifest import load_export
from gatesmith.hardware.runner import Job, Stimulus, run_jobs
from gatesmith.hardware.simulate import exported_design
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
"""Nets whose changes stand for a part, the first pattern that fits; ``_q`` is a register. Operands are counted where
they enter the multipliers. The last part is every register that is in no other, pipelines and broadcasts too."""


@dataclass(frozen=True, kw_only=True)
class Activity:
    """What a simulation of one cell saw, once a clock, glitches not included.

    Attributes:
        steps: time steps run.
        cycles: clocks from the first beat in to the last beat out, over all sequences.
        toggles: changes of single bits, by part (the names of ``PARTS``).
        bits: bits that were watched, by part.
    """

    steps: int
    cycles: int
    toggles: dict[str, int]
    bits: dict[str, int]

    @property
    def cycles_per_step(self) -> float:
        return self.cycles / self.steps


def measure_activity(
    folder: str | Path,
    x: Codes,
    lengths: npt.ArrayLike,
    h0: Codes,
    c0: Codes,
    *,
    cell: int = 0,
    timeout_s: float = 600.0,
) -> Activity:
    """Stream sequences through one cell of an export and count what changes. Arguments as for ``simulate``.

    Writing h0 and c0 and reading the last states counts too: once where all sequences begin alike, else for each.

    Raises:
        ExportError: the folder is no export, or a file in it has changed.
        InputError: no sequence has a step.
        MissingToolError, ToolError: as :func:`gatesmith.hardware.simulate.simulate`.
    """
    design = exported_design(load_export(folder), cell)
    counts = np.asarray(lengths, np.int64)
    present = [int(n) for n in np.flatnonzero(counts)]
    if not present:
        raise InputError("every sequence has length 0; expected sequences to measure activity on")
    jobs = [Job(x=x[: counts[n], n], lengths=(int(counts[n]),), h0=h0[n], c0=c0[n]) for n in present]
    if (h0 == h0[:1]).all() and (c0 == c0[:1]).all():  # then states move once, and sequences follow without a pause
        every = np.concatenate([job.x for job in jobs])
        jobs = [Job(x=every, lengths=tuple(int(counts[n]) for n in present), h0=h0[0], c0=c0[0])]
    with tempfile.TemporaryDirectory(prefix="gatesmith-") as scratch:
        report = Path(scratch, "activity.saif")
        results = run_jobs(design, jobs, Stimulus(), timeout_s=timeout_s, probe=ACTIVITY, record=report)
        toggles, bits = _count(report)
    return Activity(
        steps=int(counts.sum()), cycles=sum(result.cycles for result in results), toggles=toggles, bits=bits
    )


def evaluations_per_step(parameters: dict[str, int]) -> float:
    """How many values each register of the pointwise pipeline takes in one step."""
    return -(-parameters["HiddenSize"] // timing(parameters).units)


def _count(report: Path) -> tuple[dict[str, int], dict[str, int]]:
    toggles, bits = dict.fromkeys(PARTS, 0), dict.fromkeys(PARTS, 0)
    for name, changes in _nets(report):
        for part, pattern in PARTS.items():
            if pattern.search(name):
                toggles[part] += changes
                bits[part] += 1
                break
    empty = [part for part, count in bits.items() if not count]
    if empty:
        raise ToolError(f"no net of the design belongs to its {empty[0]}; this is a bug, please report it")
    return toggles, bits


def _nets(report: Path) -> Iterator[tuple[str, int]]:
    """(path of the net, changes) of every bit in a SAIF file, without the bit's index."""
    path: list[tuple[str, int]] = []
    depth = 0
    with report.open(encoding="ascii", errors="replace") as lines:
        for line in lines:
            net = NET.fullmatch(line)
            if net:
                name = net[1].replace("\\", "").split("[")[0]
                yield ".".join([*(instance for instance, _ in path), name]), int(net[2])
                continue
            instance = INSTANCE.match(line)
            if instance:
                path.append((instance[1].replace("\\", ""), depth))
            depth += line.count("(") - line.count(")")
            while path and depth <= path[-1][1]:
                path.pop()
