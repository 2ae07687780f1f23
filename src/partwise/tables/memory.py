"""The training rows in memory: partitions are slices of a matrix, made as their tasks start."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from partwise.cutting import cut, row_keys
from partwise.digests import content_digest
from partwise.protocols import Partitioner
from partwise.provenance import data_digest
from partwise.records import Part, Partitions, RowKeys, Task, Unseen
from partwise.rows import take_rows

__all__ = ["MemoryTable"]

_BLOCK_ROWS = 8_192


@dataclass(frozen=True)
class MemoryTable:
    """Encoded features, targets and weights, and what says something about rows."""

    rows: Part
    labels: NDArray[Any] | None
    groups: Any = None
    time: Any = None

    @cached_property
    def keys(self) -> RowKeys:
        """What an assignment may know about the rows."""
        stratum = None if self.labels is None else self.rows.y
        return row_keys(len(self.rows.y), stratum=stratum, groups=self.groups, time=self.time, features=self.rows.X)

    @cached_property
    def fingerprint(self) -> str:
        """What changes when the rows do."""
        values = data_digest(self.rows.X) if isinstance(self.rows.X, pd.DataFrame) else self.rows.X
        return content_digest((values, self.rows.y, self.rows.weights))

    @property
    def n_counting(self) -> int:
        """The number of rows that do not have weight zero."""
        return len(self.rows.y) if self.rows.weights is None else int((self.rows.weights > 0).sum())

    @property
    def fits_in_memory(self) -> bool:
        """They are there."""
        return True

    def sample(self) -> tuple[Part, RowKeys]:
        """Return rows to try things on, and their keys: all of them."""
        return self.rows, self.keys

    def cut(self, partitioner: Partitioner, n_partitions: int, seed: int, replication: int) -> "MemoryCut":
        """Return the table cut into partitions.

        Raises
        ------
        InputError
            If the rows cannot be cut in this way.
        """
        partitions = cut(partitioner, self.keys, n_partitions, seed, replication)
        return MemoryCut(self, partitions, copies=partitioner.gives == "copies")

    def cut_further(self, partitioner: Partitioner, n_partitions: int, seed: int, first: int) -> "MemoryCut":
        """Return the table cut into partitions that are numbered from ``first`` on; those before have no rows here.

        Raises
        ------
        InputError
            If the rows cannot be cut in this way.
        """
        partitions = cut(partitioner, self.keys, n_partitions, seed, 1)
        assert partitions.rows is not None  # noqa: S101 - they are in memory
        counts = partitions.class_counts
        lacking = 0 if counts is None or self.labels is None else len(self.labels) - counts.shape[1]  # the last classes
        padded = replace(
            partitions,
            sizes=np.concatenate([np.zeros(first, dtype=np.int64), partitions.sizes]),
            class_counts=None if counts is None else np.pad(counts, ((first, 0), (0, lacking))),
            rows=(np.empty(0, dtype=np.int64),) * first + partitions.rows,
            home=None if partitions.home is None else partitions.home + first,
        )
        return MemoryCut(self, padded, copies=False)


@dataclass(frozen=True)
class MemoryCut:
    """A table in memory cut into partitions."""

    whole: MemoryTable
    partitions: Partitions
    copies: bool

    largest_evidence = 2**27

    @property
    def table(self) -> Part:
        """All rows."""
        return self.whole.rows

    @cached_property
    def fingerprint(self) -> str:
        """What changes when the rows of some partition do."""
        return content_digest((self.whole.fingerprint, list(self.positions)))

    @property
    def reader(self) -> "SentRows | SharedRows":
        """How a worker gets rows: they are sent with the task, or all of them once to each worker."""
        return SharedRows(self.table) if self.copies else SentRows()

    @property
    def positions(self) -> Sequence[NDArray[np.int64]]:
        """For each partition the sorted positions of its rows."""
        assert self.partitions.rows is not None  # noqa: S101 - they are in memory
        return self.partitions.rows

    @property
    def n_rows(self) -> int:
        """The number of rows of the table."""
        return len(self.table.y)

    def payload(self, partition: int) -> Any:
        """Return the rows of a partition; where all partitions have all rows, its number."""
        return partition if self.copies else replace(self._rows(self.positions[partition]), partition=partition)

    def is_weightless(self, partition: int) -> bool:
        """Whether all rows of a partition have weight zero."""
        return self.table.weights is not None and not self.table.weights[self.positions[partition]].any()

    def blocks(self, chosen: Callable[[NDArray[np.int64]], NDArray[np.bool_]] | None = None) -> Iterator[Task]:
        """Yield blocks of rows that have the same home, and are in the same partitions."""
        held = np.zeros((self.n_rows, len(self.positions)), dtype=bool)
        for partition, rows in enumerate(self.positions):
            held[rows, partition] = True
        _, kind = np.unique(np.packbits(held, axis=1), axis=0, return_inverse=True)
        if self.partitions.home is not None:
            _, kind = np.unique(kind.ravel() * len(self.positions) + self.partitions.home, return_inverse=True)
        kind = kind.ravel()
        if chosen is not None:
            kind = np.where(chosen(np.arange(self.n_rows)), kind, -1)
        order = np.argsort(kind, kind="stable")
        ends = np.searchsorted(kind[order], np.arange(-1, kind.max() + 1), side="right")
        for start, end in pairwise(ends):
            for place in range(start, end, _BLOCK_ROWS):
                rows = order[place : min(place + _BLOCK_ROWS, end)]
                yield Task(int(rows[0]), self._unseen(rows, held[rows[0]]), len(rows))

    def _unseen(self, rows: NDArray[np.int64], held: NDArray[np.bool_]) -> Unseen:
        part = self._rows(rows)
        home = -1 if self.partitions.home is None else int(self.partitions.home[rows[0]])
        holders = (home, *(int(each) for each in np.flatnonzero(held) if each != home))
        return Unseen(rows=rows, holders=holders, X=part.X, y=part.y, weights=part.weights)

    def _rows(self, rows: NDArray[np.int64]) -> Part:
        weights = None if self.table.weights is None else self.table.weights[rows]
        return Part(0, take_rows(self.table.X, rows), self.table.y[rows], weights)


@dataclass(frozen=True, slots=True)
class SentRows:
    """The rows are in the payload."""

    def part(self, payload: Part) -> Part:
        """Return the rows of a partition."""
        return payload

    def unseen(self, payload: Unseen) -> Iterator[Unseen]:
        """Return the block."""
        yield payload


@dataclass(frozen=True, slots=True)
class SharedRows:
    """All rows belong to every partition; the payload is its number."""

    table: Part

    def part(self, payload: int) -> Part:
        """Return all rows."""
        return replace(self.table, partition=payload)

    def unseen(self, payload: Unseen) -> Iterator[Unseen]:
        """Return the block, of which there is none that some member did not see."""
        yield payload
