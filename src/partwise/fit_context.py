"""What a combiner may ask for while it is fitted: the members, the partitions, and evidence."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from partwise.evidence import collect_evidence, collect_member_evidence, cross_fitted
from partwise.fitting import FitJob, Part, whole_template
from partwise.pool import MemberPool, member_scores
from partwise.protocols import Aggregate, Combiner, Executor, LearningCombiner
from partwise.records import Evidence, Member, MemberEvidence, Partitions

__all__ = ["FittedContext"]


@dataclass(frozen=True)
class FittedContext:
    """What a combiner may ask for."""

    job: FitJob
    members: tuple[Member, ...]
    table: Part
    partitions: Partitions
    executor: Executor

    @cached_property
    def pool(self) -> MemberPool:
        """The members in their label space."""
        return MemberPool.of(self.members, None if self.job.labels is None else len(self.job.labels))

    @property
    def template(self) -> Any:
        """The unfitted learner, seeded as for one model on all rows."""
        return whole_template(self.job)

    def evidence(self) -> MemberEvidence:
        """Return what each member says about training rows that it never saw."""
        return self._evidence

    @cached_property
    def _evidence(self) -> MemberEvidence:
        table = self.table
        return collect_member_evidence(self.pool, table.X, table.y, table.weights, self.partitions, self.executor)

    @property
    def worker_cpu_seconds(self) -> float:
        """Processor seconds that the workers spent on evidence for the combiner, so far."""
        return self._evidence.worker_cpu_seconds if "_evidence" in vars(self) else 0.0

    def judge(self, combiner: Combiner, predictor: Aggregate) -> Evidence:
        """Return honest outputs of the predictor on the training rows.

        What a combiner learned from training rows is judged on folds of partitions that it did not learn from.
        """
        if not (combiner.needs_evidence and isinstance(combiner, LearningCombiner)):
            return self._asked(predictor)
        learned = self.evidence()
        outputs = cross_fitted(combiner, self.pool, learned)
        if len(learned.rows) < len(self.table.y):
            every = self._asked(predictor).outputs
            every[learned.rows] = outputs
            outputs = every
        return Evidence(outputs=outputs, member_scores=member_scores(learned, self.pool.n_classes))

    def _asked(self, predictor: Aggregate) -> Evidence:
        table = self.table
        return collect_evidence(predictor, table.X, table.y, table.weights, self.partitions, self.executor)
