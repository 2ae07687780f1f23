"""Encoders are fitted on a sample where the table is large: the same one for a table in memory and in files."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from sklearn.base import clone

from partwise.permutation import drawn_sample
from partwise.protocols import Encoder

__all__ = ["SAMPLED_BYTES", "bytes_of_rows", "encoder_rows", "fit_encoder", "n_within"]

SAMPLED_BYTES = 2**27
"""How much the rows of an encoder's sample take at most, by ``bytes_of_rows``."""
_VALUES = 10_000_000
_FEWEST_ROWS, _MOST_ROWS = 2_000, 500_000
_VALUE_BYTES = 8
_OF_ANY_LENGTH = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)


def encoder_rows(n_columns: int) -> int:
    """Return on how many rows an encoder is fitted at most, before their bytes are counted.

    That is ten million values, 2,000 to 500,000 rows.
    """
    return min(max(_FEWEST_ROWS, _VALUES // max(n_columns, 1)), _MOST_ROWS)


def fit_encoder(encoder: Encoder, table: pd.DataFrame, seed: int) -> Any:
    """Return a fitted copy of the encoder; of a large table it sees a keyed sample of the rows, in their order."""
    rows = drawn_sample(len(table), encoder_rows(table.shape[1]), seed)
    columns = (_arrow(table.iloc[:, place], rows) for place in range(table.shape[1]))
    rows = rows[: n_within(bytes_of_rows(columns, len(rows)), SAMPLED_BYTES)]
    return clone(encoder).fit(table.iloc[np.sort(rows)] if len(rows) < len(table) else table)


def bytes_of_rows(columns: Iterable[pa.Array | pa.ChunkedArray | None], n_rows: int) -> NDArray[np.int64]:
    """Return what rows take, shape (rows,): eight bytes for a value, texts and bytes what is written there too.

    It follows from the values alone, so that it is the same in memory and in files of any layout. None stands for a
    column of plain numbers.
    """
    sizes = np.zeros(n_rows, dtype=np.int64)
    for column in columns:
        sizes += _VALUE_BYTES
        if column is not None and any(test(column.type) for test in _OF_ANY_LENGTH):
            sizes += pc.binary_length(column).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    return sizes


def n_within(sizes: NDArray[np.int64], limit: int) -> int:
    """Return how many of the first rows take no more than the limit together; the first one counts in any case."""
    return max(1, int(np.searchsorted(np.cumsum(sizes), limit, side="right")))


def _arrow(column: "pd.Series[Any]", rows: NDArray[np.int64]) -> pa.Array | pa.ChunkedArray | None:
    """Return values of a column as files would have them, None where its type says that they are all of one size."""
    if not (pd.api.types.is_object_dtype(column.dtype) or isinstance(column.dtype, pd.StringDtype | pd.ArrowDtype)):
        return None
    chosen = column.iloc[rows]
    try:
        return pa.Array.from_pandas(chosen)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):  # objects of several types, which no file has
        return pa.Array.from_pandas(chosen.map(str))
