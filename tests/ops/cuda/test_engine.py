"""The device "cuda" through the table of devices: every variant of the spec, and machines where it can't run."""

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from tests.strategies import calls, deterministic, random_weights, specs
from tests.tolerances import TOLERANCES

from gatesmith.errors import UnsupportedError
from gatesmith.ops import LSTM, cuda, run_on_device
from gatesmith.ops.call import Call, make_call
from gatesmith.ops.cuda import engine
from gatesmith.ops.devices import DEVICES
from gatesmith.spec import LSTMSpec

pytestmark = pytest.mark.filterwarnings("default:TRITON_DEFAULT_FP_FUSION")

PARTS: dict[str, dict[str, Any]] = {
    "input_size": {"input_size": 1},
    "hidden_size": {"hidden_size": 1},
    "num_layers": {"num_layers": 3},
    "direction": {"direction": "reverse"},
    "bias": {"bias": False},
    "peepholes": {"peepholes": "ifo"},
    "full_peepholes": {"full_peepholes": "ifo"},
    "coupled_gates": {"coupled_gates": "i=1-f", "full_peepholes": "i"},
    "gate_clip": {"gate_clip": 0.3},
    "cell_clip": {"cell_clip": 0.2, "peepholes": "o"},
    "proj_clip": {"proj_size": 2, "proj_clip": 0.1, "num_layers": 2},
    "proj_size": {"proj_size": 2, "direction": "bidirectional", "num_layers": 2},
    "proj_bias": {"proj_size": 1, "proj_bias": True},
    "activations": {"activations": ("hard_sigmoid", "softsign", "elu")},
    "reverse_activations": {"direction": "bidirectional", "reverse_activations": ("softplus", "relu", "tanh")},
    "layer_norm": {"layer_norm": "gates_and_cell", "peepholes": "o", "coupled_gates": "f=1-i"},
    "layer_norm, of inputs": {"layer_norm": "inputs_and_cell", "direction": "bidirectional"},
    "zoneout_h": {"zoneout_h": 0.4, "proj_size": 2},
    "zoneout_c": {"zoneout_c": 0.4, "peepholes": "o"},
    "dropout": {"dropout": 0.4, "num_layers": 2, "layer_norm": "gates_and_cell"},
    "recurrent_dropout": {"recurrent_dropout": 0.4, "full_peepholes": "f"},
    "forget_bias": {"forget_bias": 1.5, "layer_norm": "gates_and_cell"},
    "drop_states": {"drop_states": True},
    "residual": {"residual": True, "num_layers": 2, "proj_size": 2},
}
"""A spec for every field, so that a new field is a failing test; among them all that the kernels leave to PyTorch."""


def test_every_field_of_a_spec_has_a_case() -> None:
    assert {name.split(",")[0] for name in PARTS} == {field.name for field in fields(LSTMSpec) if field.name != "_"}


def call_of(spec: LSTMSpec, dtype: str, *, training: bool) -> Call:
    rng = np.random.default_rng(3)
    cells = len(spec.cells())

    def drawn(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(dtype)

    state = drawn(cells, 3, spec.output_size), drawn(cells, 3, spec.hidden_size)
    x = drawn(3, 3, spec.input_size)
    return make_call(random_weights(spec, 3, dtype), x, state, lengths=[0, 3, 2], training=training, seed=2**64 - 5)


def results(device: str, call: Call) -> dict[str, np.ndarray]:
    runner = DEVICES[device].engine()
    assert runner.unsupported(call) is None
    bare = runner.forward(call)
    outputs, tape = runner.forward_for_training(call)
    rng = np.random.default_rng(7)
    upstream = [rng.normal(size=array.shape).astype(array.dtype) for array in (outputs.y, outputs.h_n, outputs.c_n)]
    gradients = runner.backward(tape, *upstream)
    named = {"y": outputs.y, "h_n": outputs.h_n, "c_n": outputs.c_n}
    for name, array in named.items():
        np.testing.assert_array_equal(getattr(bare, name), array)
    named |= {"dx": gradients.dx, "dh0": gradients.dh0, "dc0": gradients.dc0}
    return named | {f"d{name}": array for name, array in gradients.dweights.items()}


def assert_equal_to_the_reference(call: Call) -> None:
    ours, expected = results("cuda", call), results("reference", call)
    assert ours.keys() == expected.keys()
    tolerance = TOLERANCES["cuda_float32" if call.x.dtype == np.float32 else "reference_to_pytorch_float64"]
    for name, array in expected.items():
        assert ours[name].dtype == array.dtype
        assert ours[name].shape == array.shape, name
        error = np.abs(ours[name] - array).max(initial=0) / max(1.0, np.abs(array).max(initial=0))
        assert error <= tolerance, f"{name} differs by {error:.2e}"


@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
@pytest.mark.parametrize("name", PARTS)
def test_every_variant_runs_forward_and_backward(name: str, training: bool) -> None:
    spec = LSTMSpec(**{"input_size": 2, "hidden_size": 3, **PARTS[name]})
    assert_equal_to_the_reference(call_of(spec, "float32", training=training))


def test_float64_runs_in_float64() -> None:
    assert_equal_to_the_reference(call_of(LSTMSpec(2, 3, 2, "bidirectional"), "float64", training=True))


def test_the_operator_takes_the_device() -> None:
    lstm = LSTM(LSTMSpec(3, 5), seed=1)
    x = np.random.default_rng(0).normal(size=(3, 2, 3)).astype(np.float32)
    ours, (h_n, _) = run_on_device(lstm, x, device="cuda", lengths=[3, 1])
    y, (expected_h_n, _) = run_on_device(lstm, x, device="reference", lengths=[3, 1])
    assert np.abs(ours - y).max() <= TOLERANCES["cuda_float32"]
    assert np.abs(h_n - expected_h_n).max() <= TOLERANCES["cuda_float32"]


def test_a_machine_without_a_gpu_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(engine, "_interprets", lambda: False)
    with pytest.raises(UnsupportedError, match="no NVIDIA GPU"):
        run_on_device(LSTM(LSTMSpec(3, 5)), np.zeros((2, 1, 3), np.float32), device="cuda")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "find_spec", lambda name: None if name == "triton" else object())
    assert cuda.missing() == "Triton is not installed, run `pip install 'gatesmith[cuda]'`"


@pytest.mark.nightly
def test_random_specs_run_forward_and_backward() -> None:
    from hypothesis import given

    @given(call=calls(specs(), dtype="float32", max_steps=3, max_batch=2))
    @deterministic(60)
    def check(call: Call) -> None:
        assert_equal_to_the_reference(call)

    check()
