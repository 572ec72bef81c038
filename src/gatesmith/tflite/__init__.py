"""TFLite (LiteRT): float LSTMs in and out of ``.tflite`` files, without TensorFlow or LiteRT."""

from importlib.util import find_spec

from gatesmith.errors import MissingToolError

if find_spec("tflite") is None:
    raise MissingToolError("gatesmith.tflite needs tflite, which is not installed; pip install 'gatesmith[tflite]'")

from gatesmith.tflite.reader import from_tflite
from gatesmith.tflite.writer import inexpressible, save_tflite, to_tflite

__all__ = ["from_tflite", "inexpressible", "save_tflite", "to_tflite"]
