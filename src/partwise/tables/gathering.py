"""The second half of the exchange: a worker collects the rows of a partition from the files of all pieces."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import fs, ipc, parquet

from partwise.moments import Moments
from partwise.stores import Build, StoredPart, footer_digest
from partwise.tables.columns import targets_of, weights_of

__all__ = ["GROUP_ROWS", "Gather", "gather"]

GROUP_ROWS = 65_536
"""Rows of a row group: what is read at once when a partition is read in blocks."""
_GROUP_BYTES = 32 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Gather:
    """What every worker is told: where files are, and what is counted in them."""

    build: Build
    schema: pa.Schema
    target: str | None
    weight: str | None
    labels: NDArray[Any] | None


def gather(shared: Gather, payload: tuple[int, Sequence[tuple[str, NDArray[np.int64]]]]) -> StoredPart:
    """Write the Parquet file of a partition, its rows in the order of the table, and return what is in it.

    Parameters
    ----------
    payload
        The partition, and the files that hold rows of it with the numbers of the batches, in the order of the pieces.
    """
    partition, places = payload
    name = f"part-{partition:05d}.parquet"
    path = shared.build.path(name)
    tally = _Tally(shared)
    with (
        shared.build.create(name) as sink,
        parquet.ParquetWriter(
            sink,
            shared.schema,
            compression="zstd",
            compression_level=1,
            # Numbers rarely repeat, and a dictionary that is given up costs as much as one that is kept.
            use_dictionary=[each.name for each in shared.schema if not _is_number(each.type)],
            write_page_checksum=True,
            write_statistics=False,
        ) as writer,
    ):
        for group in _groups(shared, places):
            writer.write_table(group, row_group_size=group.num_rows)
            tally.add(group)
    info = shared.build.filesystem.get_file_info(path)
    digest = footer_digest(shared.build.filesystem, path)
    return tally.part(f"{shared.build.token}/{name}", info.size or 0, digest)


class _Tally:
    """What is counted of a partition while it is written."""

    def __init__(self, shared: Gather) -> None:
        self._shared = shared
        self._n_rows = self._n_counting = self._groups = 0
        self._counts = None if shared.labels is None else np.zeros(len(shared.labels), dtype=np.int64)
        self._target: Moments | None = None

    def add(self, group: pa.Table) -> None:
        """Count the rows of a row group."""
        shared = self._shared
        self._n_rows += group.num_rows
        self._groups += 1
        weights = weights_of(group, shared.weight)
        self._n_counting += group.num_rows if weights is None else int((weights > 0).sum())
        if shared.target is None:
            return
        values = targets_of(group, shared.target, shared.labels)
        if self._counts is not None:
            self._counts += np.bincount(values, minlength=len(self._counts))
        else:
            moments = Moments.of(values[:, np.newaxis], np.ones(len(values)))
            self._target = moments if self._target is None else self._target.merged(moments)

    def part(self, file: str, n_bytes: int, footer_sha256: str) -> StoredPart:
        """Return the record of the partition whose file this has become."""
        return StoredPart(
            file=file,
            n_bytes=n_bytes,
            footer_sha256=footer_sha256,
            n_rows=self._n_rows,
            row_groups=self._groups,
            n_counting=self._n_counting,
            class_counts=None if self._counts is None else self._counts.tolist(),
            target_mean=None if self._target is None else float(self._target.means[0]),
            target_variance=None if self._target is None else float(self._target.variances[0]),
        )


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_temporal(kind))


def _groups(shared: Gather, places: Sequence[tuple[str, NDArray[np.int64]]]) -> Iterator[pa.Table]:
    """Yield the rows in groups of one size, but for the last; fewer where rows are large."""
    held: list[pa.RecordBatch] = []
    n_rows = n_bytes = 0
    for batch in _batches(shared, places):
        while n_rows + batch.num_rows >= GROUP_ROWS:
            cut = GROUP_ROWS - n_rows
            yield pa.Table.from_batches([*held, batch.slice(0, cut)], shared.schema)
            batch, held, n_rows, n_bytes = batch.slice(cut), [], 0, 0  # noqa: PLW2901 - the rest of it
        held.append(batch)
        n_rows += batch.num_rows
        n_bytes += batch.nbytes
        if n_bytes >= _GROUP_BYTES:
            yield pa.Table.from_batches(held, shared.schema)
            held, n_rows, n_bytes = [], 0, 0
    if n_rows:
        yield pa.Table.from_batches(held, shared.schema)


def _batches(shared: Gather, places: Sequence[tuple[str, NDArray[np.int64]]]) -> Iterator[pa.RecordBatch]:
    local = isinstance(shared.build.filesystem, fs.LocalFileSystem)
    for file, numbers in places:
        path = shared.build.path(file)
        opened = pa.memory_map(path) if local else shared.build.filesystem.open_input_file(path)
        with opened, ipc.open_file(opened) as reader:
            for number in numbers.tolist():
                yield reader.get_batch(number)
