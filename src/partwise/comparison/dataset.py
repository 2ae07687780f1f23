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
from partwise.targets import (
    as_numbers,
    check_classes,
    check_number_of_classes,
    few_whole_numbers,
    is_number_type,
    target_column,
    target_values,
    task_of_numbers,
)
from partwise.validation import wrong_weights

__all__ = ["Dataset", "Roles", "check_columns", "listed", "make_dataset", "nearest"]


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

    if roles.weight is not None:
        _check_weights(joined[roles.weight])
    weights = of(roles.weight)
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
    """Refuse roles of columns that do not exist, and other roles of the target.

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
            hint = nearest(name, names)
            mistakes.append(f"{option} {name!r} is no column of {where}.{hint} Valid: {listed(names)}.")
        elif name == roles.target and option in {"--time", "--group", "--weight", "--split-column"}:
            mistakes.append(f"{option} {name!r} is the target, which can play no other part. Give another column.")
    if mistakes:
        raise ConfigurationError(mistakes)


def nearest(name: str, names: Sequence[str]) -> str:
    """Return the question for the name that is nearest to a wrong one; empty where none is near."""
    near = get_close_matches(name, names, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def listed(names: Sequence[str]) -> str:
    """Return names for a message; of many columns the first."""
    shown = 30
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")


def _same_columns(test_table: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    missing = [str(name) for name in table.columns if name not in set(test_table.columns)]
    if missing:
        raise InputError(
            f"The test table lacks the columns {listed(missing)}. It must have those of the training table."
        )
    return test_table[list(table.columns)]


def _check_weights(column: "pd.Series[Any]") -> None:
    """Refuse weights that are wrong on any row, also where it is a test row: the column is not what it seems."""
    name = str(column.name)
    if not pd.api.types.is_numeric_dtype(column):
        raise InputError(f"--weight {name!r} has values such as {column.iloc[0]!r}. Weights are numbers.")
    faults = wrong_weights(column.to_numpy(dtype=np.float64, na_value=np.nan))
    if faults:
        said = " and ".join(f"{count:,} {what}" for what, count in faults.items())
        raise InputError(f"--weight {name!r} has {said} values in {len(column):,} rows. Weights are zero or more.")


def _target(column: "pd.Series[Any]", task: str) -> tuple[NDArray[Any] | None, NDArray[Any]]:
    """Return labels and codes, or None and numbers."""
    name = str(column.name)
    whole = target_column(column, name)
    values = target_values(whole, name)
    if task == "auto":
        task = task_of_numbers([few_whole_numbers(values)]) if is_number_type(whole.type) else "classification"
    if task == "regression":
        numbers = as_numbers(values, name)
        broken = int((~np.isfinite(numbers)).sum())
        if broken:
            raise InputError(f"--target {name!r} has {broken:,} infinite values. Drop those rows.")
        return None, numbers
    labels, codes = np.unique(values, return_inverse=True)
    check_number_of_classes(name, len(labels), len(codes))
    check_classes(labels, name)
    return labels, codes.astype(np.int64)
