"""Real data as documented, and clear errors for a user's own files."""

from pathlib import Path

import numpy as np
import pytest

from gatesmith.datasets import Sequences, japanese_vowels, load
from gatesmith.errors import InputError


@pytest.fixture(scope="module")
def vowels() -> tuple[Sequences, Sequences]:
    return japanese_vowels()


def test_japanese_vowels_are_as_published(vowels: tuple[Sequences, Sequences]) -> None:
    train, test = vowels
    assert (train.x.shape, test.x.shape) == ((29, 270, 12), (29, 370, 12))
    assert train.x.dtype == np.float32
    lengths = np.concatenate([train.lengths, test.lengths])
    assert (lengths.min(), lengths.max()) == (7, 29)
    assert train.labels is not None
    assert np.bincount(train.labels).tolist() == [30] * 9
    # The published test set has 31, 35, 88, 44, 29, 24, 40, 50 and 29 utterances of the nine speakers.
    assert test.labels is not None
    assert np.bincount(test.labels).tolist() == [31, 35, 88, 44, 29, 24, 40, 50, 29]


def test_padding_is_zero_and_nothing_else_is(vowels: tuple[Sequences, Sequences]) -> None:
    train, _ = vowels
    valid = np.arange(29)[:, None] < train.lengths
    assert not train.x[~valid].any()
    assert train.x[valid].any(axis=-1).all()


def test_selection_keeps_sequences_together(vowels: tuple[Sequences, Sequences]) -> None:
    train, _ = vowels
    some = train[np.array([5, 100])]
    assert len(some) == 2
    assert some.labels is not None
    np.testing.assert_array_equal(some.x[:, 1], train.x[:, 100])


def test_own_file_is_read(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(5, 3, 2))
    np.savez(tmp_path / "own.npz", x=x, lengths=[5, 0, 2], labels=[0, 1, 0])
    own = load(tmp_path / "own.npz")
    np.testing.assert_array_equal(own.x, x.astype(np.float32))
    assert own.lengths.tolist() == [5, 0, 2]
    np.save(tmp_path / "alone.npy", x)
    assert load(tmp_path / "alone.npy").lengths.tolist() == [5, 5, 5]


def test_wrong_files_are_named(tmp_path: Path) -> None:
    x = np.zeros((5, 3, 2))
    cases = {
        "holds y; expected an array x": {"y": x},
        r"shape \(5, 3\)": {"x": x[:, :, 0]},
        "dtype int64": {"x": x.astype(np.int64)},
        "not finite": {"x": x + np.nan},
        r"lengths in .* has shape \(2,\)": {"x": x, "lengths": [1, 2]},
        "reach 0 to 6; expected 0 to 5": {"x": x, "lengths": [0, 6, 1]},
        "labels in .* expected": {"x": x, "labels": [0.5, 1.5, 2.5]},
    }
    for k, (message, arrays) in enumerate(cases.items()):
        path = tmp_path / f"{k}.npz"
        np.savez(path, **arrays)
        with pytest.raises(InputError, match=message):
            load(path)


def test_damaged_foreign_and_missing_files_are_errors(tmp_path: Path) -> None:
    whole = tmp_path / "whole.npz"
    np.savez(whole, x=np.zeros((5, 3, 2)))
    (tmp_path / "cut.npz").write_bytes(whole.read_bytes()[:100])
    (tmp_path / "text.npy").write_text("hello")
    np.save(tmp_path / "pickled.npy", np.array([{"a": 1}]), allow_pickle=True)
    for name in ("cut.npz", "text.npy", "pickled.npy", "missing.npz", "data.csv"):
        with pytest.raises(InputError, match=name):
            load(tmp_path / name)
