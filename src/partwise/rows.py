"""Rows of whatever table holds them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils import _safe_indexing

__all__ = ["stack_rows", "take_rows"]


def take_rows(X: Any, rows: NDArray[np.int64] | slice) -> Any:
    """Return these rows of an array, a sparse matrix or a DataFrame."""
    return _safe_indexing(X, rows)


def stack_rows(tables: Sequence[Any]) -> Any:
    """Return the rows of several arrays, sparse matrices or DataFrames below each other."""
    if isinstance(tables[0], pd.DataFrame):
        return pd.concat(tables, ignore_index=True)
    if sparse.issparse(tables[0]):
        return sparse.vstack(tables).tocsr()
    return np.concatenate(tables)
