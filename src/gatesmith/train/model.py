"""The network that is trained, and its way into weights that read raw sequences."""

import torch
from torch import Tensor, nn

from gatesmith.classifier import Array, Classifier
from gatesmith.spec import LSTMSpec
from gatesmith.torch import from_torch, from_weights
from gatesmith.train.recipe import Recipe
from gatesmith.weights import Weights, initialise


class Network(nn.Module):
    """One LSTM, and a linear head on the output of each sequence's last valid step."""

    def __init__(self, features: int, classes: int, recipe: Recipe) -> None:
        super().__init__()
        spec = LSTMSpec(features, recipe.hidden_size)
        self.lstm = from_weights(initialise(spec, seed=recipe.seed, forget_bias=recipe.forget_bias))
        self.head = nn.Linear(recipe.hidden_size, classes)

    def forward(self, x: Tensor, lengths: Tensor, factors: Tensor | None = None) -> Tensor:
        """Logits [N, K] from x [T, N, D] and lengths [N] (1 to T); ``factors`` [N, H] of dropout before the head."""
        y = self.lstm(x, lengths=lengths)[0]
        last = y[lengths - 1, torch.arange(len(lengths), device=y.device)]
        return self.head(last if factors is None else last * factors)


def to_classifier(network: Network, mean: Array, deviation: Array) -> Classifier:
    """The trained weights, with the standardisation of the input folded in."""
    return Classifier(
        lstm=_fold(from_torch(network.lstm).weights, mean, deviation),
        head_weight=network.head.weight.detach().cpu().numpy().copy(),
        head_bias=network.head.bias.detach().cpu().numpy().copy(),
    )


def _fold(weights: Weights, mean: Array, deviation: Array) -> Weights:
    """W·((x − mean) / deviation) + b, as one matrix and one bias that read raw x."""
    arrays = dict(weights)
    scaled = weights["weight_ih_l0"] / deviation  # [4H, D]
    arrays["weight_ih_l0"] = scaled.astype(weights.dtype)
    arrays["bias_l0"] = (weights["bias_l0"] - scaled @ mean).astype(weights.dtype)
    return Weights(weights.spec, arrays)
