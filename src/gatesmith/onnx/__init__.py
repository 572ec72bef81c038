"""ONNX: a backend by ONNX's own interface, and LSTMs in and out of models."""

from importlib.util import find_spec

from gatesmith.errors import MissingToolError

if find_spec("onnx") is None:
    raise MissingToolError("gatesmith.onnx needs onnx, which is not installed; pip install 'gatesmith[onnx]'")

from gatesmith.onnx.backend import Backend, prepare, run_model, run_node, supports_device
from gatesmith.onnx.files import from_onnx, inexpressible, save_onnx, to_onnx

__all__ = [
    "Backend",
    "from_onnx",
    "inexpressible",
    "prepare",
    "run_model",
    "run_node",
    "save_onnx",
    "supports_device",
    "to_onnx",
]
