"""Soft voting: the mean of probabilities."""

from dataclasses import dataclass

import numpy as np

from partwise.pool import AggregatedPredictor
from partwise.protocols import FitContext

__all__ = ["Soft"]


@dataclass(frozen=True, slots=True)
class Soft:
    """Average the members' probabilities; decision values where a member has none, votes where it has neither."""

    name = "soft"
    task = "classification"
    takes = frozenset({"samples"})
    probabilities = "keeps"
    needs_evidence = False
    merges = False

    def fit(self, context: FitContext) -> AggregatedPredictor:
        """Return the predictor with equal weights."""
        return AggregatedPredictor(context.pool, "mean", np.ones(len(context.pool.members)))
