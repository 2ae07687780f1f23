"""The table of a comparison: features, target and the columns that say something about rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from partwise.comparison.holdout import Holdout, hold_out_at_random, hold_out_by_column, hold_out_latest
from partwise.errors import ConfigurationError, InputError

__all__ = ["Dataset", "Roles", "check_columns", "make_dataset"]

_MOST_INTEGER_CLASSES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """Which column plays which part; those named here are no features."""

    target: str
    time: str | None = None
    group: str | None = None
    weight: str | None = None
    split: str | None = None
    drop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Training and test rows, ready for encoders and learners.

    ``labels`` are the class labels, sorted, None in regression; the targets are their codes, or numbers. ``times``,
    ``groups`` and ``weights`` are those of the training rows.
    """

    train: pd.DataFrame
    test: pd.DataFrame
    y_train: NDArray[Any]
    y_test: NDArray[Any]
    labels: NDArray[Any] | None
    holdout: Holdout
    times: "pd.Series[Any] | None" = None
    groups: "pd.Series[Any] | None" = None
    weights: NDArray[np.float64] | None = None
    test_groups: NDArray[Any] | None = None

    @property
    def task(self) -> Literal["classification", "regression"]:
        """What is predicted: a class or a number."""
        return "regression" if self.labels is None else "classification"


def make_dataset(
    table: pd.DataFrame,
    roles: Roles,
    task: str,
    *,
    test_table: pd.DataFrame | None = None,
    test_size: float = 0.2,
    seed: int = 0,
) -> Dataset:
    """Return training and test rows of a table, or of two.

    Raises
    ------
    ConfigurationError
        If columns do not exist; all of them are listed.
    InputError
        If targets are missing or do not fit the task, or the hold-out leaves no rows.
    """
    check_columns(list(map(str, table.columns)), roles, "the table")
    joined = table
    if test_table is not None:
        check_columns(list(map(str, test_table.columns)), roles, "the test table")
        joined = pd.concat([table, _same_columns(test_table, table)], ignore_index=True)
    missing = int(joined[roles.target].isna().sum())
    if missing:
        raise InputError(
            f"--target {roles.target!r} has {missing:,} missing values (NaN) in {len(joined):,} rows. "
            "Drop those rows, or fill them in."
        )
    labels, targets = _target(joined[roles.target], task)

    if test_table is not None:
        rows = np.arange(len(joined))
        holdout = Holdout(rows[: len(table)], rows[len(table) :], "a table of its own")
    elif roles.split is not None:
        holdout = hold_out_by_column(joined[roles.split])
    elif roles.time is not None:
        holdout = hold_out_latest(joined[roles.time], test_size)
    else:
        groups = None if roles.group is None else joined[roles.group]
        codes = None if labels is None else targets
        holdout = hold_out_at_random(len(joined), test_size, seed, codes=codes, groups=groups)
    return _parts(joined, targets, labels, roles, holdout)


def _parts(
    joined: pd.DataFrame,
    targets: NDArray[Any],
    labels: NDArray[Any] | None,
    roles: Roles,
    holdout: Holdout,
) -> Dataset:
    no_features = {roles.target, roles.time, roles.group, roles.weight, roles.split, *roles.drop}
    features = joined.drop(columns=[name for name in joined.columns if name in no_features])
    if features.shape[1] == 0:
        raise InputError("No column is left as a feature. Give a table with columns besides those named in options.")
    train, test = holdout.train, holdout.test
    if labels is not None and len(np.unique(targets[train])) < 2:
        raise InputError(
            f"The training rows have 1 class only ({labels[targets[train][0]]!r}): there is nothing to tell apart. "
            "Choose the test rows otherwise."
        )

    def of(name: str | None) -> "pd.Series[Any] | None":
        return None if name is None else joined[name].iloc[train].reset_index(drop=True)

    weights = of(roles.weight)
    if weights is not None and not pd.api.types.is_numeric_dtype(weights):
        raise InputError(f"--weight {roles.weight!r} has values such as {weights.iloc[0]!r}. Weights are numbers.")
    return Dataset(
        train=features.iloc[train].reset_index(drop=True),
        test=features.iloc[test].reset_index(drop=True),
        y_train=targets[train],
        y_test=targets[test],
        labels=labels,
        holdout=holdout,
        times=of(roles.time),
        groups=of(roles.group),
        weights=None if weights is None else weights.to_numpy(dtype=np.float64, na_value=np.nan),
        test_groups=None if roles.group is None else joined[roles.group].iloc[test].astype(str).to_numpy(dtype=str),
    )


def check_columns(names: Sequence[str], roles: Roles, where: str) -> None:
    """Refuse roles of columns that do not exist.

    Raises
    ------
    ConfigurationError
        If there are some; all of them are listed.
    """
    asked = {
        "--target": roles.target,
        "--time": roles.time,
        "--group": roles.group,
        "--weight": roles.weight,
        "--split-column": roles.split,
        **{f"--drop ({position})": name for position, name in enumerate(roles.drop, 1)},
    }
    mistakes = []
    for option, name in asked.items():
        if name is not None and name not in names:
            near = get_close_matches(name, names, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            mistakes.append(f"{option} {name!r} is no column of {where}.{hint} Valid: {_listed(names)}.")
    if mistakes:
        raise ConfigurationError(mistakes)


def _listed(names: Sequence[str]) -> str:
    shown = 30
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")


def _same_columns(test_table: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    missing = [str(name) for name in table.columns if name not in set(test_table.columns)]
    if missing:
        raise InputError(
            f"The test table lacks the columns {_listed(missing)}. It must have those of the training table."
        )
    return test_table[list(table.columns)]


def _target(column: "pd.Series[Any]", task: str) -> tuple[NDArray[Any] | None, NDArray[Any]]:
    """Return labels and codes, or None and numbers."""
    numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    if task == "auto":
        whole = numeric and bool((column % 1 == 0).all())
        task = (
            "classification" if not numeric or (whole and column.nunique() <= _MOST_INTEGER_CLASSES) else "regression"
        )
    if task == "regression":
        if not numeric:
            raise InputError(
                f"--target {str(column.name)!r} has values such as {column.iloc[0]!r}, which are no numbers to regress "
                "on. Take --task classification, or another target."
            )
        values = column.to_numpy(dtype=np.float64)
        broken = int((~np.isfinite(values)).sum())
        if broken:
            raise InputError(f"--target {str(column.name)!r} has {broken:,} infinite values. Drop those rows.")
        return None, values
    labels, codes = np.unique(column.to_numpy() if numeric else column.astype(str).to_numpy(), return_inverse=True)
    if len(labels) < 2:
        raise InputError(
            f"--target {str(column.name)!r} has 1 class only ({labels.tolist()}): there is nothing to tell apart. "
            "Choose another target, or other rows."
        )
    if len(labels) > len(codes) / 2 and len(codes) > _MOST_INTEGER_CLASSES:
        raise InputError(
            f"--target {str(column.name)!r} has {len(labels):,} different values in {len(codes):,} rows: too many for "
            f"classes. Take {'--task regression' if numeric else 'another target'}."
        )
    return labels, codes.astype(np.int64)
