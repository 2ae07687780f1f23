"""Whole groups to partitions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from partwise.errors import InputError
from partwise.permutation import KeyedPermutation
from partwise.records import RowKeys, TableStatistics

__all__ = ["Grouped"]


@dataclass(frozen=True, slots=True)
class Grouped:
    """Keep every group whole: largest groups first, each to the partition with the fewest rows.

    The greedy rule is LPT scheduling (Graham, SIAM J. Appl. Math. 1969, theorem 2): the largest partition has at
    most 4/3 of the rows of the best possible cut. Groups of one size are taken in an order that the seed decides.
    """

    name = "grouped"
    needs = frozenset({"group"})
    gives = "samples"
    replicable = True
    learns_from = "nothing"

    def fit(self, statistics: TableStatistics, sample: RowKeys, n_partitions: int, seed: int) -> "GroupedAssignment":  # noqa: ARG002 - the protocol's signature
        """Return the assignment for a table with these groups.

        Raises
        ------
        InputError
            If there are fewer groups than partitions.
        """
        groups, counts = statistics.groups, statistics.group_counts
        assert groups is not None, "the caller checks `needs`"  # noqa: S101 - narrows the type
        assert counts is not None  # noqa: S101 - as above
        if len(groups) < n_partitions:
            raise InputError(
                f"{len(groups)} groups cannot fill {n_partitions} partitions, as a group is never cut. "
                f"Ask for at most {len(groups)} partitions, or give a finer group column."
            )
        order = KeyedPermutation(len(groups), (seed,))(np.arange(len(groups)))
        filled = np.zeros(n_partitions, dtype=np.int64)
        partition_of = np.empty(len(groups), dtype=np.int64)
        for index in np.lexsort((order, -counts)):
            target = int(filled.argmin())
            partition_of[index] = target
            filled[target] += counts[index]
        return GroupedAssignment(n_partitions, groups, partition_of)


@dataclass(frozen=True, slots=True)
class GroupedAssignment:
    """A look-up from group to partition."""

    n_partitions: int
    groups: NDArray[np.object_]
    partition_of: NDArray[np.int64]

    def parts(self, keys: RowKeys) -> NDArray[np.int64]:
        """Return the partition ids of the rows, shape (rows, 1); -1 for a group that the statistics lack."""
        assert keys.group is not None  # noqa: S101 - narrows the type; the caller checks `needs`
        places = np.searchsorted(self.groups, keys.group).clip(0, len(self.groups) - 1)
        known = self.groups[places] == keys.group
        return np.where(known, self.partition_of[places], -1)[:, np.newaxis]
