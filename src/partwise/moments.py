"""Weighted means and variances of parts, merged without loss of digits."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Moments"]


@dataclass(frozen=True, slots=True)
class Moments:
    """The total weight of rows, and for each column the mean and the weighted sum of squared distances from it.

    Parts are merged by the update of Chan, Golub and LeVeque (Compstat 1982): sums of squares would cancel.
    """

    weight: float
    means: NDArray[np.float64]
    squares: NDArray[np.float64]

    @classmethod
    def of(cls, values: NDArray[np.float64], weights: NDArray[np.float64]) -> "Moments":
        """Return the moments of values, shape (rows, columns), with weights of shape (rows,)."""
        total = float(weights.sum())
        means = weights @ values / total if total > 0 else np.zeros(values.shape[1])
        return cls(total, means, weights @ (values - means) ** 2)

    def merged(self, other: "Moments") -> "Moments":
        """Return the moments of the rows of both."""
        total = self.weight + other.weight
        share = other.weight / total if total > 0 else 0.0
        apart = other.means - self.means
        squares = self.squares + other.squares + apart**2 * self.weight * share
        return Moments(total, self.means + apart * share, squares)

    @property
    def variances(self) -> NDArray[np.float64]:
        """The variance of each column; above zero, so that it can be divided by."""
        return np.maximum(self.squares / max(self.weight, 1e-300), 1e-300)
