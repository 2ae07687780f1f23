"""One model that learns a table bit by bit: what can be had of one model where no memory holds all rows."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from inspect import signature
from typing import Any

import numpy as np

from partwise.attempts import input_error_of
from partwise.errors import PartwiseError
from partwise.fitting import FitJob, FittedPart, fitted_part, weighty, whole_template
from partwise.protocols import CutTable, Executor, PartReader
from partwise.records import Part, Task
from partwise.resources import measure_usage
from partwise.rows import take_rows
from partwise.templates import member_seed

__all__ = ["IncrementalFitError", "fit_incrementally", "learns_incrementally"]

_BLOCK_ROWS = 8_192
"""Rows of one call of ``partial_fit``."""


class IncrementalFitError(PartwiseError, RuntimeError):
    """The model that learns bit by bit could not be fitted."""


def learns_incrementally(estimator: Any) -> bool:
    """Return whether an estimator can go on learning from further rows."""
    return callable(getattr(estimator, "partial_fit", None))


def fit_incrementally(job: FitJob, cut: CutTable, executor: Executor) -> FittedPart:
    """Fit one model in one pass over all partitions, one after another, each in random order.

    One worker does it, and holds one partition at a time.

    Parameters
    ----------
    cut
        Partitions that no row is in twice.

    Raises
    ------
    InputError
        If the learner refuses the rows or its settings.
    IncrementalFitError
        If the fit fails otherwise.
    """
    payloads = [cut.payload(index) for index in range(len(cut.partitions.sizes)) if not cut.is_weightless(index)]
    task = Task(0, payloads, int(cut.partitions.sizes.sum()))
    with closing(executor.run(_learn, (job, cut.reader), [task])) as outcomes:
        outcome = next(iter(outcomes))
    if outcome.failure is not None:
        failure = outcome.failure
        raise input_error_of(failure) or IncrementalFitError(
            f"The incremental model could not be fitted: {failure.error_type}: {failure.message}"
        ) from failure.exception
    fitted: FittedPart = outcome.value
    return fitted


def _learn(shared: tuple[FitJob, PartReader], payloads: Sequence[Any]) -> FittedPart:
    job, reader = shared
    estimator, weight = whole_template(job), 0.0
    with measure_usage() as usage:
        for payload in payloads:
            part = weighty(reader.part(payload))
            weight += float(len(part.y) if part.weights is None else part.weights.sum())
            for block in _shuffled(part, job.seed):
                _go_on(estimator, job, block)
    classes = None if job.labels is None else np.arange(len(job.labels))
    return fitted_part(estimator, weight, usage, member_seed(job.seed, 0), classes)


def _shuffled(part: Part, seed: int) -> Iterator[Part]:
    """Yield blocks of the rows in random order: a table may be sorted by its target."""
    order = np.random.default_rng(member_seed(seed, part.partition)).permutation(len(part.y))
    for start in range(0, len(order), _BLOCK_ROWS):
        rows = order[start : start + _BLOCK_ROWS]
        weights = None if part.weights is None else part.weights[rows]
        yield Part(part.partition, take_rows(part.X, rows), part.y[rows], weights)


def _go_on(estimator: Any, job: FitJob, block: Part) -> None:
    settings: dict[str, Any] = {} if job.labels is None else {"classes": np.arange(len(job.labels))}
    if block.weights is not None:
        if "sample_weight" not in signature(estimator.partial_fit).parameters:
            raise TypeError(f"{type(estimator).__name__}.partial_fit takes no weights.")
        settings["sample_weight"] = block.weights
    estimator.partial_fit(block.X, block.y, **settings)
