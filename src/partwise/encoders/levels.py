"""Category columns: as codes, or as one column for each level."""

from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from partwise.encoders.reading import distinct_texts, texts_of

__all__ = ["MISSING", "UNSEEN", "Codes", "Levels", "OneHot"]

UNSEEN = -1
"""The code of a level that was not there at fit."""

MISSING = -2
"""The code of a missing value."""


class Levels(BaseEstimator):
    """The distinct texts of a column, in sorted order, or in the order of an ordered categorical.

    They are held as one array of bytes: as a list, each text would become a node of the stored file's JSON (18 MB for
    the 4,000 aircraft of the flights), and NumPy's own text type pads all to the longest and drops closing NULs.
    """

    def fit(self, column: "pd.Series[Any]") -> Self:
        """Learn the levels."""
        texts = distinct_texts(column)[1]
        if isinstance(column.dtype, pd.CategoricalDtype) and column.cat.ordered:
            present = set(texts)
            ranked = [text for text in texts_of(pd.Series(column.cat.categories)) if text in present]
        else:
            ranked = sorted(texts)
        self.bytes_ = np.frombuffer("".join(ranked).encode("utf-8", "surrogatepass"), dtype=np.uint8)
        self.lengths_ = np.array([len(text) for text in ranked], dtype=np.int64)
        return self

    def texts(self) -> list[str]:
        """Return the levels in order."""
        joined = self.bytes_.tobytes().decode("utf-8", "surrogatepass")
        ends = np.cumsum(self.lengths_).tolist()
        return [joined[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]

    def codes(self, column: "pd.Series[Any]") -> NDArray[np.int64]:
        """Return the place of each row's level, or UNSEEN or MISSING, shape (rows,)."""
        codes, texts = distinct_texts(column)
        places = pd.Index(self.texts(), dtype=object).get_indexer(pd.Index(texts, dtype=object))
        return np.append(np.where(places < 0, UNSEEN, places), MISSING)[codes]


class Codes(BaseEstimator):
    """Encode a category column as the place of its level: one feature.

    A level unseen at fit is -1. A missing value is NaN, or -2 for learners that take no NaN: a median would say that
    it is like the level in the middle.
    """

    def __init__(self, *, impute: bool) -> None:
        self.impute = impute

    def fit(self, column: "pd.Series[Any]") -> Self:
        """Learn the levels."""
        self.levels_ = Levels().fit(column)
        return self

    def transform(self, column: "pd.Series[Any]") -> NDArray[np.float64]:
        """Return the codes, shape (rows, 1)."""
        codes = self.levels_.codes(column)
        return np.where(codes == MISSING, MISSING if self.impute else np.nan, codes)[:, None]

    def names(self, name: str) -> list[str]:
        """Return the name of the feature."""
        return [name]


class OneHot(BaseEstimator):
    """Encode a category column as one feature for each level, and one for missing values if there were any at fit.

    Of two levels without gaps the second is enough. A level unseen at fit has 0 everywhere. The features stay 0 and 1
    whatever the scale of the others: scaled, a rare level would weigh most.
    """

    def fit(self, column: "pd.Series[Any]") -> Self:
        """Learn the levels."""
        self.levels_ = Levels().fit(column)
        n_levels = len(self.levels_.lengths_)
        gaps = bool((self.levels_.codes(column) == MISSING).any())
        binary = 2
        self.shown_ = np.arange(1 if n_levels == binary and not gaps else 0, n_levels)
        if gaps:
            self.shown_ = np.append(self.shown_, MISSING)
        return self

    def transform(self, column: "pd.Series[Any]") -> NDArray[np.bool_]:
        """Return the membership of the levels, shape (rows, levels)."""
        return self.levels_.codes(column)[:, None] == self.shown_

    def names(self, name: str) -> list[str]:
        """Return the names of the features."""
        texts = self.levels_.texts()
        return [f"{name}_missing" if place == MISSING else f"{name}_{texts[place]}" for place in self.shown_]
