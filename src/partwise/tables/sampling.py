"""Chosen rows of a table that is read in pieces."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from partwise.protocols import Executor, Piece
from partwise.records import Task
from partwise.tables.work import in_order

__all__ = ["sampled"]


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


def _chosen(columns: tuple[str, ...], payload: tuple[Piece, NDArray[np.int64]]) -> pa.Table:
    piece, rows = payload
    found, start = [], 0
    for block in piece.blocks(columns):
        low, high = np.searchsorted(rows, [start, start + block.num_rows])
        if low < high:
            found.append(block.take(rows[low:high] - start))
        start += block.num_rows
    return pa.concat_tables(found)
