"""LSTMs in and out of ONNX files."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

from gatesmith.errors import InputError, UnsupportedError, WeightsError
from gatesmith.files import write_atomically
from gatesmith.onnx.graph import Program, Source, Step, evaluate, make_program, make_step, read_model
from gatesmith.onnx.node import INPUTS, OUTPUTS, merged, node_arrays, node_attributes
from gatesmith.ops.operator import LSTM
from gatesmith.spec import LSTMSpec
from gatesmith.weights import Weights

Array = npt.NDArray[Any]

STACK_TOLERANCE = 1e-4
"""A stack whose plumbing is not the plain one differs by far more than float32 does over a few steps."""

EXPORTED_OPSETS = range(7, 23)


def from_onnx(source: Source) -> LSTM:
    """The LSTM in a model: one LSTM node, or a stack of them with plain plumbing in between.

    What stands before and behind the stack is left out. The plumbing in between is checked by running it.

    Raises:
        WeightsError: the file is no valid model, or its weights are not constants.
        UnsupportedError: there is no LSTM, or the nodes are not one stack that a spec can say; the message names why.
    """
    program = make_program(read_model(source))
    steps = [step for step in program.steps if step.lstm is not None]
    if not steps:
        raise UnsupportedError("the model holds no LSTM node; expected one, or a stack of them")
    constants = evaluate(program, {})
    node = merged([step.lstm for step in steps if step.lstm is not None])
    layers = [_layer_weights(step, constants) for step in steps]
    for step in steps:
        _check_states(step, constants)
    batch_first = node.batch_first or _reads_transposed_input(program, steps[0])
    return LSTM(_as_one(program, steps, layers, batch_first=node.batch_first), batch_first=batch_first)


def to_onnx(lstm: LSTM, *, opset: int = 22, states: bool = False, lengths: bool = False) -> ModelProto:
    """A model that computes this LSTM in evaluation, with dynamic steps and batch.

    Inputs x, and where asked for h0, c0 and lengths; outputs y, h_n, c_n; shapes as for calling ``lstm``.

    Args:
        opset: 7 to 22.
        states: whether the initial states are inputs.
        lengths: whether the lengths are an input (int32). ONNX Runtime ends a sequence of length 0 in zero states,
            where gatesmith keeps the initial ones.

    Raises:
        UnsupportedError: ONNX can't express a feature of the specification; the message names it.
    """
    spec = lstm.spec
    if opset not in EXPORTED_OPSETS:
        raise UnsupportedError(f"opset is {opset}; expected {EXPORTED_OPSETS.start} to {EXPORTED_OPSETS.stop - 1}")
    feature = inexpressible(spec)
    if feature:
        raise UnsupportedError(f"ONNX can't express {feature}; save as .safetensors, or change the specification")
    kind = helper.np_dtype_to_tensor_dtype(lstm.weights.dtype)
    graph = _GraphWriter(lstm, states=states, lengths=lengths)
    cells = len(spec.cells())
    state_inputs = [("h0", kind, [cells, "N", spec.hidden_size]), ("c0", kind, [cells, "N", spec.hidden_size])]
    inputs = [("x", kind, ["N", "T", spec.input_size] if lstm.batch_first else ["T", "N", spec.input_size])]
    inputs += state_inputs if states else []
    inputs += [("lengths", TensorProto.INT32, ["N"])] if lengths else []
    width = spec.num_directions * spec.hidden_size
    outputs = [
        ("y", kind, ["N", "T", width] if lstm.batch_first else ["T", "N", width]),
        ("h_n", kind, [cells, "N", spec.hidden_size]),
        ("c_n", kind, [cells, "N", spec.hidden_size]),
    ]
    imports = [helper.make_opsetid("", opset)]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "lstm",
            [helper.make_tensor_value_info(*value) for value in inputs],
            [helper.make_tensor_value_info(*value) for value in outputs],
            [numpy_helper.from_array(array, name) for name, array in graph.arrays.items()],
        ),
        producer_name="gatesmith",
        opset_imports=imports,
        ir_version=max(4, helper.find_min_ir_version_for(imports)),
    )
    onnx.checker.check_model(model)
    return model


def save_onnx(lstm: LSTM, path: str | Path, *, opset: int = 22, states: bool = False, lengths: bool = False) -> None:
    """Write :func:`to_onnx`'s model to a file, beside and renamed.

    Raises:
        UnsupportedError: ONNX can't express the specification, or the model passes 2 GiB.
    """
    try:
        content = to_onnx(lstm, opset=opset, states=states, lengths=lengths).SerializeToString()
    except ValueError as error:
        if isinstance(error, UnsupportedError):
            raise
        raise UnsupportedError(f"the model can't be written as one ONNX file ({error}); save as .safetensors") from None
    write_atomically(Path(path), content)


def inexpressible(spec: LSTMSpec) -> str | None:
    """The first feature of a spec that ONNX's LSTM lacks; dropout of either kind is off in evaluation and no matter."""
    features = {
        "full-matrix peepholes": bool(spec.full_peepholes),
        "gates coupled as i = 1 - f": spec.coupled_gates == "i=1-f",
        "cell_clip": spec.cell_clip is not None,
        "a projection (proj_size)": bool(spec.proj_size),
        "layer_norm": spec.layer_norm != "none",
        "zoneout": bool(spec.zoneout_h or spec.zoneout_c),
        "drop_states": spec.drop_states,
    }
    return next((name for name, used in features.items() if used), None)


class _GraphWriter:
    """Nodes and arrays of an exported model, layer by layer."""

    def __init__(self, lstm: LSTM, *, states: bool, lengths: bool) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.arrays: dict[str, Array] = {}
        self.spec = lstm.spec
        x = self.add("Transpose", ["x"], "x_time_first", perm=[1, 0, 2]) if lstm.batch_first else "x"
        finals: dict[str, list[str]] = {"h": [], "c": []}
        for layer in range(lstm.spec.num_layers):
            y = self.add_layer(lstm.weights, layer, x, states=states, lengths=lengths)
            x = self.add("Add", [y, x], f"sum_{layer}") if lstm.spec.residual and layer else y
            for name in finals:
                finals[name].append(f"{name}_{layer}")
        self.add(*("Transpose", [x], "y"), **({"perm": [1, 0, 2]} if lstm.batch_first else {"perm": [0, 1, 2]}))
        for name, parts in finals.items():
            self.add("Concat", parts, f"{name}_n", axis=0)

    def add(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def add_layer(self, weights: Weights, layer: int, x: str, *, states: bool, lengths: bool) -> str:
        """The name of the layer's output [T, N, directions * H]."""
        arrays = node_arrays(weights, layer)
        self.arrays |= {f"{name}_{layer}": array for name, array in arrays.items()}
        inputs = {name: f"{name}_{layer}" for name in arrays}
        inputs |= {"X": x, "sequence_lens": "lengths" if lengths else ""}
        if states:
            directions = self.spec.num_directions
            self.arrays[f"cells_{layer}"] = np.arange(layer * directions, (layer + 1) * directions)
            for name, node_input in (("h0", "initial_h"), ("c0", "initial_c")):
                inputs[node_input] = self.add("Gather", [name, f"cells_{layer}"], f"{name}_{layer}", axis=0)
        names = [inputs.get(name, "") for name in INPUTS]
        while not names[-1]:
            names.pop()
        outputs = [f"Y_{layer}", f"h_{layer}", f"c_{layer}"]
        attributes = node_attributes(self.spec)
        self.nodes.append(helper.make_node("LSTM", names, outputs, name=f"lstm_{layer}", **attributes))
        self.arrays.setdefault("joined", np.array([0, 0, -1], np.int64))
        turned = self.add("Transpose", [f"Y_{layer}"], f"turned_{layer}", perm=[0, 2, 1, 3])
        return self.add("Reshape", [turned, "joined"], f"y_{layer}")


def _layer_weights(step: Step, constants: dict[str, Array]) -> dict[str, Array]:
    """W, R, and B and P where given; all must be known without any input."""
    arrays: dict[str, Array] = {}
    for kind, name in zip(INPUTS, step.node.input, strict=False):
        if name and kind in ("W", "R", "B", "P"):
            if name not in constants:
                raise WeightsError(f"{kind} of {step.label} is computed from the model's inputs; expected a constant")
            array = constants[name]
            arrays[kind] = array if array.dtype == np.float64 else array.astype(np.float32, copy=False)
    return arrays


def _check_states(step: Step, constants: dict[str, Array]) -> None:
    for kind, name in zip(INPUTS, step.node.input, strict=False):
        if kind in ("initial_h", "initial_c") and name in constants and constants[name].any():
            raise UnsupportedError(
                f"{kind} of {step.label} is a constant that is not zero; expected an input of the model"
            )
        if kind == "sequence_lens" and name in constants:
            raise UnsupportedError(f"sequence_lens of {step.label} is a constant; expected an input of the model")


def _reads_transposed_input(program: Program, first: Step) -> bool:
    """Whether the first LSTM reads an input of the model with steps and batch swapped."""
    makers = {name: step for step in program.steps for name in step.node.output}
    maker = makers.get(first.node.input[0])
    if maker is None or maker.node.op_type != "Transpose" or maker.node.input[0] not in program.inputs:
        return False
    return [list(attribute.ints) for attribute in maker.node.attribute if attribute.name == "perm"] == [[1, 0, 2]]


def _as_one(program: Program, steps: list[Step], layers: list[dict[str, Array]], *, batch_first: bool) -> Weights:
    """All layers as one set of weights, after running the model's own plumbing between them."""
    first = steps[0].lstm
    assert first is not None
    kinds = {kind for layer in layers for kind in layer}
    arrays: dict[str, Array] = {}
    for at, (step, layer) in enumerate(zip(steps, layers, strict=True)):
        assert step.lstm is not None
        # A bias or peephole that another layer has is zero here.
        rows = {"B": 8 * first.hidden_size, "P": 3 * first.hidden_size}
        for kind, width in rows.items():
            if kind in kinds and kind not in layer:
                layer[kind] = np.zeros((first.num_directions, width), layer["W"].dtype)
        alone = step.lstm.weights(layer["W"], layer["R"], layer.get("B"), layer.get("P"))
        arrays |= {name.replace("_l0", f"_l{at}"): array for name, array in alone.items()}
    plain = first.spec(int(layers[0]["W"].shape[2]), bias="B" in kinds, peepholes="P" in kinds)
    if len(steps) == 1:
        return Weights(plain, arrays)
    added = any(step.node.op_type == "Add" and steps[-1].node.input[0] in step.node.input for step in program.steps)
    reasons: list[str] = []
    for residual in (added, not added):
        try:
            weights = Weights(replace(plain, num_layers=len(steps), residual=residual), arrays)
        except WeightsError as error:
            raise UnsupportedError(f"the LSTM nodes don't stack: {error}") from None
        reason = _difference(program, steps, weights, batch_first=batch_first)
        if reason is None:
            return weights
        reasons.append(reason)
    raise UnsupportedError(f"the LSTM nodes are not a plain stack ({reasons[-1]}); import them one by one")


def _difference(program: Program, steps: list[Step], weights: Weights, *, batch_first: bool) -> str | None:
    """Why the model's nodes don't compute what one stack computes on a random input; None where they do."""
    entry = steps[0].node.input[0]
    cut = [_without_states(step) if step.lstm is not None else step for step in program.steps]
    last = next(step.node for step in reversed(cut) if step.lstm is not None)
    x = np.random.default_rng(0).normal(size=(*_sizes(program, entry), weights.spec.input_size)).astype(weights.dtype)
    try:
        known = evaluate(replace(program, steps=cut), {entry: x})
    except (InputError, WeightsError, UnsupportedError) as error:
        return str(error)
    if last.output[0] not in known:
        return f"{steps[-1].label} reads more than {steps[-2].label}"
    y, _ = LSTM(weights, device="reference", batch_first=batch_first)(x)
    theirs = known[last.output[0]]  # [T, directions, N, H], or [N, T, directions, H]
    theirs = (theirs if batch_first else theirs.transpose(0, 2, 1, 3)).reshape(y.shape)
    if weights.spec.residual:
        theirs = theirs + known[last.input[0]]
    error = float(np.abs(theirs - y).max())
    return None if error <= STACK_TOLERANCE else f"the stack's output differs by {error:.1e}"


def _without_states(step: Step) -> Step:
    """The same LSTM node without lengths and initial states, which a trial run leaves at their defaults."""
    node = onnx.NodeProto()
    node.CopyFrom(step.node)
    del node.input[:]
    node.input.extend(
        "" if kind in ("sequence_lens", "initial_h", "initial_c") else name
        for kind, name in zip(INPUTS, step.node.input, strict=False)
    )
    for at, kind in enumerate(OUTPUTS[: len(node.output)]):
        node.output[at] = node.output[at] or f"{step.label}.{kind}"
    return make_step(node, 22)


def _sizes(program: Program, entry: str) -> tuple[int, int]:
    """The first two axes of the first LSTM's input where the model fixes them, else small ones."""
    try:
        inferred = onnx.shape_inference.infer_shapes(program.model)
    except Exception:  # shapes are a help, not a need; whatever is wrong shows when the model runs
        return 3, 2
    values = {value.name: value for value in (*inferred.graph.input, *inferred.graph.value_info)}
    dims = list(values[entry].type.tensor_type.shape.dim) if entry in values else []
    steps, batch = (dims[at].dim_value if len(dims) == 3 else 0 for at in (0, 1))
    return min(steps, 64) if steps > 0 else 3, min(batch, 64) if batch > 0 else 2
