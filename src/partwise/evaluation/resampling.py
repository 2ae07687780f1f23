"""The bootstrap over test rows, or over whole groups of them: counts of draws are weights of rows."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from partwise.evaluation.records import Truth
from partwise.evaluation.statistic import Statistic

__all__ = ["resample", "resamples_for", "two_sided_p", "within"]

_MOST = 2_000
_LEAST = 200
_WORK = 400_000_000
_LEAST_UNITS = 2


def resamples_for(n_rows: int, statistics: Sequence[Statistic]) -> int:
    """Return how many resamples are affordable: passes over rows are held to 4e8, between 200 and 2,000 resamples.

    The rule depends on sizes alone, never on a clock, so that the same data give the same interval everywhere.
    Fewer than 200 would leave fewer than five resamples beyond each end of a 95 % interval.
    """
    passes = sum(statistic.passes for statistic in statistics)
    return int(np.clip(_WORK // max(n_rows * passes, 1), _LEAST, _MOST))


def resample(truth: Truth, statistics: Sequence[Statistic], seed: int) -> NDArray[np.float64]:
    """Return the statistics in each bootstrap resample, shape (resamples, statistics), NaN where not defined.

    All statistics see the same resamples, so their differences are paired. With groups, whole groups are drawn
    (the cluster bootstrap of Field and Welsh 2007, JRSS B 69(3)). With fewer than two rows or groups
    there is nothing to draw from, and no resample.
    """
    codes = None if truth.groups is None else pd.factorize(truth.groups, use_na_sentinel=False)[0]
    n_units = len(truth.y) if codes is None else int(codes.max()) + 1
    n_resamples = resamples_for(len(truth.y), statistics) if n_units >= _LEAST_UNITS else 0
    values = np.empty((n_resamples, len(statistics)))
    rng = np.random.default_rng(seed)
    for row in range(n_resamples):
        # Counting uniform draws gives multinomial counts, at a tenth of the price of drawing the counts.
        counts = np.bincount(rng.integers(n_units, size=n_units), minlength=n_units).astype(np.float64)
        weights = counts if codes is None else counts[codes]
        values[row] = [statistic(weights) for statistic in statistics]
    return values


def within(values: NDArray[np.float64], level: float) -> tuple[float | None, float | None]:
    """Return the percentile interval of resampled values (Efron and Tibshirani 1993, chapter 13).

    There is none where the value was defined in fewer than half the resamples.
    """
    defined = values[np.isfinite(values)]
    if 2 * len(defined) < len(values) or not len(defined):
        return None, None
    tail = (1 - level) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)


def two_sided_p(differences: NDArray[np.float64]) -> float | None:
    """Return the two-sided p-value of no difference, by inverting the percentile interval.

    Twice the smaller share of resamples on either side of zero (Efron and Tibshirani 1993), with one added to
    counts and resamples, so that it is never 0 (Davison and Hinkley 1997, chapter 4).
    """
    defined = differences[np.isfinite(differences)]
    if 2 * len(defined) < len(differences) or not len(defined):
        return None
    smaller = min(int((defined <= 0).sum()), int((defined >= 0).sum()))
    return min(1.0, 2 * (smaller + 1) / (len(defined) + 1))
