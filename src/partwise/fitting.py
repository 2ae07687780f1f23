"""Fit one member, the pure function that a worker runs, and all members, what the driver does."""

import warnings
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import cloudpickle
import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.dummy import DummyClassifier

from partwise.buffers import call_writable
from partwise.digests import content_digest
from partwise.learners.updates import match_updates
from partwise.pool import AggregatedPredictor, MemberPool
from partwise.protocols import CutTable, Executor, MemberKeeper, Merge, PartReader
from partwise.records import KeptFile, Member, MemberFailure, Part, Partitions, Task, TaskOutcome
from partwise.resources import Usage, measure_usage
from partwise.rows import take_rows
from partwise.templates import configured, member_seed, seeded_globals, translate_class_weights

__all__ = [
    "FitJob",
    "FittedPart",
    "fit_member",
    "fit_members",
    "fitted_part",
    "lone_predictor",
    "member_of",
    "prepare_worker",
    "weighty",
    "whole_template",
]

_RARE = "least populated class"
"""What scikit-learn says when it cannot hold rows back by class, because a class has one row."""
_TOO_FEW = "equal to the number of classes"
"""What it says when those that it would hold back are fewer than there are classes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FitJob:
    """What all members of one fit share.

    Parameters
    ----------
    labels
        The original class labels, None in regression.
    matched_rows
        Rows of the whole table where members shall make as many updates as one model on it, else None.
    merge, n_parts
        Where members are parts that are merged into one model: how, and how many there are.
    """

    template: Any
    seed: int
    cpus: int
    labels: NDArray[Any] | None
    matched_rows: int | None = None
    merge: Merge | None = None
    n_parts: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedPart:
    """What a worker sends back.

    The estimator is pickled, so that the driver gets arrays of its own, free to write; in an array of bytes, which
    Ray shares between processes where it would copy bytes. It is None where it was left in ``files``: any of these
    that still is what its digest says holds it.
    """

    estimator: NDArray[np.uint8] | None
    content_digest: str
    classes: NDArray[np.int64] | None
    doubled_rows: int
    weight: float
    seed: int
    usage: Usage
    target_range: NDArray[np.float64] | None = None
    files: tuple[KeptFile, ...] = ()
    """Where it was written to, the quickest to read first; none where it was not kept."""

    @property
    def learned(self) -> Any:
        """The estimator, an object of the caller's own; its files where it was left in them."""
        return self.files if self.estimator is None else cloudpickle.loads(self.estimator)


def fit_member(job: FitJob, part: Part) -> FittedPart:
    """Fit the template on one partition.

    Classes are renumbered without gaps, as some learners refuse gaps; a partition of one class gets a constant, as
    many learners refuse to fit one. Where scikit-learn cannot hold rows back by class, rows that are the only one of
    their class count twice; where there would be fewer than classes, all are fitted, without early stopping.
    """
    if job.merge is not None:
        return _fit_part(job, job.merge, part)
    part = weighty(part)
    seed = member_seed(job.seed, part.partition)
    classes, targets = (None, part.y) if job.labels is None else np.unique(part.y, return_inverse=True)
    if classes is not None and len(classes) == 1:
        estimator = DummyClassifier(strategy="most_frequent")
    else:
        estimator = _prepared(job, seed, _labels_of(job, classes))
        if job.matched_rows is not None:
            estimator = match_updates(estimator, len(part.y), job.matched_rows)
    with measure_usage() as usage, seeded_globals(seed, job.cpus):
        fitted, doubled = _fit_few(estimator, part.X, targets, part.weights)
    record = fitted_part(fitted, _weight_of(part), usage, seed, classes, doubled)
    return record if classes is not None else replace(record, target_range=_range(part.y))


def _fit_few(estimator: Any, X: Any, targets: NDArray[Any], weights: NDArray[np.float64] | None) -> tuple[Any, int]:
    """Fit, also where rows are too few to hold some back by class; return how many rows were doubled for it, too."""
    rows, doubled, may_double = (X, targets, weights), 0, True
    while True:
        try:
            return call_writable(partial(_fit, estimator), *rows), doubled
        except ValueError as error:
            if _RARE in str(error) and may_double:
                rows, doubled = _doubled_singles(X, targets, weights)
                may_double = False
            elif _TOO_FEW in str(error) and (switches := _early_stopping(estimator)):
                estimator.set_params(**switches)
                rows, doubled = (X, targets, weights), 0
            else:
                raise


def _early_stopping(estimator: Any) -> dict[str, Any]:
    """Return the parameters that switch early stopping off, where the estimator or a step of it has it on."""
    params = estimator.get_params() if hasattr(estimator, "get_params") else {}
    stems = {name: name.rpartition("__")[2] for name in params}
    on = {name: False for name, stem in stems.items() if stem == "early_stopping" and params[name]}
    # Without such a switch the number of rounds to wait is the switch.
    waits = {
        name: None
        for name, stem in stems.items()
        if stem == "n_iter_no_change" and name.removesuffix(stem) + "early_stopping" not in params
    }
    return on | {name: None for name in waits if params[name] is not None}


def _range(targets: NDArray[Any]) -> NDArray[np.float64]:
    """Return the least and the largest of each target, shape (2, targets)."""
    columns = np.asarray(targets, dtype=np.float64).reshape(len(targets), -1)
    return np.stack([columns.min(axis=0), columns.max(axis=0)])


def fit_payload(shared: tuple[FitJob, PartReader], payload: Any) -> FittedPart:
    """Get the rows of a partition, and fit the template on them."""
    job, reader = shared
    return fit_member(job, reader.part(payload))


def _fit_part(job: FitJob, merge: Merge, part: Part) -> FittedPart:
    """Fit a part that will be merged: class codes stay those of the whole table, whichever the rows lack."""
    estimator = merge.part(whole_template(job), part.partition, job.n_parts)
    with measure_usage() as usage:
        fitted = call_writable(partial(_fit, estimator), part.X, part.y, part.weights)
    return fitted_part(fitted, _weight_of(part), usage, member_seed(job.seed, 0))


def whole_template(job: FitJob) -> Any:
    """Return the learner as it is fitted on all rows by one model: seeded as the member of the first partition."""
    return _prepared(job, member_seed(job.seed, 0), job.labels)


def _labels_of(job: FitJob, classes: NDArray[np.int64] | None) -> NDArray[Any] | None:
    return None if job.labels is None or classes is None else job.labels[classes]


def _prepared(job: FitJob, seed: int, labels: NDArray[Any] | None) -> Any:
    estimator = configured(job.template, seed, job.cpus)
    if labels is not None:
        translate_class_weights(estimator, labels)
    return estimator


def fitted_part(
    estimator: Any,
    weight: float,
    usage: Usage,
    seed: int,
    classes: NDArray[np.int64] | None = None,
    doubled: int = 0,
) -> FittedPart:
    """Return what a worker sends back of an estimator that it fitted."""
    pickled = cloudpickle.dumps(estimator, protocol=5)
    return FittedPart(
        estimator=np.frombuffer(pickled, dtype=np.uint8),
        content_digest=content_digest(cloudpickle.loads(pickled)),
        classes=classes,
        doubled_rows=doubled,
        weight=weight,
        seed=seed,
        usage=usage,
    )


def lone_predictor(fitted: FittedPart, labels: NDArray[Any] | None) -> AggregatedPredictor:
    """Return the predictor of one model that stands alone; ``labels`` are all class labels, None in regression."""
    member = Member(
        partition=0,
        estimator=fitted.learned,
        classes=fitted.classes,
        content_digest=fitted.content_digest,
    )
    pool = MemberPool.of((member,), None if labels is None else len(labels))
    return AggregatedPredictor(pool, "mean", np.ones(1))


def _weight_of(part: Part) -> float:
    return float(len(part.y) if part.weights is None else part.weights.sum())


def weighty(part: Part) -> Part:
    """Leave rows of weight zero out: some learners do so too, and would then know fewer classes than were given."""
    if part.weights is None or part.weights.all():
        return part
    counts = part.weights > 0
    return Part(part.partition, take_rows(part.X, np.flatnonzero(counts)), part.y[counts], part.weights[counts])


def prepare_worker(template: Any) -> None:
    """Do nothing: unpickling this call has loaded the learner's library, and everything that a fit needs."""
    clone(template, safe=False)


def _fit(estimator: Any, X: Any, y: NDArray[Any], weights: NDArray[np.float64] | None) -> Any:
    with warnings.catch_warnings():
        # A learner that ignores n_jobs need not tell the user, who did not set it.
        warnings.filterwarnings("ignore", message="'n_jobs' has no effect", category=FutureWarning)
        fitted = estimator.fit(X, y) if weights is None else estimator.fit(X, y, sample_weight=weights)
    return estimator if fitted is None else fitted  # some libraries' fit returns nothing


def _doubled_singles(
    X: Any, y: NDArray[Any], weights: NDArray[np.float64] | None
) -> tuple[tuple[Any, NDArray[Any], NDArray[np.float64] | None], int]:
    """Repeat each row that is the only one of its class, at half its weight where there are weights; say how many.

    Learners that stop early hold rows back by class and need two of each. The alternative, to leave the class out,
    would lose it.
    """
    single = np.flatnonzero(np.bincount(y)[y] == 1)
    rows = np.concatenate([np.arange(len(y)), single])
    if weights is not None:
        weights = weights[rows] / np.where(np.isin(rows, single), 2.0, 1.0)
    return (take_rows(X, rows), y[rows], weights), len(single)


@dataclass(frozen=True, slots=True)
class NotKept:
    """Keeps no members: each is fitted, and travels to the driver alone."""

    work = staticmethod(fit_payload)

    def shared(self, job: FitJob, reader: PartReader) -> tuple[FitJob, PartReader]:
        """Return what all workers are given."""
        return job, reader

    def taken(self, partitions: Partitions) -> list[Member]:  # noqa: ARG002 - the protocol's signature
        """Return no members."""
        return []

    def settle(self, outcome: TaskOutcome) -> TaskOutcome:
        """Return the outcome as it is."""
        return outcome

    def loaded(self, members: Sequence[Member]) -> list[Member]:
        """Return the members as they are."""
        return list(members)


def fit_members(
    job: FitJob,
    cut: CutTable,
    executor: Executor,
    observe: Callable[[Member | MemberFailure], None] = lambda _: None,
    keeper: MemberKeeper | None = None,
    tolerated: int = 0,
    wanted: Container[int] | None = None,
) -> tuple[list[Member], list[MemberFailure]]:
    """Fit a member on each partition, on the executor.

    Parameters
    ----------
    cut
        The partitions. What a worker makes the rows of one of is made only when its task can start.
    observe
        Called with each member or failure as it comes.
    keeper
        Where finished members are kept; those that are there already are not fitted again.
    tolerated
        How many partitions may end without a member, beside those of zero weight.
    wanted
        The partitions that shall have a member; None means all.

    Returns
    -------
    The members and the failures, both in the order of partitions. A partition of zero weight gives no member. One
    failure more than are tolerated ends the work. Large members that were kept are not held here while the work goes
    on: they are read when it has ended well.
    """
    keeper = NotKept() if keeper is None else keeper
    members = [each for each in keeper.taken(cut.partitions) if wanted is None or each.partition in wanted]
    failures: list[MemberFailure] = []
    there = {member.partition for member in members}
    for member in members:
        observe(member)

    def tasks() -> Iterator[Task]:
        for partition, size in enumerate(cut.partitions.sizes.tolist()):
            if partition in there or (wanted is not None and partition not in wanted):
                continue
            if job.merge is None and cut.is_weightless(partition):
                failures.append(_weightless(partition, size))
                observe(failures[-1])
            else:
                yield Task(partition, cut.payload(partition), size)

    with closing(executor.run(keeper.work, keeper.shared(job, cut.reader), tasks(), members=True)) as outcomes:
        for outcome in outcomes:
            if outcome.duplicate:
                members = [_checked(member, outcome) for member in members]
                continue
            if outcome.failure is not None:
                failures.append(_failed(outcome))
                observe(failures[-1])
                if sum(failure.is_broken for failure in failures) > tolerated:
                    break  # an ensemble with such a hole is none: what is under way is cancelled, not paid for
                continue
            members.append(member_of(keeper.settle(outcome), cut.partitions))
            observe(members[-1])
    members, failures = sorted(members, key=_partition), sorted(failures, key=_partition)
    enough = sum(failure.is_broken for failure in failures) <= tolerated
    return keeper.loaded(members) if enough else members, failures


def _checked(member: Member, copy: TaskOutcome) -> Member:
    """Return the member; where the outcome is of a copy of its fit, with whether both learned the same."""
    if member.partition != copy.id or copy.failure is not None:
        return member
    return replace(member, copy_agrees=member.content_digest == copy.value.content_digest)


def _partition(record: Member | MemberFailure) -> int:
    return record.partition


def _weightless(partition: int, size: int) -> MemberFailure:
    message = "every row of the partition has weight 0; the other members make up the ensemble"
    return MemberFailure(partition=partition, n_rows=size, reason="zero_weight", message=message)


def _failed(outcome: TaskOutcome) -> MemberFailure:
    failure = outcome.failure
    assert failure is not None  # noqa: S101 - narrows the type
    return MemberFailure(
        partition=outcome.id,
        n_rows=outcome.rows,
        reason=failure.reason,
        error_type=failure.error_type,
        message=failure.message,
        traceback=failure.traceback,
        attempts=outcome.attempts,
    )


def member_of(outcome: TaskOutcome, partitions: Partitions) -> Member:
    """Return the member that a worker has fitted; in place of an estimator that was left in files, these."""
    fitted: FittedPart = outcome.value
    counts = partitions.class_counts
    return Member(
        partition=outcome.id,
        estimator=fitted.learned,
        classes=fitted.classes,
        content_digest=fitted.content_digest,
        n_rows=outcome.rows,
        weight=fitted.weight,
        class_counts=None if counts is None else counts[outcome.id],
        target_range=fitted.target_range,
        doubled_rows=fitted.doubled_rows,
        seed=fitted.seed,
        fit_seconds=fitted.usage.seconds,
        cpu_seconds=fitted.usage.cpu_seconds,
        peak_memory_bytes=fitted.usage.peak_memory_bytes,
        started=fitted.usage.started + outcome.clock_shift,
        node=outcome.node,
        process=outcome.process,
        attempts=outcome.attempts,
    )
