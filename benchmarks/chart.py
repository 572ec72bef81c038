"""The chart of a benchmark report as SVG: GFLOP/s of everyone at every point, the measured FMA peak at the top."""

from io import StringIO
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

COLOURS = {"gatesmith": "#c2410c", "PyTorch": "#64748b", "ONNX Runtime": "#0369a1", "OpenVINO": "#15803d"}
BAR_WIDTH = 0.8 / len(COLOURS)


def svg(report: dict[str, Any]) -> str:
    """Inference with the most threads that were measured, one group of bars for each point."""
    threads = max(row["threads"] for row in report["points"])
    rows = [row for row in report["points"] if row["threads"] == threads and row["mode"] == "inference"]
    peak = report["limits"][str(threads)]["flops"] / 1e9
    machine = report["machine"]
    figure = Figure(figsize=(12, 5), layout="constrained")
    axes = figure.subplots()
    for index, (name, colour) in enumerate(COLOURS.items()):
        gflops = [row["gflops"] * row["seconds"]["gatesmith"] / row["seconds"][name] for row in rows]
        places = [place + (index - (len(COLOURS) - 1) / 2) * BAR_WIDTH for place in range(len(rows))]
        axes.bar(places, gflops, BAR_WIDTH, label=name, color=colour)
    axes.set_ylim(0, peak)
    axes.set_ylabel("GFLOP/s; the top is the measured FMA peak")
    axes.set_xticks(range(len(rows)), [row["point"] for row in rows], rotation=35, ha="right")
    axes.set_title(
        f"LSTM inference, float32, {threads} threads, {machine['processor']}, commit {machine['commit']}", loc="left"
    )
    axes.legend(ncols=len(COLOURS), loc="upper left", frameon=False)
    axes.grid(axis="y", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    buffer = StringIO()
    # Text as text and no date, so that the same results give the same file.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "gatesmith"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
