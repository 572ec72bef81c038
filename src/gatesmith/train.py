"""Training a sequence classifier with PyTorch: one LSTM, a linear head, early stopping on a split of the data."""

import copy
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from gatesmith.classifier import Array, Classifier
from gatesmith.datasets import Sequences
from gatesmith.errors import InputError, MissingToolError
from gatesmith.spec import LSTMSpec
from gatesmith.weights import Weights, initialise

Progress = Callable[[int, int, str], None]
"""Called with (done, total, a short line about the state)."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to train.

    Attributes:
        hidden_size: H of the one layer.
        epochs: at most; ``patience`` epochs without a better validation loss end it sooner.
        noise: standard deviation of Gaussian noise on the standardised input, in training only.
        head_dropout: probability of dropping an element of what the head reads, in training only.
        validation_share: of each class, taken from the training data for early stopping.
    """

    hidden_size: int = 32
    epochs: int = 150
    patience: int = 40
    batch_size: int = 32
    learning_rate: float = 1e-2
    weight_decay: float = 1e-3
    noise: float = 0.8
    head_dropout: float = 0.5
    label_smoothing: float = 0.1
    gradient_norm: float = 1.0
    forget_bias: float = 1.0
    validation_share: float = 0.2
    seed: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Training:
    """A trained classifier and how it came about."""

    classifier: Classifier
    recipe: Recipe
    epochs_run: int
    best_epoch: int
    validation_loss: float
    validation_accuracy: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a result file; the weights are saved apart."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "classifier"}
        return values | {"recipe": asdict(self.recipe), "spec": self.classifier.lstm.spec.to_json()}


def train(data: Sequences, recipe: Recipe | None = None, *, progress: Progress | None = None) -> Training:
    """Train on labelled sequences; the same seed gives the same weights on the same machine.

    The input is standardised by the mean and deviation of the training part, and both are then folded into the
    weights, so that the classifier reads raw sequences.

    Raises:
        InputError: there are no labels, an empty sequence, or fewer than two sequences of some class.
        MissingToolError: PyTorch is not installed.
    """
    try:
        import torch
    except ImportError:
        raise MissingToolError(
            "training needs PyTorch, which is not installed; run `pip install 'gatesmith[torch]'`"
        ) from None
    from gatesmith.torch import from_torch, from_weights

    recipe = recipe or Recipe()
    labels = _checked_labels(data)
    fit, validate = split(data, share=recipe.validation_share, seed=recipe.seed)
    mean, deviation = _moments(fit)
    torch.manual_seed(recipe.seed)
    shuffle = np.random.default_rng(recipe.seed)
    spec = LSTMSpec(data.x.shape[2], recipe.hidden_size)
    lstm = from_weights(initialise(spec, seed=recipe.seed, forget_bias=recipe.forget_bias))
    head = torch.nn.Linear(recipe.hidden_size, int(labels.max()) + 1)
    model = torch.nn.ModuleDict({"lstm": lstm, "head": head})
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.epochs)

    def loss_and_logits(part: Sequences, *, training: bool) -> tuple[torch.Tensor, torch.Tensor]:
        x = torch.from_numpy((part.x - mean) / deviation)
        if training:
            x = x + recipe.noise * torch.randn_like(x)
        y = lstm(x)[0]
        last = y[torch.from_numpy(part.lengths) - 1, torch.arange(len(part))]
        logits = head(torch.nn.functional.dropout(last, recipe.head_dropout, training))
        target = torch.from_numpy(part.labels)
        return torch.nn.functional.cross_entropy(logits, target, label_smoothing=recipe.label_smoothing), logits

    best, best_epoch, best_state, best_accuracy, epoch = np.inf, -1, model.state_dict(), 0.0, 0
    for epoch in range(recipe.epochs):
        for batch in _batches(shuffle.permutation(len(fit)), recipe.batch_size):
            loss, _ = loss_and_logits(fit[batch], training=True)
            optimiser.zero_grad()
            loss.backward()  # pyright: ignore[reportUnknownMemberType]
            torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.gradient_norm)
            optimiser.step()
        schedule.step()
        with torch.no_grad():
            loss, logits = loss_and_logits(validate, training=False)
        if loss.item() < best:
            best, best_epoch, best_state = loss.item(), epoch, copy.deepcopy(model.state_dict())
            best_accuracy = float((logits.argmax(1).numpy() == validate.labels).mean())
        if progress:
            progress(epoch + 1, recipe.epochs, f"validation loss {best:.3f}, accuracy {best_accuracy:.1%}")
        if epoch - best_epoch >= recipe.patience:
            break
    model.load_state_dict(best_state)
    classifier = Classifier(
        lstm=_fold(from_torch(lstm).weights, mean, deviation),
        head_weight=head.weight.detach().numpy().copy(),
        head_bias=head.bias.detach().numpy().copy(),
    )
    return Training(
        classifier=classifier,
        recipe=recipe,
        epochs_run=epoch + 1,
        best_epoch=best_epoch,
        validation_loss=best,
        validation_accuracy=best_accuracy,
    )


def split(data: Sequences, *, share: float, seed: int) -> tuple[Sequences, Sequences]:
    """(rest, taken): ``share`` of the sequences of each class, at least one, drawn at random."""
    labels = _checked_labels(data)
    generator = np.random.default_rng(seed)
    taken = np.concatenate(
        [
            generator.permutation(members)[: max(1, round(share * len(members)))]
            for members in (np.flatnonzero(labels == label) for label in np.unique(labels))
        ]
    )
    rest = np.setdiff1d(np.arange(len(data)), taken)
    return data[rest], data[np.sort(taken)]


def _checked_labels(data: Sequences) -> Array:
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


def _moments(data: Sequences) -> tuple[Array, Array]:
    """Mean and standard deviation [D] of all valid steps."""
    valid = data.x[np.arange(data.x.shape[0])[:, None] < data.lengths]  # [steps, D]
    return valid.mean(axis=0), np.maximum(valid.std(axis=0), 1e-6)


def _fold(weights: Weights, mean: Array, deviation: Array) -> Weights:
    """W·((x − mean) / deviation) + b, as one matrix and one bias that read raw x."""
    arrays = dict(weights)
    scaled = weights["weight_ih_l0"] / deviation  # [4H, D]
    arrays["weight_ih_l0"] = scaled.astype(weights.dtype)
    arrays["bias_l0"] = (weights["bias_l0"] - scaled @ mean).astype(weights.dtype)
    return Weights(weights.spec, arrays)


def _batches(order: Array, size: int) -> list[Array]:
    return [order[start : start + size] for start in range(0, len(order), size)]
