"""What an exported design takes: the analysis of its parameters, beside what simulation and synthesis found."""

from pathlib import Path

from gatesmith.analysis import HardwareFootprint, hardware_footprint
from gatesmith.hardware.manifest import load_export
from gatesmith.hardware.synthesize import Synthesis
from gatesmith.hardware.timing import timing
from gatesmith.hardware.verify import Verification


def export_footprint(
    folder: str | Path, *, verification: Verification | None = None, synthesis: Synthesis | None = None
) -> HardwareFootprint:
    """Memories and clocks of an export: every cell, the buffers around them, and the head.

    Args:
        folder: written by :func:`gatesmith.hardware.export.export`.
        verification: of this export, for the measured clocks; they are told apart where there is one cell.
        synthesis: of this export.

    Raises:
        ExportError: the folder is no export, or a file in it has changed.
    """
    exported = load_export(folder)
    engines = exported.engines
    alone = verification is not None and len(engines) == 1
    chained = exported.options.chained
    return hardware_footprint(
        engines,
        predicted_cycles=[timing(one, chained=chained).cycles_per_step for one in engines.values()],
        measured_cycles=[verification.cycles_per_step] if alone and verification else None,
        synthesised=synthesis.to_dict() if synthesis else None,
        stack={name: value for name, value in exported.stack.items() if isinstance(value, int)},
    )
