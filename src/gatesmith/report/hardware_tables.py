"""What is known about the hardware, as rich tables for the terminal."""

from rich.table import Table

from gatesmith.hardware.consumption import ModelEnergy
from gatesmith.hardware.energy import Energy


def model_energy_table(energy: ModelEnergy) -> Table:
    """Model energy of one time step of a whole model: a row for each cell, a column for each kind of component."""
    table = Table(
        title=f"The model: {energy.joules_per_step * 1e9:.3g} nJ per step in {energy.cycles_per_step:.0f} clocks, "
        f"{energy.gop_per_joule:.0f} GOP/J",
        title_justify="left",
        caption="nJ per step",
        caption_justify="left",
    )
    kinds = list(energy.components)
    table.add_column("part")
    for heading in (*kinds, "sum", "share"):
        table.add_column(heading, justify="right")
    for name, part in energy.parts.items():
        own = {component.name: component.joules for component in part.components}
        joules = [*(own.get(kind, 0.0) for kind in kinds), part.joules_per_step]
        table.add_row(name, *(f"{j * 1e9:.3g}" for j in joules), f"{part.joules_per_step / energy.joules_per_step:.0%}")
    sums = [*energy.components.values(), energy.joules_per_step]
    table.add_row("sum", *(f"{j * 1e9:.3g}" for j in sums), "100%")
    return table


def energy_table(name: str, energy: Energy) -> Table:
    """Model energy of one time step of a cell, the head or the streams, component by component."""
    table = Table(
        title=f"{name}: {energy.joules_per_step * 1e9:.3g} nJ per step in {energy.cycles_per_step:.0f} clocks, "
        f"{energy.gop_per_joule:.0f} GOP/J (model energy, {energy.table.process})",
        title_justify="left",
        caption=f"Energies: {energy.table.source}",
        caption_justify="left",
    )
    table.add_column("component")
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
