"""What the memories' read enables save: `python -m benchmarks.read_enables`, as Markdown.

Each design is simulated twice on the same recordings, as it is and with memories that read in every clock, for several
shares of clocks in which x is offered.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from gatesmith.datasets import load
from gatesmith.fixed import calibrate
from gatesmith.hardware.consumption import ModelEnergy, measure_savings
from gatesmith.hardware.export import export
from gatesmith.hardware.jobs import Stimulus
from gatesmith.hardware.options import PIPELINES
from gatesmith.ops import LSTM
from gatesmith.spec import LSTMSpec

RECORDINGS = 6
DUTIES = (1.0, 0.5, 0.05)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A design; its x are the first ``inputs`` coefficients of JapaneseVowels."""

    inputs: int
    hidden: int
    multipliers: int
    pipeline: str


CASES = tuple(
    Case(inputs=inputs, hidden=hidden, multipliers=multipliers, pipeline=pipeline)
    for inputs, hidden, multipliers, pipeline in (
        (12, 32, 16, "deep"),
        (6, 20, 80, "deep"),
        (6, 20, 80, "shallow"),
    )
)
Both = tuple[ModelEnergy, ModelEnergy]


def measure(case: Case, duty: float) -> Both:
    """With enables and without."""
    sequences = load("japanese-vowels")[slice(RECORDINGS)]
    x = sequences.x[..., : case.inputs]
    lstm = LSTM(LSTMSpec(case.inputs, case.hidden), seed=0)
    with tempfile.TemporaryDirectory(prefix="gatesmith-") as scratch:
        folder = Path(scratch, "export")
        plan = calibrate(lstm, x, sequences.lengths)
        export(lstm, plan, folder, multipliers=case.multipliers, pipeline=PIPELINES[case.pipeline])
        return measure_savings(folder, x, sequences.lengths, stimulus=Stimulus(valid_duty=duty))


def summary(found: dict[tuple[Case, float], Both]) -> str:
    """One row for each design and share."""
    lines = [
        "| D, H, P, pipeline | x offered in | clocks per step | nJ per step | without enables | saved |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for (case, duty), (energy, without) in found.items():
        saved = 1 - energy.joules_per_step / without.joules_per_step
        lines.append(
            f"| {case.inputs}, {case.hidden}, {case.multipliers}, {case.pipeline} | {duty:.0%} of clocks"
            f" | {energy.cycles_per_step:.0f} | {energy.joules_per_step * 1e9:.1f}"
            f" | {without.joules_per_step * 1e9:.1f} | {saved:.0%} |"
        )
    return "\n".join(lines)


def components(energy: ModelEnergy, without: ModelEnergy) -> str:
    """One row for each kind of component: operations of a step times their activity, and energy."""
    lines = [
        "| component | operations × activity | without enables | nJ per step | without enables |",
        "| --- | --- | --- | --- | --- |",
    ]
    for kind, joules in without.components.items():
        counts = f"{energy.busy[kind]:,.0f} | {without.busy[kind]:,.0f}"
        lines.append(f"| {kind} | {counts} | {energy.components[kind] * 1e9:.2f} | {joules * 1e9:.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure everything and print it."""
    found: dict[tuple[Case, float], Both] = {}
    for case in CASES:
        for duty in DUTIES:
            found[case, duty] = measure(case, duty)
            print(f"{case}, {duty:.0%}\n\n{components(*found[case, duty])}\n", flush=True)
    print(summary(found))


if __name__ == "__main__":
    main()
