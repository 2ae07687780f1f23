"""Weighted means and variances of parts, merged without loss of digits."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Moments"]

_ROUNDING = 1e-15


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

    def explained(self, squared: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return R² of each column, from weighted sums of squared errors, shape (columns,).

        A column without variance has R² 1 where it was met exactly, else 0, as in scikit-learn.
        """
        varies = self.squares > _ROUNDING * (self.squares + self.weight * self.means**2)
        scores = np.where(squared > 0, 0.0, 1.0)
        scores[varies] = 1.0 - squared[varies] / self.squares[varies]
        return scores

    @property
    def variances(self) -> NDArray[np.float64]:
        """The variance of each column; above zero, so that it can be divided by."""
        return np.maximum(self.squares / max(self.weight, 1e-300), 1e-300)
