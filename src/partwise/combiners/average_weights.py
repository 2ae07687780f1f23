"""Averaging of weights: one network from networks that started alike."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from partwise.digests import content_digest
from partwise.errors import InputError
from partwise.pool import AggregatedPredictor, MemberPool
from partwise.protocols import FitContext
from partwise.records import Member

__all__ = ["AverageWeights"]


@dataclass(frozen=True, slots=True)
class AverageWeights:
    """Average the weights of the members, each by the weight of its rows, into one network.

    It predicts at the price of one member. Members must have started from the same weights: only then do units of
    different networks stand for the same, as in one round of local SGD (McMahan et al. 2017, Stich 2019) and in model
    soups (Wortsman et al. 2022). The further they have gone since, the less of it holds.
    """

    name = "average_weights"
    task = "any"
    takes = frozenset({"samples"})
    probabilities = "keeps"
    needs_evidence = False
    merges = False

    def refusal(self, template: Any) -> str | None:
        """Return why members of this learner cannot be averaged and what to do instead; None where they can."""
        if not hasattr(template, "averaging_refusal"):
            return (
                f"a {type(template).__name__} has no weights of which an average is a model. Valid: torch_mlp with "
                "init_seed; any learner can be combined with 'soft' (classes) or 'mean' (numbers)."
            )
        refusal: str | None = template.averaging_refusal()
        return refusal

    def fit(self, context: FitContext) -> AggregatedPredictor:
        """Return the predictor of the one averaged model.

        Raises
        ------
        InputError
            If members saw different classes, are of different shapes, or did not start alike.
        """
        members = context.pool.members
        first = members[0]
        known = {None if member.classes is None else tuple(member.classes.tolist()) for member in members}
        if not (len(known) == 1 and all(hasattr(member.estimator, "averaged") for member in members)):
            raise InputError(
                "combine='average_weights' needs members that saw the same classes, two or more; some partitions lack "
                "some. Use fewer partitions, or combine by 'soft', which gives a class that a member lacks no "
                "probability."
            )
        weights = np.array([member.weight for member in members])
        averaged = first.estimator.averaged([member.estimator for member in members[1:]], weights / weights.sum())
        whole = Member(
            partition=0,
            estimator=averaged,
            classes=first.classes,
            content_digest=content_digest(averaged),
            weight=float(weights.sum()),
        )
        return AggregatedPredictor(MemberPool.of((whole,), context.pool.n_classes), "mean", np.ones(1))
