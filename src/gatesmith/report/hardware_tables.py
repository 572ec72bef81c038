"""What is known about the hardware, as rich tables for the terminal."""

from rich.table import Table

from gatesmith.hardware.consumption import ModelEnergy
from gatesmith.hardware.energy import Energy


def model_energy_table(energy: ModelEnergy) -> Table:
    """Model energy of one time step of a whole model: a row for each kind of component, a column for each part."""
    table = Table(
        title=f"The model: {energy.joules_per_step * 1e9:.3g} nJ per step in {energy.cycles_per_step:.0f} clocks, "
        f"{energy.gop_per_joule:.0f} GOP/J",
        title_justify="left",
        caption="nJ per step",
        caption_justify="left",
    )
    table.add_column("component")
    for heading in (*energy.parts, "sum", "share"):
        table.add_column(heading, justify="right")
    parts = [{one.name: one.joules for one in part.components} for part in energy.parts.values()]
    for kind, joules in energy.components.items():
        values = [*(part.get(kind, 0.0) for part in parts), joules]
        table.add_row(kind, *(f"{j * 1e9:.3g}" for j in values), f"{joules / energy.joules_per_step:.0%}")
    sums = [*(part.joules_per_step for part in energy.parts.values()), energy.joules_per_step]
    table.add_row("sum", *(f"{j * 1e9:.3g}" for j in sums), "100%")
    return table


def savings_table(energy: ModelEnergy, restless: ModelEnergy) -> Table:
    """What read enables save: both were simulated on the same sequences, ``restless`` with memories that read in every
    clock."""
    saved = 1 - energy.joules_per_step / restless.joules_per_step
    table = Table(
        title=f"Read enables save {saved:.0%}: {restless.joules_per_step * 1e9:.3g} nJ per step without them",
        title_justify="left",
        caption="Operations per step; one that changes half its bits counts half",
        caption_justify="left",
    )
    table.add_column("component")
    for heading in ("operations", "without", "nJ", "without", "saved"):
        table.add_column(heading, justify="right")
    for kind, without in restless.components.items():
        joules = energy.components.get(kind, 0.0)
        counts = (f"{each.busy.get(kind, 0.0):,.0f}" for each in (energy, restless))
        spent = (f"{j * 1e9:.3g}" for j in (joules, without))
        table.add_row(kind, *counts, *spent, f"{1 - joules / without:.0%}" if without else "–")
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
