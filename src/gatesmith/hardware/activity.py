"""How often the bits of a design change while it runs real sequences, by part, measured under Verilator."""

import re
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from gatesmith.errors import InputError, ToolError
from gatesmith.fixed.model import CodeInputs
from gatesmith.hardware.jobs import Job, Stimulus
from gatesmith.hardware.manifest import Export, load_export
from gatesmith.hardware.runner import run_jobs
from gatesmith.hardware.simulate import require_fitting, stack_design
from gatesmith.hardware.timing import timing
from gatesmith.hardware.verilator import ACTIVITY

NET = re.compile(r"\s*\((\S+) \(T0 \d+\) \(T1 (\d+)\).*\(TC (\d+)\)\)\s*")
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

MEMORIES = {
    "projection memory": re.compile(r"\.u_projection\."),
    "weight memory": re.compile(r"\.u_mac\.u_weights$"),
    "sum memory": re.compile(r"\.u_(mac|gather)\."),
    "bias memory": re.compile(r"\.u_(bias|weights)$"),
    "activation tables": re.compile(r"\.u_table$"),
    "state memory": re.compile(r"\.u_(x|h|cells|cells_early)$"),
    "output memory": re.compile(r"\.u_output\."),
}
"""Memories of a cell by part, the first pattern that fits; peephole weights count as biases."""

HEAD_MEMORIES = {
    "weight memory": re.compile(r"\.u_weights$"),
    "bias memory": re.compile(r"\.u_bias$"),
    "sum memory": re.compile(r"\.u_dense\."),
}
STREAM_MEMORIES = {"buffer memory": re.compile("")}

PORT = re.compile(r"(.*\.u_\w+)\.(read|write_i|data_o|read_data_o|address_i|read_address_i)(?:\[\d+\])?")
"""A net of a memory (modules ``rom`` and ``ram``), which is what has a net ``read``."""

HEAD, STREAMS = "head", "streams"
NEVER_REST = "MEMORIES_NEVER_REST"
"""A macro of the sources, for comparison alone."""

OF_A_CELL = re.compile(r"\.g_layer\[(\d+)\]\.g_direction\[(\d+)\]\.u_lstm\.")
OF_THE_HEAD = re.compile(r"\.u_output\..*\.u_head\.")


@dataclass(frozen=True, kw_only=True)
class Memory:
    """A memory, and the clocks of a simulation in which it was read and written."""

    width: int
    words: int
    reads: int
    writes: int


@dataclass(frozen=True, kw_only=True)
class Activity:
    """What a simulation of a whole model saw in one cell, in the head, or around them, once a clock, without glitches.

    Attributes:
        steps, sequences: run through the model.
        cycles: clocks from the first beat in to the last beat out, over all sequences.
        toggles: changes of single bits, by part (the names of ``PARTS``, ``HEAD_PARTS`` or ``STREAM_PARTS``).
        bits: bits that were watched, by part.
        memories: by part (the names of ``MEMORIES``, ``HEAD_MEMORIES`` or ``STREAM_MEMORIES``).
    """

    steps: int
    sequences: int
    cycles: int
    toggles: dict[str, int]
    bits: dict[str, int]
    memories: dict[str, tuple[Memory, ...]] = field(default_factory=dict[str, tuple[Memory, ...]])

    @property
    def cycles_per_step(self) -> float:
        return self.cycles / self.steps


def measure_activity(
    folder: str | Path,
    inputs: CodeInputs,
    *,
    stimulus: Stimulus | None = None,
    memories_rest: bool = True,
    timeout_s: float = 600.0,
) -> dict[str, Activity]:
    """Stream sequences through a whole export and count what changes, by cell; then of ``HEAD`` and ``STREAMS``.

    Writing h0 and c0 and reading the last states counts too: once where all sequences begin alike, else for each.

    Args:
        folder: written by :func:`gatesmith.hardware.export.export`.
        inputs: codes of x and of the first states, in order of time.
        stimulus: how the streams behave; None for no waiting.
        memories_rest: False for what would be without read enables: every memory reads in every clock.

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
        probe = ACTIVITY if memories_rest else replace(ACTIVITY, flags=(*ACTIVITY.flags, f"-D{NEVER_REST}"))
        results = run_jobs(design, jobs, stimulus, timeout_s=timeout_s, optimise=0, probe=probe, record=Path(scratch))
        found = _count(Path(scratch, *ACTIVITY.files), exported)
    cycles = sum(result.cycles for result in results)
    return {
        name: Activity(
            steps=int(counts.sum()),
            sequences=len(present),
            cycles=cycles,
            toggles=of.toggles,
            bits=of.bits,
            memories=of.memories(),
        )
        for name, of in found.items()
    }


def evaluations_per_step(parameters: dict[str, int]) -> float:
    """How many values each register of the pointwise pipeline takes in one time step, of all cells of its engine."""
    return parameters["WeightSets"] * -(-parameters["HiddenSize"] // timing(parameters).units)


class _Owner:
    """A cell, the head, or the streams, while nets are sorted into their parts."""

    def __init__(self, parts: Mapping[str, re.Pattern[str]], memories: Mapping[str, re.Pattern[str]]) -> None:
        self._parts, self._memories = parts, memories
        self.toggles, self.bits = dict.fromkeys(parts, 0), dict.fromkeys(parts, 0)
        self._ports: dict[str, Counter[str]] = defaultdict(Counter)  # of everything that may be a memory

    def take(self, net: str, high: int, changes: int) -> None:
        """A bit: clocks in which it was high, and how often it changed."""
        port = PORT.fullmatch(net)
        if port:
            self._ports[port[1]][port[2]] += high if port[2] in ("read", "write_i") else 1
        name = re.sub(r"\[\d+\]$", "", net)
        part = next((part for part, pattern in self._parts.items() if pattern.search(name)), None)
        if part:
            self.toggles[part] += changes
            self.bits[part] += 1

    def memories(self) -> dict[str, tuple[Memory, ...]]:
        """Those that were found, by part."""
        found: dict[str, list[Memory]] = defaultdict(list)
        for path, ports in self._ports.items():
            part = next((part for part, pattern in self._memories.items() if pattern.search(path)), None)
            if part and "read" in ports:
                memory = Memory(
                    width=ports["data_o"] + ports["read_data_o"],
                    words=2 ** (ports["address_i"] + ports["read_address_i"]),
                    reads=ports["read"],
                    writes=ports["write_i"],
                )
                found[part].append(memory)
        return {part: tuple(memories) for part, memories in found.items()}


def _count(report: Path, exported: Export) -> dict[str, _Owner]:
    """What every cell did, the head if there is one, and the streams if they have registers."""
    directions = exported.spec.num_directions
    found = {engine: _Owner(PARTS, MEMORIES) for engine in exported.engines}
    found |= {HEAD: _Owner(HEAD_PARTS, HEAD_MEMORIES), STREAMS: _Owner(STREAM_PARTS, STREAM_MEMORIES)}
    for net, high, changes in read_nets(report):
        in_cell = OF_A_CELL.search(net)
        owner = HEAD if OF_THE_HEAD.search(net) else STREAMS
        if in_cell:
            owner = exported.cells[int(in_cell[1]) * directions + int(in_cell[2])].engine
        found[owner].take(net, high, changes)
    for owner in (STREAMS, HEAD):
        if not any(found[owner].bits.values()):
            del found[owner]
    for owner, of in found.items():
        for part in (part for part, count in of.bits.items() if not count):
            raise ToolError(f"no net of {owner} belongs to its {part}; this is a bug, please report it")
    return found


def read_nets(report: Path) -> Iterator[tuple[str, int, int]]:
    """(path of the net with the bit's index, clocks in which it was high, changes) of every bit in a SAIF file."""
    path: list[tuple[str, int]] = []
    depth = 0
    with report.open(encoding="ascii", errors="replace") as lines:
        for line in lines:
            net = NET.fullmatch(line)
            if net:
                name = net[1].replace("\\", "")
                yield ".".join([*(instance for instance, _ in path), name]), int(net[2]), int(net[3])
                continue
            instance = INSTANCE.match(line)
            if instance:
                path.append((instance[1].replace("\\", ""), depth))
            depth += line.count("(") - line.count(")")
            while path and depth <= path[-1][1]:
                path.pop()
