"""The block diagram: what stands in it, and that no box lies on another."""

import itertools
import xml.etree.ElementTree as ET

import pytest

from gatesmith.hardware.blocks import block_diagram
from gatesmith.hardware.options import Options
from gatesmith.spec import LSTMSpec

SVG = "{http://www.w3.org/2000/svg}"
Box = tuple[float, float, float, float]


def labels(diagram: ET.Element) -> list[str]:
    return [text.text or "" for text in diagram.iter(f"{SVG}text") if text.get("class") != "small"]


def boxes(diagram: ET.Element) -> list[Box]:
    """(left, top, right, bottom) of every box but the outer one."""
    found: list[Box] = []
    for box in diagram.iter(f"{SVG}rect"):
        x, y, width, height = (float(box.get(name, "0")) for name in ("x", "y", "width", "height"))
        if box.get("class") != "outer":
            found.append((x, y, x + width, y + height))
    return found


@pytest.mark.parametrize(
    ("spec", "options", "names"),
    [
        (LSTMSpec(3, 5), Options(), ["gate", "layer 0, forward"]),
        (
            LSTMSpec(3, 5, 2, "bidirectional"),
            Options(output="class"),
            ["gate", *(f"layer {at}, {way}" for at in (0, 1) for way in ("forward", "reverse")), "last step", "head"],
        ),
        (LSTMSpec(3, 5, direction="reverse"), Options(), ["gate", "reverser", "layer 0, reverse", "reverser"]),
        (
            LSTMSpec(3, 5, 2, "bidirectional"),
            Options(share="directions"),
            ["gate", "layer 0, in turn", "layer 1, in turn"],
        ),
        (
            LSTMSpec(3, 5, 4),
            Options(share="layers", output="last"),
            ["gate", "layer 0, forward", "layers 1 to 3, in turn", "last step"],
        ),
    ],
)
def test_what_stands_in_the_diagram(spec: LSTMSpec, options: Options, names: list[str]) -> None:
    diagram = ET.fromstring(block_diagram(spec, options))
    assert sorted(labels(diagram)) == sorted([*names, "registers", "s_axil", "s_axis", "m_axis"])
    assert all(name in diagram.get("aria-label", "") for name in names)
    assert len(boxes(diagram)) == len(names) + 1
    for one, other in itertools.combinations(boxes(diagram), 2):
        assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
    *_, width, height = (float(number) for number in diagram.get("viewBox", "").split())
    assert all(
        left >= 0 and right <= width and top >= 0 and bottom <= height for left, top, right, bottom in boxes(diagram)
    )


def test_the_diagram_tells_the_sizes() -> None:
    text = block_diagram(LSTMSpec(3, 5, 2, "bidirectional", proj_size=2), Options())
    assert text.count("D = 3, H = 5, R = 2") == 2
    assert text.count("D = 4, H = 5, R = 2") == 2
    assert "up to 9 steps" in block_diagram(LSTMSpec(3, 5, direction="reverse"), Options(max_steps=9))
