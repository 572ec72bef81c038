"""What other runtimes do with ONNX's LSTM, as docs/variants.md says: when one of them changes, this tells."""

import io

import numpy as np
import pytest
from tests.onnx.models import lstm_node, model_of, random_inputs, run_with_onnx_runtime

import gatesmith.onnx

pytestmark = pytest.mark.nightly
PLAIN = ("X", "W", "R", "B")
OUTPUTS = ("Y", "Y_h", "Y_c")


def compared(
    runtime: str, attributes: dict[str, object], present: tuple[str, ...] = PLAIN, lengths: object = None
) -> str:
    """ "same", "different" or "refused": a runtime's outputs against ours."""
    directions = 2 if attributes.get("direction") == "bidirectional" else 1
    rng = np.random.default_rng(0)
    inputs = random_inputs(rng, steps=4, batch=3, features=2, hidden=3, directions=directions, present=present)
    if lengths is not None:
        inputs["sequence_lens"] = np.array(lengths, np.int32)
    if attributes.get("layout"):
        inputs["X"] = np.ascontiguousarray(inputs["X"].swapaxes(0, 1))
    arrays = {name: inputs[name] for name in ("W", "R", "B", "P") if name in inputs}
    feeds = {name: array for name, array in inputs.items() if name not in arrays}
    model = model_of([lstm_node(tuple(inputs), hidden_size=3, **attributes)], feeds, OUTPUTS, arrays=arrays)
    ours = gatesmith.onnx.run_model(model, feeds)
    try:
        theirs = run_with_onnx_runtime(model, feeds) if runtime == "onnxruntime" else run_with_openvino(model, feeds)
    except Exception:  # each runtime refuses with its own kind of error
        return "refused"
    close = all(a.shape == b.shape and np.allclose(a, b, atol=1e-4) for a, b in zip(ours, theirs, strict=True))
    return "same" if close else "different"


def run_with_openvino(model: object, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    import openvino

    core = openvino.Core()
    read = core.read_model(io.BytesIO(model.SerializeToString()))
    compiled = core.compile_model(read, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return [np.array(value) for value in compiled(feeds).values()]


@pytest.mark.parametrize(
    ("attributes", "options", "onnxruntime", "openvino"),
    [
        ({}, {}, "same", "same"),
        ({"direction": "bidirectional"}, {}, "same", "same"),
        ({}, {"present": (*PLAIN, "P")}, "same", "different"),
        ({"input_forget": 1}, {}, "same", "different"),
        ({"clip": 0.3}, {}, "same", "same"),
        ({}, {"lengths": [4, 1, 2]}, "same", "same"),
        ({}, {"lengths": [4, 0, 2], "present": (*PLAIN, "initial_h", "initial_c")}, "same", "same"),
        ({"layout": 1}, {}, "refused", "different"),
        ({"direction": "reverse"}, {}, "same", "same"),
        (
            {"direction": "bidirectional", "activations": ["Sigmoid", "Tanh", "Tanh", "Sigmoid", "Relu", "Relu"]},
            {},
            "same",
            "different",
        ),
        ({"activations": ["Relu"] * 3}, {}, "same", "same"),
        ({"activations": ["Softsign"] * 3}, {}, "same", "refused"),
        *(
            ({"activations": [name, "Tanh", "Tanh"]}, {}, "same", "refused")
            for name in ("HardSigmoid", "Elu", "Softplus", "LeakyRelu", "ThresholdedRelu", "ScaledTanh", "Affine")
        ),
    ],
    ids=str,
)
def test_what_the_table_says(attributes: dict, options: dict, onnxruntime: str, openvino: str) -> None:
    assert compared("onnxruntime", attributes, **options) == onnxruntime
    assert compared("openvino", attributes, **options) == openvino
