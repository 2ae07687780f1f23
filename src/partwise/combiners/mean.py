"""The mean of predictions."""

from dataclasses import dataclass

import numpy as np

from partwise.pool import AggregatedPredictor
from partwise.protocols import FitContext

__all__ = ["Mean"]


@dataclass(frozen=True, slots=True)
class Mean:
    """Average the members' predictions."""

    name = "mean"
    task = "regression"
    takes = frozenset({"samples"})
    probabilities = "loses"
    needs_evidence = False
    merges = False

    def fit(self, context: FitContext) -> AggregatedPredictor:
        """Return the predictor with equal weights."""
        return AggregatedPredictor(context.pool, "mean", np.ones(len(context.pool.members)))
