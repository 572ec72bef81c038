"""Streaming from files: the same records every epoch in another order, of like length in a batch, from any batch on."""

from pathlib import Path

import numpy as np
import pytest
from tests.train.jobs import FEW_STEPS, two_tones

from gatesmith.errors import InputError
from gatesmith.shards import find_shards, write_shards
from gatesmith.train import Checkpoints, streaming, train
from gatesmith.train.sources import moments
from gatesmith.train.streaming import ShardSource


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return write_shards(two_tones(), tmp_path / "data", records_per_file=25)


def source(files: list[Path], batch_size: int = 8) -> ShardSource:
    return ShardSource(files, batch_size=batch_size, validation_share=0.2, seed=1)


def fingerprints(batches: list) -> list[float]:
    return sorted(float(batch.x[:, n].sum()) for batch in batches for n in range(len(batch)))


def test_every_epoch_has_every_record_once_in_another_order(files: list[Path]) -> None:
    data = source(files)
    epochs = [list(data.batches(epoch)) for epoch in (0, 0, 1)]
    validation = list(data.validation())
    assert fingerprints(epochs[0]) == fingerprints(epochs[2])
    for first, again in zip(epochs[0], epochs[1], strict=True):
        np.testing.assert_array_equal(first.x, again.x)
    assert any(a.x.shape != b.x.shape or (a.x != b.x).any() for a, b in zip(epochs[0], epochs[2], strict=True))
    everything = two_tones()
    together = sorted(fingerprints(epochs[0]) + fingerprints(validation))
    assert together == pytest.approx(sorted(everything.x.sum((0, 2)).tolist()), rel=1e-4)
    assert 3 <= sum(len(batch) for batch in validation) <= 25


def test_an_epoch_can_be_entered_at_any_batch(files: list[Path]) -> None:
    data = source(files)
    whole = list(data.batches(2))
    for start in range(len(whole) + 1):
        rest = list(data.batches(2, start=start))
        assert len(rest) == len(whole) - start
        for ours, theirs in zip(rest, whole[start:], strict=True):
            np.testing.assert_array_equal(ours.x, theirs.x)


def test_a_batch_holds_sequences_of_like_length(files: list[Path]) -> None:
    batches = list(source(files).batches(0))
    spread = np.mean([np.ptp(batch.lengths) for batch in batches])
    assert spread <= 1.0
    assert len({int(batch.lengths.max()) for batch in batches}) > 2


def test_a_window_bounds_what_is_held(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "WINDOW", 2)
    data, most = source(files, batch_size=4), 0
    reader = data._read

    def counted(*args):
        nonlocal most
        for read, record in enumerate(reader(*args)):
            most = max(most, read - 4 * made)
            yield record

    monkeypatch.setattr(data, "_read", counted)
    made = 0
    for made, _ in enumerate(data.batches(0), 1):  # noqa: B007 - read while it counts
        pass
    assert 0 < most <= 30


def test_moments_are_those_of_the_part_that_is_trained_on(files: list[Path]) -> None:
    data = source(files, batch_size=100)
    (batch,) = data.batches(0)
    mean, deviation = moments(batch)
    np.testing.assert_allclose(data.mean, mean, rtol=1e-5)
    np.testing.assert_allclose(data.deviation, deviation, rtol=1e-4)
    assert (data.features, data.classes) == (2, 2)


def test_a_streamed_run_goes_on_to_the_same_bits(files: list[Path], tmp_path: Path) -> None:
    def run(checkpoints: Checkpoints | None) -> np.ndarray:
        return train(source(files, FEW_STEPS.batch_size), FEW_STEPS, checkpoints=checkpoints).classifier.head_weight

    whole = run(None)
    checkpoints = Checkpoints(folder=tmp_path / "checkpoints", every=1, keep=3)
    run(checkpoints)
    newest = sorted(checkpoints.folder.iterdir())
    for path in newest[1:]:
        path.unlink()
    np.testing.assert_array_equal(run(checkpoints), whole)


def test_bad_records_stop_or_are_skipped(tmp_path: Path) -> None:
    data = two_tones()
    data.x[1, 7, 0] = np.nan
    files = find_shards([write_shards(data, tmp_path, records_per_file=60)[0].parent])
    with pytest.raises(InputError, match="record 7"):
        source(files)
    said: list[str] = []
    skipping = ShardSource(files, batch_size=8, validation_share=0.2, seed=1, on_bad="skip", warn=said.append)
    assert len(said) == 1
    assert sum(len(batch) for batch in [*skipping.batches(0), *skipping.validation()]) == 59
