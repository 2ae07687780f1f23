"""Exact merges: from summaries of partitions to the model that one fit on all rows would give."""

from typing import Any

from partwise.errors import InputError
from partwise.merging.discriminant import LinearDiscriminantMerge, QuadraticDiscriminantMerge
from partwise.merging.forests import ForestMerge
from partwise.merging.linear import LinearRegressionMerge
from partwise.merging.naive_bayes import CountingMerge, GaussianMerge
from partwise.merging.neighbours import NeighboursMerge
from partwise.merging.ridge import RidgeClassifierMerge, RidgeMerge
from partwise.protocols import Merge

__all__ = ["MERGES", "TRUSTED_TYPES", "merge_for"]

MERGES: tuple[Merge, ...] = (
    ForestMerge(),
    NeighboursMerge(),
    GaussianMerge(),
    CountingMerge(),
    LinearRegressionMerge(),
    RidgeMerge(),
    RidgeClassifierMerge(),
    LinearDiscriminantMerge(),
    QuadraticDiscriminantMerge(),
)
"""One for each family of learners."""

TRUSTED_TYPES: tuple[str, ...] = (
    "partwise.merging.neighbours.MergedKNeighborsClassifier",
    "partwise.merging.neighbours.MergedKNeighborsRegressor",
)
"""The type names of ours that a merged model holds; merges that give scikit-learn's own estimators have none."""


def merge_for(estimator: Any) -> Merge:
    """Return the merge of the family to which an unfitted estimator belongs.

    Raises
    ------
    InputError
        If no family takes it, or its settings cannot be merged exactly.
    """
    for merge in MERGES:
        if type(estimator) in merge.takes:
            refusal = merge.refusal(estimator)
            if refusal is not None:
                raise InputError(f"combine='pool' cannot merge this {type(estimator).__name__} exactly: {refusal}")
            return merge
    valid = sorted(kind.__name__ for merge in MERGES for kind in merge.takes)
    raise InputError(
        f"combine='pool' merges members into one model, and there is no exact merge for {type(estimator).__name__}. "
        f"Valid: {', '.join(valid)}. Any learner can be combined with 'soft' (classes) or 'mean' (numbers)."
    )
