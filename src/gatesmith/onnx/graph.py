"""Models as a list of steps: LSTM nodes are ours, the plumbing between them is ONNX's own reference evaluator.

A model is untrusted: it is parsed and checked, only the operators named here run, and no result may grow without bound.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import onnx
from onnx import ModelProto, NodeProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from gatesmith.errors import GatesmithError, InputError, UnsupportedError, WeightsError
from gatesmith.onnx.node import INPUTS, OUTPUTS, LSTMNode, read_node

Array = npt.NDArray[Any]
Source = ModelProto | bytes | str | Path

PLUMBING = frozenset(
    {"Add", "Cast", "Concat", "Constant", "ConstantOfShape", "Elu", "Expand", "Gather", "Gemm", "HardSigmoid"}
    | {"Identity", "LeakyRelu", "LogSoftmax", "MatMul", "Mul", "Relu", "Reshape", "Shape", "Sigmoid", "Slice"}
    | {"Softmax", "Softplus", "Softsign", "Split", "Squeeze", "Tanh", "ThresholdedRelu", "Transpose", "Unsqueeze"}
)
"""Operators around an LSTM that are evaluated."""

MAX_ELEMENTS = 2**28
"""Bound on the elements of one result of the plumbing: 1 GiB of float32. A small file could ask for any amount."""

MIN_OPSET = 7
"""The first version of the operator set whose LSTM has no ``output_sequence``."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """One node, ready to run: its inputs' and outputs' names (empty where left out), and a function of the arrays."""

    node: NodeProto
    run: Callable[[list[Array | None]], list[Array]]
    lstm: LSTMNode | None

    @property
    def label(self) -> str:
        name = self.node.name or next((name for name in self.node.output if name), "")
        return f"{self.node.op_type} {name!r}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Program:
    """A checked model: steps in order, and the arrays that it carries.

    Attributes:
        inputs: names of what a caller gives, without what the model carries.
        types: element type of each input, or None where the model doesn't say.
    """

    steps: list[Step]
    inputs: list[str]
    outputs: list[str]
    types: Mapping[str, np.dtype[Any] | None]
    constants: Mapping[str, Array]
    model: ModelProto


def read_model(source: Source) -> ModelProto:
    """A model from a file or its bytes; external data is read only from the file's own folder.

    Raises:
        WeightsError: the file is missing or is no valid ONNX model.
    """
    name = "the model" if isinstance(source, ModelProto | bytes) else str(source)
    try:
        if isinstance(source, ModelProto):
            model = source
        elif isinstance(source, bytes):
            model = onnx.load_model_from_string(source)
        else:
            model = onnx.load_model(str(source))
        onnx.checker.check_model(model)
    except OSError as error:
        raise WeightsError(f"can't read {name}: {error.strerror or error}") from None
    except Exception as error:  # protobuf, the checker and the loader of external data each have their own kinds
        raise WeightsError(f"{name} is not a valid ONNX model ({_first_line(error)}); export it again") from None
    return model


def make_program(model: ModelProto) -> Program:
    """Check that every node of a model can run, and gather its arrays.

    Raises:
        UnsupportedError: an operator, an attribute or a version is not among those that run here.
        WeightsError: an array of the model can't be read.
    """
    opset = opset_of(model)
    graph = model.graph
    if len(model.functions) or len(graph.sparse_initializer):
        raise UnsupportedError(
            "the model has local functions or sparse arrays; expected plain nodes, inline them first"
        )
    constants: dict[str, Array] = {}
    for tensor in graph.initializer:
        try:
            constants[tensor.name] = numpy_helper.to_array(tensor)
        except Exception as error:  # sizes, types and encodings of an untrusted tensor
            raise WeightsError(f"array {tensor.name!r} of the model can't be read ({_first_line(error)})") from None
    types: dict[str, np.dtype[Any] | None] = {}
    for value in graph.input:
        kind = value.type.tensor_type.elem_type
        try:
            types[value.name] = helper.tensor_dtype_to_np_dtype(kind) if kind else None
        except KeyError:
            raise WeightsError(f"input {value.name!r} has element type {kind}, which ONNX doesn't define") from None
    return Program(
        steps=[make_step(node, opset) for node in graph.node],
        inputs=[value.name for value in graph.input if value.name not in constants],
        outputs=[value.name for value in graph.output],
        types=types,
        constants=constants,
        model=model,
    )


def opset_of(model: ModelProto) -> int:
    """The version of ONNX's own operators that a model was written for.

    Raises:
        UnsupportedError: it is too old, or newer than the installed onnx.
    """
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    newest = onnx.defs.onnx_opset_version()
    if not MIN_OPSET <= opset <= newest:
        raise UnsupportedError(f"the model is written for opset {opset}; expected {MIN_OPSET} to {newest}, convert it")
    return opset


def make_step(node: NodeProto, opset: int) -> Step:
    """A node as something that runs.

    Raises:
        UnsupportedError: the operator is not among those that run here.
    """
    if node.domain not in ("", "ai.onnx") or node.op_type not in PLUMBING | {"LSTM"}:
        operator = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        raise UnsupportedError(
            f"node {node.name!r} is a {operator}; expected LSTM or one of {', '.join(sorted(PLUMBING))}"
        )
    if node.op_type == "LSTM":
        return _lstm_step(node)
    names = [f"in{at}" if name else "" for at, name in enumerate(node.input)]
    outputs = [f"out{at}" if name else "" for at, name in enumerate(node.output)]
    inner = NodeProto()
    inner.CopyFrom(node)
    del inner.input[:], inner.output[:]
    inner.input.extend(names)
    inner.output.extend(outputs)
    graph = helper.make_graph(
        [inner],
        "plumbing",
        [onnx.ValueInfoProto(name=name) for name in names if name],
        [onnx.ValueInfoProto(name=name) for name in outputs if name],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    try:
        evaluator = ReferenceEvaluator(model)
    except Exception as error:  # an attribute of the wrong kind
        raise UnsupportedError(f"node {node.name!r} ({node.op_type}) can't be read ({_first_line(error)})") from None

    def run(arrays: list[Array | None]) -> list[Array]:
        elements = _result_elements(node, arrays)
        if elements > MAX_ELEMENTS:
            raise InputError(f"its result would have {elements} elements; expected at most {MAX_ELEMENTS}")
        feeds = {name: array for name, array in zip(names, arrays, strict=True) if array is not None}
        return [np.asarray(value) for value in cast("list[Any]", evaluator.run(None, feeds))]

    return Step(node=node, run=run, lstm=None)


def evaluate(program: Program, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Run every step whose inputs are known; returns all arrays by name.

    Raises:
        InputError: a step fails on its arrays.
    """
    known: dict[str, Array] = {**program.constants, **feeds}
    for step in program.steps:
        if all(name in known or not name for name in step.node.input):
            known |= run_step(step, {name: known[name] for name in step.node.input if name})
    return known


def run_step(step: Step, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The results of one step by name.

    Raises:
        InputError: it fails on its arrays.
    """
    try:
        with np.errstate(all="ignore"):
            results = step.run([arrays.get(name) for name in step.node.input])
    except GatesmithError as error:
        raise type(error)(f"{step.label}: {error}") from None
    except Exception as error:  # whatever NumPy says about arrays that don't fit
        raise InputError(f"{step.label} fails on its inputs ({_first_line(error)}); expected a valid model") from None
    names = [name for name in step.node.output if name]
    return dict(zip(names, results, strict=True))


def _lstm_step(node: NodeProto) -> Step:
    lstm = read_node(node)
    if len(node.input) > len(INPUTS) or len(node.output) > len(OUTPUTS):
        raise UnsupportedError(f"LSTM {lstm.name!r} has too many inputs or outputs; expected at most 8 and 3")

    def run(arrays: list[Array | None]) -> list[Array]:
        results = lstm.run(dict(zip(INPUTS, arrays, strict=False)))
        return [results[name] for name, wanted in zip(OUTPUTS, node.output, strict=False) if wanted]

    return Step(node=node, run=run, lstm=lstm)


def _result_elements(node: NodeProto, arrays: list[Array | None]) -> int:
    """Elements of a node's result, or a bound on them, before it is computed."""
    given = [array for array in arrays if array is not None]
    kind = node.op_type
    if kind in ("Add", "Mul"):
        return math.prod(np.broadcast_shapes(*(array.shape for array in given)))
    if kind == "Expand":
        return math.prod(np.broadcast_shapes(given[0].shape, tuple(int(n) for n in given[1])))
    if kind == "ConstantOfShape":
        return math.prod(int(n) for n in given[0].ravel())
    if kind == "Gather":
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
        return given[1].size * given[0].size // max(1, given[0].shape[axis])
    if kind == "Gemm":
        return max(given[0].shape) * max(given[1].shape)
    if kind == "MatMul":
        a, b = (array if array.ndim > 1 else array[None] for array in given)
        return math.prod(np.broadcast_shapes(a.shape[:-2], b.shape[:-2])) * max(a.shape[-2:]) * max(b.shape[-2:])
    return sum(array.size for array in given)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
