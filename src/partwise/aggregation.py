"""Rules that combine the outputs of members: pure arithmetic on arrays, no models.

NaN in place of a member's outputs for a row says that it does not speak about that row; it then does not count.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["RULES", "mean", "median", "one_hot", "vote"]

Outputs = NDArray[np.float64]


def one_hot(outputs: Outputs) -> Outputs:
    """Return a one where a row has its largest output (the first of equals) and zeros elsewhere; NaN stays."""
    winners = np.eye(outputs.shape[-1])[outputs.argmax(axis=-1)]
    winners[np.isnan(outputs[..., 0])] = np.nan
    return winners


def mean(outputs: Outputs, weights: NDArray[np.float64]) -> Outputs:
    """Return the weighted mean over members, (members, rows, outputs) to (rows, outputs).

    Where no member of weight above zero speaks about a row, those that speak count alike.
    """
    silent = np.isnan(outputs[:, :, 0])
    if silent.any():
        shares = np.where(silent, 0.0, weights[:, np.newaxis])
        shares = np.where(shares.sum(axis=0) > 0, shares, ~silent)
        outputs = np.where(silent[:, :, np.newaxis], 0.0, outputs)
    else:
        shares = np.broadcast_to(weights[:, np.newaxis], silent.shape)
    total = np.zeros(outputs.shape[1:])
    # Member by member, not by a dot product: the sum keeps one order whatever the number of rows.
    for share, member in zip(shares, outputs, strict=True):
        total += share[:, np.newaxis] * member
    return total / shares.sum(axis=0)[:, np.newaxis]


def median(outputs: Outputs, weights: NDArray[np.float64]) -> Outputs:  # noqa: ARG001 - one signature for all rules
    """Return the median over members, (members, rows, outputs) to (rows, outputs); weights do not count."""
    return np.nanmedian(outputs, axis=0) if np.isnan(outputs[:, :, 0]).any() else np.median(outputs, axis=0)


def vote(outputs: Outputs, weights: NDArray[np.float64]) -> Outputs:
    """Return the weighted share of members that put each class first."""
    return mean(one_hot(outputs), weights)


RULES: dict[str, Callable[[Outputs, NDArray[np.float64]], Outputs]] = {"mean": mean, "median": median, "vote": vote}
"""Name to rule."""
