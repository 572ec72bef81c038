"""The memory footprint of an LSTM: every component predicted by a formula, then measured on the device."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gatesmith.analysis import kernel_cost
from gatesmith.analysis.cost import OPTIMISERS, Line, one_step, operands, total, training_operands
from gatesmith.analysis.kernel_cost import TARGETS, Kernel
from gatesmith.analysis.machine import this_machine
from gatesmith.analysis.memory import weigh, weigh_optimiser
from gatesmith.analysis.results import save_result
from gatesmith.errors import InputError, UnsupportedError
from gatesmith.ops import cpu
from gatesmith.ops.devices import DEVICES
from gatesmith.spec import LSTMSpec

MEASURED_DEVICES = ("cpu", "reference")
PREDICTED_DEVICES = {
    "cuda": "predicted only: PyTorch's allocator holds a GPU's memory; the operands are listed, not the kernels' tape"
    " and workspace, so there is no peak"
}
"""Devices without measurements, and why, as a sentence."""
AGREEMENT = 0.05
"""Prediction and measurement that differ by more than this share are called out."""
OBJECTS_BYTES = 2048
"""A difference of at most this is none: a peak holds Python's own objects of the call, about 1.3 KB, too."""

LARGEST_SHARE = 0.5
"""Of the machine's memory; a run that is predicted to need more is not started."""


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """What an LSTM takes, line by line.

    Attributes:
        one_step: for each layer, the components of one step of one of its cells, and their sum.
        lines: components of a real run; the optimiser's state comes last, for it belongs to the framework.
        peak: their sum without the optimiser's state, and the most that was allocated at once.
        not_measured: why there are no measurements, as a sentence; None where there are.
    """

    spec: LSTMSpec
    batch: int
    steps: int
    dtype: str
    training: bool
    device: str
    recompute: bool
    one_step: tuple[tuple[Line, ...], ...]
    lines: tuple[Line, ...]
    peak: Line
    not_measured: str | None = None

    @property
    def disagreements(self) -> tuple[Line, ...]:
        """Lines, the peak among them, whose prediction is off by more than 5 %, and by more than Python's objects."""
        return tuple(line for line in (*self.lines, self.peak) if _is_off(line))

    def to_dict(self) -> dict[str, Any]:
        return {
            "spec": self.spec.to_json(),
            "batch": self.batch,
            "steps": self.steps,
            "dtype": self.dtype,
            "training": self.training,
            "device": self.device,
            "recompute": self.recompute,
            "one_step": [[line.to_dict() for line in layer] for layer in self.one_step],
            "one_step_bytes": self.one_step[0][-1].predicted,
            "lines": [line.to_dict() for line in self.lines],
            "peak": self.peak.to_dict(),
            "disagreements": [line.component for line in self.disagreements],
            "not_measured": self.not_measured,
        }

    def save(self, path: str | Path, *, title: str = "") -> None:
        """Write the result file that :func:`gatesmith.report.write_report` reads."""
        save_result(path, "footprint", self.to_dict(), title=title)


def footprint(
    spec: LSTMSpec,
    batch: int = 1,
    steps: int = 1,
    dtype: npt.DTypeLike = np.float32,
    training: bool = False,
    device: str = "cpu",
    *,
    recompute: bool = False,
    optimiser: str = "adam",
    measure: bool = True,
    kernel: Kernel | None = None,
) -> Footprint:
    """Predict what a run takes, and measure it.

    Args:
        spec: what to run; it may be too large to measure, then it is predicted only, and the result says so.
        batch, steps: N and T.
        dtype: float32 or float64.
        training: whether to count the tape, gradients and optimiser too.
        device: ``"cpu"`` or ``"reference"``, whose inner memory is measured, not predicted; or ``"cuda"``, whose
            operands are predicted and nothing is measured.
        recompute: keep h and c for training, and do the gates again.
        optimiser: ``"none"``, ``"sgd"``, ``"momentum"`` or ``"adam"``.
        measure: False for the prediction alone.
        kernel: instruction set and threads to predict for; None for those of this machine.

    Raises:
        InputError: a size, a dtype, the device or the optimiser is none that is known.
    """
    kind = _checked(batch, steps, dtype, device, optimiser)
    size = kind.itemsize
    lines = operands(spec, batch, steps, size)
    if device == "cpu":
        lines += kernel_cost.lines(spec, batch, steps, kernel or this_kernel(), training=training, recompute=recompute)
    if training:
        lines += training_operands(spec, batch, steps, size, "none")[:-1]
    peak = Line(component="peak", formula="sum of the lines above", predicted=total(lines))
    last = (training_operands(spec, batch, steps, size, optimiser)[-1],) if training else ()
    predicted = Footprint(
        spec=spec,
        batch=batch,
        steps=steps,
        dtype=kind.name,
        training=training,
        device=device,
        recompute=recompute,
        one_step=tuple(one_step(spec, batch, size, layer) for layer in range(spec.num_layers)),
        lines=(*lines, *last),
        peak=peak if device == "cpu" else replace(peak, predicted=None),
    )
    if not measure:
        return replace(predicted, not_measured="a prediction was asked for, no measurement")
    reason = PREDICTED_DEVICES.get(device) or too_large(peak)
    return replace(predicted, not_measured=reason) if reason else _measured(predicted, kind, optimiser)


def this_kernel() -> Kernel:
    """What the kernel of this machine chose at load; AVX-512 and one thread where it is not built."""
    if cpu.missing():
        return Kernel()
    lanes, tile_rows = TARGETS[cpu.library().gatesmith_target().decode()]
    return Kernel(lanes=lanes, tile_rows=tile_rows, threads=cpu.num_threads())


def _measured(predicted: Footprint, dtype: np.dtype[Any], optimiser: str) -> Footprint:
    options = {"recompute": True} if predicted.recompute else {}
    try:
        scales = weigh(
            predicted.spec,
            predicted.batch,
            predicted.steps,
            dtype=dtype,
            training=predicted.training,
            device=predicted.device,
            **options,
        )
    except (UnsupportedError, MemoryError) as error:
        return replace(predicted, not_measured=str(error) or "this machine has not enough memory")
    found = dict(scales.components)
    if predicted.training:
        kept = weigh_optimiser(predicted.spec, optimiser, dtype.itemsize)
        if kept is not None:
            found[predicted.lines[-1].component] = kept
    lines = [replace(line, measured=found.pop(line.component, None)) for line in predicted.lines]
    rest = [Line(component=name, formula="measured only", predicted=None, measured=n) for name, n in found.items()]
    at = len(lines) - 1 if predicted.training else len(lines)
    return replace(
        predicted, lines=(*lines[:at], *rest, *lines[at:]), peak=replace(predicted.peak, measured=scales.peak)
    )


def _checked(batch: int, steps: int, dtype: npt.DTypeLike, device: str, optimiser: str) -> np.dtype[Any]:
    for name, value in (("batch", batch), ("steps", steps)):
        if isinstance(value, bool) or value < 0:
            raise InputError(f"{name} is {value!r}; expected an integer of at least 0")
    kind = np.dtype(dtype)
    if kind not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise InputError(f"dtype is {kind}; expected float32 or float64")
    if device not in (*MEASURED_DEVICES, *PREDICTED_DEVICES):
        known = ", ".join(name for name in DEVICES if name in (*MEASURED_DEVICES, *PREDICTED_DEVICES))
        raise InputError(f"device is {device!r}; expected {known}, or hardware_footprint for an export")
    if device == "cpu" and kind != np.dtype(np.float32):
        raise InputError(f"dtype is {kind}; device 'cpu' computes in float32, use device='reference'")
    if optimiser not in OPTIMISERS:
        raise InputError(f"optimiser is {optimiser!r}; expected one of {', '.join(OPTIMISERS)}")
    return kind


def too_large(peak: Line) -> str | None:
    """Why a run is not started on this machine, as a sentence; None where it fits."""
    there, needed = this_machine().memory_bytes, peak.predicted or 0
    if there and needed > LARGEST_SHARE * there:
        return (
            f"predicted only: the run would take {needed / 2**30:.1f} GiB"
            f" of this machine's {there / 2**30:.1f} GiB of memory"
        )
    return None


def _is_off(line: Line) -> bool:
    if line.disagreement is None or line.predicted is None or line.measured is None:
        return False
    return abs(line.disagreement) > AGREEMENT and abs(line.measured - line.predicted) > OBJECTS_BYTES
