"""Rows to partitions at random within each class."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from partwise.permutation import KeyedPermutation
from partwise.records import RowKeys, TableStatistics

__all__ = ["Stratified"]


@dataclass(frozen=True, slots=True)
class Stratified:
    """Deal each class evenly; sizes, and the rows of each class, differ by at most one between partitions."""

    name = "stratified"
    needs = frozenset({"stratum"})
    gives = "samples"
    replicable = True
    learns_from = "nothing"

    def fit(self, statistics: TableStatistics, sample: RowKeys, n_partitions: int, seed: int) -> "StratifiedAssignment":  # noqa: ARG002 - the protocol's signature
        """Return the assignment for a table with these class counts."""
        counts = statistics.stratum_counts
        assert counts is not None, "the caller checks `needs`"  # noqa: S101 - narrows the type
        starts = np.concatenate(([0], np.cumsum(counts)[:-1])).astype(np.int64)
        permutations = tuple(KeyedPermutation(int(count), (seed, code)) for code, count in enumerate(counts))
        return StratifiedAssignment(n_partitions, permutations, starts)


@dataclass(frozen=True, slots=True)
class StratifiedAssignment:
    """Rank within the class, permuted; the classes are laid end to end, and dealt out in turn."""

    n_partitions: int
    permutations: tuple[KeyedPermutation, ...]
    starts: NDArray[np.int64]

    def parts(self, keys: RowKeys) -> NDArray[np.int64]:
        """Return the partition ids of the rows, shape (rows, 1)."""
        assert keys.stratum is not None  # noqa: S101 - narrows the type; the caller checks `needs`
        assert keys.rank is not None  # noqa: S101 - as above
        places = np.empty(len(keys.positions), dtype=np.int64)
        for code in np.unique(keys.stratum):
            rows = keys.stratum == code
            places[rows] = self.starts[code] + self.permutations[code](keys.rank[rows])
        return (places % self.n_partitions)[:, np.newaxis]
