"""The rows of several partitions as one table."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from partwise.records import Part

__all__ = ["joined"]


def joined(parts: Sequence[Part]) -> Part:
    """Return the rows of all parts, in their order, under the number of the first."""
    if len(parts) == 1:
        return parts[0]
    weights = [part.weights for part in parts if part.weights is not None]
    return Part(
        partition=parts[0].partition,
        X=_stacked([part.X for part in parts]),
        y=np.concatenate([part.y for part in parts]),
        weights=np.concatenate(weights) if weights else None,
    )


def _stacked(tables: Sequence[Any]) -> Any:
    if isinstance(tables[0], pd.DataFrame):
        return pd.concat(tables, ignore_index=True)
    return sparse.vstack(tables, format="csr") if sparse.issparse(tables[0]) else np.concatenate(tables)
