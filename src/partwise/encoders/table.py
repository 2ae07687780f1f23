"""Tables of any columns to one matrix."""

import itertools
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler
from sklearn.utils.validation import check_is_fitted
from skrub import TableVectorizer

from partwise.encoders.columns import Named, column_names, is_numeric, matched, numbers, refuse_infinite, refuse_nested
from partwise.encoders.text import DistinctStringEncoder
from partwise.errors import InputError
from partwise.records import LearnerNeeds

__all__ = ["TableEncoder"]

_ALL_NEEDS = LearnerNeeds()


class TableEncoder(Named):
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
            When names repeat, values are infinite, columns hold several values in a row, or none holds any.
        """
        names = column_names(table)
        refuse_nested(table)
        kept = {name: column for name, column in zip(names, matched(table, names), strict=True) if column.count()}
        # The vectorizer takes columns one by one through a dozen steps: 500 numeric columns would take 1 s for one
        # row, and 16 s to store. These go through one imputer and one scaler together.
        self.columns_ = list(kept)
        self.numeric_ = [name for name, column in kept.items() if is_numeric(column.dtype)]
        self.others_ = [name for name in kept if name not in set(self.numeric_)]
        types = {name: kept[name].dtype for name in self.others_}
        categories = {name: dtype for name, dtype in types.items() if isinstance(dtype, pd.CategoricalDtype)}
        self.categories_ = {name: self._ranks(dtype) for name, dtype in categories.items()}
        self.durations_ = [name for name in self.others_ if pd.api.types.is_timedelta64_dtype(_plain(kept[name]))]
        values, levels, names_of_values, names_of_levels = self._blocks(kept, len(table), fit=True)
        self.measures_ = self._measures().fit(values) if names_of_values else None
        if self.measures_ is not None and self.needs.impute:
            gaps = self.measures_.named_transformers["gaps"].features_
            names_of_values += [f"{names_of_values[place]}_missing" for place in gaps]
        self.names_ = _distinct([*names_of_values, *names_of_levels])
        if not self.names_:
            raise InputError(
                f"None of the {len(names)} columns holds a value in {len(table):,} rows: there is nothing to encode. "
                "Give at least one row and one column with values."
            )
        self.n_features_in_ = len(names)
        self.category_levels_ = self._levels(levels, len(self.names_))
        return self

    def transform(self, table: pd.DataFrame) -> NDArray[np.float32]:
        """Return a matrix of shape (rows, features), row after row in memory.

        Raises
        ------
        InputError
            When columns are missing, or values are infinite.
        """
        check_is_fitted(self, "names_")
        kept = dict(zip(self.columns_, matched(table, self.columns_), strict=True))
        if not len(table):  # scikit-learn refuses to transform no rows
            return np.empty((0, len(self.names_)), dtype=np.float32)
        values, levels, _, _ = self._blocks(kept, len(table), fit=False)
        if self.measures_ is not None:
            values = self.measures_.transform(values)
        return np.ascontiguousarray(np.hstack([values, levels], dtype=np.float32))

    def _levels(self, codes: NDArray[Any], n_features: int) -> dict[int, int]:
        """Return which features are codes of categories, the last ones, and how many levels each has."""
        if self.needs.categories == "string":
            return {}
        first = n_features - codes.shape[1]
        return {first + place: int(np.nanmax(column, initial=-1)) + 1 for place, column in enumerate(codes.T)}

    def _blocks(
        self, columns: dict[str, "pd.Series[Any]"], n_rows: int, *, fit: bool
    ) -> tuple[NDArray[Any], NDArray[Any], list[str], list[str]]:
        """Return numbers and parts of dates as they are, what stands for the categories, and their names."""
        # medians and means of large numbers need the range and digits of 64 bits
        dtype = np.float64 if self.needs.impute or self.needs.scale else np.float32
        values = numbers([columns[name] for name in self.numeric_], n_rows, dtype)
        if not self.others_:
            return values, values[:, :0], list(self.numeric_), []
        readable = self._readable(columns)
        if fit:
            self.vectorizer_ = self._vectorizer()
        with np.errstate(over="ignore"):  # what is too large is refused below
            output = self.vectorizer_.fit_transform(readable) if fit else self.vectorizer_.transform(readable)
        encoded = output.to_numpy(dtype=np.float32)
        sources = [self.vectorizer_.output_to_input_[name] for name in output]
        kinds = self.vectorizer_.column_to_kind_
        measured = np.array([kinds[source] in {"numeric", "datetime"} for source in sources], dtype=bool)
        for place in np.flatnonzero(measured):
            refuse_infinite(encoded[:, place], self.others_[int(sources[place])])
        names = [self.others_[int(source)] + name[len(source) :] for name, source in zip(output, sources, strict=True)]
        return (
            np.hstack([values, encoded[:, measured]], dtype=dtype),
            encoded[:, ~measured],
            [*self.numeric_, *itertools.compress(names, measured)],
            list(itertools.compress(names, ~measured)),
        )

    def _readable(self, columns: dict[str, "pd.Series[Any]"]) -> pd.DataFrame:
        """Return the other columns in types that the vectorizer knows, the same at fit and later.

        They are named by their place, so that no name of a level's feature can be that of a column.
        """
        readable = {}
        for place, name in enumerate(self.others_):
            column = _plain(columns[name])
            if name in self.categories_:
                ranks, gaps = self.categories_[name], column.isna()
                column = column.astype(object).map(str).map(lambda text, ranks=ranks: ranks.get(text, text))
                column = column.mask(gaps, None).astype("category")
            elif name in self.durations_:
                column = pd.to_timedelta(column, errors="coerce")
            readable[str(place)] = column.array
        return pd.DataFrame(readable)

    def _ranks(self, dtype: pd.CategoricalDtype) -> dict[str, str]:
        """Return texts for the levels of an ordered categorical that sort as the levels do."""
        if not dtype.ordered or self.needs.categories == "string":
            return {}
        return {str(level): f"{place:09d}" for place, level in enumerate(dtype.categories)}

    def _vectorizer(self) -> TableVectorizer:
        if self.needs.categories == "string":
            embedding = DistinctStringEncoder(random_state=self.random_state)
            return TableVectorizer(cardinality_threshold=self.cardinality_threshold, high_cardinality=embedding)
        codes = OrdinalEncoder(
            handle_unknown="use_encoded_value",
            unknown_value=-1,
            encoded_missing_value=-2 if self.needs.impute else np.nan,
            dtype=np.float32,
        )
        return TableVectorizer(low_cardinality=codes, high_cardinality=codes)

    def _measures(self) -> FeatureUnion:
        filled = [SimpleImputer(strategy="median")] if self.needs.impute else []
        scaled = [StandardScaler()] if self.needs.scale else []
        gaps = [("gaps", MissingIndicator(error_on_new=False))] if self.needs.impute else []
        return FeatureUnion([("values", make_pipeline(*filled, *scaled, "passthrough")), *gaps])


def _plain(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return the column as NumPy's types, texts or objects; periods as their start, whole floats as integers."""
    if isinstance(column.dtype, pd.ArrowDtype | pd.CategoricalDtype):
        column = column.astype(object)
    column = column.infer_objects()
    if isinstance(column.dtype, pd.PeriodDtype):
        return column.dt.to_timestamp()
    # a column of integers with a gap arrives as floats, and 1.0 has to meet the level "1" that was fitted
    return column.convert_dtypes() if pd.api.types.is_float_dtype(column.dtype) else column


def _distinct(wanted: list[str]) -> list[str]:
    """Return the names; one that is taken already is followed by underscores."""
    names: dict[str, None] = {}
    for name in wanted:
        while name in names:
            name += "_"  # noqa: PLW2901 - until it is free
        names[name] = None
    return list(names)
