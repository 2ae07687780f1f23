"""By how much the best of several trials looks better than it is."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from partwise.records import OutputKind
from partwise.search.judging import Judge
from partwise.search.records import SearchTrial

__all__ = ["corrected_score"]

_MOST_RESAMPLES, _FEWEST_RESAMPLES = 200, 50
_MOST_SCORES = 20_000
"""Of all trials in all resamples, while these are not too few."""


def corrected_score(
    judge: Judge,
    trials: Sequence[SearchTrial],
    outputs: Mapping[int, NDArray[np.float64]],
    kinds: Mapping[int, OutputKind],
    seed: int,
) -> float | None:
    """Return the score that the best trial would have on rows by which it was not chosen.

    The judged rows are drawn again and again, with repetitions; the trial that is best on those drawn is scored on
    the others (Tsamardinos, Greasidou, Borboudakis, Machine Learning 2018: bootstrap bias corrected cross-validation,
    section 3). That holds where all trials take part that could have been chosen. One that was pruned takes part with
    what it said last, its scores moved by what trials that went on gained from there on the average: who was pruned
    by luck can then be chosen, and who went on by luck is found out.

    Parameters
    ----------
    trials
        All that were judged, whatever the number of partitions.
    outputs, kinds
        For each trial its last combined outputs on the judged rows, and what they mean.

    Returns
    -------
    The mean over 50 to 200 resamples, at most the best score itself; None where the metric was defined in none, or
    nothing was chosen as there was one trial.
    """
    if len(trials) == 1:
        return None
    generator = np.random.default_rng(seed)
    n_rows = len(judge.rows.y)
    sign = 1.0 if judge.metric.greater_is_better else -1.0
    statistics = [judge.statistic(outputs[trial.number], kinds[trial.number]) for trial in trials]
    gains = sign * _gains(trials)
    found: list[float] = []
    for _ in range(int(np.clip(_MOST_SCORES // len(trials), _FEWEST_RESAMPLES, _MOST_RESAMPLES))):
        counts = np.bincount(generator.integers(n_rows, size=n_rows), minlength=n_rows).astype(np.float64)
        scores = gains + [sign * statistic(counts) for statistic in statistics]
        if np.isfinite(scores).any():
            chosen = int(np.nanargmax(scores))
            found.append(gains[chosen] + sign * statistics[chosen]((counts == 0).astype(np.float64)))
    finite = [score for score in found if np.isfinite(score)]
    if not finite:
        return None
    most = max(trial.n_partitions for trial in trials)
    best = max(sign * (trial.score or 0.0) for trial in trials if trial.n_partitions == most)
    return sign * min(best, float(np.mean(finite)))  # a choice is never pessimistic: the rest is noise


def _gains(trials: Sequence[SearchTrial]) -> NDArray[np.float64]:
    """Return for each trial by how much its score would have changed up to the most partitions, as others' did."""
    rungs = sorted({rung for trial in trials for rung in trial.scores})
    steps = [
        float(np.mean([each.scores[after] - each.scores[rung] for each in trials if after in each.scores]))
        for rung, after in pairwise(rungs)
    ]
    return np.array([sum(steps[rungs.index(trial.n_partitions) :]) for trial in trials])
