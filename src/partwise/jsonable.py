"""Values as JSON knows them."""

from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["plain"]


def plain(value: Any) -> Any:
    """Return a value as JSON knows it: arrays as lists, NaN and infinity as null, paths and times as text."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        # NumPy's own list of times with nanoseconds is one of bare integers.
        return plain(value.astype(str).tolist() if value.dtype.kind == "M" else value.tolist())
    return _scalar(value)


def _scalar(value: Any) -> Any:
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    return str(value) if isinstance(value, Path) else value
