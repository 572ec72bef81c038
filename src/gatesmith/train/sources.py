"""Where training takes its batches from, each a function of the seed and the epoch, so that any can be made again.

Random numbers are drawn from (seed, epoch, batch), never from a running state: a resumed run and one in several
processes see the numbers that one uninterrupted process would have seen.
"""

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from gatesmith.classifier import Array
from gatesmith.datasets import Sequences
from gatesmith.errors import InputError


class Source(Protocol):
    """Data to train on.

    Attributes:
        features: D
        classes: K
        mean, deviation: [D], of all valid steps of the part that is trained on.
    """

    features: int
    classes: int
    mean: Array
    deviation: Array

    def batches(self, epoch: int, *, start: int = 0) -> Iterator[Sequences]:
        """The global batches of an epoch from batch ``start`` on, the same in every process."""
        ...

    def validation(self) -> Iterator[Sequences]:
        """The part that is never trained on, in batches."""
        ...


class MemorySource:
    """Sequences in memory, split by class into a part to train on and one to validate with."""

    def __init__(self, data: Sequences, *, batch_size: int, validation_share: float, seed: int) -> None:
        self._fit, self._validate = split(data, share=validation_share, seed=seed)
        self._batch_size, self._seed = batch_size, seed
        self.features = data.x.shape[2]
        self.classes = int(checked_labels(data).max()) + 1
        self.mean, self.deviation = moments(self._fit)

    def batches(self, epoch: int, *, start: int = 0) -> Iterator[Sequences]:
        order = np.random.default_rng([self._seed, epoch]).permutation(len(self._fit))
        for at in range(start * self._batch_size, len(order), self._batch_size):
            yield self._fit[order[at : at + self._batch_size]]

    def validation(self) -> Iterator[Sequences]:
        yield self._validate


def draw_noise(
    batch: Sequences, *, seed: int, epoch: int, index: int, head: int, dropout: float
) -> tuple[Array, Array]:
    """(standard normal [T, N, D], factors of an inverted dropout [N, head]), float32, of global batch ``index``."""
    generator = np.random.default_rng([seed, epoch, index])
    factors = (generator.random((len(batch), head), np.float32) >= dropout) / (1.0 - dropout)
    return generator.standard_normal(batch.x.shape, np.float32), factors.astype(np.float32)


def trimmed(batch: Sequences, index: list[int]) -> Sequences:
    """Some sequences of a batch, padded no further than the longest of them (one step where there is none)."""
    part = batch[np.array(index, np.int64)]
    return Sequences(x=part.x[: int(part.lengths.max(initial=1))], lengths=part.lengths, labels=part.labels)


def split(data: Sequences, *, share: float, seed: int) -> tuple[Sequences, Sequences]:
    """(rest, taken): ``share`` of the sequences of each class, at least one, drawn at random."""
    labels = checked_labels(data)
    generator = np.random.default_rng(seed)
    taken = np.concatenate(
        [
            generator.permutation(members)[: max(1, round(share * len(members)))]
            for members in (np.flatnonzero(labels == label) for label in np.unique(labels))
        ]
    )
    rest = np.setdiff1d(np.arange(len(data)), taken)
    return data[rest], data[np.sort(taken)]


def checked_labels(data: Sequences) -> Array:
    """The labels.

    Raises:
        InputError: there are none, or a class or a sequence that can't be trained on.
    """
    if data.labels is None:
        raise InputError("the data has no labels; expected an array labels [N], one class index for each sequence")
    if not len(data) or data.lengths.min() < 1 or data.labels.min() < 0:
        raise InputError(
            "the data has no sequences, an empty one, or a negative label; expected whole ones to train on"
        )
    classes, members = np.unique(data.labels, return_counts=True)
    if members.min() < 2:
        raise InputError(f"class {classes[members.argmin()]} has one sequence; expected at least two of each class")
    return data.labels


def moments(data: Sequences) -> tuple[Array, Array]:
    """Mean and standard deviation [D] of all valid steps."""
    valid = data.x[np.arange(data.x.shape[0])[:, None] < data.lengths]  # [steps, D]
    return valid.mean(axis=0), np.maximum(valid.std(axis=0), 1e-6)
