"""By how much the best of several trials looks better than it is."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from partwise.records import OutputKind
from partwise.search.judging import Judge

__all__ = ["corrected_score"]

_RESAMPLES = 200


def corrected_score(
    judge: Judge, outputs: Mapping[int, NDArray[np.float64]], kinds: Mapping[int, OutputKind], seed: int
) -> float | None:
    """Return the score that the best trial would have on rows by which it was not chosen.

    The judged rows are drawn again and again, with repetitions; the trial that is best on those drawn is scored on
    the others (Tsamardinos, Greasidou, Borboudakis, Machine Learning 2018: bootstrap bias corrected cross-validation,
    section 3). It knows only of the choice among these trials; that trials were pruned by the same rows, and that a
    sampler learned from them, it does not see.

    Parameters
    ----------
    outputs, kinds
        For each trial its combined outputs on the judged rows, and what they mean.

    Returns
    -------
    The mean over 200 resamples, at most the best score itself; None where the metric was defined in none.
    """
    if len(outputs) == 1:
        return None
    generator = np.random.default_rng(seed)
    n_rows = len(judge.rows.y)
    sign = 1.0 if judge.metric.greater_is_better else -1.0
    statistics = [judge.statistic(said, kinds[number]) for number, said in outputs.items()]
    found: list[float] = []
    for _ in range(_RESAMPLES):
        counts = np.bincount(generator.integers(n_rows, size=n_rows), minlength=n_rows).astype(np.float64)
        scores = np.array([sign * statistic(counts) for statistic in statistics])
        if np.isfinite(scores).any():
            found.append(sign * statistics[int(np.nanargmax(scores))]((counts == 0).astype(np.float64)))
    finite = [score for score in found if np.isfinite(score)]
    if not finite:
        return None
    best = max(sign * statistic(np.ones(n_rows)) for statistic in statistics)
    return sign * min(best, float(np.mean(finite)))  # a choice is never pessimistic: the rest is noise
