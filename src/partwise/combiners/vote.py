"""Hard voting: each member has one vote."""

from dataclasses import dataclass

import numpy as np

from partwise.pool import AggregatedPredictor
from partwise.protocols import FitContext

__all__ = ["Vote"]


@dataclass(frozen=True, slots=True)
class Vote:
    """Give each class the share of members that put it first (hard voting)."""

    name = "vote"
    task = "classification"
    takes = frozenset({"samples"})
    probabilities = "loses"
    needs_evidence = False
    merges = False

    def fit(self, context: FitContext) -> AggregatedPredictor:
        """Return the predictor with equal weights."""
        return AggregatedPredictor(context.pool, "vote", np.ones(len(context.pool.members)))
