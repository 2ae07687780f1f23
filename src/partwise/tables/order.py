"""The rows with which equal runs of a table begin, in the order of time and then position, without sorting it.

Three passes over the time column: quantiles of each piece bracket the times that are looked for, the values inside the
brackets are counted, and the rows of one time are told apart by their position.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from partwise.cutting import read_times
from partwise.protocols import Executor, Piece
from partwise.records import RowKeys, Task
from partwise.tables.work import in_order, tasks_of

__all__ = ["first_rows"]

_GRID = 8_192
"""Quantiles by which a piece is described: brackets then hold about two in so many of the rows."""


def first_rows(
    pieces: Sequence[Piece], column: str, ranks: NDArray[np.int64], starts: NDArray[np.int64], executor: Executor
) -> RowKeys:
    """Return the keys of the rows that have these ranks when rows are sorted by time, and within a time by position.

    Parameters
    ----------
    ranks
        Ascending, from 0.
    starts
        The position of the first row of each piece.
    """
    grids: list[_Grid] = in_order(executor.run(_grid, column, tasks_of(pieces)))
    brackets = _brackets(grids, ranks)
    counted: list[_Counted] = in_order(executor.run(_inside, (column, brackets), tasks_of(pieces)))
    wanted = [_wanted(counted, place, int(rank)) for place, rank in enumerate(ranks)]
    tasks = (Task(place, (pieces[each.piece], each.time, each.turn)) for place, each in enumerate(wanted))
    found: list[int] = in_order(executor.run(_find, column, tasks))
    return RowKeys(
        positions=np.array([starts[each.piece] + place for each, place in zip(wanted, found, strict=True)]),
        time=np.array([each.time for each in wanted]),
    )


@dataclass(frozen=True, slots=True)
class _Grid:
    """Every ``step``-th of the sorted times of a piece, the last one too."""

    times: NDArray[Any]
    step: int
    n_rows: int

    def fewest_up_to(self) -> NDArray[np.int64]:
        """Return by how many more rows are surely up to each time than up to the one before, shape (times,)."""
        return np.diff(np.minimum(np.arange(len(self.times)) * self.step, self.n_rows - 1) + 1, prepend=0)

    def most_below(self) -> NDArray[np.int64]:
        """Return by how many more rows may be below what follows each time, shape (times,)."""
        return np.diff(np.minimum((np.arange(len(self.times)) + 1) * self.step, self.n_rows), prepend=0)


@dataclass(frozen=True, slots=True)
class _Counted:
    """For each bracket how many times of a piece are below it, and the distinct ones inside with their counts."""

    below: list[int]
    times: list[NDArray[Any]]
    counts: list[NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The row that is looked for: the ``turn``-th of its time in its piece."""

    piece: int
    time: Any
    turn: int


def _times(piece: Piece, column: str) -> NDArray[Any]:
    times = [read_times(block.column(column).to_pandas(), whole=False) for block in piece.blocks([column])]
    return np.concatenate(times) if times else np.empty(0, dtype=np.int64)


def _grid(column: str, piece: Piece) -> _Grid:
    times = np.sort(_times(piece, column))
    step = max(1, len(times) // _GRID)
    places = np.unique(np.append(np.arange(0, len(times), step), max(len(times) - 1, 0)))
    return _Grid(times[places] if len(times) else times, step, len(times))


def _brackets(grids: Sequence[_Grid], ranks: NDArray[np.int64]) -> list[tuple[Any, Any]]:
    """Return for each rank two times between which the one at that rank surely lies, both included."""
    known = [grid for grid in grids if grid.n_rows]
    times = np.concatenate([grid.times for grid in known])
    order = np.argsort(times, kind="stable")
    candidates, first_of = np.unique(times[order], return_index=True)
    last_of = np.append(first_of[1:], len(times)) - 1
    # What each point of a grid adds to the rows that surely are up to its time, and to those that may be below another.
    up_to = np.cumsum(np.concatenate([grid.fewest_up_to() for grid in known])[order])
    below = np.cumsum(np.concatenate([grid.most_below() for grid in known])[order])
    fewest_up_to = up_to[last_of]
    most_below = np.append(0, below)[first_of]
    first = np.searchsorted(most_below, ranks, side="right") - 1
    last = np.searchsorted(fewest_up_to, ranks, side="right")
    return [(candidates[low], candidates[high]) for low, high in zip(first, last, strict=True)]


def _inside(shared: tuple[str, list[tuple[Any, Any]]], piece: Piece) -> _Counted:
    column, brackets = shared
    times = np.sort(_times(piece, column))
    below, inside, counts = [], [], []
    for low, high in brackets:
        start, end = np.searchsorted(times, low, side="left"), np.searchsorted(times, high, side="right")
        distinct, often = np.unique(times[start:end], return_counts=True)
        below.append(int(start))
        inside.append(distinct)
        counts.append(often.astype(np.int64))
    return _Counted(below, inside, counts)


def _wanted(counted: Sequence[_Counted], place: int, rank: int) -> _Wanted:
    """Return the row at a rank."""
    rest = rank - sum(each.below[place] for each in counted)
    distinct, places = np.unique(np.concatenate([each.times[place] for each in counted]), return_inverse=True)
    totals = np.bincount(places, weights=np.concatenate([each.counts[place] for each in counted])).astype(np.int64)
    index = int(np.searchsorted(np.cumsum(totals), rest, side="right"))
    time, turn = distinct[index], rest - int(totals[:index].sum())
    for piece, each in enumerate(counted):
        own = int(each.counts[place][each.times[place] == time].sum())
        if turn < own:
            return _Wanted(piece, time, turn)
        turn -= own
    raise AssertionError("the counts of the pieces do not add up")


def _find(column: str, payload: tuple[Piece, Any, int]) -> int:
    piece, time, turn = payload
    return int(np.flatnonzero(_times(piece, column) == time)[turn])
