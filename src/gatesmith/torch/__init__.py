"""PyTorch: modules with the signatures of ``torch.nn.LSTM`` and ``LSTMCell``, and weights both ways."""

from importlib.util import find_spec

from gatesmith.errors import MissingToolError

if find_spec("torch") is None:
    raise MissingToolError("gatesmith.torch needs PyTorch, which is not installed; pip install 'gatesmith[torch]'")

from gatesmith.torch.module import LSTM, LSTMCell
from gatesmith.torch.operator import lstm, lstm_backward
from gatesmith.torch.threads import share_threads
from gatesmith.torch.weights import from_torch, from_weights, load_torch, to_torch

share_threads()

__all__ = ["LSTM", "LSTMCell", "from_torch", "from_weights", "load_torch", "lstm", "lstm_backward", "to_torch"]
