"""Small ONNX models for the tests, and ONNX Runtime as an outside oracle."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto, helper

INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
OUTPUTS = ("Y", "Y_h", "Y_c")


def lstm_node(present: tuple[str, ...], wanted: tuple[str, ...] = OUTPUTS, **attributes: Any) -> onnx.NodeProto:
    """An LSTM node with some of its inputs and outputs left out."""
    inputs = [name if name in present else "" for name in INPUTS]
    while inputs and not inputs[-1]:
        inputs.pop()
    outputs = [name if name in wanted else "" for name in OUTPUTS]
    while outputs and not outputs[-1]:
        outputs.pop()
    return helper.make_node("LSTM", inputs, outputs, name="cell", **attributes)


def model_of(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, np.ndarray],
    outputs: tuple[str, ...],
    *,
    arrays: dict[str, np.ndarray] | None = None,
    opset: int = 22,
) -> ModelProto:
    """A model whose inputs have the types and shapes of these arrays."""
    values = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in inputs.items()
    ]
    kind = next((array.dtype for array in inputs.values() if array.dtype.kind == "f"), np.dtype(np.float32))
    ranks = {"Y": 4, "Y_h": 3, "Y_c": 3, "probabilities": 2}
    results = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(kind), [None] * ranks.get(name, 3))
        for name in outputs
    ]
    constants = [onnx.numpy_helper.from_array(array, name) for name, array in (arrays or {}).items()]
    graph = helper.make_graph(nodes, "test", values, results, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def run_with_onnx_runtime(model: ModelProto, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, inputs)


def random_inputs(
    rng: np.random.Generator,
    *,
    steps: int,
    batch: int,
    features: int,
    hidden: int,
    directions: int,
    present: tuple[str, ...] = INPUTS,
    dtype: str = "float32",
) -> dict[str, np.ndarray]:
    """Arrays for an LSTM node in layout 0."""
    shapes = {
        "X": (steps, batch, features),
        "W": (directions, 4 * hidden, features),
        "R": (directions, 4 * hidden, hidden),
        "B": (directions, 8 * hidden),
        "initial_h": (directions, batch, hidden),
        "initial_c": (directions, batch, hidden),
        "P": (directions, 3 * hidden),
    }
    # Small weights: unbounded activations would amplify the rounding of float32 from step to step.
    arrays = {
        name: rng.normal(scale=0.4 if name in ("W", "R", "P") else 1.0, size=shape).astype(dtype)
        for name, shape in shapes.items()
        if name in present
    }
    if "sequence_lens" in present:
        arrays["sequence_lens"] = rng.integers(0, steps + 1, batch).astype(np.int32)
    return arrays
