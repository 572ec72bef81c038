"""A test bench for the engine: a design with random weights, jobs for it, and what the integer model says of them."""

import contextlib
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from tests.fixed.plans import RANDOM, cell_weights, codes

from gatesmith.fixed.cell import CellPlan
from gatesmith.fixed.model import step
from gatesmith.fixed.qformat import Codes
from gatesmith.fixed.weights import CellWeights
from gatesmith.hardware.export import source_files
from gatesmith.hardware.instances import module_parameters
from gatesmith.hardware.jobs import Design, Job, JobResult, Stimulus
from gatesmith.hardware.memfile import cell_files
from gatesmith.hardware.options import PIPELINES, Pipeline
from gatesmith.hardware.runner import run_jobs

DEEP, MIDDLE, SHALLOW = (PIPELINES[name].stages() for name in ("deep", "middle", "shallow"))


def resets(clocks: Iterable[int]) -> Iterator[Stimulus]:
    """A reset at each of these clocks, of 1 and of 20 clocks by turns."""
    for clock in clocks:
        yield Stimulus(warmup=clock, reset=1 if clock % 2 else 20, seed=clock)


@st.composite
def pipelines(draw: st.DrawFn) -> Pipeline:
    """Any stages of registers."""
    return Pipeline(
        memory_stages=draw(st.integers(0, 3)),
        operand_stages=draw(st.integers(0, 1)),
        product_stages=draw(st.integers(0, 3)),
        sum_stages=draw(st.integers(0, 1)),
    )


def plain_plan(input_size: int, hidden_size: int) -> CellPlan:
    """Formats as calibration chooses them for data of about unit size."""
    return CellPlan(
        input_size=input_size,
        hidden_size=hidden_size,
        x_width=16,
        x_frac=14,
        h_width=16,
        h_frac=15,
        w_width=8,
        w_ih_frac=6,
        w_hh_frac=6,
        b_width=22,
        z_width=16,
        a_width=18,
        c_width=18,
        c_frac=14,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Bench:
    """A design on disk, and the numbers that are in it."""

    design: Design
    cell: CellPlan
    weights: CellWeights
    generator: np.random.Generator

    def sequence(self, length: int, kind: str = RANDOM) -> Job:
        """One sequence with random codes."""
        return self.sequences([length], kind)

    def sequences(self, lengths: Sequence[int], kind: str = RANDOM) -> Job:
        """Several, streamed without a pause, each from the same states."""
        cell, hidden = self.cell, self.cell.hidden_size
        return Job(
            x=codes(self.generator, cell.x_format, (sum(lengths), cell.input_size), kind),
            lengths=tuple(lengths),
            h0=codes(self.generator, cell.y_format, (cell.output_size,), kind),
            c0=codes(self.generator, cell.c_format, (hidden,), kind),
        )

    def turns(self, lengths: Sequence[Sequence[int]], kind: str = RANDOM, *, shuffled: bool = False) -> Job:
        """Of each context sequences of these lengths; steps of the contexts take turns, or come in any order."""
        cell, shape = self.cell, (len(lengths), self.cell.hidden_size)
        contexts = [context for context, given in enumerate(lengths) for _ in given]
        sequences = iter(range(len(contexts)))
        waiting = [[next(sequences) for _ in given] for given in lengths]  # of each context, in order
        rows = [
            [number for number, length in zip(numbers, given, strict=True) for _ in range(length)]
            for numbers, given in zip(waiting, lengths, strict=True)
        ]
        order: list[int] = []
        while any(rows):
            some = [row for row in rows if row]
            chosen = [some[self.generator.integers(len(some))]] if shuffled else some
            order += [row.pop(0) for row in chosen]
        return Job(
            x=codes(self.generator, cell.x_format, (len(order), cell.input_size), kind),
            lengths=tuple(length for given in lengths for length in given),
            h0=codes(self.generator, cell.h_format, shape, kind),
            c0=codes(self.generator, cell.c_format, shape, kind),
            order=tuple(order),
            contexts=tuple(contexts),
        )

    def run(self, jobs: Sequence[Job], stimulus: Stimulus | None = None) -> list[JobResult]:
        return run_jobs(self.design, jobs, stimulus or Stimulus(), timeout_s=120, optimise=0)

    def check(self, jobs: Sequence[Job], stimulus: Stimulus | None = None) -> list[JobResult]:
        """Run the jobs and compare everything that came out with the model."""
        stimulus = stimulus or Stimulus()
        results = self.run(jobs, stimulus)
        kept: dict[int, tuple[Codes, Codes]] | None = {} if stimulus.keep else None
        for job, result in zip(jobs, results, strict=True):
            expected = expect(self.cell, self.weights, job, kept)
            np.testing.assert_array_equal(result.y, expected.y)
            np.testing.assert_array_equal(result.last, expected.last)
            np.testing.assert_array_equal(result.contexts, expected.contexts)
            if stimulus.move_states:
                np.testing.assert_array_equal(result.h_n, expected.h_n)
                np.testing.assert_array_equal(result.c_n, expected.c_n)
            assert result.saturated == expected.saturated
            assert result.protocol_error == expected.protocol_error
        return results


def expect(
    cell: CellPlan, weights: CellWeights, job: Job, kept: dict[int, tuple[Codes, Codes]] | None = None
) -> JobResult:
    """What the integer model says of a job; ``kept`` are the last states of contexts that go on from them."""
    contexts, last = job.steps()
    first = job.h0.reshape(-1, cell.output_size), job.c0.reshape(-1, cell.hidden_size)  # of each context
    h, c = (given.copy() for given in first)
    begins = np.ones(len(h), np.bool_)
    y = np.zeros((len(job.x), cell.output_size), np.int64)
    saturated = np.zeros(3, np.bool_)
    for t, at in enumerate(contexts):
        if begins[at]:
            h[at], c[at] = (kept or {}).get(int(at), (first[0][at], first[1][at]))
        now = step(cell, weights, job.x[t][None], h[at][None], c[at][None])
        y[t], h[at], c[at] = now.h[0], now.h[0], now.c[0]
        saturated |= now.saturated[0]
        begins[at] = last[t]
        if kept is not None:
            kept[int(at)] = h[at].copy(), c[at].copy()
    z, cell_state, hidden = (bool(flag) for flag in saturated)
    return JobResult(
        y=y,
        last=last,
        contexts=contexts,
        h_n=h.reshape(job.h0.shape),
        c_n=c.reshape(job.c0.shape),
        cycles=0,
        saturated=(z, cell_state, hidden),
        protocol_error=False,
    )


@contextlib.contextmanager
def bench(
    cell: CellPlan,
    multipliers: int,
    pipeline: Mapping[str, int] = DEEP,
    *,
    seed: int = 0,
    kind: str = RANDOM,
    weights: CellWeights | None = None,
    projection_multipliers: int = 1,
    contexts: int = 1,
) -> Iterator[Bench]:
    """Write the memory files of a design into a temporary folder."""
    generator = np.random.default_rng(seed)
    weights = weights or cell_weights(generator, cell, kind)
    with tempfile.TemporaryDirectory() as scratch:
        files: dict[str, str] = {}
        for parameter, text in cell_files(cell, [weights], multipliers, projection_multipliers).items():
            files[parameter] = f"{parameter}.hex"
            Path(scratch, files[parameter]).write_text(text)
        parameters = {**module_parameters(cell, multipliers), **pipeline, "Contexts": contexts}
        if cell.projection:
            parameters["ProjMultipliers"] = projection_multipliers
        design = Design(folder=Path(scratch), sources=source_files(), parameters=parameters, files=files)
        yield Bench(design=design, cell=cell, weights=weights, generator=generator)
