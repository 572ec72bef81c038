"""Rich display of results in notebooks: ``%load_ext gatesmith.report.notebook``."""

import io
from collections.abc import Callable
from typing import Any

from rich.console import Console, RenderableType

from gatesmith.analysis import Footprint, HardwareFootprint, Inspection, Profile
from gatesmith.report.tables import footprint_tables, hardware_tables, inspection_tables, profile_tables

TABLES: dict[type, Callable[[Any], RenderableType]] = {
    Footprint: footprint_tables,
    HardwareFootprint: hardware_tables,
    Inspection: inspection_tables,
    Profile: profile_tables,
}

WIDTH = 130
PLAIN = '<pre style="white-space:pre;overflow-x:auto;line-height:normal;font-family:monospace">{code}</pre>'


def as_html(result: Any) -> str:
    """A result's tables as HTML; every name in it is escaped."""
    console = Console(width=WIDTH, file=io.StringIO(), record=True, force_jupyter=False)
    console.print(TABLES[type(result)](result))
    return console.export_html(inline_styles=True, code_format=PLAIN)


def load_ipython_extension(ipython: Any) -> None:
    """Show results as tables from now on; IPython calls this."""
    formatter = ipython.display_formatter.formatters["text/html"]
    for kind in TABLES:
        formatter.for_type(kind, as_html)
