"""Decide what a column holds, and read it as numbers, moments or texts.

Texts are read by their distinct values: a column of 262,000 rows often has a few thousand, and searching them for
marks of missing values, numbers and dates is what takes long. The rules are those of ``skrub.TableVectorizer``; it is
not used itself because it stores each fitted step seven times: for 500 numeric columns its file took 16 s to write and
3.4 s to read, and one row took 1 s to encode.
"""

from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from skrub import ToDatetime

from partwise.encoders.columns import refuse_infinite
from partwise.errors import InputError

__all__ = ["Kind", "distinct_texts", "kind_of", "moment_format", "numbers", "refuse_unread_moments", "texts_of"]

Kind = Literal["number", "moment", "category", "empty"]

# What CSV readers (pandas, skrub) take as missing.
_MISSING_TEXTS = frozenset(
    [
        *("", "null", "NULL", "none", "None", "?", "...", "NA", "<NA>", "N/A", "n/a", "#NA", "#N/A", "#N/A N/A"),
        *("nan", "NaN", "-nan", "-NaN", "1.#QNAN", "-1.#QNAN", "1.#IND", "-1.#IND"),
    ]
)


def kind_of(column: "pd.Series[Any]") -> Kind:
    """Return what the column holds.

    Numbers are numeric, boolean and duration types, and texts that are all numbers; moments are dates, times and
    periods, and texts that are all dates in one format; a categorical column stays one. ``empty`` has only missing
    values.
    """
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        kind: Kind = "category"
    elif _is_measured(column):
        kind = "number"
    elif isinstance(dtype, pd.PeriodDtype) or _is_datetime(dtype):
        kind = "moment"
    else:
        return _kind_of_texts(distinct_texts(column)[1])
    return "empty" if column.isna().all() else kind


def numbers(column: "pd.Series[Any]") -> NDArray[np.float64]:
    """Return the values as floats, shape (rows,), missing ones as NaN; durations in seconds.

    Raises
    ------
    InputError
        When values are no numbers, or infinite.
    """
    name = str(column.name)
    if pd.api.types.is_timedelta64_dtype(column.dtype) or _arrow_kind(column.dtype) == "m":
        values = column.astype("timedelta64[ns]").dt.total_seconds().to_numpy(dtype=np.float64, na_value=np.nan)
    elif _is_measured(column):
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    else:
        codes, texts = distinct_texts(column)
        parsed = pd.to_numeric(pd.Series(texts, dtype=object), errors="coerce").to_numpy(dtype=np.float64)
        _refuse_unread(name, texts[np.isnan(parsed)], "numbers")
        values = np.append(parsed, np.nan)[codes]
    refuse_infinite(values, name)
    return values


def distinct_texts(column: "pd.Series[Any]") -> tuple[NDArray[np.int64], NDArray[np.object_]]:
    """Return a code for each row, -1 where it is missing, and the distinct texts that the codes count through."""
    # objects first become texts, because a set of objects takes 1, 1.0 and True as one, and refuses lists
    objects = pd.api.types.is_object_dtype(column.dtype)
    places, values = pd.factorize(texts_of(column) if objects else column, use_na_sentinel=True)
    codes, texts = pd.factorize(texts_of(pd.Series(values)), use_na_sentinel=True)
    known = np.array([text.strip() not in _MISSING_TEXTS for text in texts], dtype=bool)
    renumbered = np.append(np.where(known, np.cumsum(known) - 1, -1), -1)
    return renumbered[np.append(codes, -1)[places]], np.asarray(texts, dtype=object)[known]


def texts_of(column: "pd.Series[Any]") -> NDArray[np.object_]:
    """Return the values as texts and the missing ones as None; whole floats read as integers do."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        levels = [*texts_of(pd.Series(column.cat.categories)), None]
        return np.array(levels, dtype=object)[column.cat.codes.to_numpy()]
    if pd.api.types.is_float_dtype(column.dtype):
        # a column of integers with a gap arrives as floats, and 1.0 has to meet the level "1" that was fitted
        column = column.convert_dtypes()
    values = column.to_numpy(dtype=object)
    missing = column.isna().to_numpy(dtype=bool)
    return np.array([None if gap else str(value) for value, gap in zip(values, missing, strict=True)], dtype=object)


def moment_format(texts: NDArray[np.object_]) -> str | None:
    """Return the one format in which all these texts are dates or times, None where there is none."""
    finder = ToDatetime()
    try:
        finder.fit_transform(pd.Series(texts, dtype=object, name="texts").astype("string"))
    except ValueError:  # this is how skrub says that it found none
        return None
    return str(finder.format_)


def refuse_unread_moments(name: str, texts: NDArray[np.object_], unread: NDArray[np.bool_], form: str | None) -> None:
    """Raise InputError for texts that are no dates in the format that was found when the encoder was fitted."""
    _refuse_unread(name, texts[unread], f"dates in the format {form!r}" if form else "dates")


def _refuse_unread(name: str, texts: NDArray[np.object_], expected: str) -> None:
    if len(texts):
        raise InputError(
            f"Column {name!r} was fitted as {expected}, but has {len(texts):,} other distinct values, such as "
            f"{texts[0]!r}. Mark them as missing, or fit the encoder on the column as a 'category' type."
        )


def _kind_of_texts(texts: NDArray[np.object_]) -> Kind:
    if not len(texts):
        return "empty"
    if not pd.to_numeric(pd.Series(texts, dtype=object), errors="coerce").isna().any():
        return "number"
    return "category" if moment_format(texts) is None else "moment"


def _is_measured(column: "pd.Series[Any]") -> bool:
    dtype = column.dtype
    types = pd.api.types
    if types.is_object_dtype(dtype):
        # booleans with gaps; other objects are read as texts, where numbers and decimals show themselves
        return types.infer_dtype(column, skipna=True) == "boolean"
    numeric = types.is_numeric_dtype(dtype) and not types.is_complex_dtype(dtype)
    return bool(numeric or types.is_timedelta64_dtype(dtype) or _arrow_kind(dtype) == "m")


def _is_datetime(dtype: Any) -> bool:
    return bool(pd.api.types.is_datetime64_any_dtype(dtype))


def _arrow_kind(dtype: Any) -> str:
    return str(dtype.kind) if isinstance(dtype, pd.ArrowDtype) else ""
