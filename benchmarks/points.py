"""The sizes at which the operator is measured, and how much arithmetic each of them is."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gatesmith.spec import LSTMSpec

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Point:
    """One size: N sequences of T steps, D inputs, H units."""

    batch: int
    steps: int
    input_size: int
    hidden_size: int
    num_layers: int = 1
    bidirectional: bool = False
    ragged: bool = False
    """Whether the lengths are uniform in 1 ... T."""

    @property
    def name(self) -> str:
        sizes = f"N{self.batch} T{self.steps} D{self.input_size} H{self.hidden_size}"
        layers = f" L{self.num_layers}" if self.num_layers > 1 else ""
        return sizes + layers + (" bi" if self.bidirectional else "") + (" lengths" if self.ragged else "")

    @property
    def spec(self) -> LSTMSpec:
        direction = "bidirectional" if self.bidirectional else "forward"
        return LSTMSpec(self.input_size, self.hidden_size, self.num_layers, direction)

    def x(self) -> Array:
        """Random input, [T, N, D], the same in every run."""
        shape = (self.steps, self.batch, self.input_size)
        return np.random.default_rng(0).standard_normal(shape).astype(np.float32)

    def lengths(self) -> npt.NDArray[np.int64]:
        """[N] valid steps."""
        if not self.ragged:
            return np.full(self.batch, self.steps, np.int64)
        return np.random.default_rng(1).integers(1, self.steps, self.batch, endpoint=True)

    def flops(self, *, training: bool) -> float:
        """Multiplications and additions of the matrix products; those of training are three times as many."""
        valid = float(self.lengths().sum())
        per_step = sum(
            8.0 * self.hidden_size * (self.spec.layer_input_size(layer) + self.hidden_size)
            for layer, _, _ in self.spec.cells()
        )
        return valid * per_step * (3 if training else 1)

    def weight_bytes_read(self) -> float:
        """Bytes of W_hh that all steps read: what bounds the time where N = 1."""
        return 4.0 * self.steps * len(self.spec.cells()) * 4 * self.hidden_size**2


POINTS = (
    Point(batch=1, steps=100, input_size=64, hidden_size=128),
    Point(batch=1, steps=100, input_size=256, hidden_size=256),
    Point(batch=1, steps=100, input_size=512, hidden_size=512),
    Point(batch=1, steps=50, input_size=1024, hidden_size=1024),
    Point(batch=32, steps=64, input_size=128, hidden_size=128),
    Point(batch=64, steps=50, input_size=256, hidden_size=256),
    Point(batch=32, steps=100, input_size=512, hidden_size=512),
    Point(batch=64, steps=50, input_size=1024, hidden_size=1024),
    Point(batch=16, steps=1000, input_size=40, hidden_size=256),
    Point(batch=128, steps=20, input_size=6, hidden_size=20),
    Point(batch=256, steps=100, input_size=64, hidden_size=64),
    Point(batch=16, steps=200, input_size=80, hidden_size=320, num_layers=2, bidirectional=True),
    Point(batch=64, steps=100, input_size=128, hidden_size=128, ragged=True),
)

QUICK_POINTS = (
    Point(batch=1, steps=20, input_size=64, hidden_size=128),
    Point(batch=32, steps=10, input_size=40, hidden_size=80, num_layers=2, bidirectional=True),
    Point(batch=8, steps=30, input_size=6, hidden_size=20, ragged=True),
)
"""For a smoke test: everything runs, nothing is worth quoting."""
