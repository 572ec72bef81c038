"""The chart of a benchmark report as SVG: GFLOP/s of everyone at every point, the measured FMA peak at the top."""

from typing import Any
from xml.sax.saxutils import escape

COLOURS = {"gatesmith": "#c2410c", "PyTorch": "#64748b", "ONNX Runtime": "#0369a1", "OpenVINO": "#15803d"}
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 1180, 460, 60, 100, 50, 110


def svg(report: dict[str, Any]) -> str:
    """Inference with the most threads that were measured, one group of bars for each point."""
    threads = max(row["threads"] for row in report["points"])
    rows = [row for row in report["points"] if row["threads"] == threads and row["mode"] == "inference"]
    peak = report["limits"][str(threads)]["flops"] / 1e9
    plot_width, plot_height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    machine = report["machine"]
    title = f"LSTM inference, float32, {threads} threads, {machine['processor']}, commit {machine['commit']}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12" role="img" aria-label="{escape(title)}">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="18" font-size="14">{escape(title)}</text>',
    ]
    for step in range(5):
        value, y = peak * step / 4, TOP + plot_height * (1 - step / 4)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#cbd5e1"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.0f}</text>')
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{TOP - 6}" text-anchor="end">measured FMA peak, GFLOP/s</text>')
    group = plot_width / len(rows)
    for index, row in enumerate(rows):
        parts += _group(row, LEFT + index * group, group, plot_height / peak, TOP + plot_height)
    for index, (name, colour) in enumerate(COLOURS.items()):
        x = LEFT + 130 * index
        parts.append(f'<rect x="{x}" y="{TOP - 20}" width="10" height="10" fill="{colour}"/>')
        parts.append(f'<text x="{x + 15}" y="{TOP - 11}">{name}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _group(row: dict[str, Any], x: float, width: float, scale: float, base: float) -> list[str]:
    bar = width * 0.8 / len(COLOURS)
    parts: list[str] = []
    for index, (name, colour) in enumerate(COLOURS.items()):
        gflops = row["gflops"] * row["seconds"]["gatesmith"] / row["seconds"][name]
        height = gflops * scale
        parts.append(
            f'<rect x="{x + index * bar + width * 0.1:.1f}" y="{base - height:.1f}" width="{bar:.1f}" '
            f'height="{height:.1f}" fill="{colour}"><title>{name} {gflops:.0f} GFLOP/s</title></rect>'
        )
    middle = x + width / 2
    parts.append(
        f'<text transform="translate({middle:.1f} {base + 12}) rotate(35)" font-size="11">{escape(row["point"])}</text>'
    )
    return parts
