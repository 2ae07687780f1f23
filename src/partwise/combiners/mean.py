"""The mean of predictions."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from partwise.errors import InputError
from partwise.pool import AggregatedPredictor
from partwise.protocols import FitContext

__all__ = ["Mean"]


@dataclass(frozen=True, slots=True)
class Mean:
    """Average the members' predictions.

    Parameters
    ----------
    outputs
        ``free``, or ``bounded``: each member keeps to the range of the targets that it was fitted on, as the rules of
        Cubist do (Quinlan, Machine Learning Proceedings 1993). One row far from all others then moves the mean no
        further than targets go; but what grows beyond what was seen is not followed.
    """

    outputs: Literal["free", "bounded"] = "free"

    name = "mean"
    task = "regression"
    takes = frozenset({"samples"})
    probabilities = "loses"
    needs_evidence = False
    merges = False

    def __post_init__(self) -> None:
        if self.outputs not in {"free", "bounded"}:
            raise InputError(f"Mean(outputs={self.outputs!r}) is unknown. Valid: 'free', 'bounded'.")

    def fit(self, context: FitContext) -> AggregatedPredictor:
        """Return the predictor with equal weights.

        Raises
        ------
        InputError
            If members shall keep to a range that is not known, as they were fitted elsewhere.
        """
        if self.outputs == "bounded" and any(member.target_range is None for member in context.pool.members):
            raise InputError(
                "combine='mean:bounded' needs the range of the targets that members were fitted on, which models that "
                "were fitted elsewhere do not tell. Valid: 'mean', 'median'."
            )
        weights = np.ones(len(context.pool.members))
        return AggregatedPredictor(context.pool, "mean", weights, bounded=self.outputs == "bounded")
