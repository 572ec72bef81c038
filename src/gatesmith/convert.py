"""Weights from one framework's file to another's, by suffix; what was written is read again and compared."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gatesmith.errors import MismatchError, WeightsError
from gatesmith.files import beside
from gatesmith.ops.operator import LSTM
from gatesmith.spec import LSTMSpec
from gatesmith.weights import Weights

TOLERANCE = 1e-5
"""Bound on the difference of outputs: formats differ in nothing but sums of biases and attributes in float32."""


@dataclass(frozen=True, kw_only=True)
class Format:
    """How files of one suffix are read and written."""

    summary: str
    read: Callable[[Path], LSTM]
    write: Callable[[LSTM, Path], None]


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """What was converted, and by how much the outputs before and after differ on random sequences."""

    source: str
    target: str
    spec: LSTMSpec
    parameters: int
    largest_difference: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "spec": self.spec.to_json()}


def convert(source: str | Path, target: str | Path) -> Conversion:
    """Read the LSTM in one file and write it to another; suffixes tell the formats (:data:`FORMATS`).

    Raises:
        WeightsError: a suffix is unknown, or the source is broken.
        UnsupportedError: the target's format can't express the source's specification; the message names why.
        MismatchError: what was written computes something else; nothing is left behind.
        MissingToolError: a framework's package is not installed.
    """
    source, target = Path(source), Path(target)
    reader, writer = format_of(source), format_of(target)
    lstm = reader.read(source)
    with beside(target) as temporary:
        writer.write(lstm, temporary)
        difference = output_difference(lstm, writer.read(temporary))
        if not difference <= TOLERANCE:
            raise MismatchError(
                f"{target} computes outputs that differ from {source} by {difference:.1e}; expected at most {TOLERANCE}"
            )
    return Conversion(
        source=str(source),
        target=str(target),
        spec=lstm.spec,
        parameters=lstm.spec.parameter_count(),
        largest_difference=difference,
    )


def format_of(path: Path) -> Format:
    """The format that a file's suffix tells.

    Raises:
        WeightsError: the suffix is unknown.
    """
    if path.suffix not in FORMATS:
        known = ", ".join(f"{suffix} ({entry.summary})" for suffix, entry in FORMATS.items())
        raise WeightsError(f"{path} has suffix {path.suffix!r}; expected one of {known}")
    return FORMATS[path.suffix]


def output_difference(a: LSTM, b: LSTM) -> float:
    """Largest difference of y, h_n and c_n on random sequences of every length; infinite where shapes differ."""
    steps = 6
    batch = steps + 1
    if (a.spec.input_size, a.spec.hidden_size, a.spec.direction) != (
        b.spec.input_size,
        b.spec.hidden_size,
        b.spec.direction,
    ):
        return float("inf")
    rng = np.random.default_rng(0)
    spec = a.spec
    x = rng.normal(size=(steps, batch, spec.input_size))
    h0 = rng.normal(size=(len(spec.cells()), batch, spec.output_size))
    c0 = rng.normal(size=(len(spec.cells()), batch, spec.hidden_size))
    results = [
        LSTM(lstm.weights.astype(np.float64), device="reference")(x, (h0, c0), lengths=np.arange(batch))
        for lstm in (a, b)
    ]
    (y, (h_n, c_n)), (other_y, (other_h, other_c)) = results
    return max(float(np.abs(p - q).max()) for p, q in ((y, other_y), (h_n, other_h), (c_n, other_c)))


def _read_torch(path: Path) -> LSTM:
    from gatesmith.torch import load_torch

    return load_torch(path)


def _write_torch(lstm: LSTM, path: Path) -> None:
    import torch

    from gatesmith.torch import to_torch

    torch.save(to_torch(lstm).state_dict(), path)


def _read_onnx(path: Path) -> LSTM:
    from gatesmith.onnx import from_onnx

    return from_onnx(path)


def _write_onnx(lstm: LSTM, path: Path) -> None:
    from gatesmith.onnx import save_onnx

    save_onnx(lstm, path)


def _read_keras(path: Path) -> LSTM:
    from gatesmith.keras import from_keras

    return from_keras(path)


def _write_keras(lstm: LSTM, path: Path) -> None:
    from gatesmith.keras import save_keras

    save_keras(lstm, path)


def _read_flax(path: Path) -> LSTM:
    from gatesmith.flax import load_flax

    return load_flax(path)


def _write_flax(lstm: LSTM, path: Path) -> None:
    from gatesmith.flax import flattened, to_flax

    with path.open("wb") as file:
        np.savez(file, **flattened(to_flax(lstm)))  # type: ignore[arg-type]


def _read_tflite(path: Path) -> LSTM:
    from gatesmith.tflite import from_tflite

    return from_tflite(path)


def _write_tflite(lstm: LSTM, path: Path) -> None:
    from gatesmith.tflite import save_tflite

    save_tflite(lstm, path)


_TORCH = Format(summary="a PyTorch state_dict", read=_read_torch, write=_write_torch)
FORMATS = {
    ".safetensors": Format(
        summary="gatesmith's own",
        read=lambda path: LSTM(Weights.load(path)),
        write=lambda lstm, path: lstm.weights.save(path),
    ),
    ".pt": _TORCH,
    ".pth": _TORCH,
    ".onnx": Format(summary="an ONNX model", read=_read_onnx, write=_write_onnx),
    ".keras": Format(summary="a Keras 3 model", read=_read_keras, write=_write_keras),
    ".h5": Format(summary="Keras weights", read=_read_keras, write=_write_keras),
    ".tflite": Format(summary="a TFLite (LiteRT) model", read=_read_tflite, write=_write_tflite),
    ".npz": Format(summary="Flax parameters, names joined by /", read=_read_flax, write=_write_flax),
}
