"""The median of predictions."""

from dataclasses import dataclass

import numpy as np

from partwise.pool import AggregatedPredictor
from partwise.protocols import FitContext

__all__ = ["Median"]


@dataclass(frozen=True, slots=True)
class Median:
    """Take the median of the members' predictions: a minority of bad members does no harm."""

    name = "median"
    task = "regression"
    takes = frozenset({"samples"})
    probabilities = "loses"
    needs_evidence = False
    merges = False

    def fit(self, context: FitContext) -> AggregatedPredictor:
        """Return the predictor with equal weights."""
        return AggregatedPredictor(context.pool, "median", np.ones(len(context.pool.members)))
