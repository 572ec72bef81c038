"""Training learns, repeats exactly, and never reads what it must not."""

import numpy as np
import pytest
from tests.tolerances import TOLERANCES

from gatesmith import LSTM, run_on_device
from gatesmith.datasets import Sequences
from gatesmith.errors import InputError
from gatesmith.train import Engine, Recipe, split, train

RECIPE = Recipe(hidden_size=8, epochs=15, patience=15, noise=0.1, head_dropout=0.0, seed=3)


@pytest.fixture(scope="module")
def two_tones() -> Sequences:
    """Two classes of noisy sequences that rise or fall, far from zero and of unequal scale."""
    generator = np.random.default_rng(0)
    labels = np.arange(60) % 2
    lengths = generator.integers(4, 10, 60)
    slope = np.where(labels == 0, 1.0, -1.0)
    ramp = np.arange(10)[:, None] * slope  # [T, N]
    x = np.stack([ramp * 0.02 + 5, 100 * generator.normal(size=(10, 60))], axis=-1).astype(np.float32)
    x[np.arange(10)[:, None] >= lengths] = 0
    return Sequences(x=x, lengths=lengths, labels=labels)


def test_training_learns_and_folds_the_standardisation(two_tones: Sequences) -> None:
    seen: list[tuple[int, int]] = []
    training = train(two_tones, RECIPE, progress=lambda done, total, _: seen.append((done, total)))
    y, _ = run_on_device(LSTM(training.classifier.lstm), two_tones.x, lengths=two_tones.lengths)
    assert two_tones.labels is not None
    assert training.classifier.accuracy(y, two_tones.lengths, two_tones.labels) >= 0.95
    assert seen[0] == (1, RECIPE.epochs)
    assert len(seen) == training.epochs_run


def test_the_same_seed_gives_the_same_weights(two_tones: Sequences) -> None:
    short = Recipe(hidden_size=8, epochs=2)
    first, second = (train(two_tones, short).classifier for _ in range(2))
    for name in first.lstm:
        np.testing.assert_array_equal(first.lstm[name], second.lstm[name])
    other = train(two_tones, Recipe(hidden_size=8, epochs=2, seed=1)).classifier
    assert not np.array_equal(first.head_weight, other.head_weight)


def test_patience_ends_training(two_tones: Sequences) -> None:
    training = train(two_tones, Recipe(hidden_size=4, epochs=30, patience=2, learning_rate=1e-9))
    assert training.epochs_run == training.best_epoch + 3 < 30


def test_split_takes_its_share_of_every_class(two_tones: Sequences) -> None:
    rest, taken = split(two_tones, share=0.2, seed=0)
    assert (len(rest), len(taken)) == (48, 12)
    assert taken.labels is not None
    assert np.bincount(taken.labels).tolist() == [6, 6]
    everything = np.concatenate([rest.x, taken.x], axis=1)
    assert sorted(everything.sum(axis=(0, 2))) == pytest.approx(sorted(two_tones.x.sum(axis=(0, 2))), rel=1e-4)


def test_data_that_cannot_be_trained_on_is_named(two_tones: Sequences) -> None:
    with pytest.raises(InputError, match="no labels"):
        train(Sequences(x=two_tones.x, lengths=two_tones.lengths))
    with pytest.raises(InputError, match="an empty one"):
        train(Sequences(x=two_tones.x, lengths=two_tones.lengths * 0, labels=two_tones.labels))
    labels = np.arange(60) % 2
    labels[0] = 7
    with pytest.raises(InputError, match="class 7 has one sequence"):
        train(Sequences(x=two_tones.x, lengths=two_tones.lengths, labels=labels))


@pytest.mark.nightly
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # inductor's own use of torch.jit
def test_a_compiled_model_learns_the_same(two_tones: Sequences) -> None:
    recipe = Recipe(hidden_size=8, epochs=3)
    plain, compiled = (train(two_tones, recipe, engine=Engine(compile=flag)).losses for flag in (False, True))
    assert np.abs(np.array(plain) - np.array(compiled)).max() <= TOLERANCES["loss_float32"]


@pytest.mark.parametrize("given", [{"sharding": "both"}, {"precision": "float8"}, {"accumulate": 0}, {"timeout": 0}])
def test_an_engine_that_is_none_is_named(given: dict[str, object]) -> None:
    with pytest.raises(InputError, match="expected"):
        Engine(**given)  # type: ignore[arg-type]
