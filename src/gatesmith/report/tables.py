"""Results as rich tables, for the terminal and for notebooks."""

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gatesmith.analysis.cost import Line
from gatesmith.analysis.footprint import AGREEMENT, Footprint
from gatesmith.analysis.hardware_cost import HardwareFootprint
from gatesmith.analysis.inspection import Inspection
from gatesmith.analysis.limits import Limits
from gatesmith.analysis.profile import Profile
from gatesmith.analysis.stages import Components, gates_of
from gatesmith.report.units import human_bytes, human_rate, human_time
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
        "Memory: time constants in steps, and units that never open or never forget",
        ("cell",),
        ("median", "shortest", "longest", "never open", "never forget"),
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


def profile_tables(profile: Profile) -> RenderableType:
    """Throughput over batch sizes, the time of every component and gate, and the bounds."""
    what = f"T = {profile.steps} on {profile.device}, {profile.threads} thread{'s' * (profile.threads != 1)}"
    if profile.not_measured:
        return Text(profile.not_measured)
    numbers = ("N", "p10", "median", "p90", "p99", "seq/s", "GFLOP/s")
    runs = sorted(point.latency.repeats for point in profile.throughput)
    repeats = f"{runs[0]:,}" if runs[0] == runs[-1] else f"{runs[0]:,} to {runs[-1]:,}"
    throughput = _table(f"Throughput, {what}; {repeats} runs of each", ("mode",), numbers)
    for column in throughput.columns:
        column.no_wrap = True
    for point in profile.throughput:
        latency, gflops = point.latency, point.flops / point.latency.median / 1e9
        times = (human_time(seconds) for seconds in (latency.p10, latency.median, latency.p90, latency.p99))
        rate = human_rate(point.sequences_per_second)
        throughput.add_row(point.mode, str(point.batch), *times, rate, f"{gflops:.3g}")
    tables: list[RenderableType] = [throughput]
    tables += [_component_table(made, profile.limits) for made in profile.components]
    for bounds in profile.bounds:
        table = _table(
            f"Bounds of a {bounds[0].call}", ("bound", "what it is"), ("least time", "share", "gain at most")
        )
        for bound in bounds:
            gain = f"{bound.speedup_if_removed:.3g} ×"
            table.add_row(bound.name, bound.explanation, human_time(bound.seconds), f"{bound.share:.1%}", gain)
        tables.append(table)
    return Group(*tables, Text(profile.reason))


def _component_table(made: Components, limits: Limits | None) -> Table:
    whole = made.whole.least
    title = f"Components of a {made.mode} call, N = {made.batch}"
    table = _table(title, ("component", "throughput is"), ("time", "share", "elements/s"))
    gates = gates_of(made, limits) if limits else ()
    for part in (*made.parts, *gates):
        if gates and part is gates[0]:
            table.add_section()
        rate = human_rate(part.throughput) if part.elements else ""
        table.add_row(part.name, part.formula, human_time(part.seconds), f"{part.seconds / whole:.1%}", rate)
    table.add_section()
    table.add_row("sum of the components", "", human_time(made.sum_seconds), f"{1 + made.unexplained:.1%}", "")
    table.add_row("the whole call", "", human_time(whole), "", human_rate(made.batch / whole))
    return table


def hardware_tables(found: HardwareFootprint) -> RenderableType:
    """Clocks per step and memories of an export."""
    numbers = ("D", "H", "P", "4H(D + H)/P", "predicted", "measured", "multipliers busy")
    cycles = _table("Clocks per step", ("cell",), numbers)
    for cell in found.cells:
        measured = "–" if cell.measured_cycles is None else f"{cell.measured_cycles:.6g}"
        predicted = "–" if cell.predicted_cycles is None else str(cell.predicted_cycles)
        busy = "–" if cell.utilisation is None else f"{cell.utilisation:.1%}"
        sizes = (cell.input_size, cell.hidden_size, cell.multipliers, cell.floor_cycles)
        cycles.add_row(cell.name, *map(str, sizes), predicted, measured, busy)
    memories = _table("Memories", ("cell", "memory", "bits are", "kind"), ("words", "width", "bits", "blocks"))
    for memory in found.memories:
        numbers_ = (memory.words, memory.width, memory.bits, memory.blocks)
        memories.add_row(memory.cell, memory.memory, memory.formula, memory.kind, *(f"{n:,}" for n in numbers_))
    return Group(cycles, memories, *(Text(sentence) for sentence in found.sentences))


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
