"""Chosen rows of a table that is read in pieces."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from partwise.encoders import bytes_of_rows, n_within
from partwise.protocols import Executor, Piece
from partwise.records import Task
from partwise.tables.work import as_they_come, in_order

__all__ = ["sampled", "sampled_within"]

_SLACK = 1.25
"""Rows are held until they take so much more than they may: what is too much is cut off in few steps."""


def sampled(
    pieces: Sequence[Piece],
    starts: NDArray[np.int64],
    positions: NDArray[np.int64],
    columns: Sequence[str],
    executor: Executor,
) -> pa.Table:
    """Return the rows at these positions, in their order; workers read the pieces and send the chosen rows alone.

    Parameters
    ----------
    starts
        The position of the first row of each piece.
    positions
        Sorted.
    """
    ends = np.searchsorted(positions, np.append(starts, np.iinfo(np.int64).max))
    tasks = (
        Task(index, (piece, positions[ends[index] : ends[index + 1]] - starts[index]), piece.n_rows or 0)
        for index, piece in enumerate(pieces)
        if ends[index] < ends[index + 1]
    )
    chosen: list[pa.Table] = in_order(executor.run(_chosen, tuple(columns), tasks))
    return pa.concat_tables(chosen)


def sampled_within(
    pieces: Sequence[Piece],
    starts: NDArray[np.int64],
    drawn: NDArray[np.int64],
    columns: Sequence[str],
    limit: int,
    executor: Executor,
) -> pa.Table:
    """Return the first of the drawn rows that take no more than the limit together, in the order of the table.

    Neither a worker nor this process ever holds much more than that.

    Parameters
    ----------
    starts
        The position of the first row of each piece.
    drawn
        Positions as ``drawn_sample`` gives them.
    limit
        In bytes, by ``bytes_of_rows``.
    """
    turns = np.argsort(drawn, kind="stable")
    positions = drawn[turns]
    ends = np.searchsorted(positions, np.append(starts, np.iinfo(np.int64).max))
    tasks = (
        Task(index, (piece, positions[low:high] - starts[index], turns[low:high]), piece.n_rows or 0)
        for index, (piece, low, high) in enumerate(zip(pieces, ends[:-1], ends[1:], strict=True))
        if low < high
    )
    held = _Held(limit)
    for index, found in as_they_come(executor.run(_chosen_within, (tuple(columns), limit), tasks)):
        held.add(index, found)
    held.cut()
    return pa.concat_tables([held.rows[index].table for index in sorted(held.rows)])


@dataclass(frozen=True, slots=True)
class _Drawn:
    """Drawn rows, what each of them takes, and its turn in the drawing."""

    table: pa.Table
    sizes: NDArray[np.int64]
    turns: NDArray[np.int64]

    def up_to(self, turn: int) -> "_Drawn":
        """Return those whose turn had come by then."""
        kept = self.turns <= turn
        if kept.all():
            return self
        return _Drawn(self.table.filter(pa.array(kept)), self.sizes[kept], self.turns[kept])


class _Held:
    """The first of the drawn rows that have been seen, within a limit: among all rows no further ones are within it."""

    def __init__(self, limit: int) -> None:
        self.rows: dict[int, _Drawn] = {}
        self._limit = limit
        self._last = int(np.iinfo(np.int64).max)

    def add(self, index: int, rows: _Drawn) -> None:
        """Take rows of a piece, or of a block of one."""
        self.rows[index] = rows.up_to(self._last)
        if sum(int(each.sizes.sum()) for each in self.rows.values()) > _SLACK * self._limit:
            self.cut()

    def cut(self) -> None:
        """Let go of the rows that are too much."""
        turns = np.concatenate([each.turns for each in self.rows.values()])
        sizes = np.concatenate([each.sizes for each in self.rows.values()])
        order = np.argsort(turns)
        self._last = int(turns[order[n_within(sizes[order], self._limit) - 1]])
        self.rows = {index: each.up_to(self._last) for index, each in self.rows.items()}


def _chosen(columns: tuple[str, ...], payload: tuple[Piece, NDArray[np.int64]]) -> pa.Table:
    piece, rows = payload
    return pa.concat_tables([found for found, _ in _blocks(piece, rows, columns)])


def _chosen_within(
    shared: tuple[tuple[str, ...], int], payload: tuple[Piece, NDArray[np.int64], NDArray[np.int64]]
) -> _Drawn:
    (columns, limit), (piece, rows, turns) = shared, payload
    held = _Held(limit)
    for index, (found, places) in enumerate(_blocks(piece, rows, columns)):
        held.add(index, _Drawn(found, bytes_of_rows(found.columns, found.num_rows), turns[places]))
    held.cut()
    rest = held.rows.values()
    return _Drawn(
        pa.concat_tables([each.table for each in rest]),
        np.concatenate([each.sizes for each in rest]),
        np.concatenate([each.turns for each in rest]),
    )


def _blocks(piece: Piece, rows: NDArray[np.int64], columns: tuple[str, ...]) -> Iterator[tuple[pa.Table, slice]]:
    """Yield the chosen rows of a piece block by block, and which of them they are; what follows them is not read."""
    start = 0
    for block in piece.blocks(columns):
        low, high = np.searchsorted(rows, [start, start + block.num_rows])
        if low < high:
            yield block.take(rows[low:high] - start), slice(int(low), int(high))
        start += block.num_rows
        if high == len(rows):
            return
