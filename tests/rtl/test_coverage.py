"""The stress vectors reach the RTL's lines and toggle its bits: at least 95 %, exceptions named with their reasons.

The table: ``python -m pytest -m nightly -s tests/rtl/test_coverage.py``
"""

from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.fixed.plans import RAILS, RANDOM
from tests.rtl.bench import DEEP, MIDDLE, SHALLOW, bench, plain_plan
from tests.rtl.test_lstm_stack import stack_bench

from gatesmith.errors import ToolError
from gatesmith.hardware.coverage import Exemption, Point, by_module, markdown, merge, missed, read_coverage
from gatesmith.hardware.options import PIPELINES, Options
from gatesmith.hardware.runner import Design, Job, Stimulus, run_jobs
from gatesmith.hardware.verilator import COVERAGE
from gatesmith.spec import LSTMSpec

LEAST = 0.95

EXEMPTIONS = (
    Exemption(
        module=".*", what="unused_.*", reason="read so that lint is content; some parameters leave it without use"
    ),
    Exemption(module="rom", what=".*memory", reason="constants: they are loaded, not changed"),
    Exemption(
        module="lstm.*|rom|dense.*|peephole",
        what="(weight|bias|head)_.*|write_.*",
        reason="the host's way to writable weights, which cocotb drives through lstm_axi, not these vectors",
    ),
    Exemption(module="delay|ram|queue", what="rst|read_i", reason="tied to a constant wherever it has no use"),
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


# (D, H, P, pipeline), for what only some have: rows one by one, windows that wrap, columns side by side, beats of 3.
ENGINES = [
    (6, 20, 16, DEEP),
    (3, 5, 7, DEEP),
    (2, 3, 3, MIDDLE),
    (3, 5, 60, {**MIDDLE, "InElements": 3, "OutElements": 3}),
    (1, 1, 1, SHALLOW),
]


def engine_runs(folder: Path) -> list[dict[Point, int]]:
    """Coverage of single engines under streams that hesitate, resets, rails, broken and back-to-back sequences."""
    found: list[dict[Point, int]] = []
    for at, (inputs, hidden, multipliers, pipeline) in enumerate(ENGINES):
        for kind in (RANDOM, RAILS):
            with bench(plain_plan(inputs, hidden), multipliers, pipeline, kind=kind) as b:
                jobs = [b.sequences([1, 9, 1], kind), b.sequence(30, kind), b.sequences([4] * 6, kind)]
                found += [
                    covered(b.design, jobs, stimulus, folder / f"{at}-{kind}-{run}.dat")
                    for run, stimulus in enumerate(
                        (
                            Stimulus(),
                            Stimulus(valid_duty=0.1, ready_duty=1.0, seed=1),
                            Stimulus(valid_duty=1.0, ready_duty=0.1, seed=2, keep=True),
                            Stimulus(warmup=150, reset=20, seed=3),
                            Stimulus(cut_beats=1 if inputs > 1 and "InElements" not in pipeline else 0, seed=4),
                        )
                    )
                ]
    return found


def covered(design: Design, jobs: list[Job], stimulus: Stimulus, file: Path) -> dict[Point, int]:
    run_jobs(design, jobs, stimulus, optimise=0, timeout_s=300, probe=COVERAGE, record=file)
    return read_coverage(file)


def stack_runs(folder: Path) -> list[dict[Point, int]]:
    """Coverage of whole models: layers, directions, sequences that are too long, last steps."""
    found: list[dict[Point, int]] = []
    models = [
        (LSTMSpec(3, 4, num_layers=2, direction="bidirectional"), Options(multipliers=5, max_steps=9)),
        (LSTMSpec(3, 4, num_layers=3), Options(multipliers=5, output="last", pipeline=PIPELINES["shallow"])),
        (LSTMSpec(1, 2, direction="reverse"), Options(multipliers=17, max_steps=9, pipeline=PIPELINES["middle"])),
    ]
    hesitating = Stimulus(valid_duty=0.3, ready_duty=0.3, warmup=200, reset=3, seed=1)
    for at, (spec, options) in enumerate(models):
        with stack_bench(spec, options) as b:
            jobs = [b.sequences([9, 1, 4, 9, 2, 3]), b.sequences([5, 5])]
            found += [
                covered(b.design, jobs, stimulus, folder / f"model-{at}-{run}.dat")
                for run, stimulus in enumerate((Stimulus(), hesitating, Stimulus(keep=True)))
            ]
    return found


@pytest.mark.nightly
def test_coverage_of_the_engine_and_of_models(tmp_path: Path) -> None:
    points: Mapping[Point, int] = merge([*engine_runs(tmp_path), *stack_runs(tmp_path)])
    rows = by_module(points, EXEMPTIONS)
    print()
    print(markdown(rows))
    for point in missed(points, EXEMPTIONS):
        print(f"missed: {point.module}.sv:{point.line} {point.kind} {point.what}")
    assert sum(row.lines_hit for row in rows) >= LEAST * sum(row.lines for row in rows)
    assert sum(row.toggles_hit for row in rows) >= LEAST * sum(row.toggles for row in rows)
