"""Predictors that weigh what each member says about each class, or target."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from partwise.pool import MemberPool
from partwise.records import OutputKind
from partwise.shrinkage import log_softmax

__all__ = ["StackedPredictor", "base_scores", "descriptions", "standardised"]

Floats = NDArray[np.float64]

_UNSURE = 1e-3
"""Member probabilities count as no nearer to 0 and 1 than this: a leaf of three rows says 0 and does not know it."""
_RARE = 1e-4
"""The same for the mean over members."""


def descriptions(outputs: Floats, kind: OutputKind) -> Floats:
    """Return what the metalearner reads of members' outputs: log-odds of probabilities, anything else as it is.

    The log-odds of one class against the rest bend where another class takes over, which a linear member's own
    scores do not: that is what lets a linear metalearner mend linear members.
    """
    if kind != "probability":
        return outputs
    clipped = np.clip(outputs, _UNSURE, 1.0 - _UNSURE)
    return np.log(clipped / (1.0 - clipped))


def base_scores(outputs: Floats, kind: OutputKind) -> Floats:
    """Return the plain mean as scores, (members, rows, outputs) to (rows, outputs): logs of shares, else as it is."""
    means = _spoken_mean(outputs)
    return np.log(np.maximum(means, _RARE)) if kind in {"probability", "vote"} else means


def standardised(described: Floats, centres: Floats, scales: Floats) -> Floats:
    """Return the features of rows, (members, rows, outputs) to (members * outputs, rows).

    In place of a silent member stands what the others say, each in units of its own spread: then one set of
    weights serves whoever speaks, and a silent member leaves its say to the others.
    """
    shape = (len(described), 1, described.shape[2])
    z = (described - centres.reshape(shape)) / scales.reshape(shape)
    if np.isnan(z).any():
        z = np.where(np.isnan(z), _spoken_mean(z), z)
    return np.moveaxis(z, 1, 2).reshape(-1, described.shape[1])


def _spoken_mean(outputs: Floats) -> Floats:
    """Return the mean over the members that speak, zero where none does; one order of summation for any rows."""
    total = np.zeros(outputs.shape[1:])
    count = np.zeros((outputs.shape[1], 1))
    for member in outputs:
        spoken = ~np.isnan(member[:, :1])
        total += np.where(spoken, member, 0.0)
        count += spoken
    return total / np.maximum(count, 1.0)


@dataclass(frozen=True, slots=True)
class StackedPredictor:
    """The soft vote (the mean in regression) plus a weighted sum of what each member says about each output.

    Arrays are flat, so that they are stored as lists.

    Parameters
    ----------
    slopes, intercepts
        What the scores of the soft vote are multiplied with, and what is added, shape (outputs,).
    centres, scales
        Mean and spread of what each member says about each output, shape (members * outputs,).
    weights
        Of each of those for each output, shape (members * outputs * outputs,).
    """

    pool: MemberPool
    slopes: NDArray[np.float64]
    intercepts: NDArray[np.float64]
    centres: NDArray[np.float64]
    scales: NDArray[np.float64]
    weights: NDArray[np.float64]
    exactness: str = "approximate"

    block_rows = 8_192

    @property
    def kind(self) -> OutputKind:
        """What the outputs mean: probabilities whatever the members give, or values."""
        return "value" if self.pool.n_classes is None else "probability"

    @property
    def n_outputs(self) -> int:
        """The number of classes, or of targets, that it was learned for."""
        return len(self.slopes)

    def outputs(self, X: object) -> NDArray[np.float64]:
        """Return the combined outputs, shape (rows, outputs)."""
        return self.combine(self.pool.outputs(X))

    def combine(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the combination of members' outputs, (members, rows, outputs) to (rows, outputs); NaN is silence."""
        scores = self.slopes * base_scores(outputs, self.pool.kind) + self.intercepts
        weights = self.weights.reshape(-1, len(self.slopes))
        if weights.any():
            features = standardised(descriptions(outputs, self.pool.kind), self.centres, self.scales)
            # Feature by feature, not by a matrix product: the sum keeps one order whatever the number of rows.
            for feature, weight in zip(features, weights, strict=True):
                scores += feature[:, np.newaxis] * weight
        return scores if self.pool.n_classes is None else np.exp(log_softmax(scores))
