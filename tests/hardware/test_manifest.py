"""Reading an export back: every lie in a folder is found before anything uses it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatesmith.errors import ExportError, GatesmithError
from gatesmith.fixed import calibrate
from gatesmith.fixed.weights import quantise_weights
from gatesmith.hardware.export import export
from gatesmith.hardware.manifest import load_export, read_export_weights
from gatesmith.ops.operator import LSTM
from gatesmith.spec import LSTMSpec

X = np.random.default_rng(0).normal(size=(6, 4, 3))
Manifest = dict[str, Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lstm = LSTM(LSTMSpec(3, 5, 2, "bidirectional"), seed=1)
    export(lstm, calibrate(lstm, X), tmp_path / "out", multipliers=7)
    return tmp_path / "out"


@pytest.mark.parametrize("multipliers", [1, 7, 20, 23, 40, 61])
@pytest.mark.parametrize(
    "spec", [LSTMSpec(3, 5), LSTMSpec(3, 2, 3, "bidirectional", False), LSTMSpec(3, 5, peepholes="io")]
)
def test_weights_come_back_from_the_files(tmp_path: Path, spec: LSTMSpec, multipliers: int) -> None:
    lstm = LSTM(spec, seed=1)
    plan = calibrate(lstm, X)
    export(lstm, plan, tmp_path / "out", multipliers=multipliers)
    for again, codes in zip(read_export_weights(tmp_path / "out"), quantise_weights(lstm.weights, plan), strict=True):
        for name in ("w_ih", "w_hh", "b", *(["p"] if spec.peepholes else [])):
            assert (getattr(again, name) == getattr(codes, name)).all()


def test_a_foreign_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"can't read .*manifest\.json: No such file"):
        load_export(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(ExportError, match="is not valid JSON"):
        load_export(tmp_path)
    (tmp_path / "manifest.json").write_text('{"format": 1}')
    with pytest.raises(ExportError, match="is no manifest of gatesmith"):
        load_export(tmp_path)


@pytest.mark.parametrize("path", ["weights/l0_forward_weight.hex", "weights/l1_reverse_tanh.hex", "files.f"])
def test_a_stale_file_is_refused(folder: Path, path: str) -> None:
    target = folder / path
    target.write_text(target.read_text().replace("0", "1", 1) + "\n")
    with pytest.raises(ExportError, match=f"{path} has changed since it was exported"):
        load_export(folder)
    target.unlink()
    with pytest.raises(ExportError, match=f"can't read .*{path}: No such file"):
        load_export(folder)


def set_(*keys: Any, to: Any) -> Callable[[Manifest], None]:
    def change(manifest: Manifest) -> None:
        place: Any = manifest
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = to

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_("format", to=3), "has format 3; expected 4"),
        (set_("name", to="a b"), "no SystemVerilog identifier"),
        (set_("spec", to=[]), "can't be used: the specification is a list"),
        (set_("spec", "hidden_size", to=6), "can't be used: the plan of cell l0"),
        (set_("plan", "cells", 0, "w_width", to=99), "can't be used: w_width is 99"),
        (set_("plan", "cells", 0, "w_width", to=9), "cells that don't follow from its plan"),
        (set_("cells", to=[]), "cells that don't follow from its plan"),
        (set_("stack", "Layers", to=3), "cells that don't follow from its plan"),
        (set_("options", to=7), "the options of an export have to be an object with multipliers, pipeline"),
        (set_("options", "pipeline", to={}), "the pipeline of an export have to be an object with in_elements"),
        (set_("options", "multipliers", to=0), "multipliers is 0; expected an integer from 1"),
        (set_("options", "pipeline", "memory_stages", to=4), "memory_stages is 4; expected an integer from 0 to 3"),
        (set_("cells", 0, "parameters", "AccWidth", to=3), "cells that don't follow from its plan"),
        (set_("cells", 0, "module", to="other"), "cells that don't follow from its plan"),
        (set_("cells", 0, "files", "WeightFile", to="/etc/passwd"), "cells that don't follow from its plan"),
        (set_("sources", to="rtl/lstm.sv"), "has a source that is no rtl/name.sv"),
        (set_("sources", 0, to="../../secret.sv"), "has a source that is no rtl/name.sv"),
        (set_("sha256", to=[]), "lists hashes that don't match its files"),
        (set_("sha256", "../x", to="0"), "lists hashes that don't match its files"),
        (set_("sha256", "files.f", to=7), "files.f has changed"),
    ],
)
def test_a_lying_manifest_is_refused(folder: Path, change: Callable[[Manifest], None], message: str) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    with pytest.raises(GatesmithError, match=message):
        load_export(folder)
