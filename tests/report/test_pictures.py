"""The picture of the gates: deterministic, well-formed, its titles plain text, its pixels the given values."""

import base64
import io
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatesmith.errors import InputError
from gatesmith.report.pictures import draw_gates

pytest.importorskip("matplotlib", reason="drawing pictures needs the extra 'plot'")

STEPS, UNITS = 9, 5
HREF = "{http://www.w3.org/1999/xlink}href"


def some_gates(seed: int = 0) -> dict[str, Any]:
    generator = np.random.default_rng(seed)
    return {gate: generator.uniform(0.05, 0.95, (STEPS, UNITS)) for gate in "ifgo"}


def heat_maps(path: Path) -> list[np.ndarray[Any, Any]]:
    """The embedded images that have the size of a heat map, in drawing order, as [units, steps, RGB]."""
    from matplotlib.image import imread

    images = [node.get(HREF, "") for node in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}image")]
    decoded = [imread(io.BytesIO(base64.b64decode(image.partition(",")[2])), format="png") for image in images]
    return [image[:, :, :3] for image in decoded if image.shape[:2] == (UNITS, STEPS)]


def test_the_same_gates_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        draw_gates(tmp_path / name, some_gates(), some_gates(1), title="same")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    draw_gates(tmp_path / "c", some_gates(), some_gates(2), title="same")
    assert (tmp_path / "c").read_bytes() != (tmp_path / "a").read_bytes()


def test_heat_maps_show_float_fixed_and_difference(tmp_path: Path) -> None:
    from matplotlib import colormaps

    real, fixed = some_gates(), some_gates(1)
    draw_gates(tmp_path / "gates.svg", real, fixed)
    maps = heat_maps(tmp_path / "gates.svg")
    assert len(maps) == 12
    # Row-major in the figure: four real gates, four fixed ones, four differences.
    for row, gates in enumerate((real, fixed)):
        expected = colormaps["viridis"](gates["f"].T)[::-1, :, :3]
        drawn = maps[4 * row + 1]
        error = min(np.abs(drawn - expected).max(), np.abs(drawn[::-1] - expected).max())
        assert error < 1.5 / 255, f"row {row} differs by {error}"


def test_a_title_is_plain_text(tmp_path: Path) -> None:
    draw_gates(tmp_path / "gates.svg", some_gates(), some_gates(), title=r"<script>$\frac$ & x_1")
    root = ElementTree.parse(tmp_path / "gates.svg").getroot()
    assert not [node for node in root.iter() if node.tag.endswith("script")]
    assert r"<script>$\frac$ & x_1" in [node.text for node in root.iter()]


def test_equal_gates_draw_a_zero_difference_without_warning(tmp_path: Path) -> None:
    draw_gates(tmp_path / "gates.svg", some_gates(), some_gates())
    assert not re.search(r"\bnan\b", (tmp_path / "gates.svg").read_text())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"o": None}, "the fixed gates lack 'o'"),
        ({"g": np.zeros((STEPS, UNITS + 1))}, r"fixed gate 'g' has shape \(9, 6\); expected \(9, 5\)"),
    ],
)
def test_wrong_gates_are_refused_before_anything_is_written(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    fixed = {gate: array for gate, array in {**some_gates(), **change}.items() if array is not None}
    with pytest.raises(InputError, match=message):
        draw_gates(tmp_path / "gates.svg", some_gates(), fixed)
    assert not list(tmp_path.iterdir())


def test_an_empty_sequence_is_refused(tmp_path: Path) -> None:
    empty = {gate: np.zeros((0, UNITS)) for gate in "ifgo"}
    with pytest.raises(InputError, match="at least one step"):
        draw_gates(tmp_path / "gates.svg", empty, empty)
