"""Figures as plain Plotly dictionaries, each with a sentence for who can't see it and a table of what it shows."""

import base64
import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gatesmith.report.units import human_bytes, human_rate, human_time

GATE_NAMES = {"i": "input gate i", "f": "forget gate f", "g": "candidate g", "o": "output gate o"}
COLOURS = ("--c1", "--c2", "--c3", "--c4", "--c5", "--c6", "--c7", "--c8")
"""Names of CSS variables: the page's script puts in the colour of the scheme that is shown, light or dark."""

EXPLAINED = 0.1
"""Parts that differ from the whole by more are called out."""

QUANTITY = re.compile(r"[-+]?[\d,]+(\.\d+)?(e[-+]\d+)?( ?(%|[kMG]|[numµ]?s|[KMGTP]?i?B))?")

LEGEND = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "xanchor": "left"}


@dataclass(frozen=True, kw_only=True)
class DataTable:
    """Rows beneath a figure. A cell is text, a number or None; numbers, with a unit or without, stand right."""

    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    @property
    def numeric(self) -> tuple[bool, ...]:
        """Whether a column holds numbers, which stand right."""
        columns = zip(*self.rows, strict=True)
        found = tuple(any(_is_quantity(cell) for cell in column) for column in columns)
        return found or (False,) * len(self.headings)

    @staticmethod
    def text(cell: object) -> str:
        """A cell as people read it; the rows of :attr:`href` keep every digit."""
        if isinstance(cell, float):
            return f"{cell:,.6g}" if abs(cell) < 1e6 else f"{cell:,.0f}"
        return "" if cell is None else f"{cell:,}" if isinstance(cell, int) else str(cell)

    @property
    def href(self) -> str:
        """The rows as CSV, in an address that needs no network."""
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(self.headings)
        writer.writerows(self.rows)
        return "data:text/csv;base64," + base64.b64encode(text.getvalue().encode()).decode()


def _is_quantity(cell: object) -> bool:
    return isinstance(cell, int | float) or (isinstance(cell, str) and QUANTITY.fullmatch(cell) is not None)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One interactive figure.

    Attributes:
        id: unique on the page; letters, digits and hyphens.
        summary: what is to be seen, in a sentence or two, for a screen reader and below the heading.
        data, layout: as Plotly takes them.
    """

    id: str
    title: str
    summary: str
    data: tuple[Mapping[str, Any], ...]
    layout: Mapping[str, Any]
    table: DataTable


def memory_figure(id: str, footprint: Mapping[str, Any]) -> Figure:
    """Predicted beside measured bytes of every component."""
    lines = [*footprint["lines"], footprint["peak"]]
    shown = [line for line in footprint["lines"] if line["predicted"] or line["measured"]]
    names = [line["component"] for line in reversed(shown)]
    bars = [
        {
            "type": "bar",
            "orientation": "h",
            "name": kind,
            "y": names,
            "x": [line[kind] for line in reversed(shown)],
            "marker": {"color": colour},
            "customdata": [human_bytes(line[kind]) for line in reversed(shown)],
            "hovertemplate": "%{y}: %{customdata}<extra>%{fullData.name}</extra>",
        }
        for kind, colour in (("measured", COLOURS[1]), ("predicted", COLOURS[0]))
    ]
    rows = tuple(
        (line["component"], line["formula"], line["predicted"], line["measured"], percent(line["disagreement"]))
        for line in lines
    )
    what = "training" if footprint["training"] else "inference"
    peak = footprint["peak"]
    return Figure(
        id=id,
        title=f"Memory of {what}, N = {footprint['batch']}, T = {footprint['steps']}, on {footprint['device']}",
        summary=(
            f"Peak: {human_bytes(peak['predicted'])} predicted, {human_bytes(peak['measured'])} measured"
            f" ({percent(peak['disagreement']) or 'no comparison'})."
            + (f" {footprint['not_measured']}." if footprint["not_measured"] else "")
        ),
        data=tuple(bars),
        layout={
            "xaxis": {"title": {"text": "bytes"}, "exponentformat": "SI"},
            "yaxis": {"automargin": True},
            "height": 120 + 34 * len(names),
            "barmode": "group",
            "legend": {**LEGEND, "traceorder": "reversed"},
        },
        table=DataTable(
            caption="Memory, component by component",
            headings=("component", "formula", "predicted (bytes)", "measured (bytes)", "off by"),
            rows=rows,
        ),
    )


def throughput_figure(id: str, points: Sequence[Mapping[str, Any]]) -> Figure:
    """Sequences per second over the batch size, with the spread from the 10th to the 90th percentile of the latency."""
    modes = list(dict.fromkeys(point["mode"] for point in points))
    traces: list[dict[str, Any]] = []
    for mode, colour in zip(modes, COLOURS, strict=False):
        mine = [point for point in points if point["mode"] == mode]
        middle = [point["sequences_per_second"] for point in mine]
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": mode,
                "x": [point["batch"] for point in mine],
                "y": middle,
                "error_y": {
                    "type": "data",
                    "symmetric": False,
                    "array": [point["batch"] / point["p10_seconds"] - y for point, y in zip(mine, middle, strict=True)],
                    "arrayminus": [
                        y - point["batch"] / point["p90_seconds"] for point, y in zip(mine, middle, strict=True)
                    ],
                    "color": colour,
                },
                "line": {"color": colour},
                "hovertemplate": "N = %{x}: %{y:.3s} sequences/s<extra>%{fullData.name}</extra>",
            }
        )
    best = max(points, key=lambda point: point["sequences_per_second"])
    headings = ("mode", "N", "median", "10th percentile", "90th", "99th", "fastest", "runs", "sequences/s", "GFLOP/s")
    rows = tuple(
        (
            point["mode"],
            point["batch"],
            *(human_time(point[f"{name}_seconds"]) for name in ("median", "p10", "p90", "p99", "min")),
            point["repeats"],
            round(point["sequences_per_second"], 1),
            round(point["gflops"], 2),
        )
        for point in points
    )
    return Figure(
        id=id,
        title="Throughput over the batch size",
        summary=(
            f"Highest in {best['mode']} at N = {best['batch']}: {human_rate(best['sequences_per_second'])} sequences/s,"
            f" {best['gflops']:.3g} GFLOP/s. Bars reach from the 10th to the 90th percentile of the latency."
        ),
        data=tuple(traces),
        layout={
            "xaxis": {"title": {"text": "batch N"}, "type": "log", "dtick": 0.30103},
            "yaxis": {"title": {"text": "sequences per second"}, "type": "log", "dtick": "D2", "exponentformat": "SI"},
        },
        table=DataTable(caption="Latency and throughput", headings=headings, rows=rows),
    )


def components_figure(id: str, components: Sequence[Mapping[str, Any]]) -> Figure:
    """Where the time of a call goes, one stacked bar for forward and one for backward."""
    bars = [f"{part['mode']}, N = {part['batch']}" for part in components]
    names = list(dict.fromkeys(stage["name"] for part in components for stage in part["parts"]))
    traces: list[dict[str, Any]] = []
    for at, name in enumerate(names):
        shares = [next((s["share"] for s in part["parts"] if s["name"] == name), 0.0) for part in components]
        traces.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": name,
                "y": bars,
                "x": shares,
                "marker": {"color": COLOURS[at % len(COLOURS)]},
                "hovertemplate": "%{y}: %{x:.1%}<extra>%{fullData.name}</extra>",
            }
        )
    rows: list[tuple[Any, ...]] = []
    for bar, part in zip(bars, components, strict=True):
        for stage in part["parts"]:
            throughput = human_rate(stage["throughput"]) if stage["throughput"] else ""
            gflops = round(stage["gflops"], 2) if stage["gflops"] else ""
            time = human_time(stage["seconds"])
            rows.append((bar, stage["name"], time, percent(stage["share"]), stage["formula"], throughput, gflops))
        rows.append((bar, "all parts", human_time(part["sum_seconds"]), "", "", "", ""))
        rows.append((bar, "the whole call", human_time(part["whole_seconds"]), "", "", "", ""))
    unexplained = max(abs(part["unexplained"]) for part in components)
    warning = ""
    if unexplained > EXPLAINED:
        warning = " That is more than 10 %: something else ran on this machine meanwhile, so measure again."
    return Figure(
        id=id,
        title="Where the time goes",
        summary=f"The parts add up to the whole within {unexplained:.1%}.{warning} {components[0]['method']}",
        data=tuple(traces),
        layout={
            "barmode": "stack",
            "xaxis": {"title": {"text": "share of the call"}, "tickformat": ".0%"},
            "yaxis": {"automargin": True},
            "height": 180 + 60 * len(bars),
            "legend": {**LEGEND, "traceorder": "normal"},
        },
        table=DataTable(
            caption="Time of every component",
            headings=("call", "component", "time", "share", "throughput is", "elements/s", "GFLOP/s"),
            rows=tuple(rows),
        ),
    )


def roofline_figure(id: str, limits: Mapping[str, Any], components: Sequence[Mapping[str, Any]]) -> Figure:
    """The machine's roofs, and every component at its arithmetic intensity."""
    stages = [(part, stage) for part in components for stage in part["parts"] if stage["gflops"] and stage["intensity"]]
    intensities = [stage["intensity"] for _, stage in stages] or [1.0]
    low, high = min(0.05, *intensities) / 2, max(100.0, *intensities) * 2
    peak = limits["flops"] / 1e9
    traces: list[dict[str, Any]] = []
    for (name, bandwidth), colour in zip(limits["bandwidth"].items(), COLOURS[2:], strict=False):
        knee = peak / (bandwidth / 1e9)
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": f"{name}: {bandwidth / 1e9:.3g} GB/s",
                "x": [low, knee, high],
                "y": [low * bandwidth / 1e9, peak, peak],
                "line": {"color": colour, "width": 1.5},
                "hoverinfo": "name",
            }
        )
    for colour, mode in zip(COLOURS, dict.fromkeys(part["mode"] for part in components), strict=False):
        mine = [(part, stage) for part, stage in stages if part["mode"] == mode]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": mode,
                "x": [stage["intensity"] for _, stage in mine],
                "y": [stage["gflops"] for _, stage in mine],
                "text": [f"{stage['name']}, N = {part['batch']}" for part, stage in mine],
                "marker": {"color": colour, "size": 11},
                "hovertemplate": "%{text}: %{y:.3g} GFLOP/s at %{x:.3g} FLOP/byte<extra></extra>",
            }
        )
    above = [f"{stage['name']} ({part['mode']})" for part, stage in stages if stage["gflops"] > peak]
    warning = f" {', '.join(above)} can't be where it is: it was disturbed, so measure again." if above else ""
    rows = tuple(
        (
            f"{part['mode']}, N = {part['batch']}",
            stage["name"],
            round(stage["intensity"], 3),
            round(stage["gflops"], 3),
            percent(stage["gflops"] / peak),
            stage.get("roof", ""),
        )
        for part, stage in stages
    )
    return Figure(
        id=id,
        title="Roofline of this machine",
        summary=(
            f"Peak {peak:.3g} GFLOP/s, threads: {limits['threads']}. A component can't be above the line of the memory"
            f" that its data comes from.{warning}"
        ),
        data=tuple(traces),
        layout={
            "xaxis": {"title": {"text": "FLOP per byte"}, "type": "log", "dtick": "D2"},
            "yaxis": {"title": {"text": "GFLOP/s"}, "type": "log", "dtick": "D2"},
            "height": 460,
        },
        table=DataTable(
            caption="Components on the roofline",
            headings=("call", "component", "FLOP/byte", "GFLOP/s", "share of peak", "roof"),
            rows=rows,
        ),
    )


def percent(share: float | None) -> str:
    """A share as percent with one digit; empty for None."""
    return "" if share is None else f"{share:+.1%}" if share < 0 else f"{share:.1%}"
