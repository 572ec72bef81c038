"""Wrong use ends with a sentence and an exit code, data goes to standard output alone, Ctrl-C leaves nothing behind."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from gatesmith import LSTMSpec, Weights, initialise
from gatesmith.cli import main
from gatesmith.cli.app import app
from gatesmith.hardware import consumption
from gatesmith.hardware.consumption import ModelEnergy
from gatesmith.hardware.energy import HOROWITZ_45_NM, Component, Energy
from gatesmith.hardware.jobs import Stimulus


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    initialise(LSTMSpec(3, 4), seed=1).save(path)
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.npz"
    generator = np.random.default_rng(0)
    np.savez(path, x=generator.normal(size=(9, 20, 3)), lengths=generator.integers(5, 10, 20), labels=np.arange(20) % 2)
    return path


def test_no_words_and_help_list_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["--help"]):
        assert main(words) == 0
        listed = capsys.readouterr().out
        for command in app.registered_commands:
            assert command.callback is not None
            assert command.callback.__name__ in listed


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["describ"], "No such command 'describ'"),
        (["describe", "-D", "x"], "not a valid integer|valid integer"),
        (["describe", "-H", "0"], "hidden_size is 0; expected an integer of at least 1"),
        (["describe", "--direction", "up"], "direction is 'up'; expected one of forward, reverse, bidirectional"),
        (["describe", "missing.safetensors"], "can't read the weight file missing.safetensors"),
        (["describe", "missing.json"], "can't read missing.json"),
        (["quantize", "model", "--data", "none.csv"], "Missing option '--out'"),
        (["footprint"], "(?i)missing argument '?model"),
        (["train", "--out", "somewhere", "--data", "none.npz"], "can't read the data file none.npz"),
    ],
)
def test_wrong_use_is_one_sentence_and_exit_code_2(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    assert captured.err.lstrip().startswith("error: ")
    assert re.search(sentence, captured.err)


def test_ctrl_c_leaves_no_file(
    model: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("gatesmith.fixed.plan.Plan.to_json", interrupt)
    plan = tmp_path / "plan.json"
    assert main(["quantize", str(model), "--data", str(data), "--out", str(plan)]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert not plan.exists()


def test_inspect_tells_what_each_gate_of_the_fixed_point_model_adds(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = str(tmp_path / "plan.json")
    assert main(["quantize", str(model), "--data", str(data), "--out", plan]) == 0
    capsys.readouterr()
    assert main(["inspect", str(model), "--data", str(data), "--plan", plan, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["gate"] for row in found["gate_errors"][0]] == ["i", "f", "g", "o", "all"]
    assert all(0 < row["output_rms"] < 0.1 for row in found["gate_errors"][0])


def test_describe_reads_what_converts(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", str(model), str(tmp_path / "model.onnx")]) == 0
    capsys.readouterr()
    assert main(["describe", str(model)]) == 0
    ours = capsys.readouterr().out
    assert main(["describe", str(tmp_path / "model.onnx")]) == 0
    assert capsys.readouterr().out == ours


def test_describe_speaks_three_languages(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", str(model)]) == 0
    assert "i_t = σ(W_ii·x_t" in capsys.readouterr().out
    assert main(["describe", str(model), "--latex"]) == 0
    assert r"\begin{align*}" in capsys.readouterr().out
    assert main(["describe", str(model), "--json"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert described["shapes"]["weight_ih_l0"] == [16, 3]
    assert described["parameters"] == LSTMSpec(3, 4).parameter_count()


def test_specification_in_a_json_file_is_described(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "spec.json"
    path.write_text(LSTMSpec(3, 4, peepholes="ifo").to_json())
    assert main(["describe", str(path)]) == 0
    assert "w_oc ⊙ c_t" in capsys.readouterr().out
    path.write_text("[" * 100_000)
    assert main(["describe", str(path)]) == 2


def test_train_quantize_export_by_hand(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, plan, rtl = tmp_path / "model", tmp_path / "plan.json", tmp_path / "rtl"
    words = ["train", "--out", str(folder), "--data", str(data), "-H", "5", "--epochs", "2", "--json"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["epochs_run"] == 2
    weights = folder / "lstm.safetensors"
    assert Weights.load(weights).spec == LSTMSpec(3, 5)
    assert main(["quantize", str(weights), "--data", str(data), "--out", str(plan), "--json"]) == 0
    json.loads(capsys.readouterr().out)
    assert main(["export", str(weights), "--plan", str(plan), "--out", str(rtl), "-P", "3", "--json"]) == 0
    assert "manifest.json" in json.loads(capsys.readouterr().out)["files"]


def test_layers_share_an_engine_with_a_plan_that_was_made_for_it(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, plan, rtl = tmp_path / "deep.safetensors", tmp_path / "plan.json", tmp_path / "rtl"
    initialise(LSTMSpec(3, 3, 2), seed=1).save(weights)
    quantise = ["quantize", str(weights), "--data", str(data), "--out", str(plan)]
    share = ["export", str(weights), "--plan", str(plan), "--out", str(rtl), "--share", "layers"]
    assert main(quantise) == 0
    assert main(share) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "one engine has one, calibrate with share 'layers'" in said
    assert not rtl.exists()
    assert main([*quantise, "--share", "layers"]) == 0
    assert main(share) == 0
    assert (rtl / "weights" / "l0_in_turn_weight.hex").exists()


def test_doctor_names_every_device(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    found = {(row["kind"], row["name"]): row["found"] for row in json.loads(capsys.readouterr().out)}
    assert found["device", "reference"]
    assert found["device", "fixed"]
    assert main(["doctor"]) == 0
    assert "reference" in capsys.readouterr().out


def test_energy_stands_beside_what_it_would_be_without_read_enables(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[float, bool]] = []

    def measured(_folder: Path, _x: object, _lengths: object, **options: object) -> ModelEnergy:
        stimulus, rest = options["stimulus"], options["memories_rest"]
        assert isinstance(stimulus, Stimulus)
        asked.append((stimulus.valid_duty, rest is True))
        reads = 10.0 if rest else 40.0
        part = Component(name="weight memory", operations=reads, picojoules=2.0, activity=1.0, measured=True)
        energy = Energy(components=(part,), table=HOROWITZ_45_NM, cycles_per_step=40.0, operations_per_step=8.0)
        return ModelEnergy(parts={"l0": energy})

    monkeypatch.setattr(consumption, "measure_energy", measured)
    assert main(["energy", "design", "--data", str(data), "--valid-duty", "0.5", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert asked == [(0.5, True), (0.5, False)]
    assert told["busy"] == {"weight memory": 10.0}
    assert told["without_enables"]["busy"] == {"weight memory": 40.0}
    assert told["without_enables"]["joules_per_step"] == pytest.approx(4 * told["joules_per_step"])
    assert main(["energy", "design", "--data", str(data)]) == 0
    assert "Read enables save 75%" in capsys.readouterr().out
