"""ONNX's official backend test suite, for every LSTM case, and the interface's own errors."""

from typing import Any
from unittest import mock

import numpy as np
import onnx.backend.test.case.node.lstm  # registers the LSTM cases
import pytest
from onnx import helper
from onnx.backend.test import BackendTest
from tests.onnx.models import lstm_node, model_of, random_inputs, run_with_onnx_runtime
from tests.tolerances import TOLERANCES

import gatesmith.onnx
from gatesmith.errors import InputError, UnsupportedError, WeightsError

# The suite's own loader imports the cases of all two hundred operators first, which takes half a minute.
with mock.patch("onnx.backend.test.loader.import_recursive"):
    suite = BackendTest(gatesmith.onnx.Backend, __name__)
suite.include("test_lstm_")
OfficialSuite = suite.test_cases["OnnxBackendNodeModelTest"]
for name in [name for name in vars(OfficialSuite) if name.endswith("_cuda")]:
    delattr(OfficialSuite, name)


def test_the_official_suite_has_all_its_lstm_cases() -> None:
    cases = {name for name in dir(OfficialSuite) if name.startswith("test_lstm_")}
    assert cases == {f"{case.name}_cpu" for case in onnx.backend.test.case.node._NodeTestCases}
    assert {"test_lstm_defaults_cpu", "test_lstm_with_peepholes_cpu", "test_lstm_batchwise_cpu"} <= cases


def plumbing_model(opset: int = 22) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """Transpose, LSTM, Squeeze, Gather of the last step, Gemm, Softmax."""
    rng = np.random.default_rng(0)
    lstm = random_inputs(rng, steps=4, batch=3, features=2, hidden=5, directions=1, present=("X", "W", "R", "B"))
    x = {"x": lstm.pop("X").swapaxes(0, 1)}
    arrays = {**lstm, "head": rng.normal(size=(5, 2)).astype(np.float32), "last": np.array(-1), "axes": np.array([1])}
    squeeze = (
        helper.make_node("Squeeze", ["Y", "axes"], ["joined"])
        if opset >= 13
        else helper.make_node("Squeeze", ["Y"], ["joined"], axes=[1])
    )
    nodes = [
        helper.make_node("Transpose", ["x"], ["X"], perm=[1, 0, 2]),
        lstm_node(("X", "W", "R", "B"), ("Y",), hidden_size=5),
        squeeze,
        helper.make_node("Gather", ["joined", "last"], ["final"], axis=0),
        helper.make_node("Gemm", ["final", "head"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
    ]
    return model_of(nodes, x, ("probabilities",), arrays=arrays, opset=opset), x


@pytest.mark.parametrize("opset", [11, 13, 18, 22])
def test_models_with_plumbing_agree_with_onnx_runtime(opset: int) -> None:
    model, x = plumbing_model(opset)
    prepared = gatesmith.onnx.prepare(model)
    (expected,) = run_with_onnx_runtime(model, x)
    for inputs in (x, list(x.values()), x["x"]):
        outputs = prepared.run(inputs)
        assert np.abs(outputs[0] - expected).max() <= TOLERANCES["onnx_runtime_float32"]
        assert np.array_equal(outputs["probabilities"], outputs[0])


def test_devices() -> None:
    assert gatesmith.onnx.supports_device("CPU")
    assert gatesmith.onnx.supports_device("CPU:0")
    assert not gatesmith.onnx.supports_device("CUDA")
    model, _ = plumbing_model()
    with pytest.raises(UnsupportedError, match="device 'CUDA'"):
        gatesmith.onnx.prepare(model, "CUDA")
    with pytest.raises(UnsupportedError, match="device 'CUDA'"):
        gatesmith.onnx.run_node(model.graph.node[0], [np.zeros((1, 2, 3))], "CUDA")


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([], "0 inputs are given; expected 1"),
        ({}, "output 'probabilities' needs an input"),
        ({"y": np.zeros(3)}, "input 'y' is unknown"),
        ({"x": np.zeros((3, 4, 2))}, "dtype float64; expected float32"),
        ({"x": np.zeros((3, 4, 7), np.float32)}, "with D = 2"),
        ({"x": np.zeros((3, 4), np.float32)}, "Transpose .* fails on its inputs"),
    ],
)
def test_wrong_inputs_are_named(inputs: Any, message: str) -> None:
    model, _ = plumbing_model()
    with pytest.raises(InputError, match=message):
        gatesmith.onnx.run_model(model, inputs)


def test_run_node_takes_arrays_by_order_by_name_and_with_gaps() -> None:
    arrays = random_inputs(np.random.default_rng(0), steps=3, batch=2, features=2, hidden=3, directions=1)
    del arrays["B"]
    node = lstm_node(tuple(arrays), hidden_size=3)
    by_name = gatesmith.onnx.run_node(node, arrays)
    dense = [arrays[name] for name in node.input if name]
    gaps = [arrays.get(name) for name in node.input]
    for inputs in (dense, gaps):
        for ours, expected in zip(gatesmith.onnx.run_node(node, inputs, opset_version=14), by_name, strict=True):
            assert np.array_equal(ours, expected)
    with pytest.raises(InputError, match="1 inputs are given"):
        gatesmith.onnx.run_node(node, dense[:1])
    with pytest.raises(UnsupportedError, match="opset_version is 6"):
        gatesmith.onnx.run_node(node, dense, opset_version=6)


def test_an_invalid_model_is_an_error() -> None:
    with pytest.raises(WeightsError, match="not a valid ONNX model"):
        gatesmith.onnx.prepare(onnx.ModelProto())
