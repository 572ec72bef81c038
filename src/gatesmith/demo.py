"""The main job, end to end on real data: train an LSTM, ship it as verified hardware, one timed stage after another."""

import contextlib
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from gatesmith.analysis import footprint, inspect, profile
from gatesmith.classifier import Classifier
from gatesmith.datasets import Sequences, japanese_vowels
from gatesmith.errors import MismatchError, OutputError
from gatesmith.files import make_folder, write_atomically, write_json
from gatesmith.fixed import Plan, calibrate
from gatesmith.fixed.head import classes_of, last_steps
from gatesmith.fixed.linear import quantise_linear
from gatesmith.fixed.model import CodeOutputs, quantise_inputs
from gatesmith.fixed.model import run as run_fixed
from gatesmith.fixed.trace import real_trace
from gatesmith.fixed.weights import CellWeights, quantise_weights
from gatesmith.hardware.export import Export, export
from gatesmith.hardware.footprint import export_footprint
from gatesmith.hardware.instances import memory_files
from gatesmith.hardware.synthesize import Synthesis, synthesize
from gatesmith.hardware.verify import Verification, verify
from gatesmith.ops import LSTM, run_on_device
from gatesmith.ops.call import make_call
from gatesmith.report import write_report
from gatesmith.report.pictures import draw_gates
from gatesmith.train import Recipe, train

STAGES = ("data", "train", "quantise", "export", "simulate", "synthesise", "inspect", "report")
SUMMARY = "summary.json"
MULTIPLIERS = 16
PICTURED_UTTERANCE = 0
TITLE = "JapaneseVowels: nine speakers told apart by an LSTM"
INSPECTED_UTTERANCES = 30
PROFILE_SECONDS = 3.0
RESULTS = (SUMMARY, "plan.json", "gates.svg", "report.html")
MEASURED = ("inspection.json", "inspection.npz", "footprint.json", "profile.json", "hardware.json")
OWN = {"model", "export", *RESULTS, *MEASURED}
"""What an earlier demo may have left."""


class Watcher(Protocol):
    """Somebody who looks on: told when a stage begins, how far it is, and what came out of it."""

    def begin(self, stage: str) -> None: ...

    def progress(self, done: int, total: int, message: str = "") -> None: ...

    def end(self, stage: str, seconds: float, outcome: str) -> None: ...


@dataclass(kw_only=True)
class _Run:
    """What the stages hand on."""

    folder: Path
    watcher: Watcher
    seconds: dict[str, float] = field(default_factory=dict[str, float])

    @contextlib.contextmanager
    def stage(self, name: str) -> Generator[Callable[[str], None]]:
        outcome: list[str] = [""]
        self.watcher.begin(name)
        start = time.perf_counter()
        yield lambda text: outcome.__setitem__(0, text)
        self.seconds[name] = round(time.perf_counter() - start, 2)
        self.watcher.end(name, self.seconds[name], outcome[0])


def run_demo(folder: Path, watcher: Watcher, *, recipe: Recipe | None = None) -> dict[str, Any]:
    """Run every stage and leave its results in ``folder``.

    Returns:
        What ``summary.json`` holds.

    Raises:
        OutputError: the folder holds something that is no earlier demo.
        MismatchError: the hardware and its integer model differ; the summary is written all the same.
        MissingToolError: an extra is not installed.
    """
    _claim(folder)
    run = _Run(folder=folder, watcher=watcher)
    with run.stage("data") as outcome:
        training_data, test = japanese_vowels()
        outcome(f"{len(training_data)} training and {len(test)} test utterances, 12 channels, 7 to 29 steps")
    classifier = _train(run, training_data, recipe or Recipe())
    lstm = LSTM(classifier.lstm)
    with run.stage("quantise") as outcome:
        head = (classifier.head_weight, classifier.head_bias)
        plan = calibrate(lstm, training_data.x, training_data.lengths, head=head)
        weights = quantise_weights(lstm.weights, plan)
        write_atomically(folder / "plan.json", plan.to_json() + "\n")
        outcome(f"x {plan.x_format}, c {plan.cells[0].c_format}, h {plan.y_format}, w_ih {plan.cells[0].w_ih_format}")
    with run.stage("export") as outcome:
        exported = export(lstm, plan, folder / "export", multipliers=MULTIPLIERS, output="class", head=head)
        memories = memory_files(exported.cells, exported.options)
        outcome(f"{len(exported.sources)} SystemVerilog files and {len(memories)} memory files: the class comes out")
    verification = _simulate(run, test, weights)
    synthesis = _synthesise(run)
    with run.stage("inspect") as outcome:
        call = make_call(lstm.weights, test.x, lengths=test.lengths)
        fixed = run_fixed(call.spec, plan, weights, quantise_inputs(plan, call), keep_cells=True)
        accuracies = _accuracies(classifier, lstm, plan, test, fixed, verification)
        _inspect(run, lstm, plan, test, fixed)
        _measure(run, lstm, test, verification, synthesis)
        outcome(", ".join(f"{name.replace('_', ' ')} {value:.1%}" for name, value in accuracies.items()))
    summary = _summary(run, test, accuracies, exported, verification, synthesis)
    with run.stage("report") as outcome:
        write_json(folder / SUMMARY, summary)
        page = write_report(folder)
        outcome(f"{folder / SUMMARY}, {folder / 'gates.svg'} and {page}")
    write_json(folder / SUMMARY, summary)
    if verification.mismatched_elements:
        raise MismatchError(f"{verification.mismatched_elements} elements of the hardware differ from the model")
    return summary


def _claim(folder: Path) -> None:
    """Make the folder, or take over that of an earlier demo; anything else in it is left alone."""
    make_folder(folder)
    foreign = sorted(path.name for path in folder.iterdir() if path.name not in OWN)
    if foreign:
        raise OutputError(f"{folder} holds {foreign[0]!r}, which is no result of the demo; expected an empty folder")
    (folder / SUMMARY).unlink(missing_ok=True)


def _train(run: _Run, data: Sequences, recipe: Recipe) -> Classifier:
    with run.stage("train") as outcome:
        training = train(data, recipe, progress=run.watcher.progress)
        make_folder(run.folder / "model")
        training.classifier.save(run.folder / "model")
        write_json(run.folder / "model" / "training.json", training.to_dict())
        outcome(
            f"{recipe.hidden_size} units, best of {training.epochs_run} epochs, "
            f"validation accuracy {training.validation_accuracy:.1%}"
        )
    return training.classifier


def _simulate(run: _Run, test: Sequences, weights: tuple[CellWeights, ...]) -> Verification:
    with run.stage("simulate") as outcome:
        result = verify(run.folder / "export", test.x, test.lengths, weights=weights, progress=run.watcher.progress)
        outcome(
            f"{result.compared_elements:,} elements compared, {result.mismatched_elements} differ; "
            f"{result.cycles_per_step:.0f} cycles per step"
        )
    return result


def _synthesise(run: _Run) -> Synthesis:
    with run.stage("synthesise") as outcome:
        result = synthesize(run.folder / "export", target="ecp5", progress=run.watcher.progress)
        outcome(f"{result.luts:,} LUTs, {result.dsps} DSP blocks, {result.brams} block RAMs")
    return result


def _accuracies(
    classifier: Classifier, lstm: LSTM, plan: Plan, test: Sequences, fixed: CodeOutputs, rtl: Verification
) -> dict[str, float]:
    """Test accuracy: the float classifier, its integer model, and the class that the simulated hardware gave."""
    assert test.labels is not None
    assert plan.head is not None
    assert rtl.head is not None
    y = run_on_device(lstm, test.x, lengths=test.lengths)[0]
    head = quantise_linear(plan.head, classifier.head_weight, classifier.head_bias)
    classes = {
        "float_accuracy": classifier.classify(y, test.lengths),
        "fixed_accuracy": classes_of(head, last_steps(fixed.y, test.lengths)),
        "rtl_accuracy": rtl.head[:, 0],
    }
    return {name: float((given == test.labels).mean()) for name, given in classes.items()}


def _inspect(run: _Run, lstm: LSTM, plan: Plan, test: Sequences, fixed: CodeOutputs) -> None:
    """Look at the gates of some utterances, float and fixed, and at what a run takes."""
    some = slice(0, INSPECTED_UTTERANCES)
    traces = [real_trace(cell, codes, some) for cell, codes in zip(plan.cells, fixed.cells, strict=True)]
    found = inspect(lstm.weights, test.x[:, some], lengths=test.lengths[some], fixed=traces)
    found.save(run.folder / "inspection.json", title=TITLE)
    real, quantised = (found.gates_of(PICTURED_UTTERANCE, fixed=kind) for kind in (False, True))
    title = f"JapaneseVowels, test utterance {PICTURED_UTTERANCE}: the four gates over {len(real['i'])} steps"
    draw_gates(run.folder / "gates.svg", real, quantised, title=title)


def _measure(run: _Run, lstm: LSTM, test: Sequences, verification: Verification, synthesis: Synthesis) -> None:
    """What a run takes on this machine, and what the design takes on the FPGA."""
    steps = len(test.x)
    footprint(lstm.spec, batch=1, steps=steps).save(run.folder / "footprint.json", title=TITLE)
    profile(lstm.weights, steps, seconds=PROFILE_SECONDS).save(run.folder / "profile.json", title=TITLE)
    found = export_footprint(run.folder / "export", verification=verification, synthesis=synthesis)
    found.save(run.folder / "hardware.json", title=TITLE)


def _summary(
    run: _Run,
    test: Sequences,
    accuracies: dict[str, float],
    exported: Export,
    verification: Verification,
    synthesis: Synthesis,
) -> dict[str, Any]:
    return {
        "test_sequences": len(test),
        **accuracies,
        "compared_elements": verification.compared_elements,
        "mismatched_elements": verification.mismatched_elements,
        "cycles_per_step": verification.cycles_per_step,
        "mac_utilisation": verification.mac_utilisation,
        "multipliers": exported.multipliers,
        "luts": synthesis.luts,
        "ffs": synthesis.ffs,
        "dsps": synthesis.dsps,
        "brams": synthesis.brams,
        "input_size": exported.spec.input_size,
        "hidden_size": exported.spec.hidden_size,
        "seconds_per_stage": run.seconds,
    }
