"""Rules that combine the outputs of members: pure arithmetic on arrays, no models."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["RULES", "mean", "median", "one_hot", "vote"]

Outputs = NDArray[np.float64]


def one_hot(outputs: Outputs) -> Outputs:
    """Return a one where a row has its largest output (the first of equals) and zeros elsewhere."""
    winners = outputs.argmax(axis=-1)
    return np.eye(outputs.shape[-1])[winners]


def mean(outputs: Outputs, weights: NDArray[np.float64]) -> Outputs:
    """Return the weighted mean over members, (members, rows, outputs) to (rows, outputs)."""
    total = np.zeros(outputs.shape[1:])
    # Member by member, not by a dot product: the sum keeps one order whatever the number of rows.
    for weight, member in zip(weights, outputs, strict=True):
        total += weight * member
    return total / weights.sum()


def median(outputs: Outputs, weights: NDArray[np.float64]) -> Outputs:  # noqa: ARG001 - one signature for all rules
    """Return the median over members, (members, rows, outputs) to (rows, outputs); weights do not count."""
    return np.median(outputs, axis=0)


def vote(outputs: Outputs, weights: NDArray[np.float64]) -> Outputs:
    """Return the weighted share of members that put each class first."""
    return mean(one_hot(outputs), weights)


RULES: dict[str, Callable[[Outputs, NDArray[np.float64]], Outputs]] = {"mean": mean, "median": median, "vote": vote}
"""Name to rule."""
