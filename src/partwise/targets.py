"""What a target may be, and what becomes of it: the same values, labels and checks in memory and in files."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.utils import check_array, get_tags
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from partwise.errors import InputError
from partwise.sources.memory import as_target

__all__ = [
    "as_numbers",
    "check_classes",
    "check_number_of_classes",
    "check_target_type",
    "class_target",
    "few_whole_numbers",
    "is_number_type",
    "target_column",
    "target_values",
    "task_of_numbers",
    "value_target",
]

_MOST_CLASSES = 10_000
_MOST_INTEGER_CLASSES = 20
_IN_MEMORY = "y"
"""The name of a target that was given as an array."""


def check_target_type(name: str, kind: pa.DataType) -> None:
    """Refuse a column whose values are neither classes nor numbers, before any of them is read.

    Raises
    ------
    InputError
        If it holds times of day, durations, bytes or nested values.
    """
    kind = _plain(kind)
    texts = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    known = is_number_type(kind) or pa.types.is_boolean(kind) or _is_date(kind) or texts or pa.types.is_null(kind)
    if not known:
        raise InputError(
            f"The target {name!r} is of type {kind}, which gives neither classes nor numbers. Valid: numbers and "
            "decimals, booleans, text, dates, and categories of these. Turn it into text or numbers, or take another "
            "target."
        )


def is_number_type(kind: pa.DataType) -> bool:
    """Return whether values of this type are numbers; categories are classes, whatever they are of."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def target_values(column: pa.ChunkedArray | pa.Array, name: str) -> NDArray[Any]:
    """Return the values of a target as an array of numbers, booleans, texts or dates.

    Decimals become floats, times of a zone those of UTC, and categories what they are of.

    Raises
    ------
    InputError
        If the column is of a type that gives neither classes nor numbers.
    """
    check_target_type(name, column.type)
    kind = _plain(column.type)
    if pa.types.is_decimal(kind):
        kind = pa.float64()
    elif pa.types.is_timestamp(kind) and kind.tz is not None:
        kind = pa.timestamp(kind.unit)
    if kind != column.type:
        column = column.cast(_plain(column.type)).cast(kind)
    return column.to_numpy() if isinstance(column, pa.ChunkedArray) else column.to_numpy(zero_copy_only=False)


def target_column(column: "pd.Series[Any]", name: str) -> pa.ChunkedArray | pa.Array:
    """Return a target in memory as the column that it would be in a file.

    Raises
    ------
    InputError
        If its values are of several types.
    """
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        column = column.dt.tz_convert(None)
    try:
        return pa.array(column, from_pandas=True)
    except pa.ArrowException as error:
        raise InputError(
            f"The target {name!r} has values of several types, or of one that no file holds: "
            f"{str(error).splitlines()[0]}. Turn all of them into text, or all into numbers."
        ) from error


def as_numbers(values: NDArray[Any], name: str) -> NDArray[np.float64]:
    """Return the values of a target as floats.

    Raises
    ------
    InputError
        If they are no numbers.
    """
    if values.dtype.kind not in "biuf":
        raise InputError(
            f"The target {name!r} has values such as {values[:1].tolist()[0]!r}, which are no numbers to regress on. "
            "Take a classifier (--task classification), or another target."
        )
    return values.astype(np.float64)


def few_whole_numbers(values: NDArray[Any]) -> frozenset[Any] | None:
    """Return the distinct numbers, but for missing ones, while they are whole and few, else None."""
    distinct = pd.unique(pd.Series(values).dropna())
    if len(distinct) > _MOST_INTEGER_CLASSES or bool((distinct % 1 != 0).any()):
        return None
    return frozenset(distinct.tolist())


def task_of_numbers(found: list[frozenset[Any] | None]) -> str:
    """Return the task for a target of numbers, of which each block has told its few whole ones.

    Up to 20 whole numbers are classes.
    """
    known = [each for each in found if each is not None]
    few = len(known) == len(found) and len(frozenset().union(*known)) <= _MOST_INTEGER_CLASSES
    return "classification" if few else "regression"


def check_number_of_classes(name: str, n_classes: int, n_rows: int | None = None) -> None:
    """Refuse a target with too many different values for classes; ``n_rows`` is None while rows are still counted.

    Raises
    ------
    InputError
        If there are over 10,000, or in more than 20 rows over half as many as rows.
    """
    advice = "Take a regressor (--task regression) if it is a number, or another target."
    if n_classes > _MOST_CLASSES:
        raise InputError(
            f"The target {name!r} has over {_MOST_CLASSES:,} different values: too many for classes. {advice}"
        )
    if n_rows is not None and n_rows > _MOST_INTEGER_CLASSES and n_classes > n_rows / 2:
        raise InputError(
            f"The target {name!r} has {n_classes:,} different values in {n_rows:,} rows: too many for classes. {advice}"
        )


def check_classes(labels: NDArray[Any], name: str) -> None:
    """Refuse distinct labels, sorted, that are no classes, or of which there are fewer than two.

    Raises
    ------
    InputError
        If they are fractions, or one.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that each label is there once, which is what distinct means
        _check_kind(labels, name)
    if len(labels) < 2:
        raise InputError(
            f"The target {name!r} has 1 class only ({labels.tolist()}): there is nothing to tell apart. "
            "Check the target column and how the rows were chosen."
        )


def class_target(y: Any) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the sorted class labels and the class code of each row.

    Raises
    ------
    InputError
        If there are several targets, missing labels, fewer than two classes, or values that are no classes.
    """
    labels = np.asarray(as_target(y)) if not hasattr(y, "__array_namespace__") else np.asarray(y)
    if labels.ndim == 2 and labels.shape[1] > 1:
        raise InputError(
            f"y has {labels.shape[1]} targets; a classifier takes one. For several, wrap it: "
            "sklearn.multioutput.MultiOutputClassifier(PartitionedClassifier(...))."
        )
    labels = column_or_1d(labels, warn=True)
    missing = int(pd.isna(labels).sum())
    if missing:
        raise InputError(f"The target has {missing:,} missing values (NaN). Drop those rows, or fill them in.")
    labels = _typed(labels)
    _check_kind(labels, _IN_MEMORY)
    classes, codes = np.unique(labels, return_inverse=True)
    check_classes(classes, _IN_MEMORY)
    return classes, codes.astype(np.int64)


def value_target(y: Any, template: Any) -> NDArray[np.float64]:
    """Return regression targets, shape (rows,), or (rows, targets) where the estimator takes several.

    Raises
    ------
    InputError
        If values are missing, infinite or no numbers, or there are more targets than the estimator takes.
    """
    values = np.asarray(as_target(y))
    if values.ndim == 2 and values.shape[1] > 1:
        if not get_tags(template).target_tags.multi_output:
            raise InputError(
                f"y has {values.shape[1]} targets; {type(template).__name__} takes one. For several, wrap it: "
                f"sklearn.multioutput.MultiOutputRegressor({type(template).__name__}(...))."
            )
        return check_array(values, dtype=np.float64, input_name="y")
    values = as_numbers(_typed(column_or_1d(values, warn=True)), _IN_MEMORY)
    broken = int((~np.isfinite(values)).sum())
    if broken:
        raise InputError(f"The target has {broken:,} missing (NaN) or infinite values. Drop those rows.")
    return values


def _check_kind(labels: NDArray[Any], name: str) -> None:
    try:
        check_classification_targets(labels)
    except ValueError as error:
        fractions = labels[labels % 1 != 0] if labels.dtype.kind == "f" else labels
        raise InputError(
            f"{error} The target {name!r} has values such as {fractions[:1].tolist()[0]!r}. Take a regressor (--task "
            "regression), or another target."
        ) from error


def _typed(values: NDArray[Any]) -> NDArray[Any]:
    """Return objects as what they are: decimals as floats, dates as NumPy's; other arrays have a type already."""
    if values.dtype.kind not in "OSm":
        return values
    return target_values(target_column(pd.Series(list(values), dtype=object), _IN_MEMORY), _IN_MEMORY)


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_date(kind: pa.DataType) -> bool:
    return bool(pa.types.is_date(kind) or pa.types.is_timestamp(kind))
