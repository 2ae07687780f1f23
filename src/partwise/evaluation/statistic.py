"""A metric that was prepared for one model and one test set, so that it is cheap to weigh the rows again."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Statistic", "Weights", "weighted_mean"]

Weights: TypeAlias = NDArray[np.float64] | None
"""One weight a row, shape (rows,), or None where all are equal. A row of weight 0 counts as absent."""


@dataclass(frozen=True, slots=True)
class Statistic:
    """A function of row weights that gives the metric's value, NaN where it is not defined.

    ``passes`` is what a call costs, in passes over the rows; the number of resamples follows from it.
    """

    value: Callable[[Weights], float]
    passes: int = 1

    def __call__(self, weights: Weights = None) -> float:
        """Return the metric's value under these weights."""
        return self.value(weights)


def weighted_mean(losses: NDArray[Any]) -> Statistic:
    """Return the statistic that is a mean over rows of ``losses``, shape (rows,)."""
    values = np.ascontiguousarray(losses, dtype=np.float64)

    def value(weights: Weights) -> float:
        return float(values.mean() if weights is None else weights @ values / weights.sum())

    return Statistic(value)
