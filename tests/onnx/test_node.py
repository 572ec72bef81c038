"""One LSTM node against ONNX Runtime: every attribute, every combination of optional inputs and outputs."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.onnx.models import INPUTS, OUTPUTS, lstm_node, model_of, random_inputs, run_with_onnx_runtime
from tests.strategies import deterministic
from tests.tolerances import TOLERANCES

import gatesmith.onnx
from gatesmith.errors import GatesmithError, InputError, UnsupportedError, WeightsError
from gatesmith.onnx.node import ONNX_ACTIVATIONS

OPTIONAL = ("B", "sequence_lens", "initial_h", "initial_c", "P")
BOTH_PARAMETERS = {"Affine", "ScaledTanh", "HardSigmoid"}
ALPHA_ONLY = {"LeakyRelu", "ThresholdedRelu", "Elu"}


def assert_agrees(
    inputs: dict[str, np.ndarray], attributes: dict[str, object], wanted: tuple[str, ...] = OUTPUTS, opset: int = 22
) -> None:
    """Our backend and ONNX Runtime on one node whose arrays are all inputs of the graph."""
    node = lstm_node(tuple(inputs), wanted, **attributes)
    model = model_of([node], inputs, tuple(name for name in node.output if name), opset=opset)
    theirs = run_with_onnx_runtime(model, inputs)
    ours = gatesmith.onnx.run_model(model, list(inputs.values()))
    for name, a, b in zip((name for name in node.output if name), ours, theirs, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        error = float(np.abs(a - b).max() / max(1.0, np.abs(b).max())) if b.size else 0.0
        assert error <= TOLERANCES["onnx_runtime_float32"], f"{name} differs by {error:.1e}"


@st.composite
def activation_attributes(draw: st.DrawFn, directions: int) -> dict[str, object]:
    names = draw(
        st.lists(st.sampled_from(sorted(ONNX_ACTIVATIONS.values())), min_size=3 * directions, max_size=3 * directions)
    )
    attributes: dict[str, object] = {"activations": names}
    if draw(st.booleans()):
        attributes["activation_alpha"] = [0.4 for name in names if name in BOTH_PARAMETERS | ALPHA_ONLY]
        attributes["activation_beta"] = [0.3 for name in names if name in BOTH_PARAMETERS]
    return {name: value for name, value in attributes.items() if value}


@given(data=st.data())
@deterministic(120)
def test_any_node_agrees_with_onnx_runtime(data: st.DataObject) -> None:
    direction = data.draw(st.sampled_from(["forward", "reverse", "bidirectional"]))
    directions = 2 if direction == "bidirectional" else 1
    hidden = data.draw(st.integers(1, 6))
    attributes: dict[str, object] = {"direction": direction, "hidden_size": hidden}
    if data.draw(st.booleans()):
        attributes |= data.draw(activation_attributes(directions))
    if data.draw(st.booleans()):
        attributes["clip"] = data.draw(st.sampled_from([0.25, 0.8]))
    if data.draw(st.booleans()):
        attributes["input_forget"] = 1
    absent = data.draw(st.sets(st.sampled_from(OPTIONAL)))
    inputs = random_inputs(
        np.random.default_rng(data.draw(st.integers(0, 2**20))),
        steps=data.draw(st.integers(1, 5)),
        batch=data.draw(st.integers(1, 4)),
        features=data.draw(st.integers(1, 4)),
        hidden=hidden,
        directions=directions,
        present=tuple(name for name in INPUTS if name not in absent),
    )
    opset = data.draw(st.sampled_from([7, 13, 14, 21, 22]))
    assert_agrees(inputs, attributes, opset=opset)


@pytest.mark.parametrize("present", [c for n in range(6) for c in itertools.combinations(OPTIONAL, n)], ids="-".join)
def test_every_combination_of_optional_inputs(present: tuple[str, ...]) -> None:
    rng = np.random.default_rng(0)
    inputs = random_inputs(rng, steps=3, batch=2, features=2, hidden=3, directions=2, present=("X", "W", "R", *present))
    assert_agrees(inputs, {"direction": "bidirectional", "hidden_size": 3})


@pytest.mark.parametrize("wanted", [c for n in (1, 2, 3) for c in itertools.combinations(OUTPUTS, n)], ids="-".join)
def test_every_combination_of_outputs(wanted: tuple[str, ...]) -> None:
    inputs = random_inputs(np.random.default_rng(0), steps=3, batch=2, features=2, hidden=3, directions=1)
    assert_agrees(inputs, {"hidden_size": 3}, wanted)


@pytest.mark.parametrize("name", ONNX_ACTIVATIONS.values())
@pytest.mark.parametrize("given_parameters", [False, True])
def test_every_activation_with_its_defaults_and_with_parameters(name: str, given_parameters: bool) -> None:
    inputs = random_inputs(np.random.default_rng(0), steps=3, batch=2, features=2, hidden=3, directions=1)
    attributes: dict[str, object] = {"hidden_size": 3, "activations": [name] * 3, "clip": 3.0}
    if given_parameters and name in BOTH_PARAMETERS | ALPHA_ONLY:
        attributes["activation_alpha"] = [0.3, 0.5, 0.7]
        if name in BOTH_PARAMETERS:
            attributes["activation_beta"] = [0.2, 0.1, 0.4]
    assert_agrees(inputs, attributes)


def test_alpha_and_beta_are_consumed_in_order_by_those_that_take_them() -> None:
    inputs = random_inputs(np.random.default_rng(1), steps=3, batch=2, features=2, hidden=3, directions=2)
    attributes = {
        "hidden_size": 3,
        "direction": "bidirectional",
        "activations": ["HardSigmoid", "Tanh", "LeakyRelu", "sigmoid", "ScaledTanh", "Elu"],
        "activation_alpha": [0.3, 0.5, 0.7],
        "activation_beta": [0.2],
    }
    assert_agrees(inputs, attributes)


def test_clip_bounds_pre_activations_but_not_the_state_that_h_reads() -> None:
    """onnxruntime#27224: ONNX's text says "the input of activations", h's too; ONNX Runtime bounds the gates' alone."""
    inputs = random_inputs(np.random.default_rng(0), steps=6, batch=2, features=2, hidden=3, directions=1)
    inputs["initial_c"] *= 10
    attributes = {"hidden_size": 3, "clip": 0.5}
    assert_agrees(inputs, attributes)
    node = lstm_node(tuple(inputs), **attributes)
    _, _, y_c = gatesmith.onnx.run_node(node, inputs)
    assert np.abs(y_c).max() > 0.5


def test_a_sequence_of_length_0_ends_in_zero_states_as_in_onnx_runtime() -> None:
    inputs = random_inputs(np.random.default_rng(0), steps=3, batch=3, features=2, hidden=3, directions=2)
    inputs["sequence_lens"] = np.array([3, 0, 1], np.int32)
    assert_agrees(inputs, {"hidden_size": 3, "direction": "bidirectional"})
    node = lstm_node(tuple(inputs), hidden_size=3, direction="bidirectional")
    _, y_h, y_c = gatesmith.onnx.run_node(node, inputs)
    assert not y_h[:, 1].any()
    assert not y_c[:, 1].any()


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_layout_1_is_layout_0_with_the_batch_first(direction: str) -> None:
    directions = 2 if direction == "bidirectional" else 1
    inputs = random_inputs(np.random.default_rng(0), steps=4, batch=3, features=2, hidden=3, directions=directions)
    attributes = {"hidden_size": 3, "direction": direction}
    y, y_h, y_c = gatesmith.onnx.run_node(lstm_node(tuple(inputs), **attributes), inputs)
    swapped = {
        name: array.swapaxes(0, 1) if name in ("X", "initial_h", "initial_c") else array
        for name, array in inputs.items()
    }
    turned = gatesmith.onnx.run_node(lstm_node(tuple(inputs), layout=1, **attributes), swapped)
    for ours, expected in zip(turned, (y.transpose(2, 0, 1, 3), y_h.swapaxes(0, 1), y_c.swapaxes(0, 1)), strict=True):
        assert np.array_equal(ours, expected)


@pytest.mark.parametrize("dtype", ["float64", "float16"])
def test_other_float_types(dtype: str) -> None:
    rng = np.random.default_rng(0)
    inputs = random_inputs(rng, steps=3, batch=2, features=2, hidden=3, directions=1, dtype=dtype)
    outputs = gatesmith.onnx.run_node(lstm_node(tuple(inputs), hidden_size=3), inputs)
    narrow = {n: a.astype("float32") if a.dtype.kind == "f" else a for n, a in inputs.items()}
    expected = gatesmith.onnx.run_node(lstm_node(tuple(inputs), hidden_size=3), narrow)
    for ours, theirs in zip(outputs, expected, strict=True):
        assert ours.dtype == dtype
        limit = TOLERANCES["onnx_runtime_float32"] if dtype == "float64" else 0.0
        assert np.abs(ours - theirs.astype(dtype)).max() <= limit


def test_an_empty_batch_and_no_steps_are_no_crash() -> None:
    for steps, batch in ((3, 0), (0, 2), (0, 0)):
        rng = np.random.default_rng(0)
        inputs = random_inputs(rng, steps=steps, batch=batch, features=2, hidden=3, directions=1)
        y, y_h, _ = gatesmith.onnx.run_node(lstm_node(tuple(inputs), hidden_size=3), inputs)
        assert y.shape == (steps, 1, batch, 3)
        assert y_h.shape == (1, batch, 3)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"hidden_size": 0}, UnsupportedError, "hidden_size 0; expected an integer of at least 1"),
        ({"direction": "sideways"}, UnsupportedError, "direction 'sideways'"),
        ({"clip": 0.0}, UnsupportedError, "clip 0.0; expected a positive number"),
        ({"input_forget": 2}, UnsupportedError, "input_forget 2; expected 0 or 1"),
        ({"activations": ["Tanh"]}, UnsupportedError, "1 activations; expected 3"),
        ({"activations": ["Gelu"] * 3}, UnsupportedError, "activation 'Gelu'"),
        ({"layout": 7}, UnsupportedError, "layout 7"),
        ({"output_sequence": 1}, UnsupportedError, "attribute 'output_sequence'"),
        ({"hidden_size": 4}, WeightsError, r"W of LSTM 'cell' has shape .* expected \(1, 16, 2\)"),
        ({"R": np.zeros((1, 12, 4), np.float32)}, WeightsError, "R of LSTM 'cell' has shape"),
        ({"B": np.zeros((1, 12), np.float32)}, WeightsError, "B of LSTM 'cell' has shape"),
        ({"P": np.zeros((2, 9), np.float32)}, WeightsError, "P of LSTM 'cell' has shape"),
        ({"W": np.zeros((12, 2), np.float32)}, WeightsError, "expected \\(directions, 4 \\* H, D\\)"),
        ({"B": np.full((1, 24), np.nan, np.float32)}, WeightsError, "expected finite numbers"),
        ({"X": np.zeros((3, 2), np.float32)}, InputError, "X of LSTM 'cell' has shape"),
        ({"X": np.zeros((3, 2, 5), np.float32)}, InputError, "with D = 2"),
        ({"initial_h": np.zeros((1, 2, 7), np.float32)}, InputError, "h0 has shape"),
        ({"initial_c": np.zeros((1, 2, 3), np.float64)}, InputError, "mix types"),
        ({"sequence_lens": np.array([4, 1], np.int32)}, InputError, r"lengths\[0\] is 4"),
        ({"sequence_lens": np.array([1, 1], np.float32)}, InputError, "expected integers"),
    ],
    ids=lambda value: str(next(iter(value))) if isinstance(value, dict) else "",
)
def test_wrong_nodes_and_arrays_are_named(change: dict[str, object], error: type[GatesmithError], message: str) -> None:
    inputs: dict[str, object] = dict(
        random_inputs(np.random.default_rng(0), steps=3, batch=2, features=2, hidden=3, directions=1)
    )
    attributes: dict[str, object] = {"hidden_size": 3}
    for name, value in change.items():
        (inputs if name in INPUTS else attributes)[name] = value
    with pytest.raises(error, match=message):
        gatesmith.onnx.Backend.run_node(lstm_node(tuple(inputs), **attributes), inputs)


def test_missing_x_is_named() -> None:
    inputs = random_inputs(np.random.default_rng(0), steps=3, batch=2, features=2, hidden=3, directions=1)
    del inputs["X"]
    with pytest.raises(InputError, match="lacks X, W or R"):
        gatesmith.onnx.run_node(lstm_node(INPUTS, hidden_size=3), inputs)
