"""Tables of any columns to one matrix."""

from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from partwise.encoders.columns import column_names, matched
from partwise.encoders.levels import Codes, OneHot
from partwise.encoders.numbers import Moments, Numbers
from partwise.encoders.reading import distinct_texts, kind_of
from partwise.encoders.text import Embedding
from partwise.errors import InputError
from partwise.records import LearnerNeeds

__all__ = ["TableEncoder"]

_ALL_NEEDS = LearnerNeeds()


class TableEncoder(BaseEstimator):
    """Encode the columns of a table as numbers, each by what it holds.

    Numbers (also booleans, durations in seconds, and texts that are all numbers) stay one feature; dates and times
    become year, month, day, hour and seconds; categories become codes, one feature for each level, or the
    coordinates of an embedding. Columns that have only missing values at fit are left out. Columns are matched by
    name.

    Parameters
    ----------
    needs
        What the learner needs: filled gaps, like scales, and how it takes categories.
    cardinality_threshold
        From this number of levels on, ``categories="string"`` embeds the texts.
    random_state
        Seed of the embeddings.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"size": [1.0, 3.0], "colour": ["red", "blue"]})
    >>> encoder = TableEncoder().fit(table)
    >>> encoder.transform(table)
    array([[-1.,  1.],
           [ 1.,  0.]], dtype=float32)
    >>> encoder.feature_names_out()
    ['size', 'colour_red']
    """

    def __init__(
        self, needs: LearnerNeeds = _ALL_NEEDS, *, cardinality_threshold: int = 40, random_state: int = 0
    ) -> None:
        self.needs = needs
        self.cardinality_threshold = cardinality_threshold
        self.random_state = random_state

    def fit(self, table: pd.DataFrame, y: Any = None) -> Self:  # noqa: ARG002 - scikit-learn's pipelines pass a target
        """Learn categories, means and scales from training rows; ``y`` is ignored.

        Raises
        ------
        InputError
            When names repeat, values are infinite, or no column holds a value.
        """
        names = column_names(table)
        kinds = {name: kind_of(column) for name, column in zip(names, matched(table, names), strict=True)}
        self.columns_ = [name for name in names if kinds[name] != "empty"]
        if not self.columns_:
            raise InputError(
                f"None of the {len(names)} columns holds a value in {len(table):,} rows: there is nothing to encode. "
                "Give at least one row and one column with values."
            )
        self.encoders_ = []
        for name, column in zip(self.columns_, matched(table, self.columns_), strict=True):
            unfitted = {"number": self._measured(Numbers), "moment": self._measured(Moments)}
            self.encoders_.append((unfitted.get(kinds[name]) or self._category(column)).fit(column))
        self.n_features_in_ = len(names)
        return self

    def transform(self, table: pd.DataFrame) -> NDArray[np.float32]:
        """Return a matrix of shape (rows, features), row after row in memory.

        Raises
        ------
        InputError
            When columns are missing, or hold what cannot be read as at fit.
        """
        check_is_fitted(self, "encoders_")
        matrix = np.empty((len(table), len(self.feature_names_out())), dtype=np.float32)
        start = 0
        for encoder, column in zip(self.encoders_, matched(table, self.columns_), strict=True):
            block = encoder.transform(column)
            matrix[:, start : start + block.shape[1]] = block
            start += block.shape[1]
        return matrix

    def feature_names_out(self) -> list[str]:
        """Return the names of the features; one that is taken already is followed by underscores."""
        check_is_fitted(self, "encoders_")
        names: dict[str, None] = {}
        for column, encoder in zip(self.columns_, self.encoders_, strict=True):
            for wanted in encoder.names(column):
                name = wanted
                while name in names:
                    name += "_"
                names[name] = None
        return list(names)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:  # noqa: ARG002 - their signature
        """Return the names of the features as scikit-learn wants them; ``input_features`` is ignored."""
        return np.array(self.feature_names_out(), dtype=object)

    def _measured(self, kind: Any) -> Any:
        return kind(impute=self.needs.impute, scale=self.needs.scale)

    def _category(self, column: "pd.Series[Any]") -> Any:
        if self.needs.categories == "ordinal":
            return Codes(impute=self.needs.impute)
        if len(distinct_texts(column)[1]) < self.cardinality_threshold:
            return OneHot()
        return Embedding(random_state=self.random_state)
