"""What an LSTM costs, where its time goes, and what its gates do: predicted from the spec, then measured."""

from gatesmith.analysis.footprint import Footprint, footprint
from gatesmith.analysis.hardware_cost import HardwareFootprint, hardware_footprint
from gatesmith.analysis.inspection import Inspection, inspect
from gatesmith.analysis.profile import Profile, profile
from gatesmith.analysis.results import Result, load_result, save_result

__all__ = [
    "Footprint",
    "HardwareFootprint",
    "Inspection",
    "Profile",
    "Result",
    "footprint",
    "hardware_footprint",
    "inspect",
    "load_result",
    "profile",
    "save_result",
]
