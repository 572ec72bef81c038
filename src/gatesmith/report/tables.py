"""Results as rich tables, for the terminal and for notebooks."""

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gatesmith.analysis.cost import Line
from gatesmith.analysis.footprint import AGREEMENT, Footprint
from gatesmith.analysis.inspection import Inspection
from gatesmith.report.units import human_bytes
from gatesmith.spec import GATES


def footprint_tables(footprint: Footprint) -> RenderableType:
    """One step as the sum of its components, then the whole run, predicted beside measured."""
    what = "training" if footprint.training else "inference"
    title = f"One run: {what}, N = {footprint.batch}, T = {footprint.steps}, {footprint.dtype} on {footprint.device}"
    parts: list[RenderableType] = []
    for layer, lines in enumerate(footprint.one_step):
        table = _table(f"One step of a cell of layer {layer}", ("component", "formula"), ("bytes",))
        for line in lines:
            last = line is lines[-1]
            table.add_row(line.component, line.formula, f"{line.predicted:,}", style="bold" if last else "")
        parts.append(table)
    table = _table(title, ("component", "formula"), ("predicted", "measured", "off by"))
    for line in footprint.lines:
        table.add_row(*_cells(line), style="red" if line in footprint.disagreements else "")
    table.add_section()
    table.add_row(*_cells(footprint.peak), style="bold")
    parts.append(table)
    if footprint.not_measured:
        parts.append(Text(footprint.not_measured))
    elif footprint.peak.predicted is not None:
        count = len(footprint.disagreements)
        parts.append(Text(f"{count or 'no'} line{'s' * (count != 1)} off by more than {AGREEMENT:.0%}"))
    return Group(*parts)


def inspection_tables(inspection: Inspection) -> RenderableType:
    """Saturation, memory and idle units of every cell, gradients through time, and fixed-point errors by gate."""
    parts: list[RenderableType] = []
    gates = _table("Gates: share of steps near an end", ("cell",), [f"{gate} {end}" for gate in GATES for end in "↓↑"])
    memory = _table(
        "Memory", ("cell",), ("time constant (steps): median", "shortest", "longest", "never open", "never forget")
    )
    for cell in inspection.cells:
        shares = [value for gate in GATES for value in (cell.saturation[gate].low, cell.saturation[gate].high)]
        gates.add_row(cell.name, *(f"{share.mean():.0%}" for share in shares))
        constants = sorted(cell.time_constant)
        memory.add_row(
            cell.name,
            *(f"{value:.3g}" for value in (constants[len(constants) // 2], constants[0], constants[-1])),
            f"{len(cell.never_opens)} of {len(constants)}",
            f"{len(cell.never_forgets)} of {len(constants)}",
        )
    flows = _table("Gradients flowing back", ("cell", "verdict"), ("1 step", "10 steps", "the first state"))
    for flow in inspection.flows:
        norms = flow.total_back
        flows.add_row(
            f"layer {flow.layer}, {flow.direction}",
            _verdict(flow.vanishes_after, flow.explodes_after),
            *(f"{norms[back]:.2g}" if back < len(norms) else "–" for back in (1, 10)),
            f"{norms[-1]:.2g}",
        )
    parts += [gates, memory, flows]
    if inspection.errors:
        errors = _table("Fixed point: error of each gate", ("cell", "gate"), ("worst", "RMS", "worst of h", "RMS of h"))
        for cell, rows in zip(inspection.cells, inspection.errors, strict=True):
            for row in rows:
                values = (row.worst, row.rms, row.output_worst, row.output_rms)
                errors.add_row(cell.name, row.gate, *(f"{value:.2e}" for value in values))
        parts.append(errors)
    return Group(*parts)


def _table(title: str, text: Iterable[str], numbers: Sequence[str] | Iterable[str]) -> Table:
    table = Table(title=title, title_justify="left")
    for heading in text:
        table.add_column(heading)
    for heading in numbers:
        table.add_column(heading, justify="right")
    return table


def _cells(line: Line) -> tuple[str, ...]:
    predicted, measured = (human_bytes(n) for n in (line.predicted, line.measured))
    off = "–" if line.disagreement is None else f"{line.disagreement:+.1%}"
    return line.component, line.formula, predicted, measured, off


def _verdict(vanishes: int | None, explodes: int | None) -> str:
    if vanishes is not None:
        return f"vanishes after {vanishes} steps"
    return "lives" if explodes is None else f"explodes after {explodes} steps"
