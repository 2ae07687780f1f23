"""The network of ``torch_mlp``: standardised numbers, embedded categories, and what it has learned as arrays."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

__all__ = ["TabularMLP", "arrays_of", "embedding_width", "indices_of", "scales_of"]

_MISSING_AND_UNSEEN = 2
"""Places of an embedding before those of the levels."""
_FARTHEST = 3.0
"""Deviations from the mean that no number is beyond: with the weights of a rare one it would decide the loss alone."""
_FAR = 1e6
"""Deviations of which 32 bits have a square, and that are bent no differently from any more."""
_SMALLEST_SCALE = 1e-6
"""Columns that vary less, as a share of their mean, are left unscaled: they are constant, but for rounding."""


def embedding_width(levels: int) -> int:
    """Return how many numbers stand for a category of so many levels, by the rule of fast.ai's tabular models."""
    return min(50, round(1.6 * (levels + _MISSING_AND_UNSEEN) ** 0.56))


def arrays_of(module: nn.Module) -> dict[str, NDArray[Any]]:
    """Return copies of all that a module has learned, by name."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in module.state_dict().items()}


def scales_of(means: NDArray[Any], deviations: NDArray[Any]) -> NDArray[np.float32]:
    """Return by what columns are divided: their deviations, 1 where one is constant."""
    varies = deviations > np.maximum(_SMALLEST_SCALE * np.abs(means), np.finfo(np.float32).tiny)
    return np.where(varies, deviations, 1.0).astype(np.float32)


def indices_of(codes: NDArray[Any], levels: Sequence[int]) -> NDArray[np.int64]:
    """Return places in the embeddings, shape (rows, categories): 0 is missing, 1 unseen, then the levels.

    ``codes`` are as ``TableEncoder`` gives them: 0 and more for levels, -1 for unseen, -2 or NaN for missing.
    """
    numbers = np.nan_to_num(codes, nan=-2.0).astype(np.int64)
    places = np.clip(numbers, -2, None) + _MISSING_AND_UNSEEN
    return np.where(numbers >= np.asarray(levels, dtype=np.int64), 1, places)


class TabularMLP(nn.Module):
    """A multilayer perceptron on standardised numbers and embedded categories.

    Means and scales of numbers and targets are buffers, so that all that was learned is in ``state_dict()``. Numbers
    far from their mean are bent towards 3 deviations, as in RealMLP (Holzmüller, Grinsztajn, Steinwart, NeurIPS 2024,
    section 3): a column that is rarely anything but 0 would have rows a hundred deviations away.

    Parameters
    ----------
    n_numbers
        Columns of numbers.
    levels
        Levels of each category.
    n_outputs
        Classes, or targets.
    hidden
        Units of each hidden layer.
    dropout
        Share of hidden units that are silent in a training step.
    """

    def __init__(
        self, n_numbers: int, levels: Sequence[int], n_outputs: int, hidden: Sequence[int], dropout: float
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_numbers))
        self.register_buffer("scale", torch.ones(n_numbers))
        self.register_buffer("target_mean", torch.zeros(n_outputs))
        self.register_buffer("target_scale", torch.ones(n_outputs))
        widths = [embedding_width(each) for each in levels]
        self.embeddings = nn.ModuleList(
            nn.Embedding(each + _MISSING_AND_UNSEEN, width) for each, width in zip(levels, widths, strict=True)
        )
        layers: list[nn.Module] = []
        size = n_numbers + sum(widths)
        for units in hidden:
            layers += [nn.Linear(size, units), nn.ReLU(), nn.Dropout(dropout)]
            size = units
        self.layers = nn.Sequential(*layers, nn.Linear(size, n_outputs))

    def forward(self, numbers: Any, codes: Any) -> Any:
        """Return logits, or standardised targets, shape (rows, outputs)."""
        standardised = ((numbers - self.mean) / self.scale).clamp(-_FAR, _FAR)
        inputs = [standardised / torch.sqrt(1 + (standardised / _FARTHEST) ** 2)]
        inputs += [embedding(codes[:, place]) for place, embedding in enumerate(self.embeddings)]
        return self.layers(torch.cat(inputs, dim=1))

    @torch.no_grad()
    def soften(self, temperature: float) -> None:
        """Divide all logits by the temperature, for good."""
        last = self.layers[-1]
        last.weight.div_(temperature)
        last.bias.div_(temperature)
