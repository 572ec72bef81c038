"""Still pictures of the gates, as SVG that is the same byte for byte wherever it is drawn."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gatesmith.errors import InputError, MissingToolError
from gatesmith.files import write_atomically
from gatesmith.spec import GATES

Array = npt.NDArray[Any]

GATE_NAMES = {"i": "input gate i", "f": "forget gate f", "g": "candidate g", "o": "output gate o"}

STYLE: dict[Any, Any] = {
    "svg.hashsalt": "gatesmith",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "text.parse_math": False,
    "axes.titlesize": 10.0,
    "image.interpolation": "none",
}


def draw_gates(
    path: str | Path,
    float_gates: Mapping[str, Array],
    fixed_gates: Mapping[str, Array],
    *,
    title: str = "The four gates of one sequence",
) -> None:
    """Draw the gates of one sequence over time: real, fixed-point, and the difference, one above the other.

    Args:
        path: where the SVG goes; written beside, then renamed.
        float_gates: i, f, g and o of the real operator, each [T, H].
        fixed_gates: the same of the fixed-point model, as real values.
        title: stands above; plain text, never read as mathematics.

    Raises:
        InputError: a gate is missing, or the shapes differ or aren't [T, H] with at least one element.
        MissingToolError: matplotlib is not installed.
    """
    _check(float_gates, fixed_gates)
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingToolError("drawing pictures needs matplotlib; install gatesmith[plot]") from None
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(12, 7.2), layout="constrained")
        figure.suptitle(title, fontsize=12)
        _draw(figure, float_gates, fixed_gates)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": "gatesmith", "Title": title})
    write_atomically(Path(path), buffer.getvalue())


def _draw(figure: Any, float_gates: Mapping[str, Array], fixed_gates: Mapping[str, Array]) -> None:
    differences = {gate: np.asarray(fixed_gates[gate]) - np.asarray(float_gates[gate]) for gate in GATES}
    worst = max(float(np.abs(difference).max()) for difference in differences.values())
    axes = figure.subplots(3, 4, sharex=True, sharey=True)
    image: Any = None
    for column, gate in enumerate(GATES):
        low, colours = (-1.0, "RdBu_r") if gate == "g" else (0.0, "viridis")
        rows = ((float_gates[gate], low, 1.0, colours), (fixed_gates[gate], low, 1.0, colours))
        for row, (values, least, most, colour_map) in enumerate(
            (*rows, (differences[gate], -worst or -1.0, worst or 1.0, "PuOr"))
        ):
            image = axes[row, column].imshow(
                np.asarray(values, np.float64).T, aspect="auto", origin="lower", vmin=least, vmax=most, cmap=colour_map
            )
            if row == 1:
                figure.colorbar(image, ax=axes[:2, column], location="top", shrink=0.9, label=GATE_NAMES[gate])
        axes[2, column].set_xlabel("step t")
        axes[2, column].set_title(f"largest |difference| {np.abs(differences[gate]).max():.2g}", fontsize=9)
    figure.colorbar(image, ax=axes[2, :], location="bottom", aspect=70, label="fixed − float", format="%.2g")
    for row, label in enumerate(("float", "fixed", "fixed − float")):
        axes[row, 0].set_ylabel(f"{label}\nunit")


def _check(float_gates: Mapping[str, Array], fixed_gates: Mapping[str, Array]) -> None:
    for kind, gates in (("float", float_gates), ("fixed", fixed_gates)):
        missing = [gate for gate in GATES if gate not in gates]
        if missing:
            raise InputError(f"the {kind} gates lack {missing[0]!r}; expected i, f, g and o")
    shape = np.shape(float_gates["i"])
    if len(shape) != 2 or 0 in shape:
        raise InputError(f"float gate 'i' has shape {shape}; expected (T, H) with at least one step and one unit")
    for kind, gates in (("float", float_gates), ("fixed", fixed_gates)):
        for gate in GATES:
            if np.shape(gates[gate]) != shape:
                raise InputError(f"{kind} gate {gate!r} has shape {np.shape(gates[gate])}; expected {shape}")
