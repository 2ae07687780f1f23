"""Tables of any columns to one matrix."""

from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler
from sklearn.utils.validation import check_is_fitted
from skrub import TableVectorizer

from partwise.encoders.columns import column_names, is_numeric, matched, numbers, refuse_infinite
from partwise.encoders.text import DistinctStringEncoder
from partwise.errors import InputError
from partwise.records import LearnerNeeds

__all__ = ["TableEncoder"]

_ALL_NEEDS = LearnerNeeds()


class TableEncoder(BaseEstimator):
    """Encode the columns of a table as numbers, each by what it holds, by the rules of ``skrub.TableVectorizer``.

    Numbers (also booleans, durations in seconds, and texts that are all numbers) stay one feature; dates and times,
    and texts that are all dates, become year, month, day, hour and seconds; other columns are categories. Columns
    that have only missing values at fit are left out. Columns are matched by name. Later, a value that cannot be read
    as at fit (a text in a column of numbers) counts as missing.

    Parameters
    ----------
    needs
        What the learner needs. ``impute`` fills numbers and dates with the median, and adds a feature that marks the
        gaps where there were any at fit; ``scale`` brings them to mean 0 and standard deviation 1. Marks and
        categories are not scaled: a rare level would weigh most. ``categories="ordinal"`` makes one feature, the
        place of the level in alphabetical (for an ordered categorical in its own) order; unseen is -1, missing
        is NaN, or -2 with ``impute``. ``"string"`` makes a feature for each level, or an embedding of the text.
        A missing value counts as unseen if there was none at fit.
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
        kept = {name: column for name, column in zip(names, matched(table, names), strict=True) if column.count()}
        # The vectorizer treats columns one by one in a dozen steps. Of 500 numeric columns that takes 1 s for one
        # row, and 16 s to store; they are taken together here.
        self.numeric_ = [name for name, column in kept.items() if is_numeric(column.dtype)]
        self.others_ = [name for name, column in kept.items() if not is_numeric(column.dtype)]
        self.orders_ = {
            name: [str(level) for level in kept[name].cat.categories] if kept[name].cat.ordered else []
            for name in self.others_
            if isinstance(kept[name].dtype, pd.CategoricalDtype)
        }
        values, _ = self._blocks(table, fit=True)
        self.measures_ = self._measures().fit(values) if values.shape[1] else None
        self.names_ = self._names()
        if not self.names_:
            raise InputError(
                f"None of the {len(names)} columns holds a value in {len(table):,} rows: there is nothing to encode. "
                "Give at least one row and one column with values."
            )
        self.n_features_in_ = len(names)
        return self

    def transform(self, table: pd.DataFrame) -> NDArray[np.float32]:
        """Return a matrix of shape (rows, features), row after row in memory.

        Raises
        ------
        InputError
            When columns are missing, or values are infinite.
        """
        check_is_fitted(self, "names_")
        values, levels = self._blocks(table, fit=False)
        if self.measures_ is not None and len(table):  # scikit-learn refuses to transform no rows
            values = self.measures_.transform(values)
        matrix = np.empty((len(table), len(self.names_)), dtype=np.float32)
        if len(table):
            matrix[:, : values.shape[1]] = values
            matrix[:, values.shape[1] :] = levels
        return matrix

    def feature_names_out(self) -> list[str]:
        """Return the names of the features; one that is taken already is followed by underscores."""
        check_is_fitted(self, "names_")
        return list(self.names_)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:  # noqa: ARG002 - their signature
        """Return the names of the features as scikit-learn wants them; ``input_features`` is ignored."""
        return np.array(self.feature_names_out(), dtype=object)

    def _blocks(self, table: pd.DataFrame, *, fit: bool) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return numbers and parts of dates as they are, and what stands for the categories."""
        # medians and means of large numbers need the range and digits of 64 bits
        dtype = np.float64 if self.needs.impute or self.needs.scale else np.float32
        values = numbers(matched(table, self.numeric_), len(table), dtype)
        if not self.others_ or not len(table):
            return values, values[:, :0]
        readable = self._readable(table)
        with np.errstate(over="ignore"):  # what is too large is refused below
            if fit:
                self.vectorizer_ = self._vectorizer()
            output = self.vectorizer_.fit_transform(readable) if fit else self.vectorizer_.transform(readable)
        encoded = output.to_numpy(dtype=np.float32)
        measured = self._measured()
        for place in np.flatnonzero(measured):
            refuse_infinite(encoded[:, place], self._source(output.columns[place]))
        return np.hstack([values, encoded[:, measured]], dtype=dtype), encoded[:, ~measured]

    def _readable(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the other columns in types that the vectorizer knows, the same at fit and later.

        They are named by their place, so that no name of a level's feature can be that of a column.
        """
        columns = {}
        for place, (name, column) in enumerate(zip(self.others_, matched(table, self.others_), strict=True)):
            order = self.orders_.get(name)
            if isinstance(column.dtype, pd.PeriodDtype):
                column = column.dt.to_timestamp()
            elif isinstance(column.dtype, pd.ArrowDtype | pd.CategoricalDtype):
                column = column.astype(object).infer_objects()
            if order is not None:
                column = column.astype("category")
            if order:
                column = column.astype(object).map(str, na_action="ignore").where(column.notna(), np.nan)
            columns[str(place)] = column.array
        return pd.DataFrame(columns)

    def _vectorizer(self) -> TableVectorizer:
        if self.needs.categories == "string":
            return TableVectorizer(
                cardinality_threshold=self.cardinality_threshold,
                high_cardinality=DistinctStringEncoder(random_state=self.random_state),
            )
        codes = OrdinalEncoder(
            handle_unknown="use_encoded_value",
            unknown_value=-1,
            encoded_missing_value=-2 if self.needs.impute else np.nan,
            dtype=np.float32,
        )
        # scikit-learn sorts levels, unless they are given
        ordered = [
            (clone(codes).set_params(categories=[np.array([*order, np.nan], dtype=object)]), [str(place)])
            for place, name in enumerate(self.others_)
            if (order := self.orders_.get(name))
        ]
        return TableVectorizer(low_cardinality=codes, high_cardinality=codes, specific_transformers=ordered)

    def _measures(self) -> FeatureUnion:
        filled = [SimpleImputer(strategy="median")] if self.needs.impute else []
        scaled = [StandardScaler()] if self.needs.scale else []
        parts = [("values", make_pipeline(*filled, *scaled, "passthrough"))]
        marks = [("marks", MissingIndicator(error_on_new=False))] if self.needs.impute else []
        return FeatureUnion([*parts, *marks])

    def _measured(self) -> NDArray[np.bool_]:
        """Which outputs of the vectorizer are numbers or parts of dates."""
        sources, kinds = self.vectorizer_.output_to_input_, self.vectorizer_.column_to_kind_
        return np.array(
            [kinds[sources[output]] in {"numeric", "datetime"} for output in self.vectorizer_.all_outputs_], dtype=bool
        )

    def _source(self, output: str) -> str:
        return self.others_[int(self.vectorizer_.output_to_input_[output])]

    def _names(self) -> list[str]:
        values, levels = list(self.numeric_), []
        if self.others_:
            for output, measured in zip(self.vectorizer_.all_outputs_, self._measured(), strict=True):
                place = self.vectorizer_.output_to_input_[output]
                (values if measured else levels).append(self._source(output) + output[len(place) :])
        if self.measures_ is not None and self.needs.impute:
            marked = self.measures_.transformer_list[1][1].features_
            values += [f"{values[place]}_missing" for place in marked]
        names: dict[str, None] = {}
        for name in [*values, *levels]:
            while name in names:
                name += "_"
            names[name] = None
        return list(names)
