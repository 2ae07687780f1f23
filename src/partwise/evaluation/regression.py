"""Regression scores of weighted rows; with several targets the mean over targets."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from partwise.evaluation.records import Outputs, Truth
from partwise.evaluation.statistic import Statistic, Weights, weighted_mean

__all__ = ["mae", "r2", "rmse"]

_ROUNDING = 1e-12


def r2(truth: Truth, outputs: Outputs) -> Statistic:
    """Prepare R², the share of the variance that was explained; NaN for fewer than two rows.

    A target without variance has R² 1 where it was met exactly, else 0, as in scikit-learn.
    """
    y = _columns(truth.y)
    squared = (y - _columns(outputs.labels)) ** 2
    # Sums of squares of centred values lose no digits where the mean is far from zero.
    centred = y - y.mean(axis=0)
    squares = centred**2

    def value(weights: Weights) -> float:
        rows = np.ones(len(y)) if weights is None else weights
        # A weight counts rows here: weight 2 on a single row is still one distinct value, without variance.
        if len(y) < 2:
            return float("nan")
        raw = rows @ squares
        total = raw - (rows @ centred) ** 2 / rows.sum()
        left = rows @ squared
        varies = total > _ROUNDING * raw
        explained = np.where(left > 0, 0.0, 1.0)
        explained[varies] = 1 - left[varies] / total[varies]
        return float(explained.mean())

    return Statistic(value, passes=3 * y.shape[1])


def rmse(truth: Truth, outputs: Outputs) -> Statistic:
    """Prepare the root of the mean squared error."""
    squared = (_columns(truth.y) - _columns(outputs.labels)) ** 2

    def value(weights: Weights) -> float:
        rows = np.ones(len(squared)) if weights is None else weights
        return float(np.sqrt(rows @ squared / rows.sum()).mean())

    return Statistic(value, passes=squared.shape[1])


def mae(truth: Truth, outputs: Outputs) -> Statistic:
    """Prepare the mean absolute error."""
    return weighted_mean(np.abs(_columns(truth.y) - _columns(outputs.labels)).mean(axis=1))


def _columns(values: NDArray[Any]) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    return array[:, None] if array.ndim == 1 else array
