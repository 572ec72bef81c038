"""gatesmith and its peers as functions of no arguments that run one point once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
import openvino
import torch
from onnx import TensorProto, helper, numpy_helper

import gatesmith.torch
from benchmarks.points import Array, Point
from gatesmith.ops import LSTM, cpu

Outputs = tuple[Array, Array, Array]
"""y [T, N, directions * H], h_n and c_n [L * directions, N, H]."""

Training = Callable[[], list[Array]]
"""One training step; returns the gradients of x and of PyTorch's parameters."""


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """One implementation of one point; `train` is None where it can't."""

    name: str
    infer: Callable[[], Outputs]
    train: Training | None = None


def contestants(point: Point, threads: int) -> list[Contestant]:
    """Ours first; all hold the same weights and read the same x."""
    torch.set_num_threads(threads)
    cpu.set_num_threads(threads)
    lstm = LSTM(point.spec, device="cpu")
    return [
        _gatesmith(point, lstm),
        _torch(point, lstm),
        _onnxruntime(point, _onnx_model(point, lstm), threads),
        _openvino(point, _onnx_model(point, lstm), threads),
    ]


def _gatesmith(point: Point, lstm: LSTM) -> Contestant:
    x, lengths = point.x(), point.lengths() if point.ragged else None

    def infer() -> Outputs:
        y, (h_n, c_n) = lstm(x, lengths=lengths)
        return y, h_n, c_n

    return Contestant(name="gatesmith", infer=infer, train=_gatesmith_training(point, lstm))


def _gatesmith_training(point: Point, lstm: LSTM) -> Training:
    module = gatesmith.torch.LSTM(
        point.input_size, point.hidden_size, point.num_layers, bidirectional=point.bidirectional
    )
    module.load_state_dict(_torch_module(point, lstm).state_dict())
    x = torch.from_numpy(point.x()).requires_grad_()
    lengths = torch.from_numpy(point.lengths()) if point.ragged else None
    return _training(x, module, lambda: module(x, lengths=lengths)[0])


def _training(x: torch.Tensor, module: torch.nn.Module, run: Callable[[], torch.Tensor]) -> Training:
    """One step: forward, and backward to x and all parameters, whose gradients are dropped before the next."""

    def train() -> list[Array]:
        x.grad = None
        module.zero_grad(set_to_none=True)
        y = run()
        y.backward(torch.ones_like(y))
        tensors = [x, *module.parameters()]
        return [tensor.grad.numpy() for tensor in tensors if tensor.grad is not None]

    return train


def _torch_module(point: Point, lstm: LSTM) -> torch.nn.LSTM:
    module = torch.nn.LSTM(point.input_size, point.hidden_size, point.num_layers, bidirectional=point.bidirectional)
    state = module.state_dict()
    for name, array in lstm.weights.items():
        if name.startswith("bias_"):
            state[name.replace("bias_", "bias_ih_")] = torch.tensor(array)
            state[name.replace("bias_", "bias_hh_")] = torch.zeros(array.shape)
        else:
            state[name] = torch.tensor(array)
    module.load_state_dict(state)
    return module


def _torch(point: Point, lstm: LSTM) -> Contestant:
    module = _torch_module(point, lstm)
    x = torch.from_numpy(point.x())
    lengths = torch.from_numpy(point.lengths())
    leaf = x.clone().requires_grad_()

    def run(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        if not point.ragged:
            y, (h_n, c_n) = module(values)
            return y, h_n, c_n
        packed = torch.nn.utils.rnn.pack_padded_sequence(values, lengths, enforce_sorted=False)
        y, (h_n, c_n) = module(packed)
        return torch.nn.utils.rnn.pad_packed_sequence(y, total_length=point.steps)[0], h_n, c_n

    def infer() -> Outputs:
        with torch.inference_mode():
            y, h_n, c_n = run(x)
        return y.numpy(), h_n.numpy(), c_n.numpy()

    return Contestant(name="PyTorch", infer=infer, train=_training(leaf, module, lambda: run(leaf)[0]))


def _onnx_model(point: Point, lstm: LSTM) -> bytes:
    """The layers as ONNX LSTM nodes, whose gates are i, o, f, c and whose outputs are [T, directions, N, H]."""
    directions = point.spec.num_directions
    nodes, constants, value = [], [], "x"

    def constant(name: str, array: Any) -> str:
        constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    for layer in range(point.num_layers):
        suffixes = [suffix for level, _, suffix in point.spec.cells() if level == layer]
        stack = {
            kind: np.stack([_onnx_gates(lstm.weights[f"{kind}_{suffix}"]) for suffix in suffixes])
            for kind in ("weight_ih", "weight_hh", "bias")
        }
        bias = np.concatenate([stack["bias"], np.zeros_like(stack["bias"])], axis=1)
        inputs = [value, constant(f"w{layer}", stack["weight_ih"]), constant(f"r{layer}", stack["weight_hh"])]
        inputs += [constant(f"b{layer}", bias), "lengths" if point.ragged else ""]
        nodes.append(
            helper.make_node(
                "LSTM",
                inputs,
                [f"y{layer}", f"h{layer}", f"c{layer}"],
                hidden_size=point.hidden_size,
                direction="bidirectional" if point.bidirectional else "forward",
            )
        )
        nodes.append(helper.make_node("Transpose", [f"y{layer}"], [f"t{layer}"], perm=[0, 2, 1, 3]))
        shape = constant(f"s{layer}", np.array([0, 0, -1], np.int64))
        value = f"o{layer}"
        nodes.append(helper.make_node("Reshape", [f"t{layer}", shape], [value]))
    for kind in ("h", "c"):
        layers = [f"{kind}{layer}" for layer in range(point.num_layers)]
        nodes.append(helper.make_node("Concat", layers, [f"{kind}_n"], axis=0))
    states = [point.num_layers * directions, point.batch, point.hidden_size]
    graph = helper.make_graph(
        nodes,
        "lstm",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [point.steps, point.batch, point.input_size])]
        + [helper.make_tensor_value_info("lengths", TensorProto.INT32, [point.batch])] * point.ragged,
        [
            helper.make_tensor_value_info(
                value, TensorProto.FLOAT, [point.steps, point.batch, directions * point.hidden_size]
            ),
            helper.make_tensor_value_info("h_n", TensorProto.FLOAT, states),
            helper.make_tensor_value_info("c_n", TensorProto.FLOAT, states),
        ],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _onnx_gates(array: Array) -> Array:
    i, f, g, o = np.split(array, 4)
    return np.concatenate([i, o, f, g])


def _feed(point: Point) -> dict[str, Any]:
    feed: dict[str, Any] = {"x": point.x()}
    if point.ragged:
        feed["lengths"] = point.lengths().astype(np.int32)
    return feed


def _onnxruntime(point: Point, model: bytes, threads: int) -> Contestant:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Its workers would go on spinning while the next contestant runs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feed = _feed(point)
    return Contestant(name="ONNX Runtime", infer=lambda: tuple(session.run(None, feed)))  # type: ignore[arg-type]


def _openvino(point: Point, model: bytes, threads: int) -> Contestant:
    core = openvino.Core()
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = core.compile_model(core.read_model(model), "CPU", settings).create_infer_request()
    feed = _feed(point)

    def infer() -> Outputs:
        results = request.infer(feed, share_inputs=True)
        return tuple(results[index] for index in range(3))  # type: ignore[return-value]

    return Contestant(name="OpenVINO", infer=infer)
