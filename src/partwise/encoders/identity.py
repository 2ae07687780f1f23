"""Tables that are numbers already."""

from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from partwise.encoders.columns import Named, column_names, is_numeric, matched, numbers
from partwise.errors import InputError

__all__ = ["NumericEncoder"]


class NumericEncoder(Named):
    """Pass numeric and boolean columns through as they are, matched by name; missing values become NaN.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"a": [1, 2], "b": [True, False]})
    >>> NumericEncoder().fit(table).transform(table[["b", "a"]])
    array([[1., 1.],
           [2., 0.]], dtype=float32)
    """

    def fit(self, table: pd.DataFrame, y: Any = None) -> Self:  # noqa: ARG002 - scikit-learn's pipelines pass a target
        """Learn the names of the columns; ``y`` is ignored.

        Raises
        ------
        InputError
            When columns are not numeric, or names repeat.
        """
        self.names_ = column_names(table)
        _refuse_others(matched(table, self.names_))
        self.n_features_in_ = len(self.names_)
        return self

    def transform(self, table: pd.DataFrame) -> NDArray[np.float32]:
        """Return the values, shape (rows, columns).

        Raises
        ------
        InputError
            When columns are missing, not numeric, or hold infinite values.
        """
        check_is_fitted(self, "names_")
        columns = matched(table, self.names_)
        _refuse_others(columns)
        return numbers(columns, len(table), np.float32)


def _refuse_others(columns: list["pd.Series[Any]"]) -> None:
    others = [f"{column.name!r} ({column.dtype})" for column in columns if not is_numeric(column.dtype)]
    if others:
        raise InputError(
            f"{len(others)} columns are not numeric: {', '.join(others)}. Valid: numeric and boolean types. "
            "Let partwise encode the table (leave out --no-encode), or drop these columns."
        )
