"""The operator in integers: formats, tables, calibration, and the golden model of the hardware."""

from gatesmith.fixed.calibrate import calibrate
from gatesmith.fixed.cell import CellPlan
from gatesmith.fixed.plan import Plan
from gatesmith.fixed.qformat import QFormat

__all__ = ["CellPlan", "Plan", "QFormat", "calibrate"]
