"""Weights: their validation, their initial values, and their file, whole, broken or hostile."""

import copy
import json
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from safetensors.numpy import save
from tests.strategies import deterministic, random_weights, specs

from gatesmith.errors import GatesmithError, WeightsError
from gatesmith.ops import LSTM, run_on_device
from gatesmith.spec import LSTMSpec
from gatesmith.weights import SPEC_KEY, Weights, initialise

SPEC = LSTMSpec(3, 4)


def good() -> dict[str, np.ndarray]:
    return dict(initialise(SPEC))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bias_l0": None}, r"parameter 'bias_l0' is missing; expected shape \(16,\)"),
        ({"bias_l7": np.zeros(3, np.float32)}, "parameter 'bias_l7' is unknown"),
        ({"weight_hh_l0": np.zeros((16, 3), np.float32)}, r"weight_hh_l0 has shape \(16, 3\); expected \(16, 4\)"),
        ({"bias_l0": np.zeros(16, np.float64)}, "mix float32 and float64"),
        ({"bias_l0": np.zeros(16, np.int32)}, "bias_l0 has dtype int32"),
        ({"bias_l0": [0.0] * 16}, "bias_l0 is a list"),
        ({"bias_l0": np.full(16, np.nan, np.float32)}, r"bias_l0 holds nan at \(0,\); expected finite"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_wrong_arrays_are_named(change: dict[str, Any], message: str) -> None:
    arrays = {name: value for name, value in {**good(), **change}.items() if value is not None}
    with pytest.raises(WeightsError, match=message):
        Weights(SPEC, arrays)


def test_a_mapping_in_the_order_of_the_spec() -> None:
    weights = Weights(SPEC, dict(reversed(good().items())))
    assert list(weights) == list(SPEC.parameter_shapes())
    assert len(weights) == 3
    assert weights.dtype == np.float32
    assert weights.astype(np.float32) is weights
    assert weights.astype(np.float64).dtype == np.float64
    assert len({weights, weights, Weights(SPEC, good())}) == 2


def test_nobody_can_write_into_them() -> None:
    """Kernels keep what they packed, so neither their arrays nor those they came from may change it, nor a copy."""
    spec = LSTMSpec(3, 5)
    given = {name: np.ones(shape, np.float32) for name, shape in spec.parameter_shapes().items()}
    borrowed = {name: array[:] for name, array in given.items()}
    for array in borrowed.values():
        array.flags.writeable = False
    x = np.ones((2, 1, 3), np.float32)
    for arrays in (given, borrowed):
        lstm = LSTM(Weights(spec, arrays))
        before = lstm(x)[0]
        for array in given.values():
            array *= 3.0
        assert np.array_equal(lstm(x)[0], before)
        assert np.array_equal(lstm(x)[0], run_on_device(lstm, x, device="cpu")[0])
        for array in given.values():
            array /= 3.0
    weights = initialise(spec)
    for copied in (weights, copy.deepcopy(weights), pickle.loads(pickle.dumps(weights)), weights.astype(np.float64)):
        assert copied.spec == spec
        with pytest.raises(ValueError, match="read-only"):
            copied["weight_ih_l0"][0, 0] = 1.0


def test_arrays_that_can_not_change_are_not_copied() -> None:
    weights = initialise(LSTMSpec(3, 5))
    again = Weights(weights.spec, weights)
    assert all(again[name] is array for name, array in weights.items())


def test_trusted_arrays_are_not_looked_at() -> None:
    arrays = {**good(), "bias_l0": np.full(16, np.nan, np.float32)}
    assert np.isnan(Weights.trust(SPEC, arrays)["bias_l0"]).all()


def test_initial_values_are_uniform_seeded_and_the_same_in_both_types() -> None:
    spec = LSTMSpec(40, 64, layer_norm="gates_and_cell")
    weights = initialise(spec, seed=3)
    bound = 1 / 8
    for name, array in weights.items():
        if not name.startswith("norm_"):
            assert np.abs(array).max() <= bound
            assert np.abs(array).max() > 0.9 * bound
    assert abs(weights["weight_ih_l0"].mean()) < 0.01 * bound * 10
    assert (weights["norm_gates_gain_l0"] == 1).all()
    assert not weights["norm_gates_shift_l0"].any()
    again, other = initialise(spec, seed=3), initialise(spec, seed=4)
    assert np.array_equal(again["weight_hh_l0"], weights["weight_hh_l0"])
    assert not np.array_equal(other["weight_hh_l0"], weights["weight_hh_l0"])
    wide = initialise(spec, seed=3, dtype=np.float64)
    assert np.array_equal(wide["weight_hh_l0"].astype(np.float32), weights["weight_hh_l0"])


def test_more_parameters_than_memory_has_addresses() -> None:
    with pytest.raises(WeightsError, match="parameters; expected no more than a machine can address"):
        initialise(LSTMSpec(1 << 40, 1 << 40))


def test_forget_bias() -> None:
    bias = initialise(SPEC, forget_bias=1.0)["bias_l0"]
    assert (bias[4:8] == 1).all()
    assert not (bias[[0, 8, 12]] == 1).any()
    with pytest.raises(WeightsError, match="forget_bias is 1.0 but the specification has bias=False"):
        initialise(LSTMSpec(3, 4, bias=False), forget_bias=1.0)
    with pytest.raises(WeightsError, match="dtype is float16"):
        initialise(SPEC, dtype=np.float16)


@given(spec=specs())
@deterministic(30)
def test_file_round_trip(spec: LSTMSpec, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("weights") / "lstm.safetensors"
    weights = random_weights(spec, 1)
    weights.save(path)
    back = Weights.load(path, spec=spec)
    assert back.spec == spec
    for name, array in weights.items():
        assert np.array_equal(back[name], array)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_file_for_another_spec_is_named(tmp_path: Path) -> None:
    initialise(SPEC).save(tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match=r"holds LSTMSpec\(input_size=3.*expected LSTMSpec\(input_size=9"):
        Weights.load(tmp_path / "a.safetensors", spec=LSTMSpec(9, 4))


def file_with(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def hostile_files() -> dict[str, tuple[bytes, str]]:
    spec = {SPEC_KEY: SPEC.to_json()}
    return {
        "empty": (b"", "truncated or not a safetensors file"),
        "short": (b"1234567", "truncated"),
        "text": (b"not a model, but longer than eight bytes", "truncated or not"),
        "huge header": (struct.pack("<Q", 2**63) + b"{}", "truncated or not"),
        "no json": (file_with(b"\xff\xfe{"), "is not a safetensors file"),
        "deep json": (file_with(b"[" * 100000), "is not a safetensors file"),
        "a list": (file_with([1]), "carries no gatesmith specification"),
        "foreign": (save({"w": np.zeros(3, np.float32)}), "carries no gatesmith specification; convert it"),
        "no text": (file_with({"__metadata__": {SPEC_KEY: 3}}), "carries no gatesmith specification"),
        "bad spec": (file_with({"__metadata__": {SPEC_KEY: "{}"}}), "carries an impossible specification"),
        "no arrays": (file_with({"__metadata__": spec}), "parameter 'weight_ih_l0' is missing"),
        "beyond the end": (
            file_with({"__metadata__": spec, "a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}),
            "not a whole safetensors file",
        ),
        "wrong arrays": (save({"w": np.zeros(3, np.float32)}, metadata=spec), "parameter 'weight_ih_l0' is missing"),
        "half precision": (
            save({name: array.astype(np.float16) for name, array in good().items()}, metadata=spec),
            "has dtype float16",
        ),
    }


@pytest.mark.parametrize("name", hostile_files())
def test_hostile_files_are_named(name: str, tmp_path: Path) -> None:
    content, message = hostile_files()[name]
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        Weights.load(tmp_path / "a.safetensors")


def test_fuzzed_files_give_weights_or_an_error(tmp_path: Path) -> None:
    initialise(SPEC).save(tmp_path / "a.safetensors")
    content = (tmp_path / "a.safetensors").read_bytes()
    rng = np.random.default_rng(0)
    errors = 0
    for attempt in range(300):
        broken = bytearray(content[: int(rng.integers(len(content))) if attempt % 2 else None])
        for at in rng.integers(0, min(400, max(1, len(broken))), 3):
            if at < len(broken):
                broken[at] ^= int(rng.integers(1, 256))
        (tmp_path / "b.safetensors").write_bytes(broken)
        try:
            Weights.load(tmp_path / "b.safetensors")
        except WeightsError:
            errors += 1
    assert errors > 200


def test_absent_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="can't read the weight file"):
        Weights.load(tmp_path / "absent.safetensors")
    with pytest.raises(GatesmithError, match="can't write"):
        initialise(SPEC).save(tmp_path / "absent" / "a.safetensors")
