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
    generator = np.random.default_rng(seed)
    n_rows = len(judge.rows.y)
    sign = 1.0 if judge.metric.greater_is_better else -1.0
    found = []
    for _ in range(_RESAMPLES if len(outputs) > 1 else 0):
        drawn = generator.integers(n_rows, size=n_rows)
        others = np.setdiff1d(np.arange(n_rows), drawn)
        scores = {number: sign * judge.score(said, kinds[number], drawn) for number, said in outputs.items()}
        finite = {number: score for number, score in scores.items() if np.isfinite(score)}
        if finite:
            best = max(finite, key=finite.__getitem__)
            found.append(judge.score(outputs[best], kinds[best], others))
    finite_scores = [score for score in found if np.isfinite(score)]
    if not finite_scores:
        return None
    whole = max(sign * judge.score(said, kinds[number]) for number, said in outputs.items())
    return sign * min(whole, sign * float(np.mean(finite_scores)))  # a choice is never pessimistic: the rest is noise
