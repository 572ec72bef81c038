"""gatesmith: the LSTM operator, from equations to silicon."""

from gatesmith.errors import GatesmithError
from gatesmith.ops import LSTM, run_on_device
from gatesmith.spec import Activation, LSTMSpec
from gatesmith.weights import Weights, initialise

__all__ = ["LSTM", "Activation", "GatesmithError", "LSTMSpec", "Weights", "initialise", "run_on_device"]
