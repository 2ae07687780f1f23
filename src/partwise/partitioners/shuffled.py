"""Rows to partitions at random, whatever their order in the table."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from partwise.permutation import KeyedPermutation
from partwise.records import RowKeys, TableStatistics

__all__ = ["Shuffled"]


@dataclass(frozen=True, slots=True)
class Shuffled:
    """Assign rows at random; sizes differ by at most one."""

    name = "shuffled"
    needs = frozenset[str]()
    gives = "samples"
    replicable = True
    learns_from = "nothing"

    def fit(self, statistics: TableStatistics, sample: RowKeys, n_partitions: int, seed: int) -> "ShuffledAssignment":  # noqa: ARG002 - the protocol's signature
        """Return the assignment for a table of this many rows."""
        return ShuffledAssignment(n_partitions, KeyedPermutation(statistics.n_rows, (seed,)))


@dataclass(frozen=True, slots=True)
class ShuffledAssignment:
    """Global position, permuted, modulo the number of partitions."""

    n_partitions: int
    permutation: KeyedPermutation

    def parts(self, keys: RowKeys) -> NDArray[np.int64]:
        """Return the partition ids of the rows, shape (rows, 1)."""
        return (self.permutation(keys.positions) % self.n_partitions)[:, np.newaxis]
