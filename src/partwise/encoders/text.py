"""Category columns of many levels and free text: a few coordinates in place of a column for each level."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from skrub import StringEncoder

__all__ = ["DistinctStringEncoder"]

# The axes settle with some thousand texts, while the stored vocabulary grows with each.
_N_FITTED = 20_000


class DistinctStringEncoder(StringEncoder):
    """``skrub.StringEncoder``, computed once for each distinct text of a column.

    Columns repeat their texts, so this takes a small part of the time; a frequent text counts once in the fit.
    Texts unseen at fit lie near those that look like them; a missing value is 0 everywhere.
    """

    def fit_transform(self, column: "pd.Series[Any]", y: Any = None) -> pd.DataFrame:  # noqa: ARG002 - their signature
        """Learn the weights of the pieces of text and the axes, and return the coordinates of the rows."""
        texts = _distinct(column)[1][:-1]
        super().fit_transform(texts.sample(min(len(texts), _N_FITTED), random_state=self.random_state))
        return self.transform(column)

    def transform(self, column: "pd.Series[Any]") -> pd.DataFrame:
        """Return the coordinates of the rows."""
        codes, texts = _distinct(column)
        return super().transform(texts).iloc[codes].set_axis(column.index)


def _distinct(column: "pd.Series[Any]") -> tuple[NDArray[np.intp], "pd.Series[Any]"]:
    """Return the distinct texts with an empty one as the last, and each row's place, -1 (the last) where missing."""
    codes, texts = pd.factorize(column)
    return codes, pd.Series([*map(str, texts), ""], dtype=str, name=column.name)
