"""All rows to every partition."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from partwise.records import RowKeys, TableStatistics

__all__ = ["Replicated"]


@dataclass(frozen=True, slots=True)
class Replicated:
    """Give every partition all rows: what is shared out is the model, such as the trees of a forest."""

    name = "replicated"
    needs = frozenset[str]()
    gives = "copies"
    replicable = False
    learns_from = "nothing"

    def fit(self, statistics: TableStatistics, sample: RowKeys, n_partitions: int, seed: int) -> "ReplicatedAssignment":  # noqa: ARG002 - the protocol's signature
        """Return the assignment of every row to every partition."""
        return ReplicatedAssignment(n_partitions)


@dataclass(frozen=True, slots=True)
class ReplicatedAssignment:
    """Every partition, for every row."""

    n_partitions: int

    def parts(self, keys: RowKeys) -> NDArray[np.int64]:
        """Return all partition ids for each row, shape (rows, partitions)."""
        return np.broadcast_to(np.arange(self.n_partitions), (len(keys.positions), self.n_partitions))
