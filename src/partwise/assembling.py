"""Carry out a recipe: cut, fit the members, combine them."""

from dataclasses import dataclass, replace

from partwise.cutting import cut
from partwise.errors import MemberFitError
from partwise.fit_context import FittedContext
from partwise.fitting import FitJob, Part, fit_members
from partwise.progress import member_progress
from partwise.protocols import Executor, Predictor
from partwise.recipes import Recipe
from partwise.records import MemberFailure, RowKeys
from partwise.resources import Stopwatch

__all__ = ["Assembled", "assemble"]


@dataclass(frozen=True, slots=True)
class Assembled:
    """What a recipe gave: the predictor, what it was fitted from, and the partitions without a member."""

    predictor: Predictor
    context: FittedContext
    failures: tuple[MemberFailure, ...]


def assemble(
    recipe: Recipe,
    job: FitJob,
    table: Part,
    keys: RowKeys,
    executor: Executor,
    clock: Stopwatch,
    *,
    show_progress: bool = False,
) -> Assembled:
    """Cut the rows, fit a member on each partition, and combine them; the clock times the three steps.

    Raises
    ------
    InputError
        If the rows cannot be cut in this way.
    MemberFitError
        If a member could not be fitted.
    """
    with clock("partition"):
        partitions = cut(recipe.partitioner, keys, recipe.n_partitions, job.seed, recipe.replication)
    job = replace(
        job,
        merge=recipe.merge,
        n_parts=recipe.n_partitions,
        matched_rows=_rows_that_count(table) if recipe.match_updates and recipe.n_partitions > 1 else None,
    )
    with clock("members"), member_progress(partitions.sizes, shown=show_progress) as observe:
        members, failures = fit_members(job, table, partitions, executor, observe)
    broken = [failure for failure in failures if failure.reason != "zero_weight"]
    if broken:
        raise MemberFitError(broken)
    context = FittedContext(job, tuple(members), table, partitions, executor)
    with clock("combine"):
        predictor = recipe.combiner.fit(context)
    return Assembled(predictor, context, tuple(failures))


def _rows_that_count(table: Part) -> int:
    return len(table.y) if table.weights is None else int((table.weights > 0).sum())
