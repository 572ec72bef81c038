"""Keras 3: LSTMs in and out of ``.keras``, ``.weights.h5`` and legacy ``.h5`` files, without Keras or TensorFlow."""

from importlib.util import find_spec

from gatesmith.errors import MissingToolError

if find_spec("h5py") is None:
    raise MissingToolError("gatesmith.keras needs h5py, which is not installed; pip install 'gatesmith[keras]'")

from gatesmith.keras.files import from_keras, inexpressible, lengths_from_mask, save_keras
from gatesmith.keras.layers import ACTIVATIONS

__all__ = ["ACTIVATIONS", "from_keras", "inexpressible", "lengths_from_mask", "save_keras"]
