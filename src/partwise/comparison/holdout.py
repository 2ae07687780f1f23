"""Which rows are the test: a random share, the last in time, a column's word, or another table."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import GroupShuffleSplit, train_test_split

from partwise.cutting import read_times
from partwise.errors import InputError

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
    rows = np.arange(n_rows)
    if groups is not None:
        missing = int(pd.isna(groups).sum())
        if missing:
            raise InputError(
                f"--group {str(getattr(groups, 'name', ''))!r} has {missing:,} missing values. "
                "Drop those rows, or fill them in."
            )
        if len(set(groups)) < 2:
            raise InputError("--group has one group only, so no test rows can be of another. Give a finer column.")
        (train, test), *_ = GroupShuffleSplit(1, test_size=share, random_state=seed).split(rows, groups=groups)
        return _holdout(train, test, f"a random {share:.0%} of the groups")
    single = np.zeros(n_rows, dtype=bool) if codes is None else np.bincount(codes)[codes] == 1
    strata = None if codes is None else codes[~single]
    try:
        train, test = train_test_split(rows[~single], test_size=share, random_state=seed, stratify=strata)
    except ValueError:  # fewer test rows than classes: every class cannot be there
        strata = None
        train, test = _plain_split(rows[~single], share, seed)
    how = "a random" if strata is None else "a random, stratified"
    return _holdout(np.concatenate([train, rows[single]]), test, f"{how} {share:.0%} of the rows")


def _plain_split(rows: NDArray[np.int64], share: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    try:
        train, test = train_test_split(rows, test_size=share, random_state=seed)
    except ValueError as error:
        raise InputError(
            f"--test-size {share} of {len(rows):,} rows leaves no training or no test rows. Give more rows, or another "
            "share; a class of one row can only be trained on."
        ) from error
    return train, test


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
    later = values >= values[first]
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
    words = column.astype(str).str.lower()
    others = sorted(set(words) - {"train", "test"})
    if others:
        raise InputError(
            f"--split-column {str(column.name)!r} has the values {', '.join(others[:5])}. Valid: train, test."
        )
    test = (words == "test").to_numpy()
    return _holdout(np.flatnonzero(~test), np.flatnonzero(test), f"the column {str(column.name)!r}")


def _holdout(train: NDArray[np.int64], test: NDArray[np.int64], description: str) -> Holdout:
    if len(train) == 0 or len(test) == 0:
        raise InputError(
            f"The hold-out by {description} leaves {len(train):,} training and {len(test):,} test rows. "
            "Both are needed: give more rows, or another --test-size."
        )
    return Holdout(np.sort(train), np.sort(test), description)
