"""Figures of what the gates do: saturation, memory of every unit, gradients through time, error of each gate."""

from collections.abc import Mapping, Sequence
from typing import Any

from gatesmith.report.figures import COLOURS, GATE_NAMES, DataTable, Figure
from gatesmith.spec import GATES

LOWEST_NORM = 1e-30
"""Norms below this are left out of the drawing; a logarithmic axis has no zero."""

ENDS = ("low", "high")
SHARE_AXIS = {"tickformat": ".0%", "range": [-0.05, 1.05]}


def saturation_figure(id: str, name: str, cell: Mapping[str, Any]) -> Figure:
    """Every unit of every gate: how often it is near its upper end, over how often near its lower one."""
    traces: list[Mapping[str, Any]] = []
    for gate, colour in zip(GATES, COLOURS, strict=False):
        saturation = cell["saturation"][gate]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": GATE_NAMES[gate],
                "x": saturation["low_per_unit"],
                "y": saturation["high_per_unit"],
                "text": [f"unit {unit}" for unit in range(len(saturation["low_per_unit"]))],
                "marker": {"color": colour, "size": 8, "opacity": 0.75},
                "hovertemplate": "%{text}: low %{x:.0%}, high %{y:.0%}<extra>%{fullData.name}</extra>",
            }
        )
    rows = tuple(
        (unit, *(round(cell["saturation"][gate][f"{end}_per_unit"][unit], 4) for gate in GATES for end in ENDS))
        for unit in range(len(cell["time_constant_steps"]))
    )
    shares = ", ".join(
        f"{gate} {cell['saturation'][gate]['low']:.0%} low and {cell['saturation'][gate]['high']:.0%} high"
        for gate in GATES
    )
    return Figure(
        id=id,
        title=f"Saturation, {name}",
        summary=(
            f"Share of steps below 0.1 and above 0.9 (for g: beyond ±0.9): {shares}. A unit in the upper left corner is"
            " always open, one in the lower right corner always closed."
        ),
        data=tuple(traces),
        layout={
            "xaxis": {"title": {"text": "share of steps at the lower end"}, **SHARE_AXIS},
            "yaxis": {"title": {"text": "share of steps at the upper end"}, **SHARE_AXIS},
            "height": 440,
        },
        table=DataTable(
            caption=f"Saturation by unit, {name}",
            headings=("unit", *(f"{gate} {end}" for gate in GATES for end in ENDS)),
            rows=rows,
        ),
    )


def memory_time_figure(id: str, name: str, cell: Mapping[str, Any]) -> Figure:
    """Time constant of every unit, longest first."""
    constants: Sequence[float | None] = cell["time_constant_steps"]
    order = sorted(range(len(constants)), key=lambda unit: -_or_infinite(constants[unit]))
    finite = [constant for constant in constants if constant is not None]
    never_opens, never_forgets = cell["never_opens"], cell["never_forgets"]
    middle = sorted(finite)[len(finite) // 2] if finite else float("inf")
    return Figure(
        id=id,
        title=f"How long each unit remembers, {name}",
        summary=(
            f"Median time constant {middle:.3g} steps. Units that never open: {_list(never_opens)}. Units that never"
            f" forget: {_list(never_forgets)}."
        ),
        data=(
            {
                "type": "bar",
                "name": "time constant",
                "x": [f"{unit}" for unit in order],
                "y": [constants[unit] for unit in order],
                "marker": {"color": COLOURS[0]},
                "hovertemplate": "unit %{x}: %{y:.3g} steps<extra></extra>",
            },
        ),
        layout={
            "xaxis": {"title": {"text": "unit"}, "type": "category"},
            "yaxis": {"title": {"text": "steps until 1/e is left"}, "rangemode": "tozero"},
            "showlegend": False,
        },
        table=DataTable(
            caption=f"Memory of every unit, {name}",
            headings=("unit", "time constant (steps)", "never opens", "never forgets"),
            rows=tuple(
                (
                    unit,
                    "does not decay" if constants[unit] is None else round(_or_infinite(constants[unit]), 3),
                    "yes" if unit in never_opens else "no",
                    "yes" if unit in never_forgets else "no",
                )
                for unit in order
            ),
        ),
    )


def gradient_figure(id: str, gradients: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Figure:
    """Norm of the gradient over steps back, of h and of c, for every cell."""
    traces: list[Mapping[str, Any]] = []
    rows: list[tuple[Any, ...]] = []
    for at, (flow, name) in enumerate(zip(gradients, names, strict=True)):
        for state, dash in (("dh", "solid"), ("dc", "dash")):
            norms = flow[f"{state}_back"]
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "name": f"‖{state}‖, {name}",
                    "x": list(range(len(norms))),
                    "y": [norm if norm and norm > LOWEST_NORM else None for norm in norms],
                    "line": {"color": COLOURS[at % len(COLOURS)], "dash": dash},
                    "hovertemplate": "%{x} steps back: %{y:.3g}<extra>%{fullData.name}</extra>",
                }
            )
        for back, (dh, dc) in enumerate(zip(flow["dh_back"], flow["dc_back"], strict=True)):
            rows.append((name, back, _short(dh), _short(dc)))
    verdicts = ", ".join(f"{name} {verdict(flow)}" for flow, name in zip(gradients, names, strict=True))
    return Figure(
        id=id,
        title="Gradient flowing back through time",
        summary=f"Geometric mean over the sequences: {verdicts}.",
        data=tuple(traces),
        layout={
            "xaxis": {"title": {"text": "steps back from a sequence's end"}},
            "yaxis": {
                "title": {"text": "norm of the gradient"},
                "type": "log",
                "dtick": "D2",
                "exponentformat": "power",
            },
        },
        table=DataTable(
            caption="Norm of the gradient, by steps back",
            headings=("cell", "steps back", "‖dh‖", "‖dc‖"),
            rows=tuple(rows),
        ),
    )


def gate_error_figure(id: str, errors: Sequence[Sequence[Mapping[str, Any]]], names: Sequence[str]) -> Figure:
    """What each gate's fixed-point form does to the gate itself, and to the cell's output."""
    by_cell = zip(names, errors, strict=True)
    pairs = [(name, GATE_NAMES.get(row["gate"], "all four")) for name, rows in by_cell for row in rows]
    gates, cells = [gate for _, gate in pairs], [cell for cell, _ in pairs]
    flat = [row for rows in errors for row in rows]
    traces = tuple(
        {
            "type": "bar",
            "name": title,
            "x": [cells, gates] if len(names) > 1 else gates,
            "y": [row[key] for row in flat],
            "marker": {"color": colour},
            "hovertemplate": "%{x}: %{y:.3g}<extra>%{fullData.name}</extra>",
        }
        for key, title, colour in (
            ("rms", "RMS of the gate", COLOURS[0]),
            ("output_rms", "RMS of the output", COLOURS[1]),
        )
    )
    worst = max((row for row in flat if row["gate"] != "all"), key=lambda row: row["output_rms"])
    return Figure(
        id=id,
        title="Error that each gate of the fixed-point model contributes",
        summary=(
            f"The {GATE_NAMES[worst['gate']]} contributes most to the output's error: {worst['output_rms']:.2g} RMS."
            " Each bar is the cell run again with that gate alone taken from the fixed-point model."
        ),
        data=traces,
        layout={"yaxis": {"title": {"text": "error"}, "exponentformat": "power"}, "barmode": "group"},
        table=DataTable(
            caption="Fixed-point error of every gate",
            headings=("cell", "gate", "worst", "RMS", "worst of the output", "RMS of the output"),
            rows=tuple(
                (*pair, *(_short(row[key]) for key in ("worst", "rms", "output_worst", "output_rms")))
                for pair, row in zip(pairs, flat, strict=True)
            ),
        ),
    )


def verdict(flow: Mapping[str, Any]) -> str:
    """What becomes of a gradient, in words."""
    if flow["vanishes_after"] is not None:
        return f"vanishes (below 1/1000) after {flow['vanishes_after']} steps"
    if flow["explodes_after"] is not None:
        return f"explodes (above 1000 times) after {flow['explodes_after']} steps"
    return "neither vanishes nor explodes"


def _or_infinite(value: float | None) -> float:
    return float("inf") if value is None else value


def _short(value: float | None) -> Any:
    return "" if value is None else float(f"{value:.4g}")


def _list(units: Sequence[int]) -> str:
    return ", ".join(map(str, units)) if units else "none"
