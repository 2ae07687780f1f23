"""Averages in which members count for as much as they know."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from partwise.errors import InputError
from partwise.pool import AggregatedPredictor, MemberPool, member_scores
from partwise.protocols import FitContext
from partwise.records import MemberEvidence

__all__ = ["Weighted"]


@dataclass(frozen=True, slots=True)
class Weighted:
    """Average outputs with a weight for each member: its training weight (``by="size"``) or its skill (``by="score"``).

    The skill is measured out of partition. In classification the weight is log(a / (1 - a)) + log(C - 1) for
    accuracy a and C classes (Zhu, Zou, Rosset, Hastie, Statistics and Its Interface 2009, algorithm 2), in
    regression one over the mean squared error (Bates and Granger, Operational Research Quarterly 1969). A member no
    better than chance gets none; where no member is better than chance all weights are equal.
    """

    by: Literal["size", "score"] = "size"

    name = "weighted"
    task = "any"
    takes = frozenset({"samples"})
    probabilities = "keeps"
    merges = False

    def __post_init__(self) -> None:
        if self.by not in {"size", "score"}:
            raise InputError(f"Weighted(by={self.by!r}) is unknown. Valid: 'size', 'score'.")

    @property
    def needs_evidence(self) -> bool:
        """Whether the weights come from out-of-partition scores."""
        return self.by == "score"

    def fit(self, context: FitContext) -> AggregatedPredictor:
        """Return the predictor; asks for evidence where the weights come from scores."""
        if self.by == "score":
            return self.learn(context.pool, context.evidence())
        return _weighted(context.pool, np.array([member.weight for member in context.pool.members]))

    def learn(self, pool: MemberPool, evidence: MemberEvidence) -> AggregatedPredictor:
        """Return the predictor whose weights are the members' skill."""
        return _weighted(pool, _skill(member_scores(evidence, pool.n_classes), pool.n_classes))


def _weighted(pool: MemberPool, weights: NDArray[np.float64]) -> AggregatedPredictor:
    return AggregatedPredictor(pool, "mean", weights if weights.sum() > 0 else np.ones(len(weights)))


def _skill(scores: NDArray[np.float64], n_classes: int | None) -> NDArray[np.float64]:
    if n_classes is None:
        return 1.0 / np.maximum(1.0 - scores, 1e-6)  # 1 - R² is the mean squared error in units of the variance
    accuracy = np.clip(scores, 1e-6, 1.0 - 1e-6)
    return np.maximum(np.log(accuracy / (1.0 - accuracy)) + np.log(n_classes - 1.0), 0.0)
