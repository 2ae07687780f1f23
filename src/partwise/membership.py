"""Which members an ensemble has: those of its table's partitions, without some that are dropped, with others added."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from partwise.errors import InputError
from partwise.fitting import FitJob
from partwise.protocols import CutTable
from partwise.recipes import Recipe
from partwise.records import MemberFailure, Partitions
from partwise.tables import MemoryTable

__all__ = ["AddedTable", "Membership", "check_changes", "joined"]


@dataclass(frozen=True, slots=True)
class AddedTable:
    """Encoded rows that came after the table was cut, and into how many partitions of their own they are cut."""

    table: MemoryTable
    n_partitions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """Which members an ensemble shall have; partitions are numbered on from the first table to those that are added.

    The partitions of the first table, and with them its members, do not depend on any of it.

    Parameters
    ----------
    dropped
        Partitions that shall have none.
    added
        Tables that have members of their own.
    quorum
        The share of the members that must be there where some are dropped, or may fail.
    may_fail
        Whether members may be missing that could not be fitted.
    """

    dropped: frozenset[int] = frozenset()
    added: tuple[AddedTable, ...] = ()
    quorum: float = 1.0
    may_fail: bool = False

    def tolerated(self, recipe: Recipe) -> int:
        """Return how many members may fail; where parts are merged into one exact model, none."""
        if recipe.merge is not None or not self.may_fail:
            return 0
        return most_missing(self.n_partitions(recipe), self.quorum) - len(self.dropped)

    def n_partitions(self, recipe: Recipe) -> int:
        """Return how many partitions there are with those of the added tables."""
        return recipe.n_partitions + sum(each.n_partitions for each in self.added)

    def chosen(self, first: int, count: int) -> frozenset[int]:
        """Return which of so many partitions shall have a member."""
        return frozenset(range(first, first + count)) - self.dropped

    def cuts(self, recipe: Recipe, job: FitJob) -> Iterator[tuple[int, CutTable]]:
        """Yield the added tables cut as the first was, each with the number of its first partition.

        Raises
        ------
        InputError
            If rows cannot be cut in this way.
        """
        first = recipe.n_partitions
        for each in self.added:
            yield first, each.table.cut_further(recipe.partitioner, each.n_partitions, job.seed, first)
            first += each.n_partitions

    def failures(self, partitions: Partitions) -> list[MemberFailure]:
        """Return the places of the members that were dropped."""
        return [
            MemberFailure(
                partition=each,
                n_rows=int(partitions.sizes[each]),
                reason="dropped",
                message="it was asked to be left out",
            )
            for each in sorted(self.dropped)
        ]


def check_changes(recipe: Recipe, dropped: frozenset[int], added: Sequence[int], quorum: float) -> None:
    """Refuse changes that an ensemble cannot bear.

    Parameters
    ----------
    added
        The number of partitions of each added table.
    quorum
        The share of the members that must be left.

    Raises
    ------
    InputError
        If there are no such partitions, too few would be left, or members cannot be told apart from the others.
    """
    if not dropped and not added:
        return
    what = " and ".join(word for word, there in (("dropped", dropped), ("added", added)) if there)
    if recipe.n_partitions == 1:
        raise InputError(f"One model has no members that could be {what}. Start a new run, with --partitions above 1.")
    if recipe.merge is not None:
        raise InputError(
            f"combine={recipe.combiner.name!r} merges all parts into the one model of all rows, which is exact only "
            f"with every part of one table: none can be {what}. Start a new run on the rows that it shall know, or "
            "one that combines members."
        )
    if added:
        _check_additions(recipe)
    n_partitions = recipe.n_partitions + sum(added)
    unknown = sorted(each for each in dropped if not 0 <= each < n_partitions)
    if unknown:
        raise InputError(f"There are no partitions {unknown} to be dropped. Valid: 0 to {n_partitions - 1}.")
    left = n_partitions - len(dropped)
    if left < max(1, n_partitions - most_missing(n_partitions, quorum)):
        raise InputError(
            f"{left} of {n_partitions} members would be left, and the quorum is {quorum:.0%} of them. Drop fewer, or "
            f"ask for less: --quorum {int(100 * left / n_partitions) / 100} (a share above 0)."
        )


def _check_additions(recipe: Recipe) -> None:
    partitioner = recipe.partitioner
    if partitioner.gives == "cells":
        why = "each of its members is the expert of a cell, and new rows lie in cells that have one"
    elif "group" in partitioner.needs:
        why = "groups are never cut, and the new rows may be of groups that other members or the test rows have"
    elif recipe.replication > 1:
        why = "each row goes to several members, and those of the first table have no place for new ones"
    else:
        return
    raise InputError(
        f"No members can be added where partitioner={partitioner.name!r} and replication={recipe.replication}: {why}. "
        "Start a new run on all rows together, or one that cuts samples, such as --partitioner shuffled."
    )


def most_missing(n_partitions: int, quorum: float) -> int:
    """Return how many members may be missing; a tenth of ten is one, whatever 1 - 0.9 is."""
    return int((1 - quorum) * n_partitions + 1e-9)


def joined(first: Partitions, others: Sequence[Partitions]) -> Partitions:
    """Return what is known of all partitions; positions are those of the first table's rows alone."""
    sizes, counts, known = [first.sizes], [first.class_counts], len(first.sizes)
    for each in others:
        sizes.append(each.sizes[known:])
        counts.append(None if each.class_counts is None else each.class_counts[known:])
        known = len(each.sizes)
    known_counts = [each for each in counts if each is not None]
    return replace(
        first, sizes=np.concatenate(sizes), class_counts=np.concatenate(known_counts) if known_counts else None
    )
