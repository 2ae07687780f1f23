"""Number and date columns: gaps filled, scales made alike, as far as the learner needs it."""

from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from skrub import DatetimeEncoder

from partwise.encoders.reading import distinct_texts, moment_format, numbers, refuse_unread_moments

__all__ = ["Measures", "Moments", "Numbers"]


class Measures(BaseEstimator):
    """Fill gaps with the median, mark them, and bring each feature to mean 0 and standard deviation 1.

    The mark is one more feature, only where there were gaps at fit: that a value is missing often says something.
    A constant feature becomes 0 when it is scaled.
    """

    def __init__(self, *, impute: bool, scale: bool) -> None:
        self.impute = impute
        self.scale = scale

    def fit(self, values: NDArray[np.float64]) -> Self:
        """Learn medians, means and deviations of features of shape (rows, features)."""
        gaps = np.isnan(values)
        self.marked_ = bool(self.impute and gaps.any())
        self.medians_ = np.nanmedian(values, axis=0)
        known = np.where(gaps, self.medians_, values) if self.impute else values
        deviations = np.nanstd(known, axis=0)
        # rounding leaves a constant column of large values with a tiny deviation, which would blow up as divisor
        constant = deviations <= np.abs(self.medians_) * len(values) * np.finfo(np.float64).eps
        self.means_ = np.nanmean(known, axis=0) if self.scale else np.zeros(values.shape[1])
        self.scales_ = np.where(constant, 1.0, deviations) if self.scale else np.ones(values.shape[1])
        return self

    def transform(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the features, and a last one that marks gaps if there were any at fit."""
        gaps = np.isnan(values)
        filled = np.where(gaps, self.medians_, values) if self.impute else values
        scaled = (filled - self.means_) / self.scales_
        return np.column_stack([scaled, gaps.any(axis=1)]) if self.marked_ else scaled

    def names(self, name: str, features: list[str]) -> list[str]:
        """Return the names of the features, with that of the mark."""
        return [*features, f"{name}_missing"] if self.marked_ else features


class Numbers(BaseEstimator):
    """Encode a column of numbers."""

    def __init__(self, *, impute: bool, scale: bool) -> None:
        self.impute = impute
        self.scale = scale

    def fit(self, column: "pd.Series[Any]") -> Self:
        """Learn the scale."""
        self.measures_ = Measures(impute=self.impute, scale=self.scale).fit(numbers(column)[:, None])
        return self

    def transform(self, column: "pd.Series[Any]") -> NDArray[np.float64]:
        """Return one feature, and its mark."""
        return self.measures_.transform(numbers(column)[:, None])

    def names(self, name: str) -> list[str]:
        """Return the names of the features."""
        return self.measures_.names(name, [name])


class Moments(BaseEstimator):
    """Encode a column of dates or times as year, month, day, hour (where there is one) and seconds.

    The format of texts and the time zone are those of the fit: other zones are converted, a time without zone is
    taken as UTC when the column had a zone at fit.
    """

    def __init__(self, *, impute: bool, scale: bool) -> None:
        self.impute = impute
        self.scale = scale

    def fit(self, column: "pd.Series[Any]") -> Self:
        """Learn the format, the time zone, whether there are hours, and the scale."""
        text = not _is_native(column)
        self.format_ = moment_format(distinct_texts(column)[1]) if text else None
        self.zone_: str | None = None
        moments = self._moments(column, fitting=True)
        self.zone_ = None if moments.dt.tz is None else str(moments.dt.tz)
        self.encoder_ = DatetimeEncoder()
        values = self.encoder_.fit_transform(moments).to_numpy(dtype=np.float64)
        self.measures_ = Measures(impute=self.impute, scale=self.scale).fit(values)
        return self

    def transform(self, column: "pd.Series[Any]") -> NDArray[np.float64]:
        """Return the parts of the moments as features, and their mark."""
        moments = self._moments(column, fitting=False)
        return self.measures_.transform(self.encoder_.transform(moments).to_numpy(dtype=np.float64))

    def names(self, name: str) -> list[str]:
        """Return the names of the features."""
        return self.measures_.names(name, [f"{name}_{part}" for part in self.encoder_.extracted_features_])

    def _moments(self, column: "pd.Series[Any]", *, fitting: bool) -> "pd.Series[Any]":
        if isinstance(column.dtype, pd.PeriodDtype):
            moments = column.dt.to_timestamp()
        elif _is_native(column):
            moments = column
        else:
            moments = self._parsed(column)
        # one unit for the nullable, Arrow and NumPy kinds, so that their parts are the same numbers
        moments = pd.Series(pd.to_datetime(moments).array, name="moment")
        if pd.api.types.is_object_dtype(moments.dtype):
            moments = pd.to_datetime(moments, utc=True)
        return moments if fitting else _in_zone(moments, self.zone_)

    def _parsed(self, column: "pd.Series[Any]") -> "pd.Series[Any]":
        codes, texts = distinct_texts(column)
        zoned = self.zone_ is not None or (self.format_ or "").endswith("%z")
        parsed = pd.to_datetime(pd.Series(texts, dtype=object), format=self.format_, errors="coerce", utc=zoned)
        refuse_unread_moments(str(column.name), texts, parsed.isna().to_numpy(), self.format_)
        return parsed.reindex(np.where(codes < 0, len(texts), codes)).reset_index(drop=True)


def _is_native(column: "pd.Series[Any]") -> bool:
    return isinstance(column.dtype, pd.PeriodDtype) or pd.api.types.is_datetime64_any_dtype(column.dtype)


def _in_zone(moments: "pd.Series[Any]", zone: str | None) -> "pd.Series[Any]":
    if zone is None:
        return moments if moments.dt.tz is None else moments.dt.tz_convert("UTC").dt.tz_localize(None)
    return (moments if moments.dt.tz is not None else moments.dt.tz_localize("UTC")).dt.tz_convert(zone)
