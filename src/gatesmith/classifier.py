"""A sequence classifier: an LSTM, and a linear head on the output of the last valid step."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gatesmith.errors import WeightsError
from gatesmith.files import write_atomically
from gatesmith.weights import Weights

Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Classifier:
    """Trained weights of a classifier with K classes.

    Attributes:
        lstm: the operator's weights.
        head_weight: [K, directions * R]
        head_bias: [K]
    """

    lstm: Weights
    head_weight: Array
    head_bias: Array

    def __post_init__(self) -> None:
        width = self.lstm.spec.num_directions * self.lstm.spec.output_size
        if self.head_weight.ndim != 2 or self.head_weight.shape[1] != width:
            raise WeightsError(f"head.weight has shape {self.head_weight.shape}; expected (classes, {width})")
        if self.head_bias.shape != self.head_weight.shape[:1]:
            raise WeightsError(f"head.bias has shape {self.head_bias.shape}; expected {self.head_weight.shape[:1]}")

    def classify(self, y: Array, lengths: Array) -> Array:
        """Classes [N] from the operator's output y [T, N, directions * R], whichever device computed it."""
        last: Array = y[np.maximum(lengths, 1) - 1, np.arange(y.shape[1])]  # [N, directions * R]
        scores: Array = last @ self.head_weight.T + self.head_bias  # [N, K]
        return scores.argmax(axis=1)

    def accuracy(self, y: Array, lengths: Array, labels: Array) -> float:
        """Share of sequences whose class is right, 0 to 1."""
        right: Array = self.classify(y, lengths) == labels
        return float(right.mean())

    def save(self, folder: Path) -> None:
        """Write ``lstm.safetensors`` and ``head.safetensors`` into an existing folder."""
        from safetensors.numpy import save

        self.lstm.save(folder / "lstm.safetensors")
        head = {"weight": np.ascontiguousarray(self.head_weight), "bias": np.ascontiguousarray(self.head_bias)}
        write_atomically(folder / "head.safetensors", save(head))

    @classmethod
    def load(cls, folder: Path) -> "Classifier":
        """Read what :meth:`save` wrote; the files are untrusted.

        Raises:
            WeightsError: a file is missing, damaged, or doesn't fit the other one.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        path = folder / "head.safetensors"
        try:
            head: dict[str, Array] = load(path.read_bytes())
            return cls(
                lstm=Weights.load(folder / "lstm.safetensors"), head_weight=head["weight"], head_bias=head["bias"]
            )
        except (OSError, SafetensorError, ValueError, KeyError) as error:
            if isinstance(error, WeightsError):
                raise
            raise WeightsError(f"{path} is not the head of a gatesmith classifier ({error}); train it again") from None
