"""How a worker gets the rows of a stored partition: all of them for a fit, or a block for evidence."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import fs, parquet

from partwise.errors import TableError
from partwise.records import Part, Unseen
from partwise.replication import Replicas
from partwise.stores import PartitionStore, footer_digest
from partwise.tables.columns import PART, POSITION, targets_of, weights_of
from partwise.tables.frames import FrameRules

__all__ = ["StoredBlock", "StoredRows"]

Chosen = Callable[[NDArray[np.int64]], NDArray[np.bool_]]


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """A row group of a partition, and which of its rows are wanted (None: all)."""

    partition: int
    row_group: int
    chosen: Chosen | None


@dataclass(frozen=True, kw_only=True)
class StoredRows:
    """Where the partitions lie, and what their columns are.

    Parameters
    ----------
    files
        For each partition its path; where all partitions have all rows, they have one file.
    footers
        For each partition the digest of its file's footer.
    """

    store: PartitionStore
    files: tuple[str, ...]
    footers: tuple[str, ...]
    target: str
    weight: str | None
    labels: NDArray[Any] | None
    rules: FrameRules
    encoder: Any
    replicas: Replicas

    def part(self, payload: int) -> Part:
        """Return the rows of a partition.

        Raises
        ------
        TableError
            If its file cannot be read.
        """
        with self._opened(payload) as file:
            n_rows = file.metadata.num_rows
            y: NDArray[Any] = np.empty(n_rows, dtype=np.float64 if self.labels is None else np.int64)
            weights = None if self.weight is None else np.empty(n_rows)
            X: Any = None
            frames: list[pd.DataFrame] = []
            start = 0
            for group in range(file.num_row_groups):
                # Group by group: the columns of the table, and what the encoder makes of them, are never held at once.
                block = file.read_row_group(group, self._columns(), use_threads=False)
                rows = slice(start, start + block.num_rows)
                y[rows] = targets_of(block, self.target, self.labels)
                if weights is not None:
                    weights[rows] = weights_of(block, self.weight)
                features = self._features(block)
                if self.encoder is None:
                    frames.append(features)
                else:
                    X = np.empty((n_rows, features.shape[1]), dtype=features.dtype) if X is None else X
                    X[rows] = features
                start = rows.stop
        if self.encoder is None:
            X = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
        return Part(payload, X, y, weights)

    def unseen(self, payload: StoredBlock) -> Iterator[Unseen]:
        """Yield the rows of a block that are at home in its partition, divided by which partitions they are in."""
        with self._opened(payload.partition) as file:
            replicated = PART in file.schema_arrow.names
            columns = [*self._columns(), POSITION, *([PART] if replicated else [])]
            block = file.read_row_group(payload.row_group, columns, use_threads=False)
        positions = block.column(POSITION).to_numpy()
        parts = block.column(PART).to_numpy() if replicated else np.full(len(positions), payload.partition)
        wanted = self.replicas.to[parts, 0] == payload.partition
        if payload.chosen is not None:
            wanted &= payload.chosen(positions)
        for part in np.unique(parts[wanted]):
            rows = np.flatnonzero(wanted & (parts == part))
            own = block.take(rows)
            yield Unseen(
                rows=positions[rows],
                holders=tuple(self.replicas.to[part].tolist()),
                X=self._features(own),
                y=targets_of(own, self.target, self.labels),
                weights=weights_of(own, self.weight),
            )

    def positions(self, partition: int) -> NDArray[np.int64]:
        """Return the positions of a partition's rows in the table."""
        with self._opened(partition) as file:
            return np.asarray(file.read([POSITION]).column(POSITION).to_numpy())

    def _columns(self) -> list[str]:
        return [*self.rules.features, self.target, *([] if self.weight is None else [self.weight])]

    def _opened(self, partition: int) -> "_Opened":
        return _Opened(self.store.place[0], self.files[partition], self.footers[partition])

    def _features(self, block: pa.Table) -> Any:
        frame = self.rules.frame(block)
        return frame if self.encoder is None else self.encoder.transform(frame)


class _Opened:
    """A Parquet file of ours while it is read; whatever Arrow says of it names the file."""

    def __init__(self, filesystem: fs.FileSystem, path: str, footer: str) -> None:
        self._filesystem, self._path, self._footer = filesystem, path, footer

    def __enter__(self) -> parquet.ParquetFile:
        try:
            if footer_digest(self._filesystem, self._path) != self._footer:
                raise self._broken(ValueError("its footer is not the one that was written."))
            self._file = parquet.ParquetFile(
                self._filesystem.open_input_file(self._path), page_checksum_verification=True
            )
        except (OSError, pa.ArrowInvalid) as error:
            raise self._broken(error) from error
        return self._file

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> None:
        self._file.close(force=True)
        if isinstance(error, (OSError, pa.ArrowInvalid)):
            raise self._broken(error) from error

    def _broken(self, error: BaseException) -> TableError:
        return TableError(
            f"The stored partition {self._path!r} cannot be read: {error} Next: if the file is there and whole, see "
            "that this node sees it; else delete it (partwise store clean), and the next run stores the table again."
        )
