"""The columns of a block that are no features: those that a stored partition has besides, targets and weights."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from partwise.targets import target_values

__all__ = ["PART", "POSITION", "targets_of", "weights_of"]

POSITION = "__partwise_position__"
"""The place of the row in the table."""
PART = "__partwise_part__"
"""With replication: the part of the rows that goes to the same partitions."""


def targets_of(block: pa.Table, name: str, labels: NDArray[Any] | None) -> NDArray[Any]:
    """Return the codes of classes, whose sorted labels are given, or in regression the values; shape (rows,)."""
    values = target_values(block.column(name), name)
    return values.astype(np.float64) if labels is None else np.searchsorted(labels, values).astype(np.int64)


def weights_of(block: pa.Table, name: str | None) -> NDArray[np.float64] | None:
    """Return the weights of rows, shape (rows,); None where no column has them."""
    return None if name is None else np.asarray(block.column(name).cast(pa.float64()).to_numpy())
