"""Some rows of a scan, in memory, for what cannot be fitted or judged piece by piece."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from partwise.permutation import keyed_sample
from partwise.protocols import Executor, Piece
from partwise.records import Task
from partwise.sources import Scan
from partwise.tables.columns import targets_of, weights_of
from partwise.tables.sampling import sampled
from partwise.tables.survey import survey
from partwise.tables.work import in_order

__all__ = ["TakenRows", "head", "take"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenRows:
    """A keyed sample of the rows of a scan, in their order; ``n_rows`` is how many the scan has.

    ``targets`` are class codes or values.
    """

    features: pd.DataFrame
    targets: NDArray[Any]
    weights: NDArray[np.float64] | None
    groups: NDArray[Any] | None
    n_rows: int


def take(
    scan: Scan,
    task: str,
    labels: NDArray[Any] | None,
    n_rows: int,
    seed: int,
    executor: Executor,
    *,
    one_class: bool = False,
) -> TakenRows:
    """Return at most so many rows of a scan.

    Parameters
    ----------
    labels
        The class labels that codes are of, sorted; None in regression.
    one_class
        Whether all rows may be of one class, as those to judge by may.

    Raises
    ------
    InputError
        If the table cannot be read, or values are missing where they must not be.
    """
    pieces = scan.source.pieces()
    found = survey(scan, pieces, task, executor, one_class=one_class)
    chosen = keyed_sample(found.n_rows, n_rows, seed)
    block = sampled(pieces, found.starts, chosen, scan.columns, executor)
    assert scan.target is not None  # noqa: S101 - rows to fit or to judge on have one
    groups = None if scan.group is None else block.column(scan.group).to_pandas().astype(str).to_numpy(dtype=str)
    return TakenRows(
        features=found.rules.frame(block),
        targets=targets_of(block, scan.target, labels),
        weights=weights_of(block, scan.weight),
        groups=groups,
        n_rows=found.n_rows,
    )


def head(scan: Scan, n_rows: int, executor: Executor) -> pd.DataFrame:
    """Return the features of the first rows, as the model takes them; workers read them, and nothing beyond.

    Raises
    ------
    InputError
        If the table cannot be read.
    """
    found: list[pa.Table] = []
    lacking = n_rows
    for piece in scan.source.pieces():
        if lacking and piece.n_rows != 0:
            (blocks,) = in_order(executor.run(_first, (scan.features, lacking), iter([Task(0, piece, lacking)])))
            found += blocks
            lacking -= sum(each.num_rows for each in blocks)
    return pa.concat_tables(found).to_pandas()


def _first(shared: tuple[tuple[str, ...], int], piece: Piece) -> list[pa.Table]:
    """Return the first rows of a piece, at most so many, in blocks."""
    (columns, n_rows), found = shared, []
    for block in piece.blocks(columns):
        found.append(block.slice(0, n_rows))
        n_rows -= found[-1].num_rows
        if not n_rows:
            break
    return found
