"""Hold test rows of a scan out, by the same rules as those of a table in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from partwise.errors import InputError
from partwise.protocols import Executor, Piece
from partwise.sources import Scan
from partwise.splitting import GroupSplit, RandomSplit, SplitRule, TimeSplit, WordSplit
from partwise.tables.frames import FrameRules
from partwise.tables.held_out import HeldOutPiece, HeldOutSource
from partwise.tables.keying import Keying
from partwise.tables.kinds import as_fitted, kinds_of_scan
from partwise.tables.order import first_rows
from partwise.tables.survey import Survey, survey
from partwise.tables.work import in_order, tasks_of
from partwise.targets import check_number_of_classes, few_whole_numbers, is_number_type, target_values, task_of_numbers

__all__ = ["Divided", "divide", "task_of"]


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
    if not is_number_type(scan.source.schema().field(scan.target).type):
        return "classification"
    tasks = tasks_of(scan.source.pieces())
    return task_of_numbers(in_order(executor.run(_whole_numbers, scan.target, tasks)))


def _whole_numbers(target: str, piece: Piece) -> frozenset[Any] | None:
    """Return the distinct values of a piece while they are whole and few, else None."""
    values: frozenset[Any] = frozenset()
    for block in piece.blocks([target]):
        found = few_whole_numbers(target_values(block.column(target), target))
        together = None if found is None else few_whole_numbers(np.array([*values, *found]))
        if together is None:
            return None
        values = together
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
    if test is not None:
        test = as_fitted(test, scan.features, kinds_of_scan(scan))
    # The words of a split column are groups of their own: what tells rows apart there.
    telling = scan if split is None or test is not None else replace(scan, group=split, time=None)
    found = survey(telling, scan.source.pieces(), task, executor)
    other = None if test is None else survey(test, test.source.pieces(), task, executor, one_class=True)
    labels = _labels_of(str(scan.target), [found] if other is None else [found, other])
    if test is not None and other is not None:
        how = "a table of its own"
        return _divided(scan, test, (found.n_rows, other.n_rows), how, labels)
    if split is None and share == 0:
        return _divided(scan, None, (found.n_rows, 0), "none", labels)
    rule, how = _rule(telling, found, executor, share, seed, split)
    # What goes with every task holds neither levels of categories nor groups, of which there may be millions.
    counted = replace(
        found,
        statistics=replace(found.statistics, groups=None, group_counts=None),
        rules=FrameRules(found.rules.features, found.rules.with_gaps),
    )
    keying = Keying.of(telling, counted.labels, counted.rules)
    whole = HeldOutSource(source=scan.source, keying=keying, survey=counted, rule=rule, test=True)
    counts = np.array(in_order(executor.run(_count_test, None, tasks_of(whole.pieces()))), dtype=np.int64)
    n_test = int(counts.sum())
    train, held = (replace(scan, source=replace(whole, test=is_test, n_test=counts)) for is_test in (False, True))
    if not 0 < n_test < found.n_rows:
        raise InputError(
            f"The hold-out by {how} leaves {found.n_rows - n_test:,} training and {n_test:,} test rows. Both are "
            "needed: give more rows, or another --test-size."
        )
    return _divided(train, held, (found.n_rows - n_test, n_test), how, labels)


def _labels_of(name: str, tables: Sequence[Survey]) -> NDArray[Any] | None:
    """Return the class labels of tables together, sorted; None in regression."""
    known = [each.labels for each in tables if each.labels is not None]
    if not known:
        return None
    labels = np.unique(np.concatenate(known))
    check_number_of_classes(name, len(labels), sum(each.n_rows for each in tables))
    return labels


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
