"""Chosen rows of a table that is read in pieces."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from partwise.cutting import rank_within
from partwise.encoders import bytes_of_rows, n_within
from partwise.protocols import Executor, Piece
from partwise.records import RowKeys, Task
from partwise.tables.keying import Keying
from partwise.tables.work import as_they_come, in_order

__all__ = ["sampled", "sampled_keys", "sampled_within"]

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
    tasks = _tasks(pieces, starts, positions)
    chosen: list[pa.Table] = in_order(executor.run(_chosen, tuple(columns), tasks))
    return pa.concat_tables(chosen)


def sampled_keys(
    pieces: Sequence[Piece],
    starts: NDArray[np.int64],
    positions: NDArray[np.int64],
    features: Sequence[str],
    keying: Keying,
    executor: Executor,
) -> RowKeys:
    """Return the keys of the rows at these positions, in their order; their ranks are those within them.

    Workers send what the encoder makes of the features, not these.

    Parameters
    ----------
    starts
        The position of the first row of each piece.
    positions
        Sorted.
    """
    columns = tuple(dict.fromkeys([*features, *keying.columns]))
    tasks = _tasks(pieces, starts, positions)
    blocks: list[list[RowKeys]] = in_order(executor.run(_keys, (columns, keying), tasks))
    found = [each for some in blocks for each in some]
    stratum = None if found[0].stratum is None else np.concatenate([each.stratum for each in found])
    return RowKeys(
        positions=positions,
        stratum=stratum,
        rank=None if stratum is None else rank_within(stratum),
        group=None if found[0].group is None else np.concatenate([each.group for each in found]),
        time=None if found[0].time is None else np.concatenate([each.time for each in found]),
        features=_together([each.features for each in found]),
    )


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
    tasks = _tasks(pieces, starts, drawn[turns], turns)
    held = _Held(limit)
    for index, found in as_they_come(executor.run(_chosen_within, (tuple(columns), limit), tasks)):
        held.add(index, found)
    held.cut()
    return pa.concat_tables([held.rows[index].table for index in sorted(held.rows)])


def _tasks(
    pieces: Sequence[Piece], starts: NDArray[np.int64], positions: NDArray[np.int64], *further: NDArray[np.int64]
) -> Iterator[Task]:
    """Yield a task for each piece that has some of the rows: the piece, their places in it, and what goes with them."""
    ends = np.searchsorted(positions, np.append(starts, np.iinfo(np.int64).max))
    for index, (piece, low, high) in enumerate(zip(pieces, ends[:-1], ends[1:], strict=True)):
        if low < high:
            rows = [positions[low:high] - starts[index], *(each[low:high] for each in further)]
            yield Task(index, (piece, *rows), piece.n_rows or 0)


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


def _keys(shared: tuple[tuple[str, ...], Keying], payload: tuple[Piece, NDArray[np.int64]]) -> list[RowKeys]:
    (columns, keying), (piece, rows) = shared, payload
    nothing = None if keying.labels is None else np.zeros(len(keying.labels), dtype=np.int64)
    return [keying.keys(found, 0, nothing) for found, _ in _blocks(piece, rows, columns)]


def _together(features: list[Any]) -> Any:
    """Return the rows of all blocks, which are matrices, or frames where there is no encoder."""
    return pd.concat(features, ignore_index=True) if isinstance(features[0], pd.DataFrame) else np.concatenate(features)


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
