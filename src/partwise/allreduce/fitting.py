"""Fit one model by all-reduce: each rank holds some partitions of the table, and all have the same model in the end."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from partwise.allreduce.joining import joined
from partwise.errors import PartwiseError
from partwise.executors.ray_train import Gang, Rank, TrainingError, train_together
from partwise.fitting import FitJob, FittedPart, fitted_part, weighty, whole_template
from partwise.protocols import CutTable, DataParallel, PartReader
from partwise.resources import Usage, measure_usage
from partwise.templates import member_seed

__all__ = ["AllReduceError", "AllReduced", "fit_by_allreduce"]


class AllReduceError(PartwiseError, RuntimeError):
    """The model that several processes fit together could not be fitted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AllReduced:
    """A model that several processes fitted together.

    Parameters
    ----------
    fitted
        The model as the first rank has it; its ``usage`` is that of all: the seconds of the slowest, the processor
        seconds of all together, the memory of the largest.
    startup_seconds
        Before the ranks began with their rows, and after they had finished.
    """

    fitted: FittedPart
    ranks: int
    startup_seconds: float


def fit_by_allreduce(family: DataParallel, job: FitJob, cut: CutTable, gang: Gang) -> AllReduced:
    """Fit one model on all partitions, dealt out in turn to the ranks of a gang; fewer where partitions are fewer.

    Parameters
    ----------
    cut
        Partitions that no row is in twice.

    Raises
    ------
    AllReduceError
        If a rank fails or dies, or the deadline passes.
    """
    payloads = [cut.payload(index) for index in range(len(cut.partitions.sizes)) if _counts(cut, index)]
    gang = replace(gang, ranks=min(gang.ranks, len(payloads)))
    started = time.perf_counter()
    try:
        found = train_together(family.trainer, _learn, (family, job, cut.reader), payloads, gang)
    except TrainingError as error:
        raise AllReduceError(f"The model by all-reduce could not be fitted: {error}") from error
    elapsed = time.perf_counter() - started
    fitted, usage = found[0][0], _together([usage for _, usage in found])
    assert fitted is not None  # noqa: S101 - the first rank gives it
    startup = max(0.0, elapsed - usage.seconds)
    return AllReduced(fitted=replace(fitted, usage=usage), ranks=gang.ranks, startup_seconds=startup)


def _counts(cut: CutTable, index: int) -> bool:
    return bool(cut.partitions.sizes[index]) and not cut.is_weightless(index)


def _learn(
    shared: tuple[DataParallel, FitJob, PartReader], payloads: Sequence[Any], rank: Rank
) -> tuple[FittedPart | None, Usage]:
    """Fit with the other ranks; the first sends the model back, which all have."""
    family, job, reader = shared
    template, n_classes = whole_template(job), None if job.labels is None else len(job.labels)
    with measure_usage() as usage:
        part = joined([weighty(reader.part(payload)) for payload in payloads])
        estimator = family.fit(template, part, n_classes, rank.settings)
    if rank.index > 0:
        return None, usage
    weight = float(len(part.y) if part.weights is None else part.weights.sum())
    classes = None if n_classes is None else np.arange(n_classes)
    return fitted_part(estimator, weight, usage, member_seed(job.seed, 0), classes), usage


def _together(usages: Sequence[Usage]) -> Usage:
    peaks = [usage.peak_memory_bytes for usage in usages if usage.peak_memory_bytes is not None]
    return Usage(
        started=min(usage.started for usage in usages),
        seconds=max(usage.seconds for usage in usages),
        cpu_seconds=sum(usage.cpu_seconds for usage in usages),
        peak_memory_bytes=max(peaks, default=None),
    )
