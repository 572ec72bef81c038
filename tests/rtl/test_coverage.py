"""The stress vectors reach the RTL's lines and toggle its bits: at least 95 %, exceptions named with their reasons.

An exception holds for points that nothing reached; where one is reached, it counts.

The table: ``python -m pytest -m nightly -s tests/rtl/test_coverage.py``
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
from tests.fixed.plans import RAILS, RANDOM
from tests.rtl.bench import DEEP, MIDDLE, SHALLOW, bench, plain_plan
from tests.rtl.test_lstm_axi import simulated
from tests.rtl.test_lstm_projection import projected
from tests.rtl.test_lstm_stack import plain_plans, stack_bench

from gatesmith.errors import ToolError
from gatesmith.fixed.cell import CellPlan
from gatesmith.fixed.linear import LinearPlan
from gatesmith.fixed.plan import Plan
from gatesmith.hardware.coverage import (
    TOGGLE,
    Exemption,
    Point,
    by_module,
    markdown,
    merge,
    missed,
    modules_of,
    read_coverage,
    read_toggles,
)
from gatesmith.hardware.export import source_files
from gatesmith.hardware.jobs import Design, Job, Stimulus
from gatesmith.hardware.options import PIPELINES, Options
from gatesmith.hardware.runner import run_jobs
from gatesmith.hardware.verilator import COVERAGE
from gatesmith.spec import LSTMSpec

LEAST = 0.95
Counts = Mapping[Point, int]

EXEMPTIONS = (
    Exemption(module=".*", what="clk", reason="activity is sampled once a clock, always after its rise"),
    Exemption(module=".*", what=".*unnamedblk.*", reason="variables of loops, which are no hardware"),
    Exemption(
        module=".*",
        what=r"(.*\.)?unused_.*",
        reason="read so that lint is content; some parameters leave it without use",
    ),
    Exemption(module=".*", what="keep_i", reason="stands still in each simulation; both values are simulated"),
    Exemption(
        module="lstm.*|rom|dense.*|stack_.*|preactivation",
        what=r"(.*\.)?((weight|bias|head|peephole)_.*|write_.*)",
        reason="the host's way to writable weights, which cocotb drives through lstm_axi, not these vectors",
    ),
    Exemption(module="delay|ram|rom|queue", what="rst|read|move", reason="tied to a constant wherever it has no use"),
    Exemption(
        module="lstm_axi|lstm_host|lstm_registers",
        what="constants?(_.*)?|words(_.*)?|pieces(_.*)?|memory_(words|pieces)",
        reason="parameters that the bus can read: wires that never change",
    ),
    Exemption(
        module="lstm_axi|lstm_host|lstm_registers",
        what="cycles_.*_q|sequences_q|steps_q|word_q|piece_q|place_q|host_weight_address",
        reason="high bits of counters and addresses of 32 bits; the small design reaches the low ones",
    ),
    Exemption(module="lstm_axi", what="s_axil_a[rw]prot", reason="AXI4-Lite has them, the design ignores them"),
)

RECORD = (
    "C '\1f\2rtl/{module}.sv\1l\2{line}\1n\0022\1t\2x\1page\2v_{kind}/{module}__pi1\1o\2{what}\1h\2top.a' {count}\n"
)


def record(module: str, kind: str, what: str, count: int, line: int = 1) -> str:
    return RECORD.format(module=module, kind=kind, what=what, count=count, line=line)


def test_points_of_all_instances_are_one(tmp_path: Path) -> None:
    file = tmp_path / "coverage.dat"
    file.write_text(
        "# SystemC::Coverage-3\n"
        + record("ram", "toggle", "data_q[3]", 0)
        + record("ram", "toggle", "data_q[3]", 2)
        + record("ram", "toggle", "unused_read", 0, 4)
        + record("ram", "branch", "if", 0, 5)
        + record("queue", "line", "block", 7)
    )
    points = read_coverage(file)
    assert points[Point(module="ram", kind="toggle", line=1, column=2, what="data_q[3]")] == 2
    queue, ram = by_module(points, EXEMPTIONS)
    assert (queue.lines, queue.lines_hit, queue.toggles) == (1, 1, 0)
    assert (ram.lines, ram.lines_hit, ram.toggles, ram.toggles_hit, ram.exempt) == (1, 0, 1, 1, 1)
    assert [point.what for point in missed(points, EXEMPTIONS)] == ["if"]
    twice = merge([points, points])
    assert sum(twice.values()) == 2 * sum(points.values())
    assert "| all | 1 of 2, 50.0 % | 1 of 1, 100.0 % | 1 |" in markdown([queue, ram])


def test_another_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "coverage.dat"
    file.write_text("nonsense\n")
    with pytest.raises(ToolError, match="nonsense.*coverage file of Verilator"):
        read_coverage(file)


# Each for what only some have: rows one by one, windows that wrap, whole columns and several side by side, beats of
# several elements, block RAM, gates that see c, clips, projections.
SEEING = replace(plain_plan(3, 5), p_width=8, p_frac=6, peepholes="ifo", c_clip=9000)
PROJECTED = replace(SEEING, projection=replace(projected(3, 5, 2).projection, y_clip=6000))  # type: ignore[type-var]
ENGINES: list[tuple[CellPlan, int, dict[str, int]]] = [
    (plain_plan(1, 9), 4, DEEP),
    (plain_plan(3, 5), 7, DEEP),
    (plain_plan(2, 5), 1, MIDDLE),
    (plain_plan(3, 5), 60, {**MIDDLE, "InElements": 3, "OutElements": 3}),
    (plain_plan(1, 1), 1, SHALLOW),
    (PROJECTED, 7, DEEP),
    (replace(SEEING, peepholes="o", c_clip=0, z_clip=4096), 20, SHALLOW),
]
STREAMS = (
    Stimulus(),
    Stimulus(valid_duty=0.1, ready_duty=1.0, seed=1),
    Stimulus(valid_duty=1.0, ready_duty=0.1, seed=2, keep=True),
    Stimulus(warmup=150, reset=20, seed=3),
)
SHORT = Stimulus(cut_beats=1, seed=4)


def engine_runs(cell: CellPlan, multipliers: int, pipeline: dict[str, int], folder: Path) -> Iterator[Counts]:
    """A single engine under streams that hesitate, resets, rails, broken and back-to-back sequences."""
    for kind in (RANDOM, RAILS):
        with bench(cell, multipliers, pipeline, kind=kind) as b:
            jobs = [b.sequences([1, 9, 1], kind), b.sequence(30, kind), b.sequences([4] * 6, kind)]
            streams = (*STREAMS, SHORT) if cell.input_size > pipeline.get("InElements", 1) else STREAMS
            yield from covered(b.design, jobs, streams, folder)


TURNING: list[tuple[CellPlan, int, dict[str, int], int]] = [
    (plain_plan(3, 5), 7, DEEP, 4),
    (plain_plan(1, 2), 30, {**SHALLOW, "OutElements": 2}, 16),
]


def turn_runs(
    cell: CellPlan, multipliers: int, pipeline: dict[str, int], contexts: int, folder: Path
) -> Iterator[Counts]:
    """An engine in which sequences take turns, in turn and in any order."""
    for kind in (RANDOM, RAILS):
        with bench(cell, multipliers, pipeline, kind=kind, contexts=contexts) as b:
            lengths = [[4, 1, 2] if context % 2 else [5] for context in range(contexts)]
            jobs = [b.turns(lengths, kind), b.turns(lengths, kind, shuffled=True)]
            yield from covered(b.design, jobs, STREAMS, folder)


def head_plan(spec: LSTMSpec, classes: int) -> Plan:
    """A model with a linear head."""
    plan = plain_plans(spec)
    return replace(plan, head=replace(HEAD, input_size=spec.hidden_size * spec.num_directions, output_size=classes))


HEAD = LinearPlan(
    input_size=4, output_size=3, x_width=16, x_frac=15, w_width=8, w_frac=6, b_width=22, y_width=12, y_frac=9
)
BOTH, REVERSE, DEEPER, STACKED = (
    LSTMSpec(3, 4, num_layers=2, direction="bidirectional"),
    LSTMSpec(1, 2, direction="reverse"),
    LSTMSpec(3, 4, num_layers=3),
    LSTMSpec(2, 3, num_layers=2),
)
MODELS = [
    (BOTH, plain_plans(BOTH), Options(multipliers=5, max_steps=9)),
    (DEEPER, plain_plans(DEEPER), Options(multipliers=5, output="last", pipeline=PIPELINES["shallow"])),
    (
        REVERSE,
        head_plan(REVERSE, 9),
        Options(multipliers=17, max_steps=9, pipeline=PIPELINES["middle"], output="class"),
    ),
    (REVERSE, head_plan(REVERSE, 3), Options(multipliers=5, max_steps=9, output="scores")),
    (STACKED, head_plan(STACKED, 3), Options(multipliers=5, output="class", interleave=2)),
    (BOTH, plain_plans(BOTH), Options(multipliers=5, max_steps=9, share="directions")),
    (DEEPER, plain_plans(DEEPER), Options(multipliers=5, share="layers")),
]


def model_runs(spec: LSTMSpec, plan: Plan, options: Options, folder: Path) -> Iterator[Counts]:
    """A whole model: layers, directions, heads, sequences that are too long, last steps."""
    hesitating = Stimulus(valid_duty=0.3, ready_duty=0.3, warmup=200, reset=3, seed=1)
    for kind in (RANDOM, RAILS):
        with stack_bench(spec, options, plan=plan, kind=kind) as b:
            jobs = [b.sequences([9, 1, 4, 12, 2, 3], kind), b.sequences([5, 5], kind)]
            if options.interleave > 1:
                jobs = [in_turn(b.sequences([steps] * options.interleave, kind)) for steps in (5, 1, 9)]
            streams = [Stimulus(), hesitating, Stimulus(keep=True, ready_duty=0.05, seed=2)]
            yield from covered(b.design, jobs, [*streams, SHORT] if spec.input_size > 1 else streams, folder)


def in_turn(job: Job) -> Job:
    """Each of its sequences, which are equally long, in a context of its own."""
    contexts = tuple(range(len(job.lengths)))
    h0, c0 = (np.stack([state] * len(contexts)) for state in (job.h0, job.c0))
    return replace(job, h0=h0, c0=c0, order=contexts * job.lengths[0], contexts=contexts)


def covered(design: Design, jobs: list[Job], streams: Iterable[Stimulus], folder: Path) -> Iterator[Counts]:
    modules = modules_of(design.sources, design.top, design.parameters)
    for stimulus in streams:
        run_jobs(design, jobs, stimulus, optimise=0, timeout_s=300, probe=COVERAGE, record=folder)
        lines, toggles = (folder / name for name in COVERAGE.files)
        yield read_coverage(lines)
        yield read_toggles(toggles, modules)


BUSES = ("axi_lite_slave", "lstm_axi", "lstm_host", "lstm_registers", "sequence_gate")
"""Modules that only cocotb drives: Verilator itself counts their bits, and theirs alone, because that is slow."""


def bus_runs(folder: Path) -> Iterator[Counts]:
    """The cocotb tests of the control bus; they load weights too, so that the lines of every ``rom`` are seen."""
    quiet = folder / "quiet.vlt"
    kept = (*BUSES, "rom")
    files = [f'coverage_off -file "*/{source.name}"' for source in source_files() if source.stem not in kept]
    quiet.write_text("`verilator_config\n" + "\n".join(files) + "\n")
    options = ["--coverage-line", "--coverage-toggle", "--coverage-max-width", "1024", str(quiet)]
    assert not any(simulated("single", source_files(), folder, options).values())
    points = read_coverage(folder / "single" / "coverage.dat")
    yield {point: n for point, n in points.items() if point.kind != TOGGLE or point.module in BUSES}


RUNS: dict[str, Callable[[Path], Iterator[Counts]]] = {
    **{f"engine {n}": partial(engine_runs, *engine) for n, engine in enumerate(ENGINES)},
    **{f"turns {n}": partial(turn_runs, *engine) for n, engine in enumerate(TURNING)},
    **{f"model {n}": partial(model_runs, *model) for n, model in enumerate(MODELS)},
    "bus": bus_runs,
}


@cache
def reached(name: str) -> Counts:
    with tempfile.TemporaryDirectory() as folder:
        return merge(RUNS[name](Path(folder)))


@pytest.mark.nightly
@pytest.mark.parametrize("name", RUNS)
def test_each_run_reaches_something(name: str) -> None:
    """One by one, so that half an hour shows how far it is."""
    assert any(reached(name).values())


@pytest.mark.nightly
def test_coverage_of_engines_models_and_buses() -> None:
    points = merge(map(reached, RUNS))
    rows = by_module(points, EXEMPTIONS)
    print()
    print(markdown(rows))
    for point in missed(points, EXEMPTIONS):
        print(f"missed: {point.module}.sv:{point.line} {point.kind} {point.what}")
    assert {row.module for row in rows} == {source.stem for source in source_files()}
    assert sum(row.lines_hit for row in rows) >= LEAST * sum(row.lines for row in rows)
    assert sum(row.toggles_hit for row in rows) >= LEAST * sum(row.toggles for row in rows)
