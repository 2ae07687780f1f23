"""Carry out a recipe: cut, fit the members, combine them."""

from dataclasses import dataclass, replace

from partwise.checkpoints import Checkpoint
from partwise.errors import MemberFitError
from partwise.fit_context import FittedContext
from partwise.fitting import FitJob, fit_members
from partwise.membership import Membership, check_changes, joined
from partwise.progress import member_progress
from partwise.protocols import Executor, Predictor, Table
from partwise.recipes import Recipe
from partwise.records import Member, MemberFailure, Partitions
from partwise.resources import Stopwatch

__all__ = ["Assembled", "assemble", "job_of"]


@dataclass(frozen=True, slots=True)
class Assembled:
    """What a recipe gave: the predictor, what it was fitted from, all partitions, and those without a member."""

    predictor: Predictor
    context: FittedContext
    partitions: Partitions
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
    membership: Membership | None = None,
) -> Assembled:
    """Cut the rows, fit a member on each partition, and combine them; the clock times the three steps.

    Members that the checkpoint has already are taken over.

    Raises
    ------
    InputError
        If the rows cannot be cut in this way, or the ensemble cannot have these members.
    MemberFitError
        If a member could not be fitted.
    """
    wanted = Membership() if membership is None else membership
    check_changes(recipe, wanted.dropped, [each.n_partitions for each in wanted.added], wanted.quorum)
    with clock("partition"):
        cut = table.cut(recipe.partitioner, recipe.n_partitions, job.seed, recipe.replication)
        cuts = [(0, cut), *wanted.cuts(recipe, job)]
        partitions = joined(cut.partitions, [other.partitions for _, other in cuts[1:]])
    job = job_of(recipe, job, table)
    tolerated = wanted.tolerated(recipe)
    members: list[Member] = []
    failures: list[MemberFailure] = []
    with clock("members"), member_progress(partitions.sizes, shown=show_progress) as observe:
        for first, each in cuts:
            keeper = None if checkpoint is None else checkpoint.opened(job, each)
            chosen = wanted.chosen(first, len(each.partitions.sizes) - first)
            found, lacking = fit_members(job, each, executor, observe, keeper, tolerated, chosen)
            members, failures = members + found, failures + lacking
            broken = [failure for failure in failures if failure.is_broken]
            if len(broken) > tolerated:
                raise MemberFitError(broken)
    if not members:
        raise MemberFitError(failures)
    context = FittedContext(job, tuple(members), cut, executor)
    with clock("combine"):
        predictor = recipe.combiner.fit(context)
    failures = sorted([*failures, *wanted.failures(partitions)], key=_partition)
    return Assembled(predictor, context, partitions, tuple(failures))


def _partition(failure: MemberFailure) -> int:
    return failure.partition
