"""TFLite files for the tests, built with LiteRT's own schema, and LiteRT as an outside oracle."""

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

TYPES = {"float32": 0, "float16": 1, "int32": 2, "int8": 9}
CODES = schema.BuiltinOperator


class ModelFile:
    """A file with one subgraph; tensors are numbers, -1 for one that is left out."""

    def __init__(self) -> None:
        empty = schema.BufferT()
        self.buffers, self.tensors, self.operators, self.codes = [empty], [], [], []

    def tensor(
        self, shape: Sequence[int] | None = None, values: np.ndarray | None = None, *, variable: bool = False
    ) -> int:
        tensor = schema.TensorT()
        tensor.shape = list(values.shape if values is not None else shape or ())
        tensor.type = TYPES[str(values.dtype)] if values is not None else 0
        tensor.name = f"t{len(self.tensors)}"
        tensor.isVariable = variable
        tensor.buffer = 0
        if values is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
            self.buffers.append(buffer)
            tensor.buffer = len(self.buffers) - 1
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def half(self, values: np.ndarray) -> int:
        """A constant in half precision behind DEQUANTIZE, as the converter's float16 quantisation writes it."""
        return self.operator("DEQUANTIZE", [self.tensor(values=values.astype(np.float16))], values.shape)

    def operator(
        self, name: str, inputs: list[int], shape: Sequence[int], options: Any = None, version: int = 1, extra: int = 0
    ) -> int:
        """Adds an operator; its output, with ``extra`` more of the same shape behind it."""
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(CODES, name)
        code.deprecatedBuiltinCode = min(127, code.builtinCode)
        code.version = version
        self.codes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.codes) - 1
        operator.inputs = inputs
        operator.outputs = [self.tensor(shape) for _ in range(1 + extra)]
        if options is not None:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
            operator.builtinOptions = options
        self.operators.append(operator)
        return operator.outputs[0]

    def bytes(self, x: int, y: int) -> bytes:
        subgraph = schema.SubGraphT()
        subgraph.tensors, subgraph.operators = self.tensors, self.operators
        subgraph.inputs, subgraph.outputs = [x], [y]
        model = schema.ModelT()
        model.version, model.description = 3, "test"
        model.operatorCodes, model.subgraphs, model.buffers = self.codes, [subgraph], self.buffers
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def cell_inputs(
    file: ModelFile,
    rng: np.random.Generator,
    *,
    features: int,
    hidden: int,
    cifg: bool = False,
    peepholes: bool = False,
    proj: int = 0,
    proj_bias: bool = False,
    half: bool = False,
    diagonal: bool = False,
) -> list[int]:
    """The 17 inputs of one direction, behind x: W, R, P, b, projection and its bias."""

    def constant(*shape: int) -> int:
        values = rng.normal(scale=0.5, size=shape).astype(np.float32)
        return file.half(values) if half else file.tensor(values=values)

    gates = [not cifg, True, True, True]
    recurrent = (hidden,) if diagonal else (hidden, proj or hidden)
    return [
        *(constant(hidden, features) if gate else -1 for gate in gates),
        *(constant(*recurrent) if gate else -1 for gate in gates),
        *(constant(hidden) if peepholes and gate else -1 for gate in (not cifg, True, True)),
        *(constant(hidden) if gate else -1 for gate in gates),
        constant(proj, hidden) if proj else -1,
        constant(proj) if proj and proj_bias else -1,
    ]


def options_of(kind: str, *, activation: str = "TANH", time_major: bool = True, **values: Any) -> Any:
    """The options of an LSTM operator: ``cellClip``, ``projClip``, ``mergeOutputs``, ``kernelType``."""
    options = {
        "LSTM": schema.LSTMOptionsT,
        "UNIDIRECTIONAL_SEQUENCE_LSTM": schema.UnidirectionalSequenceLSTMOptionsT,
        "BIDIRECTIONAL_SEQUENCE_LSTM": schema.BidirectionalSequenceLSTMOptionsT,
    }[kind]()
    options.fusedActivationFunction = getattr(schema.ActivationFunctionType, activation)
    if kind != "LSTM":
        options.timeMajor = time_major
    for name, value in values.items():
        assert hasattr(options, name)
        setattr(options, name, value)
    return options


def run_with_litert(content: bytes, x: np.ndarray) -> np.ndarray:
    """The output for x from zero states."""
    reference = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=reference, num_threads=1)
    place = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(place, x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(place, x)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
