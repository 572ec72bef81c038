"""What is known about the hardware, as rich tables for the terminal."""

from rich.table import Table

from gatesmith.hardware.energy import Energy


def energy_table(name: str, energy: Energy) -> Table:
    """Model energy of one time step of a cell, part by part."""
    table = Table(
        title=f"Cell {name}: {energy.joules_per_step * 1e9:.3g} nJ per step in {energy.cycles_per_step:.0f} clocks, "
        f"{energy.gop_per_joule:.0f} GOP/J (model energy, {energy.table.process})",
        title_justify="left",
        caption=f"Energies: {energy.table.source}",
        caption_justify="left",
    )
    table.add_column("part")
    for heading in ("operations", "pJ each", "activity", "nJ per step", "share"):
        table.add_column(heading, justify="right")
    for part in energy.components:
        table.add_row(
            part.name,
            f"{part.operations:,.0f}",
            f"{part.picojoules:.3g}",
            f"{part.activity:.2f}" if part.measured else "assumed 1",
            f"{part.joules * 1e9:.3g}",
            f"{part.joules / energy.joules_per_step:.0%}",
        )
    return table
