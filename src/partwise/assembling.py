"""Carry out a recipe: cut, fit the members, combine them."""

from dataclasses import dataclass, replace

from partwise.checkpoints import Checkpoint
from partwise.errors import MemberFitError
from partwise.fit_context import FittedContext
from partwise.fitting import FitJob, fit_members
from partwise.progress import member_progress
from partwise.protocols import Executor, Predictor, Table
from partwise.recipes import Recipe
from partwise.records import MemberFailure
from partwise.resources import Stopwatch

__all__ = ["Assembled", "assemble", "job_of"]

_ROUNDING = 1e-9
"""A tenth of ten is one, whatever 1 - 0.9 is."""


@dataclass(frozen=True, slots=True)
class Assembled:
    """What a recipe gave: the predictor, what it was fitted from, and the partitions without a member."""

    predictor: Predictor
    context: FittedContext
    failures: tuple[MemberFailure, ...]


def job_of(recipe: Recipe, job: FitJob, table: Table) -> FitJob:
    """Return the job of a recipe's members."""
    return replace(
        job,
        merge=recipe.merge,
        n_parts=recipe.n_partitions,
        matched_rows=table.n_counting if recipe.match_updates and recipe.n_partitions > 1 else None,
    )


def assemble(
    recipe: Recipe,
    job: FitJob,
    table: Table,
    executor: Executor,
    clock: Stopwatch,
    *,
    show_progress: bool = False,
    checkpoint: Checkpoint | None = None,
    quorum: float = 1.0,
) -> Assembled:
    """Cut the rows, fit a member on each partition, and combine them; the clock times the three steps.

    Members that the checkpoint has already are taken over. ``quorum`` is the share of the members that must be there;
    where parts are merged into one exact model all must.

    Raises
    ------
    InputError
        If the rows cannot be cut in this way.
    MemberFitError
        If a member could not be fitted.
    """
    with clock("partition"):
        cut = table.cut(recipe.partitioner, recipe.n_partitions, job.seed, recipe.replication)
    job = job_of(recipe, job, table)
    with clock("members"), member_progress(cut.partitions.sizes, shown=show_progress) as observe:
        keeper = None if checkpoint is None else checkpoint.opened(job, cut)
        tolerated = 0 if recipe.merge is not None else int((1 - quorum) * recipe.n_partitions + _ROUNDING)
        members, failures = fit_members(job, cut, executor, observe, keeper, tolerated)
    broken = [failure for failure in failures if failure.is_broken]
    if len(broken) > tolerated or not members:
        raise MemberFitError(broken)
    context = FittedContext(job, tuple(members), cut, executor)
    with clock("combine"):
        predictor = recipe.combiner.fit(context)
    return Assembled(predictor, context, tuple(failures))
