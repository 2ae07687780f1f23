"""Contiguous runs of rows to partitions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from partwise.records import RowKeys, TableStatistics

__all__ = ["Ordered"]


@dataclass(frozen=True, slots=True)
class Ordered:
    """Cut the table into contiguous runs, by time where a time column is given, else by position.

    Sizes differ by at most one. Rows of one time are told apart by their position. Members of an ordered cut see
    different periods: that is a choice for data that drifts, and costs accuracy where the table is merely sorted.
    """

    name = "ordered"
    needs = frozenset[str]()
    gives = "samples"
    replicable = False
    learns_from = "order"

    def fit(self, statistics: TableStatistics, sample: RowKeys, n_partitions: int, seed: int) -> "OrderedAssignment":  # noqa: ARG002 - the protocol's signature
        """Return the assignment whose cuts are at equal ranks of the sampled rows."""
        positions = sample.positions
        order = np.argsort(positions) if sample.time is None else np.lexsort((positions, sample.time))
        starts = -(-np.arange(1, n_partitions) * len(order) // n_partitions)
        cuts = order[starts]
        return OrderedAssignment(n_partitions, positions[cuts], None if sample.time is None else sample.time[cuts])


@dataclass(frozen=True, slots=True)
class OrderedAssignment:
    """The position (and time) at which each partition but the first begins."""

    n_partitions: int
    cut_positions: NDArray[np.int64]
    cut_times: NDArray[np.generic] | None

    def parts(self, keys: RowKeys) -> NDArray[np.int64]:
        """Return the partition ids of the rows, shape (rows, 1)."""
        places = np.zeros(len(keys.positions), dtype=np.int64)
        for index, position in enumerate(self.cut_positions):
            reached = keys.positions >= position
            if self.cut_times is not None:
                assert keys.time is not None  # noqa: S101 - narrows the type; fitted with times, asked with times
                reached = (keys.time > self.cut_times[index]) | ((keys.time == self.cut_times[index]) & reached)
            places += reached
        return places[:, np.newaxis]
