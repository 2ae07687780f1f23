"""Match the columns of a table by name, and read the numeric ones: the same for every encoder."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from partwise.errors import ConfigurationError, InputError, several_values

__all__ = ["Named", "column_names", "is_numeric", "matched", "numbers", "refuse_infinite", "refuse_nested"]

_NESTED = (list, tuple, set, frozenset, np.ndarray)
"""What holds several values of one kind; a record, as a dict, is a text to the encoder."""


class Named(BaseEstimator):
    """An encoder whose features have the names ``names_``."""

    names_: list[str]

    def feature_names_out(self) -> list[str]:
        """Return the names of the features."""
        check_is_fitted(self, "names_")
        return list(self.names_)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:  # noqa: ARG002 - their signature
        """Return the names of the features as scikit-learn wants them; ``input_features`` is ignored."""
        return np.array(self.feature_names_out(), dtype=object)


def column_names(table: pd.DataFrame) -> list[str]:
    """Return the names of the columns as text.

    Raises
    ------
    InputError
        When this is no DataFrame, or two columns have one name.
    """
    if not isinstance(table, pd.DataFrame):
        raise InputError(f"An encoder reads a pandas DataFrame, not {type(table).__name__}. Convert it first.")
    names = [str(name) for name in table.columns]
    duplicates = sorted(name for name, count in Counter(names).items() if count > 1)
    if duplicates:
        raise InputError(
            f"{len(duplicates)} column names occur more than once: {_quoted(duplicates)}. "
            "Columns are matched by name (as text): rename or drop the repeated ones."
        )
    return names


def matched(table: pd.DataFrame, names: Sequence[str]) -> list["pd.Series[Any]"]:
    """Return the columns with these names, in this order; others are ignored.

    Raises
    ------
    InputError
        When columns are missing; the message lists them all.
    """
    places = {name: place for place, name in enumerate(column_names(table))}
    missing = [name for name in names if name not in places]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(names)} columns are missing: {_quoted(missing)}. "
            f"The table has: {_quoted(list(places))}. Give the columns that the encoder was fitted on."
        )
    return [table.iloc[:, places[name]] for name in names]


def is_numeric(dtype: Any) -> bool:
    """Whether this is a numeric or boolean type of NumPy, pandas or Arrow; complex numbers are not."""
    return bool(pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_complex_dtype(dtype))


def numbers(columns: Sequence["pd.Series[Any]"], n_rows: int, dtype: Any) -> NDArray[Any]:
    """Return the columns as a matrix; missing values, and texts that are no numbers, are NaN.

    Raises
    ------
    InputError
        When a column has infinite values.
    """
    matrix = np.empty((n_rows, len(columns)), dtype=dtype)
    for place, column in enumerate(columns):
        # one row made of a dict has objects where a value is None
        read = column if is_numeric(column.dtype) else pd.to_numeric(column, errors="coerce")
        values = read.to_numpy(dtype=np.float64, na_value=np.nan)
        refuse_infinite(values, str(column.name))
        matrix[:, place] = values
    return matrix


def refuse_infinite(values: NDArray[np.floating[Any]], name: str) -> None:
    """Raise InputError when the values of this column are infinite, or too large for 32-bit floats."""
    count = int(np.count_nonzero(np.abs(values) > np.finfo(np.float32).max))
    if count:
        raise InputError(
            f"Column {name!r} has {count:,} infinite values (or beyond ±3.4e38, the range of 32-bit floats). "
            "Valid: finite numbers and missing values. Replace them, or mark them as missing."
        )


def refuse_nested(table: pd.DataFrame) -> None:
    """Raise ConfigurationError when columns hold several values in a row; all of them are listed."""
    kinds = {str(name): _nested_kind(column) for name, column in table.items()}
    mistakes = [several_values(name, kind) for name, kind in kinds.items() if kind is not None]
    if mistakes:
        raise ConfigurationError(mistakes)


def _nested_kind(column: "pd.Series[Any]") -> str | None:
    """Return of what type the values of a column are that holds several in a row, else None."""
    if isinstance(column.dtype, pd.ArrowDtype):
        kind = column.dtype.pyarrow_dtype
        return str(kind) if pa.types.is_nested(kind) and not pa.types.is_struct(kind) else None
    if not pd.api.types.is_object_dtype(column.dtype):
        return None
    return next((type(value).__name__ for value in column if isinstance(value, _NESTED)), None)


def _quoted(names: Sequence[str], limit: int = 20) -> str:
    shown = ", ".join(repr(name) for name in names[:limit])
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown
