"""Whole models against the integer model, `==`: layers, directions, last outputs, states, and streams that hesitate."""

import itertools
import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fixed.plans import RAILS, RANDOM, cell_weights, codes, linear_plans, plans, variants
from tests.rtl.bench import pipelines, plain_plan, resets
from tests.strategies import deterministic

from gatesmith.fixed import calibrate
from gatesmith.fixed.linear import LinearPlan, LinearWeights
from gatesmith.fixed.model import CodeInputs, run
from gatesmith.fixed.plan import Plan
from gatesmith.fixed.qformat import Codes
from gatesmith.fixed.support import cells_in_turn
from gatesmith.fixed.weights import CellWeights
from gatesmith.hardware.ecp5 import tops
from gatesmith.hardware.emitted import emitted
from gatesmith.hardware.export import source_files
from gatesmith.hardware.instances import engine_files, exported_cells, memory_files, stack_parameters
from gatesmith.hardware.jobs import Design, Job, JobResult, Stimulus
from gatesmith.hardware.memfile import head_files
from gatesmith.hardware.options import HEAD_OUTPUTS, OUTPUTS, PIPELINES, Options, Pipeline
from gatesmith.hardware.runner import run_jobs
from gatesmith.hardware.synthesize import TARGETS, map_design
from gatesmith.hardware.timing import timing
from gatesmith.ops.operator import LSTM
from gatesmith.spec import LSTMSpec

DIRECTIONS = ("forward", "reverse", "bidirectional")
HESITATING = Stimulus(valid_duty=0.5, ready_duty=0.3, seed=5)


@dataclass(frozen=True, kw_only=True, eq=False)
class StackBench:
    """A whole model on disk, and the numbers that are in it."""

    design: Design
    spec: LSTMSpec
    plan: Plan
    weights: tuple[CellWeights, ...]
    options: Options
    head: LinearWeights | None
    generator: np.random.Generator

    def sequences(self, lengths: list[int], kind: str = RANDOM) -> Job:
        """Random sequences, streamed without a pause, each from the same states."""
        hidden, outputs = self.spec.hidden_size, self.spec.output_size
        return Job(
            x=codes(self.generator, self.plan.x_format, (sum(lengths), self.spec.input_size), kind),
            lengths=tuple(lengths),
            h0=np.stack([codes(self.generator, cell.y_format, (outputs,), kind) for cell in self.plan.cells]),
            c0=np.stack([codes(self.generator, cell.c_format, (hidden,), kind) for cell in self.plan.cells]),
        )

    def run(self, jobs: list[Job], stimulus: Stimulus | None = None) -> list[JobResult]:
        return run_jobs(self.design, jobs, stimulus or Stimulus(), timeout_s=120, optimise=0)

    def check(self, jobs: list[Job], stimulus: Stimulus | None = None) -> list[JobResult]:
        """Run the jobs and compare everything that came out with the model."""
        results = self.run(jobs, stimulus)
        for job, result in zip(jobs, results, strict=True):
            y, last, h_n, c_n, saturated = self.expect(job)
            np.testing.assert_array_equal(result.y, y)
            np.testing.assert_array_equal(result.last, last)
            np.testing.assert_array_equal(result.h_n, h_n)
            np.testing.assert_array_equal(result.c_n, c_n)
            np.testing.assert_array_equal(np.reshape(result.saturated, (-1, 3)), saturated)
            assert not result.protocol_error
            assert not result.overflow
        return results

    def expect(self, job: Job) -> tuple[Codes, list[bool], Codes, Codes, np.ndarray]:
        """(y of the steps that come out, tlast of each, last states and flags) by the integer model."""
        steps, batch = max(job.lengths), len(job.lengths)
        starts = np.cumsum((0, *job.lengths))
        x = np.zeros((steps, batch, self.spec.input_size), np.int64)
        for n, length in enumerate(job.lengths):
            x[:length, n] = job.x[starts[n] : starts[n] + length]
        inputs = CodeInputs(
            x=x,
            h0=np.repeat(job.h0[:, None], batch, axis=1),
            c0=np.repeat(job.c0[:, None], batch, axis=1),
            lengths=np.array(job.lengths),
        )
        found = run(self.spec, self.plan, self.weights, inputs)
        out = emitted(self.plan, self.options.output, self.head, found.y, inputs.lengths)
        last = [t == len(steps) - 1 for steps in out for t in range(len(steps))]
        saturated = np.asarray(found.saturated.any(axis=1))
        for group in cells_in_turn(self.spec, self.options.share):  # cells of an engine have flags in common
            saturated[group] = np.any(saturated[group], axis=0)
        return np.concatenate(out), last, found.h_n[:, -1], found.c_n[:, -1], saturated


@contextmanager
def stack_bench(
    spec: LSTMSpec, options: Options, *, plan: Plan | None = None, seed: int = 0, kind: str = RANDOM
) -> Iterator[StackBench]:
    """Write the memory files of a model with random weights into a temporary folder."""
    generator = np.random.default_rng(seed)
    plan = plan or plain_plans(spec)
    weights = tuple(cell_weights(generator, cell, kind) for cell in plan.cells)
    cells = exported_cells(spec, plan, options)
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch, "weights").mkdir()
        for path, text in engine_files(cells, weights).items():
            Path(scratch, path).write_text(text)
        head = None
        if plan.head and options.output in HEAD_OUTPUTS:
            head = LinearWeights(
                w=codes(generator, plan.head.w_format, (plan.head.output_size, plan.head.input_size), kind),
                b=codes(generator, plan.head.b_format, (plan.head.output_size,), kind),
            )
            for path, text in head_files(plan.head, head).items():
                Path(scratch, path).write_text(text)
        design = Design(
            folder=Path(scratch),
            sources=source_files(),
            parameters=stack_parameters(spec, plan, options),
            files={path: path for path in memory_files(cells, options)},
            cells=tuple(cell.parameters for cell in cells),
        )
        yield StackBench(
            design=design, spec=spec, plan=plan, weights=weights, options=options, head=head, generator=generator
        )


def plain_plans(spec: LSTMSpec) -> Plan:
    """Formats as calibration chooses them, but for a later layer's x, which is coarser than the h that it reads."""
    return Plan(cells=tuple(plain_plan(spec.layer_input_size(layer), spec.hidden_size) for layer, _, _ in spec.cells()))


@st.composite
def models(draw: st.DrawFn, directions: Sequence[str] = DIRECTIONS) -> tuple[LSTMSpec, Plan, Options]:
    """Any layers, directions, plan, lanes and stages."""
    sizes = (draw(st.integers(1, most)) for most in (6, 5, 3))
    spec = draw(variants(*sizes, draw(st.sampled_from(directions))))
    pipeline = draw(pipelines())
    options = Options(
        multipliers=draw(st.integers(1, 70)),
        pipeline=pipeline,
        max_steps=draw(st.integers(5, 9)),
        output=draw(st.sampled_from(OUTPUTS)),
    )
    plan = draw(plans(spec))
    if options.output in HEAD_OUTPUTS:
        features = spec.num_directions * spec.output_size
        head = replace(draw(linear_plans()), y_clip=0)
        plan = replace(
            plan, head=replace(head, input_size=features, x_width=plan.y_format.width, x_frac=plan.y_format.fraction)
        )
    return spec, plan, options


def check_everything(b: StackBench, kind: str = RANDOM) -> None:
    """Sequences one by one and back to back, with streams that hesitate and with a reset in the middle."""
    b.check([b.sequences([length], kind) for length in (5, 1, 2)])
    b.check([b.sequences([1, 5, 1, 1, 3, 5, 5, 2], kind)], Stimulus(seed=1))
    b.check([b.sequences([1, 4, 2, 5], kind)], HESITATING)
    b.check([b.sequences([3, 2], kind)], Stimulus(warmup=int(b.generator.integers(1, 900)), reset=1, seed=3))


def check_model(model: tuple[LSTMSpec, Plan, Options], kind: str) -> None:
    spec, plan, options = model
    with stack_bench(spec, options, plan=plan, kind=kind) as b:
        check_everything(b, kind)


@pytest.mark.parametrize(
    ("layers", "direction", "output", "pipeline"),
    [
        (1, "forward", "sequence", "deep"),
        (3, "forward", "last", "middle"),
        (2, "reverse", "sequence", "middle"),
        (1, "bidirectional", "last", "deep"),
        (2, "bidirectional", "sequence", "shallow"),
    ],
)
def test_equals_the_model(layers: int, direction: str, output: str, pipeline: str) -> None:
    spec = LSTMSpec(3, 4, layers, direction)  # type: ignore[arg-type]
    options = Options(multipliers=7, pipeline=PIPELINES[pipeline], max_steps=5, output=output)
    with stack_bench(spec, options) as b:
        check_everything(b)


@pytest.mark.parametrize(
    ("output", "classes", "direction", "pipeline"),
    [("scores", 9, "forward", "deep"), ("class", 6, "bidirectional", "middle"), ("class", 1, "reverse", "shallow")],
)
def test_a_head_equals_the_model(output: str, classes: int, direction: str, pipeline: str) -> None:
    spec = LSTMSpec(3, 4, 1, direction)  # type: ignore[arg-type]
    plan = plain_plans(spec)
    head = LinearPlan(
        input_size=4 * spec.num_directions,
        output_size=classes,
        x_width=plan.y_format.width,
        x_frac=plan.y_format.fraction,
        w_width=8,
        w_frac=6,
        b_width=22,
        y_width=12,
        y_frac=9,
    )
    options = Options(multipliers=7, pipeline=PIPELINES[pipeline], max_steps=5, output=output)
    with stack_bench(spec, options, plan=replace(plan, head=head)) as b:
        check_everything(b)


@pytest.mark.parametrize(
    ("direction", "output", "multipliers", "pipeline"),
    [
        ("bidirectional", "sequence", 5, Pipeline()),
        ("forward", "class", 24, PIPELINES["middle"]),
        ("reverse", "last", 70, PIPELINES["shallow"]),
        ("bidirectional", "sequence", 48, Pipeline(in_elements=3, link_elements=3, out_elements=3, sum_stages=0)),
    ],
)
def test_projections_between_layers(direction: str, output: str, multipliers: int, pipeline: Pipeline) -> None:
    """Two layers of them; what the second reads is coarser than the first's r; peepholes see c as before."""
    spec = LSTMSpec(3, 4, 2, direction, proj_size=3, proj_bias=True, proj_clip=3.0, peepholes="io")  # type: ignore[arg-type]
    lstm, generator = LSTM(spec, seed=1), np.random.default_rng(0)
    features = 3 * spec.num_directions
    head = generator.normal(size=(4, features)), generator.normal(size=4)
    plan = calibrate(lstm, generator.normal(size=(9, 5, 3)), head=head)
    coarser = replace(plan.cells[-1], x_frac=plan.cells[-1].x_frac - 2)
    plan = replace(plan, cells=(*plan.cells[: spec.num_directions], *[coarser] * spec.num_directions))
    options = Options(multipliers=multipliers, pipeline=pipeline, max_steps=5, output=output)
    with stack_bench(spec, options, plan=plan) as b:
        check_everything(b)


def test_several_elements_in_a_beat() -> None:
    spec = LSTMSpec(5, 4, 2, "bidirectional")
    pipeline = Pipeline(in_elements=4, link_elements=2, out_elements=4, sum_stages=0)
    with stack_bench(spec, Options(multipliers=64, pipeline=pipeline, max_steps=5)) as b:
        check_everything(b)


@given(model=models(), kind=st.sampled_from([RANDOM, RAILS]))
@deterministic(max_examples=2)
def test_any_model_equals_the_model(model: tuple[LSTMSpec, Plan, Options], kind: str) -> None:
    check_model(model, kind)


@pytest.mark.nightly
@pytest.mark.parametrize("direction", DIRECTIONS)
@given(data=st.data(), kind=st.sampled_from([RANDOM, RAILS]))
@deterministic(max_examples=8, shrink=False)
def test_many_models_equal_the_model(direction: str, data: st.DataObject, kind: str) -> None:
    check_model(data.draw(models([direction])), kind)


@pytest.mark.parametrize("duties", list(itertools.product((1.0, 0.5, 0.1), repeat=2)))
def test_streams_may_hesitate(duties: tuple[float, float]) -> None:
    with stack_bench(LSTMSpec(3, 4, 2, "bidirectional"), Options(multipliers=7, max_steps=5)) as b:
        job = b.sequences([1, 5, 1, 2])
        for seed in range(10):
            b.check([job], Stimulus(valid_duty=duties[0], ready_duty=duties[1], seed=seed))


def test_any_reset_leaves_a_clean_start() -> None:
    with stack_bench(LSTMSpec(3, 4, 2, "bidirectional"), Options(multipliers=7, max_steps=5)) as b:
        job = b.sequences([2, 3])
        for stimulus in resets(range(1, 1600, 29)):
            b.check([job], stimulus)


@pytest.mark.parametrize("direction", ["reverse", "bidirectional"])
def test_a_sequence_that_is_too_long_is_cut_and_alone_lost(direction: str) -> None:
    """The same with a step that ends too early: it is filled with zeros."""
    spec = LSTMSpec(3, 4, 2, direction)  # type: ignore[arg-type]
    with stack_bench(spec, Options(multipliers=7, max_steps=5)) as b:
        job = b.sequences([2, 8, 5, 3])
        (result,) = b.run([job])
        assert (result.overflow, result.protocol_error) == (True, False)
        cut = Job(x=np.delete(job.x, slice(7, 10), axis=0), lengths=(2, 5, 5, 3), h0=job.h0, c0=job.c0)
        (clean,) = b.check([cut])
        np.testing.assert_array_equal(result.y, clean.y)
        np.testing.assert_array_equal(result.last, clean.last)

        bad = b.sequences([2])
        (short, after) = b.run([bad, cut], Stimulus(cut_beats=1, cut_jobs=1))
        assert (short.protocol_error, short.overflow, after.protocol_error) == (True, False, False)
        bad.x[-1, -1] = 0
        np.testing.assert_array_equal(short.y, b.check([bad])[0].y)
        np.testing.assert_array_equal(after.y, clean.y)


def test_forward_states_are_kept_where_asked_and_reverse_ones_never() -> None:
    with stack_bench(LSTMSpec(3, 4, 2), Options(multipliers=7)) as b:
        whole = b.sequences([5])
        first, second = (
            Job(x=whole.x[part], lengths=(steps,), h0=whole.h0, c0=whole.c0)
            for part, steps in ((slice(2), 2), (slice(2, 5), 3))
        )
        (expected,) = b.check([whole])
        results = b.run([first, second], Stimulus(keep=True))
        np.testing.assert_array_equal(np.concatenate([result.y for result in results]), expected.y)
        np.testing.assert_array_equal(results[1].c_n, expected.c_n)
    with stack_bench(LSTMSpec(3, 4, 1, "reverse"), Options(multipliers=7, max_steps=5)) as b:
        jobs = [b.sequences([2]), b.sequences([3])]
        for kept, fresh in zip(b.run(jobs, Stimulus(keep=True)), b.check(jobs), strict=True):
            np.testing.assert_array_equal(kept.y, fresh.y)


def test_a_single_layer_takes_the_clocks_of_its_engine() -> None:
    with stack_bench(LSTMSpec(3, 5), Options(multipliers=7)) as b:
        short, long = b.run([b.sequences([9]), b.sequences([17])])
        assert long.cycles - short.cycles == 8 * timing(b.design.cells[0]).cycles_per_step


@pytest.mark.nightly
def test_a_single_layer_has_the_cells_of_its_engine(tmp_path: Path) -> None:
    """What a stack can do and a single forward layer doesn't use is not in the netlist."""
    with stack_bench(LSTMSpec(2, 3), Options(multipliers=5)) as b:
        cell = exported_cells(b.spec, b.plan, b.options)[0]
        alone = Design(folder=b.design.folder, sources=b.design.sources, parameters=cell.parameters, files=cell.files)
        counts: list[dict[str, int]] = []
        for name, design in (("alone", alone), ("stack", b.design)):
            (tmp_path / name).mkdir()
            counts.append(map_design(design, TARGETS["ecp5"], tmp_path / name))
        logic = ("LUT4", "PFUMX", "L6MUX21", "CCU2C")  # how ABC packs them, and what is a carry, depends on names
        first, second = ({kind: n for kind, n in found.items() if kind not in logic} for found in counts)
        assert first == second
        assert sources_of_cells(tmp_path / "alone") == sources_of_cells(tmp_path / "stack")
        for kind in ("LUT4", "CCU2C"):
            assert counts[1][kind] == pytest.approx(counts[0][kind], rel=0.02)


def sources_of_cells(work: Path) -> set[str]:
    """The files that the cells of a mapped netlist come from."""
    (top,) = tops(json.loads((work / "netlist.json").read_text()))
    found = (cell["attributes"].get("src", "") for cell in top["cells"].values())
    return set(re.findall(r"\b(\w+)\.sv:", " ".join(found)))


@pytest.mark.parametrize("layers", [1, 2])
def test_both_directions_of_every_layer_are_busy(layers: int) -> None:
    """Sequence after sequence, a step takes what the slowest cell takes: no engine waits for a buffer."""
    steps = 16
    options = Options(multipliers=7, pipeline=PIPELINES["middle"], max_steps=steps)
    with stack_bench(LSTMSpec(8, 4, layers, "bidirectional"), options) as b:
        short, long = b.run([b.sequences([steps] * 10), b.sequences([steps] * 20)])
        slowest = max((timing(cell) for cell in b.design.cells), key=lambda found: found.cycles_per_step)
        each = (long.cycles - short.cycles) / (10 * steps)
        assert slowest.words <= each <= slowest.cycles_per_step  # less than the latter where a sequence begins
