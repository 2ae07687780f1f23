"""What a combiner may ask for while it is fitted: the members, the partitions, and evidence."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from partwise.evidence import collect_evidence, collect_member_evidence, cross_fitted
from partwise.fitting import FitJob, whole_template
from partwise.pool import MemberPool, member_scores, score_of
from partwise.protocols import Aggregate, Combiner, CutTable, Executor, LearningCombiner
from partwise.records import Evidence, Member, MemberEvidence, Partitions

__all__ = ["FittedContext"]


@dataclass(frozen=True)
class FittedContext:
    """What a combiner may ask for."""

    job: FitJob
    members: tuple[Member, ...]
    cut: CutTable
    executor: Executor

    @cached_property
    def pool(self) -> MemberPool:
        """The members in their label space."""
        return MemberPool.of(self.members, None if self.job.labels is None else len(self.job.labels))

    @property
    def partitions(self) -> Partitions:
        """What is known of the partitions, and where the feature space was cut, the router."""
        return self.cut.partitions

    @property
    def positions(self) -> Sequence[NDArray[np.int64]]:
        """For each partition the sorted positions of its rows in the table."""
        return self.cut.positions

    @property
    def template(self) -> Any:
        """The unfitted learner, seeded as for one model on all rows."""
        return whole_template(self.job)

    def evidence(self) -> MemberEvidence:
        """Return what each member says about training rows that it never saw."""
        return self._evidence

    @cached_property
    def _evidence(self) -> MemberEvidence:
        return collect_member_evidence(self.pool, self.cut, self.executor)

    @property
    def worker_cpu_seconds(self) -> float:
        """Processor seconds that the workers spent on evidence for the combiner, so far."""
        return self._evidence.worker_cpu_seconds if "_evidence" in vars(self) else 0.0

    def judge(self, combiner: Combiner, predictor: Aggregate) -> Evidence:
        """Return honest outputs of the predictor on the training rows.

        What a combiner learned from training rows is judged on folds of partitions that it did not learn from; where
        it learned from a sample of the rows, by that sample.
        """
        if not (combiner.needs_evidence and isinstance(combiner, LearningCombiner)):
            return collect_evidence(predictor, self.cut, self.executor)
        learned, n_classes = self.evidence(), self.pool.n_classes
        said = cross_fitted(combiner, self.pool, learned)
        outputs: NDArray[np.float64] | None = said
        if self.partitions.rows is None:
            outputs = None
        elif len(learned.rows) < self.cut.n_rows:
            outputs = collect_evidence(predictor, self.cut, self.executor).outputs
            assert outputs is not None  # noqa: S101 - the rows are in memory
            outputs[learned.rows] = said
        return Evidence(
            outputs=outputs,
            score=score_of(said, learned.y, learned.weights, n_classes),
            member_scores=member_scores(learned, n_classes),
        )
