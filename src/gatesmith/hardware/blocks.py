"""The block diagram of a design as SVG: streams from left to right, the control bus above."""

from gatesmith.fixed.support import cells_in_turn
from gatesmith.hardware.options import HEAD_OUTPUTS, Options
from gatesmith.spec import LSTMSpec

BOX, GAP, ROW = 128, 34, 58  # width of a box, between boxes, height of a row
TOP = 130  # where the row of streams begins


def block_diagram(spec: LSTMSpec, options: Options) -> str:
    """Gate, layers with their directions, and what stands before and behind them."""
    both = spec.num_directions == 2 and options.share == "none"
    turned = spec.direction == "reverse"
    columns: list[list[tuple[str, str]]] = [[("gate", "whole sequences")]]
    if turned:
        columns.append([("reverser", f"up to {options.max_steps} steps")])
    for group in cells_in_turn(spec, options.share)[:: 2 if both else 1]:
        layer = group[0] // spec.num_directions
        size = f"D = {spec.layer_input_size(layer)}, H = {spec.hidden_size}"
        size += f", R = {spec.proj_size}" if spec.proj_size else ""
        last = group[-1] // spec.num_directions
        name = f"layer {layer}" if last == layer else f"layers {layer} to {last}"
        directions = ("in turn",) if len(group) > 1 else spec.directions
        columns.append([(f"{name}, {direction}", size) for direction in directions])
    if turned:
        columns.append([("reverser", f"up to {options.max_steps} steps")])
    if options.output != "sequence":
        columns.append([("last step", "of a sequence")])
    if options.output in HEAD_OUTPUTS:
        columns.append([("head", options.output)])
    height, width = ROW * (2 if both else 1), len(columns) * (BOX + GAP) + GAP
    middle, right = TOP + height / 2, 90 + width
    parts = [
        _box(90, 14, width, TOP + height + 4, "", "", "outer"),
        _box(90 + GAP, 30, width - 2 * GAP, 50, "registers", "control, flags, counters, states, weights"),
        _arrow(10, 55, 90 + GAP, 55),
        _label(50, 48, "s_axil"),
        _arrow(10, middle, 90 + GAP, middle),
        _label(50, middle - 7, "s_axis"),
    ]
    ends: list[float] = []
    for at, boxes in enumerate(columns):
        left = 90 + GAP + at * (BOX + GAP)
        rows = [TOP + row * ROW + (height - ROW * (len(boxes) - 1)) / 2 for row in range(len(boxes))]
        parts += [_arrow(left - GAP, end, left, y) for end in ends for y in rows]
        for (name, detail), y in zip(boxes, rows, strict=True):
            parts.append(_box(left, y - ROW / 2 + 6, BOX, ROW - 12, name, detail))
        ends = rows
        parts.append(_arrow(left + BOX / 2, 80, left + BOX / 2, TOP + 6 + (height - ROW * len(boxes)) / 2))
    parts += [f'<path d="M{right - GAP:g},{end:g} L{right:g},{middle:g}"/>' for end in ends]
    parts += [_arrow(right, middle, right + 80, middle), _label(right + 44, middle - 7, "m_axis")]
    total = right + 90
    label = f"Block diagram: {', '.join(name for boxes in columns for name, _ in boxes)} between s_axis and m_axis"
    return (
        f'<svg class="blocks" role="img" aria-label="{label}" viewBox="0 0 {total:g} {TOP + height + 30:g}"'
        f' width="{total:g}" height="{TOP + height + 30:g}" xmlns="http://www.w3.org/2000/svg">'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z"/></marker></defs>' + "".join(parts) + "</svg>"
    )


def _box(x: float, y: float, width: float, height: float, name: str, detail: str, kind: str = "") -> str:
    text = _label(x + width / 2, y + height / 2 - 3, name) + _label(x + width / 2, y + height / 2 + 13, detail, "small")
    box = f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="5"/>'
    return box + (text if name else "")


def _label(x: float, y: float, text: str, kind: str = "") -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}">{text}</text>'


def _arrow(x: float, y: float, to_x: float, to_y: float) -> str:
    return f'<path d="M{x:g},{y:g} L{to_x:g},{to_y:g}" marker-end="url(#tip)"/>'
