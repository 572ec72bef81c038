"""ONNX's backend interface: models of LSTM nodes and the plumbing around them, run by gatesmith."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import onnx
from onnx import ModelProto, NodeProto
from onnx.backend import base

from gatesmith.errors import InputError, UnsupportedError
from gatesmith.onnx.graph import MIN_OPSET, Program, evaluate, make_program, make_step, read_model, run_step

Array = npt.NDArray[Any]


class PreparedModel(base.BackendRep):
    """A model that was checked once and runs many times."""

    def __init__(self, program: Program) -> None:
        self.program = program

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:  # noqa: ARG002 - ONNX's interface
        """The outputs of the graph, also by name.

        Args:
            inputs: arrays in the order of the graph's inputs, or by name.

        Raises:
            InputError: an input is missing, unknown or of another type, or a node fails on its arrays.
        """
        program = self.program
        known = evaluate(program, _feeds(program, inputs))
        missing = [name for name in program.outputs if name not in known]
        if missing:
            raise InputError(f"output {missing[0]!r} needs an input that was not given; expected {program.inputs}")
        outputs = base.namedtupledict("Outputs", program.outputs)
        return outputs(*(known[name] for name in program.outputs))


class Backend(base.Backend):
    """The class that ``onnx.backend.test`` and other callers of the interface expect."""

    @classmethod
    def prepare(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> PreparedModel:  # noqa: ARG003
        """Check a model for repeated runs.

        Raises:
            UnsupportedError: the device or an operator is not supported.
            WeightsError: the model is not valid.
        """
        if not cls.supports_device(device):
            raise UnsupportedError(f"device {device!r} is not supported by the ONNX backend; expected 'CPU'")
        return PreparedModel(make_program(read_model(model)))

    @classmethod
    def run_node(
        cls,
        node: NodeProto,
        inputs: Any,
        device: str = "CPU",
        outputs_info: Sequence[tuple[np.dtype[Any], tuple[int, ...]]] | None = None,  # noqa: ARG003
        **kwargs: Any,
    ) -> tuple[Any, ...]:
        """The outputs of one node; inputs in order (None where left out), without those left out, or by name.

        Raises:
            UnsupportedError: the device or the operator is not supported.
            InputError: the node fails on its arrays.
        """
        if not cls.supports_device(device):
            raise UnsupportedError(f"device {device!r} is not supported by the ONNX backend; expected 'CPU'")
        opset = int(kwargs.get("opset_version", onnx.defs.onnx_opset_version()))
        if opset < MIN_OPSET:
            raise UnsupportedError(f"opset_version is {opset}; expected at least {MIN_OPSET}")
        present = [name for name in node.input if name]
        if isinstance(inputs, Mapping):
            arrays = {str(name): np.asarray(value) for name, value in cast("Mapping[Any, Any]", inputs).items()}
        else:
            values = list(inputs)
            names = present if len(values) == len(present) else list(node.input)
            if len(values) != len(names):
                raise InputError(f"{len(values)} inputs are given; expected {len(present)} for {list(node.input)}")
            arrays = {name: np.asarray(v) for name, v in zip(names, values, strict=True) if name and v is not None}
        results = run_step(make_step(node, opset), arrays)
        return base.namedtupledict("Outputs", list(results))(*results.values())

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether a device in ONNX's notation ("CPU", "CPU:0") runs here."""
        return device.partition(":")[0] == "CPU"


prepare = Backend.prepare
run_model = Backend.run_model
run_node = Backend.run_node
supports_device = Backend.supports_device


def _feeds(program: Program, inputs: Any) -> dict[str, Array]:
    if isinstance(inputs, Mapping):
        feeds = {str(name): np.asarray(value) for name, value in cast("Mapping[Any, Any]", inputs).items()}
    else:
        values: list[Any] = [inputs] if isinstance(inputs, np.ndarray) else list(inputs)
        if len(values) != len(program.inputs):
            raise InputError(f"{len(values)} inputs are given; expected {len(program.inputs)}: {program.inputs}")
        feeds = {name: np.asarray(value) for name, value in zip(program.inputs, values, strict=True)}
    for name, array in feeds.items():
        if name not in program.types:
            raise InputError(f"input {name!r} is unknown; expected {program.inputs}")
        expected = program.types[name]
        if expected is not None and array.dtype != expected:
            raise InputError(f"input {name!r} has dtype {array.dtype}; expected {expected}")
    return feeds
