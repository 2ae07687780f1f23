"""Pooling: the parts are merged into the model that one fit on all rows would give."""

from dataclasses import dataclass

import numpy as np

from partwise.digests import content_digest
from partwise.merging import merge_for
from partwise.pool import AggregatedPredictor, MemberPool
from partwise.protocols import FitContext
from partwise.records import Member

__all__ = ["Pool"]


@dataclass(frozen=True, slots=True)
class Pool:
    """Merge what the members summarise of their rows, or their shares of the trees, into one model: exact.

    Which learners can be merged, and how, is written in the files of ``partwise.merging``.
    """

    name = "pool"
    task = "any"
    takes = frozenset({"samples", "copies"})
    probabilities = "keeps"
    needs_evidence = False
    merges = True

    def fit(self, context: FitContext) -> AggregatedPredictor:
        """Return the predictor of the one merged model."""
        members, n_classes = context.pool.members, context.pool.n_classes
        merged = merge_for(context.template).merge(
            context.template,
            [member.estimator for member in members],
            context.positions,
            n_classes,
        )
        whole = Member(
            partition=0,
            estimator=merged,
            classes=None if n_classes is None else np.arange(n_classes),
            # Of what it was merged from: a digest of the whole would take another copy of it, and seconds.
            content_digest=content_digest([member.content_digest for member in members]),
            weight=sum(member.weight for member in members),
        )
        return AggregatedPredictor(MemberPool.of((whole,), n_classes), "mean", np.ones(1), exactness="exact")
