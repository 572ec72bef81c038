"""Reads result files and draws them; needs none of the tools that made them."""

from gatesmith.report.page import write_report

__all__ = ["write_report"]
