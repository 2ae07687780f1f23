"""The first half of the exchange: a worker reads a piece, and sorts its rows by partition into a file of its own.

The rows go through the same Assignment as in memory. No row passes through the driver.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import ipc

from partwise.protocols import Assignment, Piece
from partwise.replication import Replicas
from partwise.sources import Scan
from partwise.stores import Build
from partwise.tables.columns import PART, POSITION
from partwise.tables.frames import plain_schema
from partwise.tables.keying import Keying

__all__ = ["Scatter", "ScatterTask", "Scattered", "scatter", "stored_schema"]

_SPILL_BYTES = 32 * 2**20
"""Rows are held until they take so much, and are then sorted and written together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scatter:
    """What every worker is told: what decides the partition of a row, which columns are stored, and where."""

    keying: Keying
    columns: tuple[str, ...]
    assignment: Assignment
    replicas: Replicas
    n_partitions: int
    schema: pa.Schema
    build: Build


@dataclass(frozen=True, slots=True, kw_only=True)
class ScatterTask:
    """A piece, the position of its first row, and how many rows of each class come before it."""

    piece: Piece
    index: int
    start: int
    label_starts: NDArray[np.int64] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scattered:
    """What became of a piece: its file, and the partition of each batch in it; the driver holds this of all pieces."""

    file: str
    partitions: NDArray[np.int32]

    def batches(self, partition: int) -> NDArray[np.int64]:
        """Return the numbers of the batches that have rows of a partition, in order."""
        return np.flatnonzero(self.partitions == partition)

    def n_batches(self, n_partitions: int) -> NDArray[np.int64]:
        """Return how many batches each partition has, shape (partitions,); zero where it has no rows of the piece."""
        return np.bincount(self.partitions, minlength=n_partitions).astype(np.int64)


def stored_schema(scan: Scan, *, replicated: bool) -> pa.Schema:
    """Return the schema of stored partitions: the table's columns, and the position of each row."""
    schema = scan.source.schema()
    kept = [name for name in scan.columns if name not in {scan.group, scan.time} - {scan.target, scan.weight}]
    fields = list(plain_schema(pa.schema([schema.field(name) for name in kept])))
    fields.append(pa.field(POSITION, pa.int64()))
    if replicated:
        fields.append(pa.field(PART, pa.int32()))
    return pa.schema(fields, metadata=schema.metadata)


def scatter(shared: Scatter, task: ScatterTask) -> Scattered:
    """Read a piece and write its rows, sorted by partition, to one file."""
    file = f"exchange/{task.index:06d}.arrow"
    written: list[int] = []
    with (
        shared.build.create(file) as sink,
        ipc.new_file(sink, shared.schema) as writer,
    ):
        for table, partitions, rows in _spills(shared, task):
            order = np.argsort(partitions, kind="stable")
            ends = np.searchsorted(partitions[order], np.arange(shared.n_partitions + 1))
            ordered = table.take(rows[order]).combine_chunks()
            for partition in np.flatnonzero(np.diff(ends)).tolist():
                start, end = int(ends[partition]), int(ends[partition + 1])
                for batch in ordered.slice(start, end - start).to_batches():
                    writer.write_batch(batch)
                    written.append(partition)
    return Scattered(file=file, partitions=np.array(written, dtype=np.int32))


def _spills(shared: Scatter, task: ScatterTask) -> Iterator[tuple[pa.Table, NDArray[np.int64], NDArray[np.int64]]]:
    """Yield tables, with the partition of each copy of a row, and which row of the table it is."""
    held: list[pa.Table] = []
    places: list[NDArray[np.int64]] = []
    for block, parts in _assigned(shared, task):
        held.append(block)
        places.append(parts)
        if sum(each.nbytes for each in held) >= _SPILL_BYTES:
            yield _spill(held, places)
            held, places = [], []
    if held:
        yield _spill(held, places)


def _spill(
    held: list[pa.Table], places: list[NDArray[np.int64]]
) -> tuple[pa.Table, NDArray[np.int64], NDArray[np.int64]]:
    parts = np.concatenate(places)
    rows = np.repeat(np.arange(len(parts)), parts.shape[1])
    partitions = parts.ravel()
    kept = partitions >= 0
    return pa.concat_tables(held), partitions[kept], rows[kept]


def _assigned(shared: Scatter, task: ScatterTask) -> Iterator[tuple[pa.Table, NDArray[np.int64]]]:
    """Yield blocks as they are stored, and the partitions of their rows, shape (rows, copies), -1 for none."""
    position = task.start
    seen = None if task.label_starts is None else task.label_starts.copy()
    for block in task.piece.blocks(shared.columns):
        if not block.num_rows:
            continue
        keys = shared.keying.keys(block, position, seen)
        parts = shared.assignment.parts(keys)
        columns = {name: block.column(name) for name in shared.schema.names if name not in {POSITION, PART}}
        columns[POSITION] = pa.array(keys.positions)
        if PART in shared.schema.names:
            columns[PART] = pa.array(parts[:, 0].astype(np.int32))
        yield _plain(columns, shared.schema), shared.replicas.partitions_of(parts)
        position += block.num_rows
        if seen is not None:
            seen += np.bincount(keys.stratum, minlength=len(seen))  # type: ignore[arg-type] # there are classes


def _plain(columns: dict[str, Any], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_arrays([columns[each.name].cast(each.type) for each in schema], schema=schema)
