"""Encoders are fitted on a sample where the table is large: the same one for a table in memory and in files."""

from typing import Any

import pandas as pd
from sklearn.base import clone

from partwise.permutation import keyed_sample
from partwise.protocols import Encoder

__all__ = ["encoder_rows", "fit_encoder"]

_VALUES = 10_000_000
_FEWEST_ROWS, _MOST_ROWS = 2_000, 500_000


def encoder_rows(n_columns: int) -> int:
    """Return on how many rows an encoder is fitted at most: ten million values, 2,000 to 500,000 rows."""
    return min(max(_FEWEST_ROWS, _VALUES // max(n_columns, 1)), _MOST_ROWS)


def fit_encoder(encoder: Encoder, table: pd.DataFrame, seed: int) -> Any:
    """Return a fitted copy of the encoder; of a large table it sees a keyed sample of the rows, in their order."""
    rows = encoder_rows(table.shape[1])
    if len(table) > rows:
        table = table.iloc[keyed_sample(len(table), rows, seed)]
    return clone(encoder).fit(table)
