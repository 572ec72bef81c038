"""Training sequence classifiers: in one process or in many that ``torchrun`` starts, resumable at any point."""

import os
from typing import TYPE_CHECKING

from gatesmith.datasets import Sequences
from gatesmith.errors import MissingToolError
from gatesmith.train.checkpoint import Checkpoints
from gatesmith.train.recipe import Engine, Progress, Recipe, Training
from gatesmith.train.sources import split

if TYPE_CHECKING:
    from gatesmith.train.sources import Source

__all__ = ["Checkpoints", "Engine", "Progress", "Recipe", "Training", "is_first_process", "split", "train"]


def train(
    data: "Sequences | Source",
    recipe: Recipe | None = None,
    *,
    engine: Engine | None = None,
    checkpoints: Checkpoints | None = None,
    progress: Progress | None = None,
) -> Training:
    """Train a classifier; the same seed gives the same weights on the same machine, whenever it was interrupted.

    In each process that ``torchrun`` started this does a share of every batch, and returns the same result.
    The input is standardised by the mean and deviation of the training part, and both are then folded into the
    weights, so that the classifier reads raw sequences.

    Args:
        data: labelled sequences, or where to stream them from.
        checkpoints: where to leave them, and to go on from the newest one that is there.

    Raises:
        InputError: there are no labels, an empty sequence, or fewer than two sequences of some class; or the
            checkpoints belong to another recipe.
        MissingToolError: PyTorch is not installed.
        ToolError: another process died.
        WeightsError: there are checkpoints, but none that is whole.
    """
    try:
        from gatesmith.train.loop import run_training
    except ImportError:
        raise MissingToolError(
            "training needs PyTorch, which is not installed; run `pip install 'gatesmith[torch]'`"
        ) from None
    return run_training(data, recipe or Recipe(), engine or Engine(), checkpoints, progress)


def is_first_process() -> bool:
    """Whether this process writes files and talks: the only one, or the first of those that ``torchrun`` started."""
    return os.environ.get("RANK", "0") == "0"
