"""Rows of whatever table holds them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import _safe_indexing

__all__ = ["take_rows"]


def take_rows(X: Any, rows: NDArray[np.int64] | slice) -> Any:
    """Return these rows of an array, a sparse matrix or a DataFrame."""
    return _safe_indexing(X, rows)
