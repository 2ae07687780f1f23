"""Hold test rows of a scan out, by the same rules as those of a table in memory."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from partwise.errors import InputError
from partwise.protocols import Executor, Piece
from partwise.sources import Scan
from partwise.splitting import GroupSplit, RandomSplit, SplitRule, TimeSplit, WordSplit
from partwise.tables.held_out import HeldOutPiece, HeldOutSource
from partwise.tables.keying import Keying
from partwise.tables.order import first_rows
from partwise.tables.survey import Survey, survey
from partwise.tables.work import in_order, tasks_of

__all__ = ["Divided", "divide", "task_of"]

_MOST_INTEGER_CLASSES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Divided:
    """Training and test rows, how many there are, and how they were told apart.

    ``labels`` are the class labels of both together, sorted; None in regression.
    """

    train: Scan
    test: Scan | None
    n_train: int
    n_test: int
    description: str
    labels: NDArray[Any] | None


def task_of(scan: Scan, executor: Executor) -> str:
    """Return ``classification`` for text, booleans, categories and up to 20 whole numbers, else ``regression``."""
    assert scan.target is not None  # noqa: S101 - the caller has named it
    kind = scan.source.schema().field(scan.target).type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return "classification"
    found: list[set[Any] | None] = in_order(executor.run(_whole_numbers, scan.target, tasks_of(scan.source.pieces())))
    values: set[Any] = set()
    for each in found:
        values |= each or set()
    few = all(each is not None for each in found) and len(values) <= _MOST_INTEGER_CLASSES
    return "classification" if few else "regression"


def _whole_numbers(target: str, piece: Piece) -> set[Any] | None:
    """Return the distinct values while they are whole and few, else None."""
    values: set[Any] = set()
    for block in piece.blocks([target]):
        column = pd.unique(block.column(target).to_pandas().dropna())
        if len(column) > _MOST_INTEGER_CLASSES or bool((column % 1 != 0).any()):
            return None
        values |= set(column.tolist())
        if len(values) > _MOST_INTEGER_CLASSES:
            return None
    return values


def divide(
    scan: Scan, task: str, executor: Executor, *, share: float, seed: int, test: Scan | None, split: str | None
) -> Divided:
    """Return training and test rows of a scan.

    Parameters
    ----------
    share
        The share of the rows to hold out: the last in time where the scan has times, whole groups where it has
        groups, else at random, in classification of each class. 0 holds none out.
    test
        A table of test rows of its own, in place of a share.
    split
        The column that says of each row whether it is ``train`` or ``test``, in place of a share.

    Raises
    ------
    InputError
        If the table cannot be read, or no rows are left on one side.
    """
    # The words of a split column are groups of their own: what tells rows apart there.
    telling = scan if split is None or test is not None else replace(scan, group=split, time=None)
    found = survey(telling, scan.source.pieces(), task, executor)
    if test is not None:
        other = survey(test, test.source.pieces(), task, executor, one_class=True)
        labels = None
        if found.labels is not None and other.labels is not None:
            labels = np.unique(np.concatenate([found.labels, other.labels]))
        how = "a table of its own"
        return _divided(scan, test, (found.n_rows, other.n_rows), how, labels)
    if split is None and share == 0:
        return _divided(scan, None, (found.n_rows, 0), "none", found.labels)
    rule, how = _rule(telling, found, executor, share, seed, split)
    keying = Keying.of(telling, found.labels, found.rules)
    whole = HeldOutSource(source=scan.source, keying=keying, survey=found, rule=rule, test=True)
    counts = np.array(in_order(executor.run(_count_test, None, tasks_of(whole.pieces()))), dtype=np.int64)
    n_test = int(counts.sum())
    train, held = (replace(scan, source=replace(whole, test=is_test, n_test=counts)) for is_test in (False, True))
    if not 0 < n_test < found.n_rows:
        raise InputError(
            f"The hold-out by {how} leaves {found.n_rows - n_test:,} training and {n_test:,} test rows. Both are "
            "needed: give more rows, or another --test-size."
        )
    return _divided(train, held, (found.n_rows - n_test, n_test), how, found.labels)


def _divided(
    train: Scan, test: Scan | None, counts: tuple[int, int], description: str, labels: NDArray[Any] | None
) -> Divided:
    n_train, n_test = counts
    return Divided(train=train, test=test, n_train=n_train, n_test=n_test, description=description, labels=labels)


def _count_test(_: None, piece: HeldOutPiece) -> int:
    return sum(int(mask.sum()) for _, mask in piece.told(piece.keying.columns))


def _rule(
    scan: Scan, found: Survey, executor: Executor, share: float, seed: int, split: str | None
) -> tuple[SplitRule, str]:
    statistics = found.statistics
    if split is not None:
        assert statistics.groups is not None  # noqa: S101 - the words
        return WordSplit.of(statistics.groups, split), f"the column {split!r}"
    if scan.time is not None:
        rank = np.array([int(found.n_rows * (1 - share))])
        first = first_rows(scan.source.pieces(), scan.time, rank, found.starts, executor)
        assert first.time is not None  # noqa: S101 - it was ranked by time
        return TimeSplit(first.time[0]), f"the last {share:.0%} in time"
    if statistics.groups is not None:
        if len(statistics.groups) < 2:
            raise InputError("--group has one group only, so no test rows can be of another. Give a finer column.")
        return GroupSplit.of(statistics.groups, share, seed), f"a random {share:.0%} of the groups"
    counts = np.array([found.n_rows]) if statistics.stratum_counts is None else statistics.stratum_counts
    classes = statistics.stratum_counts is not None
    rule = RandomSplit.of(counts, share, seed, keep_single=classes)
    return rule, f"{'a random, stratified' if classes else 'a random'} {share:.0%} of the rows"
