"""The head reads the last valid step, and a saved classifier comes back the same."""

from pathlib import Path

import numpy as np
import pytest

from gatesmith import LSTMSpec, initialise
from gatesmith.classifier import Classifier
from gatesmith.errors import WeightsError


@pytest.fixture
def classifier() -> Classifier:
    generator = np.random.default_rng(0)
    return Classifier(
        lstm=initialise(LSTMSpec(3, 4)),
        head_weight=generator.normal(size=(2, 4)).astype(np.float32),
        head_bias=generator.normal(size=2).astype(np.float32),
    )


def test_classes_come_from_the_last_valid_step(classifier: Classifier) -> None:
    y = np.random.default_rng(1).normal(size=(5, 3, 4))
    lengths = np.array([5, 1, 3])
    expected = [
        int(np.argmax(classifier.head_weight @ y[length - 1, n] + classifier.head_bias))
        for n, length in enumerate(lengths)
    ]
    assert classifier.classify(y, lengths).tolist() == expected
    assert classifier.accuracy(y, lengths, np.array(expected)) == 1.0
    assert classifier.accuracy(y, lengths, 1 - np.array(expected)) == 0.0


def test_saved_classifier_comes_back(classifier: Classifier, tmp_path: Path) -> None:
    classifier.save(tmp_path)
    again = Classifier.load(tmp_path)
    np.testing.assert_array_equal(again.head_weight, classifier.head_weight)
    np.testing.assert_array_equal(again.head_bias, classifier.head_bias)
    assert again.lstm.spec == classifier.lstm.spec
    for name in classifier.lstm:
        np.testing.assert_array_equal(again.lstm[name], classifier.lstm[name])


def test_missing_damaged_and_foreign_heads_are_named(classifier: Classifier, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"head\.safetensors"):
        Classifier.load(tmp_path)
    classifier.save(tmp_path)
    head = tmp_path / "head.safetensors"
    head.write_bytes(head.read_bytes()[:-5])
    with pytest.raises(WeightsError, match=r"head\.safetensors"):
        Classifier.load(tmp_path)


def test_head_of_another_width_is_refused() -> None:
    with pytest.raises(WeightsError, match=r"head\.weight has shape \(2, 5\); expected \(classes, 4\)"):
        Classifier(lstm=initialise(LSTMSpec(3, 4)), head_weight=np.zeros((2, 5)), head_bias=np.zeros(2))
    with pytest.raises(WeightsError, match=r"head\.bias has shape \(3,\); expected \(2,\)"):
        Classifier(lstm=initialise(LSTMSpec(3, 4)), head_weight=np.zeros((2, 4)), head_bias=np.zeros(3))
