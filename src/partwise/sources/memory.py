"""Tables in memory: whatever kind of DataFrame or array is given, as pandas, NumPy or SciPy."""

from collections import Counter
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd

from partwise.errors import InputError

__all__ = ["as_features", "as_target"]


def as_features(X: Any) -> Any:
    """Return a pandas DataFrame for any DataFrame or Arrow table; arrays, lists and sparse matrices as they are.

    Raises
    ------
    InputError
        If two columns have the same name.
    """
    names = getattr(X, "column_names", getattr(X, "columns", None))
    if names is None:
        return X
    twice = sorted({str(name) for name, count in Counter(names).items() if count > 1})
    if twice:
        raise InputError(f"Duplicate column names: {', '.join(twice)}. Rename them: columns are matched by name.")
    return X if hasattr(X, "iloc") else nw.from_native(X, eager_only=True).to_pandas()


def as_target(y: Any) -> Any:
    """Return the target as NumPy would see it: a series of any library loses its index and its name.

    Raises
    ------
    InputError
        If values are missing.
    """
    if isinstance(y, (pd.Series, pd.DataFrame)):
        missing = int(y.isna().to_numpy().sum())
        if missing:
            raise InputError(f"The target has {missing:,} missing values (NaN). Drop those rows, or fill them in.")
        return y.to_numpy()
    if hasattr(y, "to_numpy"):
        values = np.asarray(y)
        return as_target(pd.Series(values)) if values.ndim == 1 else values
    return y
