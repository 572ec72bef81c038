"""Conversion between every pair of formats, what a format can't hold, and a writer that lies."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from gatesmith import convert as module
from gatesmith.convert import FORMATS, convert
from gatesmith.errors import GatesmithError, MismatchError, UnsupportedError, WeightsError
from gatesmith.ops import LSTM
from gatesmith.spec import LSTMSpec
from gatesmith.weights import Weights


@pytest.mark.parametrize(("source", "target"), list(itertools.product(FORMATS, FORMATS)))
def test_every_format_to_every_other(source: str, target: str, tmp_path: Path) -> None:
    lstm = LSTM(LSTMSpec(3, 4, 2, "bidirectional"), seed=1)
    lstm.weights.save(tmp_path / "a.safetensors")
    first, second = tmp_path / f"b{source}", tmp_path / f"c{target}"
    convert(tmp_path / "a.safetensors", first)
    result = convert(first, second)
    assert result.largest_difference <= module.TOLERANCE
    assert result.parameters == lstm.spec.parameter_count()
    assert result.to_dict()["target"] == str(second)
    back = FORMATS[target].read(second)
    for name, array in lstm.weights.items():
        assert np.array_equal(back.weights[name], array)


def test_a_variant_goes_where_it_can(tmp_path: Path) -> None:
    LSTM(LSTMSpec(3, 4, peepholes="ifo", gate_clip=2.0)).weights.save(tmp_path / "a.safetensors")
    assert convert(tmp_path / "a.safetensors", tmp_path / "a.onnx").spec.peepholes == "ifo"
    assert convert(tmp_path / "a.onnx", tmp_path / "b.safetensors").spec.gate_clip == 2.0
    for suffix, feature in (
        (".pt", "peepholes='ifo'"),
        (".keras", "peepholes"),
        (".npz", "peepholes"),
        (".tflite", "gate_clip"),
    ):
        with pytest.raises(UnsupportedError, match=f"can't express {feature}"):
            convert(tmp_path / "a.safetensors", tmp_path / f"c{suffix}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.onnx", "a.safetensors", "b.safetensors"]


def test_unknown_suffixes_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"suffix '.pkl'; expected one of .safetensors \(gatesmith's own\)"):
        convert(tmp_path / "a.pkl", tmp_path / "b.pt")
    with pytest.raises(WeightsError, match="suffix ''"):
        convert(tmp_path / "a.safetensors", tmp_path / "b")


@pytest.mark.parametrize("suffix", FORMATS)
def test_absent_and_foreign_files_leave_nothing(suffix: str, tmp_path: Path) -> None:
    with pytest.raises(GatesmithError):
        convert(tmp_path / f"absent{suffix}", tmp_path / "out.safetensors")
    (tmp_path / f"foreign{suffix}").write_bytes(b"not a model at all")
    with pytest.raises(GatesmithError):
        convert(tmp_path / f"foreign{suffix}", tmp_path / "out.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == [f"foreign{suffix}"]


def test_a_writer_that_changes_the_result_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    LSTM(LSTMSpec(3, 4)).weights.save(tmp_path / "a.safetensors")

    def swap_gates(lstm: LSTM, path: Path) -> None:
        arrays = {name: np.roll(array, 4, axis=0) for name, array in lstm.weights.items()}
        Weights(lstm.spec, arrays).save(path)

    lying = module.Format(summary="lies", read=FORMATS[".safetensors"].read, write=swap_gates)
    monkeypatch.setitem(FORMATS, ".lie", lying)
    with pytest.raises(MismatchError, match="computes outputs that differ from"):
        convert(tmp_path / "a.safetensors", tmp_path / "b.lie")
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]
