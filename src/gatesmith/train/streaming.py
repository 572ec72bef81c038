"""Training data that need not fit in memory: Parquet files streamed in a random order and bucketed by length."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import cast

import numpy as np

from gatesmith.classifier import Array
from gatesmith.datasets import Sequences
from gatesmith.errors import InputError
from gatesmith.shards import OnBad, Record, good_records, to_batch

WINDOW = 64
"""Batches that are held in memory to be shuffled and bucketed by length."""


class ShardSource:
    """A source of batches in Parquet files (:mod:`gatesmith.shards`).

    The first pass over all files counts, checks, and takes mean and deviation; then every epoch is one pass. Files
    come in a random order; ``WINDOW`` batches' worth of records is shuffled at a time, sorted by length and cut into
    batches, whose order is random again: a batch holds sequences of like length, and memory holds one window.

    Every process reads all files and takes its share of every batch, so that the batches don't depend on how many
    processes there are.

    Raises:
        InputError: a record is bad and ``on_bad`` is ``"stop"``, or nothing is left to train on.
    """

    def __init__(
        self,
        files: Sequence[Path],
        *,
        batch_size: int,
        validation_share: float,
        seed: int,
        on_bad: OnBad = "stop",
        warn: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._files, self._batch_size, self._share, self._seed = tuple(files), batch_size, validation_share, seed
        self._on_bad: OnBad = on_bad
        count, total, squares, steps, classes = 0, np.zeros(0), np.zeros(0), 0, 0
        self.features = 0
        for record in good_records(self._files, labelled=True, on_bad=on_bad, warn=warn):
            assert record.x is not None
            assert record.label is not None
            self.features = record.x.shape[1]
            classes = max(classes, record.label + 1)
            if not self._is_for_training(record):
                continue
            x = record.x.astype(np.float64)
            total = total + x.sum(0) if count else x.sum(0)
            squares = squares + (x * x).sum(0) if count else (x * x).sum(0)
            count, steps = count + 1, steps + len(x)
        if not count:
            raise InputError("the files hold no sequence to train on; expected labelled records")
        self.classes = classes
        mean = total / steps
        self.mean: Array = mean.astype(np.float32)
        deviation = np.sqrt(np.maximum(squares / steps - mean * mean, 0.0))
        self.deviation: Array = np.maximum(deviation, 1e-6).astype(np.float32)

    def batches(self, epoch: int, *, start: int = 0) -> Iterator[Sequences]:
        """The batches of an epoch; those before ``start`` are read, but not made."""
        generator = np.random.default_rng([self._seed, epoch])
        order = [self._files[index] for index in _permutation(generator, len(self._files))]
        records = (record for record in self._read(order) if self._is_for_training(record))
        made = 0
        while window := _take(records, WINDOW * self._batch_size):
            shuffled = [window[index] for index in _permutation(generator, len(window))]
            shuffled.sort(key=_length)
            cut = [shuffled[at : at + self._batch_size] for at in range(0, len(shuffled), self._batch_size)]
            for index in _permutation(generator, len(cut)):
                if made >= start:
                    yield to_batch(cut[index])
                made += 1

    def validation(self) -> Iterator[Sequences]:
        """Records that chance, by their file and row, keeps out of training; in the order of the files."""
        records = (record for record in self._read(self._files) if not self._is_for_training(record))
        while batch := _take(records, self._batch_size):
            yield to_batch(batch)

    def _read(self, files: Sequence[Path]) -> Iterator[Record]:
        # The first pass named every bad record already.
        return good_records(files, features=self.features, labelled=True, on_bad=self._on_bad)

    def _is_for_training(self, record: Record) -> bool:
        number = self._files.index(record.file)
        key = np.array([self._seed % 2**64, (number << 40) + record.row], np.uint64)
        return np.random.Generator(np.random.Philox(key=key)).random() >= self._share


def _take(records: Iterator[Record], count: int) -> list[Record]:
    return list(islice(records, count))


def _length(record: Record) -> int:
    return len(record.x) if record.x is not None else 0


def _permutation(generator: np.random.Generator, count: int) -> list[int]:
    return cast("list[int]", generator.permutation(count).tolist())
