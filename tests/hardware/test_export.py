"""Export: the folder's layout, and that nothing is lost or left half-written."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatesmith.errors import ExportError, FormatError, GatesmithError, UnsupportedError
from gatesmith.fixed import calibrate
from gatesmith.hardware.export import export, load_export, source_files
from gatesmith.hardware.options import Pipeline
from gatesmith.ops.operator import LSTM
from gatesmith.spec import LSTMSpec

X = np.random.default_rng(0).normal(size=(6, 4, 3))
SMALL = LSTM(LSTMSpec(3, 5, 2), seed=1)
PLAN = calibrate(SMALL, X)


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_layout(tmp_path: Path) -> None:
    exported = export(SMALL, PLAN, tmp_path / "a" / "out", multipliers=8, name="vowels")
    manifest = json.loads((exported.folder / "manifest.json").read_text())
    assert list(manifest) == ["format", "name", "spec", "plan", "options", "stack", "cells", "sources", "sha256"]
    assert (manifest["format"], manifest["name"]) == (4, "vowels")
    assert [cell["name"] for cell in manifest["cells"]] == ["l0", "l1"]
    cell = manifest["cells"][1]
    assert (cell["layer"], cell["direction"], cell["module"]) == (1, "forward", "lstm")
    assert cell["files"] == {
        "WeightFile": "weights/l1_forward_weight.hex",
        "BiasFile": "weights/l1_forward_bias.hex",
        "SigmoidFile": "weights/l1_forward_sigmoid.hex",
        "TanhFile": "weights/l1_forward_tanh.hex",
        "OutputFile": "weights/l1_forward_output.hex",
    }
    hashes = manifest["sha256"]
    assert files_in(exported.folder) == {*hashes, "manifest.json"}
    for path, expected in hashes.items():
        assert hashlib.sha256((exported.folder / path).read_bytes()).hexdigest() == expected
    assert (exported.folder / "files.f").read_text().splitlines() == [*manifest["sources"], "rtl/vowels_top.sv"]
    assert manifest["sources"] == [f"rtl/{source.name}" for source in source_files()]
    assert "rtl/lstm_cell.sv" in manifest["sources"]
    assert load_export(exported.folder) == exported


def test_an_earlier_export_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    export(SMALL, PLAN, folder)
    (folder / "build").mkdir()
    (folder / "build" / "simulator").write_text("left by a tool")
    one = LSTM(LSTMSpec(3, 5), seed=1)
    export(one, calibrate(one, X), folder, multipliers=4)
    assert load_export(folder).multipliers == 4
    assert not {path for path in files_in(folder) if "l1" in path or "build" in path}
    assert list(tmp_path.iterdir()) == [folder]


def test_an_empty_folder_is_used(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert load_export(export(SMALL, PLAN, tmp_path / "out").folder).name == "lstm"


def test_something_else_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ExportError, match=r"holds something else \(thesis\.tex\)"):
        export(SMALL, PLAN, tmp_path)
    assert files_in(tmp_path) == {"thesis.tex"}
    with pytest.raises(ExportError, match=r"thesis\.tex is a file; expected a new folder"):
        export(SMALL, PLAN, tmp_path / "thesis.tex")
    folder = tmp_path / "out"
    export(SMALL, PLAN, folder)
    (folder / "weights" / "notes.txt").write_text("mine")
    before = files_in(folder)
    with pytest.raises(ExportError, match=r"holds weights/notes\.txt, which gatesmith did not write"):
        export(SMALL, PLAN, folder, multipliers=2)
    assert files_in(folder) == before
    assert load_export(folder).multipliers == 16


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"name": "endmodule"}, ExportError, "'endmodule' is a reserved word"),
        ({"name": "../up"}, ExportError, "no SystemVerilog identifier"),
        ({"multipliers": 0}, ExportError, "multipliers is 0; expected an integer from 1 to 65536"),
        ({"multipliers": 2.5}, ExportError, "multipliers is 2.5"),
        ({"pipeline": "wide"}, ExportError, "the pipeline is 'wide'; expected deep, middle, shallow"),
        ({"max_steps": 0}, ExportError, "max_steps is 0; expected an integer from 1"),
        ({"output": "first"}, ExportError, "output is 'first'; expected sequence, last, scores, class"),
        ({"pipeline": Pipeline(link_elements=2)}, ExportError, "link_elements is 2; expected a divisor of 1"),
        ({"lstm": LSTM(LSTMSpec(3, 5, 11))}, UnsupportedError, "at most 10 layers; the specification has 11"),
        ({"lstm": LSTM(LSTMSpec(3, 5))}, FormatError, "the plan has 2 cells; expected 1"),
        (
            {"lstm": LSTM(LSTMSpec(3, 5, 2, full_peepholes="o"))},
            UnsupportedError,
            r"the hardware can't express peepholes with a full matrix \(o\)",
        ),
    ],
)
def test_refused_before_anything_is_written(
    tmp_path: Path, options: dict[str, Any], error: type[GatesmithError], message: str
) -> None:
    with pytest.raises(error, match=message):
        export(options.pop("lstm", SMALL), PLAN, tmp_path / "deep" / "out", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_rename_leaves_the_earlier_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "out"
    export(SMALL, PLAN, folder)
    rename = Path.rename

    def fail_on_fresh(self: Path, target: Path) -> Path:
        if self.name == "fresh":
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_on_fresh)
    with pytest.raises(ExportError, match="can't write the folder .*: No space left on device"):
        export(SMALL, PLAN, folder, multipliers=2)
    assert load_export(folder).multipliers == 16
    assert list(tmp_path.iterdir()) == [folder]


def test_an_interrupted_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", interrupt)
    with pytest.raises(KeyboardInterrupt):
        export(SMALL, PLAN, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_place_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="can't write the folder .*: (Not a directory|File exists)"):
        export(SMALL, PLAN, tmp_path / "file" / "out")
