"""Which rows are the test: a random share, the last in time, a column's word, or another table."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from partwise.cutting import read_times, row_keys
from partwise.errors import InputError
from partwise.splitting import GroupSplit, RandomSplit, TimeSplit, WordSplit

__all__ = ["Holdout", "hold_out_at_random", "hold_out_by_column", "hold_out_latest"]


@dataclass(frozen=True, slots=True)
class Holdout:
    """Positions of training and test rows, both sorted, and a sentence that says how they were chosen."""

    train: NDArray[np.int64]
    test: NDArray[np.int64]
    description: str


def hold_out_at_random(
    n_rows: int, share: float, seed: int, *, codes: NDArray[np.int64] | None = None, groups: Any = None
) -> Holdout:
    """Hold a random share of the rows out: by class where ``codes`` are given, whole groups where ``groups`` are.

    A class of one row stays in the training rows.
    """
    if groups is not None:
        return _hold_groups_out(pd.Series(groups), share, seed)
    counts = np.array([n_rows]) if codes is None else np.bincount(codes)
    split = RandomSplit.of(counts, share, seed, keep_single=codes is not None)
    test = split.is_test(row_keys(n_rows, stratum=codes))
    if not split.n_test.any():
        raise InputError(
            f"--test-size {share} of {n_rows:,} rows leaves no training or no test rows. Give more rows, or another "
            "share; a class of one row can only be trained on."
        )
    how = "a random" if codes is None else "a random, stratified"
    return _holdout(np.flatnonzero(~test), np.flatnonzero(test), f"{how} {share:.0%} of the rows")


def _hold_groups_out(groups: "pd.Series[Any]", share: float, seed: int) -> Holdout:
    missing = int(groups.isna().sum())
    if missing:
        raise InputError(
            f"--group {str(groups.name or '')!r} has {missing:,} missing values. Drop those rows, or fill them in."
        )
    keys = row_keys(len(groups), groups=groups)
    distinct = np.unique(keys.group)  # type: ignore[arg-type] # there are groups
    if len(distinct) < 2:
        raise InputError("--group has one group only, so no test rows can be of another. Give a finer column.")
    test = GroupSplit.of(distinct, share, seed).is_test(keys)
    return _holdout(np.flatnonzero(~test), np.flatnonzero(test), f"a random {share:.0%} of the groups")


def hold_out_latest(time: "pd.Series[Any]", share: float) -> Holdout:
    """Hold the last share of the rows in time out; rows of one time are never divided.

    Raises
    ------
    InputError
        If times are missing, are neither numbers nor dates, or all rows have one time.
    """
    missing = int(time.isna().sum())
    if missing:
        raise InputError(f"--time {str(time.name)!r} has {missing:,} missing values. Drop those rows, or fill them in.")
    values = read_times(time)
    first = np.argsort(values, kind="stable")[int(len(values) * (1 - share))]
    later = TimeSplit(values[first]).is_test(row_keys(len(values), time=time))
    description = f"the last {share:.0%} in time (from {time.iloc[first]})"
    return _holdout(np.flatnonzero(~later), np.flatnonzero(later), description)


def hold_out_by_column(column: "pd.Series[Any]") -> Holdout:
    """Take the rows that a column calls ``train`` and ``test``.

    Raises
    ------
    InputError
        If the column has other values, or lacks one of the two.
    """
    missing = int(column.isna().sum())
    if missing:
        raise InputError(
            f"--split-column {str(column.name)!r} has {missing:,} missing values. Each row is train or test."
        )
    keys = row_keys(len(column), groups=column.astype(str))
    test = WordSplit.of(np.unique(keys.group), str(column.name)).is_test(keys)  # type: ignore[arg-type] # groups
    return _holdout(np.flatnonzero(~test), np.flatnonzero(test), f"the column {str(column.name)!r}")


def _holdout(train: NDArray[np.int64], test: NDArray[np.int64], description: str) -> Holdout:
    if len(train) == 0 or len(test) == 0:
        raise InputError(
            f"The hold-out by {description} leaves {len(train):,} training and {len(test):,} test rows. "
            "Both are needed: give more rows, or another --test-size."
        )
    return Holdout(np.sort(train), np.sort(test), description)
