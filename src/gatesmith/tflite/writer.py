"""A spec's LSTM as a TFLite file of one LSTM operator per layer, in float32.

Its states are variables, which LiteRT keeps from run to run: reset them (``reset_all_variables``) for a new sequence.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt

from gatesmith.errors import InputError, UnsupportedError
from gatesmith.files import write_atomically
from gatesmith.ops.operator import LSTM
from gatesmith.spec import SIGMOID, LSTMSpec
from gatesmith.tflite.graph import IDENTIFIER, schema
from gatesmith.tflite.reader import ACTIVATIONS, ROLES

Array = npt.NDArray[Any]

MAX_BYTES = 2**31 - 2**20
"""FlatBuffers' offsets reach 2 GiB."""


def to_tflite(lstm: LSTM, *, batch: int = 1) -> bytes:
    """A model that computes y of this LSTM in evaluation from zero states; x and y have shapes as for calling it.

    Args:
        batch: N, which the states fix; the number of steps is free.

    Raises:
        UnsupportedError: TFLite can't express a feature of the specification; the message names it.
    """
    feature = inexpressible(lstm.spec)
    if feature:
        raise UnsupportedError(f"TFLite can't express {feature}; save as .safetensors, or change the specification")
    if batch < 1:
        raise InputError(f"batch is {batch}; expected at least 1")
    if 4 * lstm.spec.parameter_count() > MAX_BYTES:
        raise UnsupportedError("the model passes the 2 GiB of one TFLite file; save as .safetensors")
    return _GraphWriter(lstm, batch).content


def save_tflite(lstm: LSTM, path: str | Path, *, batch: int = 1) -> None:
    """Write :func:`to_tflite`'s model to a file, beside and renamed.

    Raises:
        UnsupportedError: TFLite can't express a feature of the specification; the message names it.
    """
    write_atomically(Path(path), to_tflite(lstm, batch=batch))


def inexpressible(spec: LSTMSpec) -> str | None:
    """The first feature of a spec that TFLite's LSTM lacks; dropout of either kind is off in evaluation."""
    present = set(spec.peepholes) - set(spec.derived_gate)
    features = {
        "full-matrix peepholes": bool(spec.full_peepholes),
        "peepholes on some gates alone": bool(present) and present != set("ifo") - set(spec.derived_gate),
        "gates coupled as f = 1 - i": spec.coupled_gates == "f=1-i",
        "gate_clip": spec.gate_clip is not None,
        "layer_norm": spec.layer_norm != "none",
        "zoneout": bool(spec.zoneout_h or spec.zoneout_c),
        "drop_states": spec.drop_states,
        "residual connections": spec.residual and spec.num_layers > 1,
        "gates that are no sigmoids": spec.activations[0] != SIGMOID,
        "an output activation that is not the candidate's": spec.activations[1] != spec.activations[2],
        f"activation {spec.activations[1]}": spec.activations[1] not in ACTIVATIONS.values(),
        "reverse_activations": spec.reverse_activations is not None,
    }
    return next((name for name, used in features.items() if used), None)


class _GraphWriter:
    """Tensors and operators of a file, layer by layer; ``content`` is the file."""

    def __init__(self, lstm: LSTM, batch: int) -> None:
        spec = lstm.spec
        self.builder: Any = flatbuffers.Builder(4 * spec.parameter_count() + 4096)
        self.lstm, self.batch = lstm, batch
        self.weights = lstm.weights.astype(np.float32)
        self.buffers = [self._buffer(None)]
        self.tensors: list[int] = []
        self.operators: list[int] = []
        self.codes: list[int] = []
        x = tensor = self._sequence("x", spec.input_size)
        for layer in range(spec.num_layers):
            tensor = self._layer(layer, tensor)
        self.content = self._finish(x, tensor)

    def _layer(self, layer: int, x: int) -> int:
        """The tensor of the layer's output.

        Both directions are two operators, as Keras's are converted: LiteRT's bidirectional kernel reads and writes past
        its states where the layout is batch-first and the outputs are merged.
        """
        spec = self.lstm.spec
        outputs = [
            self._direction(direction, suffix, x, spec.layer_input_size(layer))
            for at, direction, suffix in spec.cells()
            if at == layer
        ]
        if len(outputs) == 1:
            return outputs[0]
        y = self._sequence(f"y_l{layer}", 2 * spec.output_size)
        self._operator("CONCATENATION", outputs, y)
        return y

    def _direction(self, direction: str, suffix: str, x: int, features: int) -> int:
        """The tensor of one cell's output, in order of time."""
        spec = self.lstm.spec
        turned = direction == "reverse"
        if turned:
            x = self._reverse(x, self._sequence(f"x_{suffix}", features))
        sizes = {"h": spec.output_size, "c": spec.hidden_size}
        states = [self._tensor(f"{name}_{suffix}", (self.batch, size), variable=True) for name, size in sizes.items()]
        y = self._sequence(f"y_{suffix}", spec.output_size)
        self._operator("UNIDIRECTIONAL_SEQUENCE_LSTM", [x, *self._arrays(suffix), *states], y)
        return self._reverse(y, self._sequence(f"y_{suffix}_in_time", spec.output_size)) if turned else y

    def _arrays(self, suffix: str) -> list[int]:
        """The tensors of one cell in the order of ``ROLES``; -1 for what it doesn't have."""
        spec, weights = self.lstm.spec, self.weights
        hidden, tensors = spec.hidden_size, list[int]()
        for role in ROLES:
            name, _, gate = role.rpartition("_")
            if gate == spec.derived_gate:
                array = None
            elif name in ("weight_ih", "weight_hh", "bias") and gate in "ifgo":
                rows = slice("ifgo".index(gate) * hidden, ("ifgo".index(gate) + 1) * hidden)
                stacked = weights.get(f"{name}_{suffix}", np.zeros(4 * hidden, np.float32))
                array = stacked[rows].copy()
                if role == "bias_f":
                    array += np.float32(spec.forget_bias)
            else:
                array = weights.get(f"{role}_{suffix}")
            tensors.append(-1 if array is None else self._tensor(f"{role}_{suffix}", array.shape, values=array))
        return tensors

    def _reverse(self, x: int, y: int) -> int:
        axis = np.array([1 if self.lstm.batch_first else 0], np.int32)
        self._operator("REVERSE_V2", [x, self._tensor(f"axis_{y}", (1,), values=axis)], y)
        return y

    def _sequence(self, name: str, features: int) -> int:
        """A tensor of sequences, whose number of steps is free."""
        fixed = (self.batch, 1, features) if self.lstm.batch_first else (1, self.batch, features)
        free = tuple(-1 if at == (1 if self.lstm.batch_first else 0) else size for at, size in enumerate(fixed))
        return self._tensor(name, fixed, signature=free)

    def _tensor(
        self,
        name: str,
        shape: Sequence[int],
        *,
        values: Array | None = None,
        signature: Sequence[int] | None = None,
        variable: bool = False,
    ) -> int:
        b = self.builder
        text, sizes = b.CreateString(name), b.CreateNumpyVector(np.array(shape, np.int32))
        free = None if signature is None else b.CreateNumpyVector(np.array(signature, np.int32))
        buffer = 0
        if values is not None:
            self.buffers.append(self._buffer(values))
            buffer = len(self.buffers) - 1
        schema.TensorStart(b)
        schema.TensorAddShape(b, sizes)
        whole = values is not None and values.dtype.kind == "i"
        schema.TensorAddType(b, schema.TensorType.INT32 if whole else schema.TensorType.FLOAT32)
        schema.TensorAddBuffer(b, buffer)
        schema.TensorAddName(b, text)
        schema.TensorAddIsVariable(b, variable)
        if free is not None:
            schema.TensorAddShapeSignature(b, free)
        self.tensors.append(schema.TensorEnd(b))
        return len(self.tensors) - 1

    def _buffer(self, values: Array | None) -> int:
        b = self.builder
        data = None
        if values is not None:
            b.Prep(16, values.nbytes)  # LiteRT maps arrays in place, on 16 bytes
            data = b.CreateByteVector(np.ascontiguousarray(values).tobytes())
        schema.BufferStart(b)
        if data is not None:
            schema.BufferAddData(b, data)
        return schema.BufferEnd(b)

    def _operator(self, kind: str, inputs: list[int], output: int) -> None:
        b = self.builder
        options, options_type = self._options(kind)
        ins, outs = (b.CreateNumpyVector(np.array(each, np.int32)) for each in (inputs, [output]))
        code = getattr(schema.BuiltinOperator, kind)
        if code not in self.codes:
            self.codes.append(code)
        schema.OperatorStart(b)
        schema.OperatorAddOpcodeIndex(b, self.codes.index(code))
        schema.OperatorAddInputs(b, ins)
        schema.OperatorAddOutputs(b, outs)
        schema.OperatorAddBuiltinOptionsType(b, options_type)
        schema.OperatorAddBuiltinOptions(b, options)
        self.operators.append(schema.OperatorEnd(b))

    def _options(self, kind: str) -> tuple[int, int]:
        """The table of options of an operator, and its type."""
        spec = self.lstm.spec
        name, values = {
            "REVERSE_V2": ("ReverseV2Options", {}),
            "CONCATENATION": ("ConcatenationOptions", {"Axis": 2}),
            "UNIDIRECTIONAL_SEQUENCE_LSTM": (
                "UnidirectionalSequenceLSTMOptions",
                {
                    "FusedActivationFunction": next(
                        code for code, activation in ACTIVATIONS.items() if activation == spec.activations[1]
                    ),
                    "CellClip": spec.cell_clip or 0.0,
                    "ProjClip": spec.proj_clip or 0.0,
                    "TimeMajor": not self.lstm.batch_first,
                },
            ),
        }[kind]
        getattr(schema, f"{name}Start")(self.builder)
        for field, value in values.items():
            getattr(schema, f"{name}Add{field}")(self.builder, value)
        return getattr(schema, f"{name}End")(self.builder), getattr(schema.BuiltinOptions, name)

    def _finish(self, x: int, y: int) -> bytes:
        b = self.builder
        codes: list[int] = []
        for code in self.codes:
            schema.OperatorCodeStart(b)
            schema.OperatorCodeAddDeprecatedBuiltinCode(b, code)
            schema.OperatorCodeAddBuiltinCode(b, code)
            schema.OperatorCodeAddVersion(b, 1)
            codes.append(schema.OperatorCodeEnd(b))
        tables = {
            "tensors": self._vector(schema.SubGraphStartTensorsVector, self.tensors),
            "operators": self._vector(schema.SubGraphStartOperatorsVector, self.operators),
        }
        ins, outs = (b.CreateNumpyVector(np.array([each], np.int32)) for each in (x, y))
        schema.SubGraphStart(b)
        schema.SubGraphAddTensors(b, tables["tensors"])
        schema.SubGraphAddInputs(b, ins)
        schema.SubGraphAddOutputs(b, outs)
        schema.SubGraphAddOperators(b, tables["operators"])
        subgraph = schema.SubGraphEnd(b)
        subgraphs = self._vector(schema.ModelStartSubgraphsVector, [subgraph])
        operator_codes = self._vector(schema.ModelStartOperatorCodesVector, codes)
        buffers = self._vector(schema.ModelStartBuffersVector, self.buffers)
        text = b.CreateString("gatesmith")
        schema.ModelStart(b)
        schema.ModelAddVersion(b, 3)
        schema.ModelAddOperatorCodes(b, operator_codes)
        schema.ModelAddSubgraphs(b, subgraphs)
        schema.ModelAddDescription(b, text)
        schema.ModelAddBuffers(b, buffers)
        b.Finish(schema.ModelEnd(b), IDENTIFIER)
        return bytes(b.Output())

    def _vector(self, start: Callable[[Any, int], Any], offsets: list[int]) -> int:
        start(self.builder, len(offsets))
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return self.builder.EndVector()
