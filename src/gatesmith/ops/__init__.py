"""The operator in real arithmetic: one entry, one table of devices."""

from gatesmith.ops.call import Call, Gradients, Outputs
from gatesmith.ops.devices import DEVICES
from gatesmith.ops.operator import LSTM, run_on_device
from gatesmith.ops.unit import lstm_unit, lstm_unit_gradient

__all__ = ["DEVICES", "LSTM", "Call", "Gradients", "Outputs", "lstm_unit", "lstm_unit_gradient", "run_on_device"]
