"""LSTMs in and out of ONNX files, with ONNX Runtime as the witness, and files that are broken or hostile."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from tests.onnx.models import lstm_node, model_of, random_inputs, run_with_onnx_runtime
from tests.strategies import deterministic, random_weights, specs
from tests.tolerances import TOLERANCES

import gatesmith.onnx
from gatesmith.errors import GatesmithError, InputError, UnsupportedError, WeightsError
from gatesmith.onnx import graph
from gatesmith.ops import LSTM
from gatesmith.spec import STANDARD_ACTIVATIONS, LSTMSpec


def without_what_onnx_lacks(spec: LSTMSpec) -> LSTMSpec:
    return dataclasses.replace(
        spec,
        peepholes="".join(gate for gate in "ifo" if gate in spec.peepholes + spec.full_peepholes),
        full_peepholes="",
        coupled_gates="none" if spec.coupled_gates == "i=1-f" else spec.coupled_gates,
        cell_clip=None,
        proj_size=0,
        proj_bias=False,
        proj_clip=None,
        layer_norm="none",
        zoneout_h=0.0,
        zoneout_c=0.0,
        drop_states=False,
    )


def bounded(spec: LSTMSpec) -> LSTMSpec:
    """Standard activations where others would amplify float32's rounding without bound."""
    names = {activation.name for direction in spec.directions for activation in spec.activations_of(direction)}
    if names & {"relu", "elu", "affine", "leaky_relu", "softplus", "thresholded_relu"}:
        return dataclasses.replace(spec, activations=STANDARD_ACTIVATIONS, reverse_activations=None)
    return spec


EXPRESSIBLE = specs().map(without_what_onnx_lacks)


@given(spec=EXPRESSIBLE.map(bounded), data=st.data())
@deterministic(60)
def test_exported_models_compute_the_same_in_onnx_runtime(spec: LSTMSpec, data: st.DataObject) -> None:
    states, lengths = data.draw(st.booleans()), data.draw(st.booleans())
    lstm = LSTM(random_weights(spec, 3, "float32"), batch_first=data.draw(st.booleans()))
    model = gatesmith.onnx.to_onnx(
        lstm, opset=data.draw(st.sampled_from([7, 13, 14, 22])), states=states, lengths=lengths
    )
    rng = np.random.default_rng(0)
    steps, batch, cells = 4, 3, len(spec.cells())
    x = rng.normal(size=(batch, steps, spec.input_size) if lstm.batch_first else (steps, batch, spec.input_size))
    inputs: dict[str, Any] = {"x": x.astype(np.float32)}
    state = None
    if states:
        state = tuple(rng.normal(size=(cells, batch, spec.hidden_size)).astype(np.float32) for _ in "hc")
        inputs |= dict(zip(("h0", "c0"), state, strict=True))
    if lengths:
        inputs["lengths"] = np.array([4, 1, 2], np.int32)
    y, (h_n, c_n) = lstm(inputs["x"], state, lengths=inputs.get("lengths"))
    for results in (run_with_onnx_runtime(model, inputs), gatesmith.onnx.run_model(model, inputs)):
        for ours, theirs in zip((y, h_n, c_n), results, strict=True):
            assert ours.shape == theirs.shape
            error = float(np.abs(ours - theirs).max() / max(1.0, np.abs(theirs).max()))
            assert error <= TOLERANCES["onnx_runtime_float32"], f"differs by {error:.1e}"


@given(spec=EXPRESSIBLE, batch_first=st.booleans(), states=st.booleans(), lengths=st.booleans())
@deterministic(60)
def test_import_gives_back_what_was_exported(spec: LSTMSpec, batch_first: bool, states: bool, lengths: bool) -> None:
    lstm = LSTM(random_weights(spec, 3, "float32"), batch_first=batch_first)
    back = gatesmith.onnx.from_onnx(gatesmith.onnx.to_onnx(lstm, states=states, lengths=lengths))
    assert back.batch_first == batch_first
    x = np.random.default_rng(0).normal(size=(4, 4, spec.input_size)).astype(np.float32)
    expected, (h, c) = LSTM(lstm.weights, device="reference", batch_first=batch_first)(x)
    actual, (h_n, c_n) = LSTM(back.weights, device="reference", batch_first=batch_first)(x)
    for ours, theirs in zip((actual, h_n, c_n), (expected, h, c), strict=True):
        error = float(np.abs(ours - theirs).max() / max(1.0, np.abs(theirs).max()))
        # ONNX's attributes are float32, and forget_bias is folded into the bias.
        plain = spec.activations == STANDARD_ACTIVATIONS and spec.reverse_activations is None
        exact = plain and not spec.forget_bias and spec.gate_clip is None
        assert error <= TOLERANCES["equal" if exact else "onnx_runtime_float32"], f"differs by {error:.1e}"


@pytest.mark.parametrize(
    ("change", "feature"),
    [
        ({"full_peepholes": "o"}, "full-matrix peepholes"),
        ({"coupled_gates": "i=1-f"}, "coupled as i = 1 - f"),
        ({"cell_clip": 1.0}, "cell_clip"),
        ({"proj_size": 2}, "projection"),
        ({"layer_norm": "inputs_and_cell"}, "layer_norm"),
        ({"zoneout_h": 0.1}, "zoneout"),
        ({"zoneout_c": 0.1}, "zoneout"),
        ({"drop_states": True}, "drop_states"),
    ],
)
def test_what_onnx_lacks_is_named(change: dict[str, Any], feature: str) -> None:
    with pytest.raises(UnsupportedError, match=f"ONNX can't express .*{feature}"):
        gatesmith.onnx.to_onnx(LSTM(LSTMSpec(3, 4, **change)))


@pytest.mark.parametrize("opset", [6, 23])
def test_export_names_the_opsets(opset: int) -> None:
    with pytest.raises(UnsupportedError, match=f"opset is {opset}; expected 7 to 22"):
        gatesmith.onnx.to_onnx(LSTM(LSTMSpec(3, 4)), opset=opset)


def test_save_writes_a_file_that_loads(tmp_path: Path) -> None:
    lstm = LSTM(LSTMSpec(3, 4, 2), seed=1)
    gatesmith.onnx.save_onnx(lstm, tmp_path / "lstm.onnx")
    back = gatesmith.onnx.from_onnx(tmp_path / "lstm.onnx")
    assert back.spec == lstm.spec
    for name, array in lstm.weights.items():
        assert np.array_equal(back.weights[name], array)
    assert [path.name for path in tmp_path.iterdir()] == ["lstm.onnx"]


def test_layout_1_is_imported_as_batch_first() -> None:
    arrays = random_inputs(np.random.default_rng(0), steps=3, batch=2, features=2, hidden=3, directions=1)
    x = {"X": arrays.pop("X")}
    weights = {name: arrays[name] for name in ("W", "R", "B", "P")}
    node = lstm_node(("X", *weights), ("Y", "Y_h"), hidden_size=3, layout=1)
    lstm = gatesmith.onnx.from_onnx(model_of([node], x, ("Y", "Y_h"), arrays=weights))
    assert lstm.batch_first
    assert lstm.spec.peepholes == "ifo"


def test_weights_may_be_computed_from_constants() -> None:
    """As PyTorch's exporter does without constant folding: slices of the gates, concatenated in another order."""
    arrays = random_inputs(
        np.random.default_rng(0), steps=3, batch=2, features=2, hidden=3, directions=1, present=("X", "W", "R")
    )
    x = {"X": arrays["X"]}
    parts = {f"part{k}": part for k, part in enumerate(np.split(arrays["W"][0], 2))}
    nodes = [
        helper.make_node("Concat", list(parts), ["flat"], axis=0),
        helper.make_node("Constant", [], ["axis"], value=numpy_helper.from_array(np.array([0]))),
        helper.make_node("Unsqueeze", ["flat", "axis"], ["W"]),
        lstm_node(("X", "W", "R"), ("Y",), hidden_size=3),
    ]
    lstm = gatesmith.onnx.from_onnx(model_of(nodes, x, ("Y",), arrays={**parts, "R": arrays["R"]}))
    assert np.array_equal(lstm.weights["weight_ih_l0"][:3], arrays["W"][0, :3])
    assert np.array_equal(lstm.weights["weight_ih_l0"][3:6], arrays["W"][0, 6:9])


def stack(plumbing: list[onnx.NodeProto], **second: Any) -> onnx.ModelProto:
    """Two LSTM nodes with this plumbing between Y_0 and X_1."""
    rng = np.random.default_rng(0)
    first = random_inputs(rng, steps=3, batch=2, features=3, hidden=3, directions=1, present=("X", "W", "R"))
    nodes = [
        helper.make_node("LSTM", ["x", "W", "R"], ["Y_0"], name="a", hidden_size=3),
        *plumbing,
        helper.make_node("LSTM", ["X_1", "W", "R"], ["Y"], name="b", **{"hidden_size": 3, **second}),
    ]
    arrays = {"W": first["W"], "R": first["R"], "axis": np.array([1]), "two": np.float32(2)}
    return model_of(nodes, {"x": first["X"]}, ("Y",), arrays=arrays)


SQUEEZE = helper.make_node("Squeeze", ["Y_0", "axis"], ["X_1"])


def test_a_stack_is_one_lstm() -> None:
    assert gatesmith.onnx.from_onnx(stack([SQUEEZE])).spec == LSTMSpec(3, 3, 2, bias=False)


@pytest.mark.parametrize(
    ("plumbing", "second", "message"),
    [
        ([SQUEEZE], {"clip": 1.0}, "has clip None and 'b' has 1.0"),
        ([SQUEEZE], {"direction": "reverse"}, "has direction forward and 'b' has reverse"),
        ([helper.make_node("Identity", ["x"], ["X_1"])], {}, "not a plain stack .*differs by"),
        (
            [helper.make_node("Squeeze", ["Y_0", "axis"], ["s"]), helper.make_node("Mul", ["s", "two"], ["X_1"])],
            {},
            "not a plain stack .*differs by",
        ),
        (
            [helper.make_node("Squeeze", ["Y_0", "axis"], ["s"]), helper.make_node("Relu", ["s"], ["X_1"])],
            {},
            "not a plain stack .*differs by",
        ),
    ],
    ids=["clip", "direction", "parallel", "scaled", "relu"],
)
def test_what_is_no_stack_is_named(plumbing: list[onnx.NodeProto], second: dict[str, Any], message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        gatesmith.onnx.from_onnx(stack(plumbing, **second))


def simple_model(**changes: Any) -> onnx.ModelProto:
    arrays = random_inputs(np.random.default_rng(0), steps=3, batch=2, features=2, hidden=3, directions=1)
    x = {"X": arrays.pop("X")} | {name: arrays.pop(name) for name in changes.get("as_inputs", ())}
    arrays |= changes.get("arrays", {})
    names = (*x, *arrays)
    return model_of([lstm_node(names, hidden_size=3)], x, ("Y", "Y_h", "Y_c"), arrays=arrays)


def test_what_a_weight_file_cannot_hold_is_named() -> None:
    zero = {"initial_h": np.zeros((1, 2, 3), np.float32), "initial_c": np.zeros((1, 2, 3), np.float32)}
    good = simple_model(as_inputs=("sequence_lens",), arrays=zero)
    assert gatesmith.onnx.from_onnx(good).spec.hidden_size == 3
    with pytest.raises(UnsupportedError, match="initial_h of LSTM 'cell' is a constant that is not zero"):
        gatesmith.onnx.from_onnx(simple_model(as_inputs=("sequence_lens",)))
    with pytest.raises(UnsupportedError, match="sequence_lens of LSTM 'cell' is a constant"):
        gatesmith.onnx.from_onnx(simple_model(arrays=zero))
    with pytest.raises(WeightsError, match="R of LSTM 'cell' is computed from the model's inputs"):
        gatesmith.onnx.from_onnx(simple_model(as_inputs=("sequence_lens", "R"), arrays=zero))
    empty = model_of([helper.make_node("Relu", ["x"], ["y"])], {"x": np.zeros((1, 1, 1), np.float32)}, ("y",))
    with pytest.raises(UnsupportedError, match="holds no LSTM node"):
        gatesmith.onnx.from_onnx(empty)


def test_operators_that_do_not_run_here_are_named() -> None:
    x = {"x": np.zeros((1, 1, 1), np.float32)}
    with pytest.raises(UnsupportedError, match="is a Exp; expected LSTM or one of"):
        gatesmith.onnx.prepare(model_of([helper.make_node("Exp", ["x"], ["y"])], x, ("y",)))
    foreign = model_of([helper.make_node("Attention", ["x"], ["y"], domain="com.microsoft")], x, ("y",))
    foreign.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    with pytest.raises(UnsupportedError, match=r"is a com\.microsoft\.Attention"):
        gatesmith.onnx.prepare(foreign)
    old = model_of([helper.make_node("Relu", ["x"], ["y"])], x, ("y",), opset=6)
    with pytest.raises(UnsupportedError, match="written for opset 6; expected 7 to"):
        gatesmith.onnx.prepare(old)


def test_a_small_file_cannot_ask_for_much_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    x = {"x": np.ones((1, 1, 1), np.float32)}
    shape = {"shape": np.array([2**20, 2**20])}
    for node in (
        helper.make_node("ConstantOfShape", ["shape"], ["y"]),
        helper.make_node("Expand", ["x", "shape"], ["y"]),
    ):
        with pytest.raises(InputError, match="would have .* elements; expected at most"):
            gatesmith.onnx.run_model(model_of([node], x, ("y",), arrays=shape), x)
    monkeypatch.setattr(graph, "MAX_ELEMENTS", 2**16)
    doubling = [helper.make_node("Concat", [f"y{k}"] * 2, [f"y{k + 1}"], axis=0) for k in range(40)]
    first = helper.make_node("Identity", ["x"], ["y0"])
    with pytest.raises(InputError, match="elements"):
        gatesmith.onnx.run_model(model_of([first, *doubling], x, ("y40",)), x)
    outer = [helper.make_node("MatMul", ["a", "b"], ["y"])]
    tall = {"a": np.zeros((2**9, 1), np.float32), "b": np.zeros((1, 2**9), np.float32)}
    with pytest.raises(InputError, match="elements"):
        gatesmith.onnx.run_model(model_of(outer, tall, ("y",)), tall)


def test_a_deep_graph_is_only_long() -> None:
    nodes = [helper.make_node("Identity", [f"n{k}"], [f"n{k + 1}"]) for k in range(2000)]
    x = {"n0": np.ones((1, 1, 1), np.float32)}
    assert gatesmith.onnx.run_model(model_of(nodes, x, ("n2000",)), x)[0].shape == (1, 1, 1)


def external(location: str, *, offset: int = 0, length: int = 4 * 12 * 3) -> onnx.ModelProto:
    """A model whose R is said to lie in another file."""
    model = simple_model(as_inputs=("sequence_lens", "initial_h", "initial_c"))
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == "R")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", str(offset)), ("length", str(length))):
        tensor.external_data.add(key=key, value=value)
    return model


def test_external_data_in_the_folder_is_read(tmp_path: Path) -> None:
    values = np.arange(36, dtype=np.float32) / 100
    (tmp_path / "weights.bin").write_bytes(values.tobytes())
    (tmp_path / "lstm.onnx").write_bytes(external("weights.bin").SerializeToString())
    lstm = gatesmith.onnx.from_onnx(tmp_path / "lstm.onnx")
    assert np.array_equal(lstm.weights["weight_hh_l0"][:3], values.reshape(12, 3)[:3])


@pytest.mark.parametrize(
    ("location", "offset", "length"),
    [
        ("../secret.bin", 0, 144),
        ("{parent}/secret.bin", 0, 144),
        ("sub/../../secret.bin", 0, 144),
        ("link.bin", 0, 144),
        ("absent.bin", 0, 144),
        ("short.bin", 0, 144),
        ("short.bin", 2**60, 144),
        ("short.bin", 0, 2**60),
        ("short.bin", -1, 144),
    ],
)
def test_external_data_elsewhere_is_refused(tmp_path: Path, location: str, offset: int, length: int) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(4096))
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "short.bin").write_bytes(bytes(10))
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    model = external(location.format(parent=tmp_path), offset=offset, length=length)
    (folder / "lstm.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(WeightsError):
        gatesmith.onnx.from_onnx(folder / "lstm.onnx")
    with pytest.raises(WeightsError):
        gatesmith.onnx.from_onnx(model.SerializeToString())


def test_sizes_that_are_lies_are_errors() -> None:
    for dims in ((1, 12, 2**40), (2**31, 2**31, 2**31), (1, -12, 3)):
        model = simple_model(as_inputs=("sequence_lens", "initial_h", "initial_c"))
        tensor = next(tensor for tensor in model.graph.initializer if tensor.name == "R")
        del tensor.dims[:]
        tensor.dims.extend(dims)
        with pytest.raises(GatesmithError):
            gatesmith.onnx.from_onnx(model)
    huge = simple_model(as_inputs=("sequence_lens", "initial_h", "initial_c"))
    next(a for a in huge.graph.node[0].attribute if a.name == "hidden_size").i = 2**40
    with pytest.raises(GatesmithError):
        gatesmith.onnx.from_onnx(huge)


@pytest.mark.parametrize("count", [150, pytest.param(20000, marks=pytest.mark.nightly)])
def test_fuzzed_files_give_an_error_or_a_model(count: int, tmp_path: Path) -> None:
    content = gatesmith.onnx.to_onnx(LSTM(LSTMSpec(2, 3, 2)), states=True, lengths=True).SerializeToString()
    rng = np.random.default_rng(0)
    outcomes = {"error": 0, "model": 0}
    for attempt in range(count):
        broken = bytearray(content)
        if attempt % 3 == 0:
            del broken[int(rng.integers(len(broken))) :]
        for at in rng.integers(0, max(1, len(broken)), int(rng.integers(1, 6))):
            if broken:
                broken[at] ^= int(rng.integers(1, 256))
        try:
            gatesmith.onnx.from_onnx(bytes(broken))
            outcomes["model"] += 1
        except GatesmithError:
            outcomes["error"] += 1
    assert outcomes["error"] > count // 3
    assert not list(tmp_path.iterdir())


def test_an_element_type_that_onnx_does_not_define_is_an_error() -> None:
    model = gatesmith.onnx.to_onnx(LSTM(LSTMSpec(2, 3)))
    model.graph.input[0].type.tensor_type.elem_type = 104
    with pytest.raises(WeightsError, match="input 'x' has element type 104"):
        gatesmith.onnx.from_onnx(model)


def test_absent_and_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="can't read"):
        gatesmith.onnx.from_onnx(tmp_path / "absent.onnx")
    (tmp_path / "text.onnx").write_text("not a model")
    with pytest.raises(WeightsError, match="not a valid ONNX model"):
        gatesmith.onnx.from_onnx(tmp_path / "text.onnx")
    (tmp_path / "empty.onnx").write_bytes(b"")
    with pytest.raises(WeightsError, match="not a valid ONNX model"):
        gatesmith.onnx.from_onnx(tmp_path / "empty.onnx")


@pytest.mark.parametrize("name", ["single", "stack"])
def test_files_of_pytorch_give_its_outputs(name: str) -> None:
    """Written by ``torch.onnx.export`` of PyTorch 2.13; beside each an input and PyTorch's outputs."""
    path = Path(__file__).parents[1] / "data" / "onnx" / f"pytorch_{name}.onnx"
    lstm = gatesmith.onnx.from_onnx(path)
    assert lstm.batch_first == (name == "stack")
    assert lstm.spec == (LSTMSpec(3, 4, 2, "bidirectional") if name == "stack" else LSTMSpec(3, 4))
    with np.load(path.with_suffix(".npz")) as expected:
        y, (h, c) = lstm(expected["x"])
        outputs = gatesmith.onnx.run_model(onnx.load(path), [expected["x"]])
        for results in ((y, h, c), outputs):
            for ours, key in zip(results, "yhc", strict=True):
                assert np.abs(ours - expected[key]).max() <= TOLERANCES["module_float32"]
