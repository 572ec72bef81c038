"""gatesmith: the LSTM operator, from equations to silicon."""

from gatesmith.analysis import footprint
from gatesmith.errors import GatesmithError
from gatesmith.ops import LSTM, lstm_unit, lstm_unit_gradient, run_on_device
from gatesmith.ops.cpu import num_threads, set_num_threads
from gatesmith.spec import Activation, LSTMSpec
from gatesmith.weights import Weights, initialise

__all__ = [
    "LSTM",
    "Activation",
    "GatesmithError",
    "LSTMSpec",
    "Weights",
    "footprint",
    "initialise",
    "lstm_unit",
    "lstm_unit_gradient",
    "num_threads",
    "run_on_device",
    "set_num_threads",
]
