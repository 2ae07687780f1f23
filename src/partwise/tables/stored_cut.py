"""A table whose partitions are stored: what is known of them, and what workers are sent to get at their rows."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from partwise.digests import content_digest
from partwise.records import Partitions, Task
from partwise.stores import StoredPart
from partwise.tables.reading import StoredBlock, StoredRows

__all__ = ["StoredCut"]


@dataclass(frozen=True, kw_only=True)
class StoredCut:
    """A table whose partitions are stored."""

    partitions: Partitions
    reader: StoredRows
    parts: tuple[StoredPart, ...]
    n_rows: int
    key: str

    largest_evidence = 2**24

    @property
    def fingerprint(self) -> str:
        """What changes when the rows of some partition, or what the encoder makes of them, do."""
        return content_digest((self.key, self.reader.encoder))

    @property
    def positions(self) -> Sequence[NDArray[np.int64]]:
        """For each partition the positions of its rows, read when they are asked for."""
        return _Positions(self.reader)

    def payload(self, partition: int) -> int:
        """Return the number of the partition."""
        return partition

    def is_weightless(self, partition: int) -> bool:
        """Whether all rows of a partition have weight zero."""
        return self.parts[partition].n_counting == 0

    def blocks(self, chosen: Callable[[NDArray[np.int64]], NDArray[np.bool_]] | None = None) -> Iterator[Task]:
        """Yield row groups."""
        index = 0
        for partition, part in enumerate(self.parts):
            for group in range(part.row_groups):
                yield Task(index, StoredBlock(partition, group, chosen), part.n_rows // part.row_groups)
                index += 1


@dataclass(frozen=True)
class _Positions(Sequence[NDArray[np.int64]]):
    reader: StoredRows

    def __len__(self) -> int:
        return len(self.reader.files)

    @overload
    def __getitem__(self, index: int) -> NDArray[np.int64]: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[NDArray[np.int64]]: ...

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self.reader.positions(index % len(self))
