"""Classification scores of weighted rows.

Classes that are absent: a class that no test row has (or only rows of weight 0) is left out of averages over
classes; a class that no training row had has score 0 everywhere. A score that has no meaning for the rows at hand,
such as the area under the ROC curve of rows of one class, is NaN.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from partwise.evaluation.records import BINARY, Outputs, Truth, class_scores
from partwise.evaluation.statistic import Statistic, Weights, weighted_mean

__all__ = ["accuracy", "balanced_accuracy", "brier", "f1", "log_loss", "roc_auc"]


def accuracy(truth: Truth, outputs: Outputs) -> Statistic:
    """Prepare the share of rows with the right class."""
    return weighted_mean(truth.y == outputs.labels)


def balanced_accuracy(truth: Truth, outputs: Outputs) -> Statistic:
    """Prepare the mean over classes of the share of their rows that were found."""
    counts = _counts(truth, outputs)

    def value(weights: Weights) -> float:
        hits, true, _ = counts(weights)
        present = true > 0
        return float((hits[present] / true[present]).mean())

    return Statistic(value, passes=3)


def f1(truth: Truth, outputs: Outputs) -> Statistic:
    """Prepare the F1 score: of the second of two classes, the mean over classes where there are more."""
    counts = _counts(truth, outputs)
    binary = truth.n_classes == BINARY

    def value(weights: Weights) -> float:
        hits, true, predicted = counts(weights)
        size = true + predicted
        asked = size > 0
        if binary:
            asked[0] = False
        # With neither a true nor a predicted row of the class, precision and recall are both 0/0.
        return float((2 * hits[asked] / size[asked]).mean()) if asked.any() else float("nan")

    return Statistic(value, passes=3)


def log_loss(truth: Truth, outputs: Outputs) -> Statistic | None:
    """Prepare the mean of -log(probability of the true class); None where there are no probabilities.

    Probabilities are cut at the machine epsilon, as in scikit-learn, so that one row cannot make it infinite.
    """
    probabilities = _probabilities(truth, outputs)
    if probabilities is None:
        return None
    smallest = np.finfo(np.float64).eps
    true = probabilities[np.arange(len(truth.y)), truth.y]
    return weighted_mean(-np.log(np.clip(true, smallest, 1 - smallest)))


def brier(truth: Truth, outputs: Outputs) -> Statistic | None:
    """Prepare the Brier score; None where there are no probabilities.

    For two classes it is the squared error of the second class's probability (0 to 1), for more the sum of the
    squared errors over classes (0 to 2), as in scikit-learn and in Brier (1950), Monthly Weather Review 78(1).
    """
    probabilities = _probabilities(truth, outputs)
    if probabilities is None:
        return None
    errors = (probabilities**2).sum(axis=1)
    true = probabilities[np.arange(len(truth.y)), truth.y]
    errors += (1 - true) ** 2 - true**2
    return weighted_mean(errors / 2 if truth.n_classes == BINARY else errors)


def roc_auc(truth: Truth, outputs: Outputs) -> Statistic | None:
    """Prepare the area under the ROC curve; with more than two classes the mean of each against the rest.

    The scores are sorted once, here; under new weights the area is the Mann-Whitney form, where ties count half
    (Hanley and McNeil 1982, Radiology 143(1)).
    """
    n_classes = truth.n_classes or 0
    scores = class_scores(outputs, n_classes)
    if scores is None:
        return None
    asked = [1] if n_classes == BINARY else np.unique(truth.y).tolist()
    areas = [_area(truth.y == code, scores[:, code]) for code in asked]

    def value(weights: Weights) -> float:
        defined = [area for area in (area(weights) for area in areas) if not np.isnan(area)]
        return float(np.mean(defined)) if defined else float("nan")

    return Statistic(value, passes=3 * len(areas))


def _area(positive: NDArray[np.bool_], scores: NDArray[np.float64]) -> Callable[[Weights], float]:
    above, below = np.flatnonzero(positive), np.flatnonzero(~positive)
    # The area is the same with both sides swapped and scores negated; the bigger side costs a single pass.
    if len(above) > len(below):
        above, below, scores = below, above, -scores
    above, below = above[np.argsort(scores[above])], below[np.argsort(scores[below])]
    n_lower = np.searchsorted(scores[below], scores[above], side="left")
    n_not_higher = np.searchsorted(scores[below], scores[above], side="right")
    has_ties = bool((n_lower != n_not_higher).any())

    def area(weights: Weights) -> float:
        total = np.ones(len(scores)) if weights is None else weights
        won, cumulated = total[above], np.concatenate([[0.0], np.cumsum(total[below])])
        pairs = won.sum() * cumulated[-1]
        beaten = (cumulated[n_lower] + cumulated[n_not_higher]) / 2 if has_ties else cumulated[n_lower]
        return float(won @ beaten / pairs) if pairs > 0 else float("nan")

    return area


def _counts(truth: Truth, outputs: Outputs) -> Callable[[Weights], NDArray[np.float64]]:
    """Return a function of weights that sums rows by class, shape (3, classes): hit, true, predicted."""
    n_classes = truth.n_classes or 0
    right = truth.y == outputs.labels
    hit = truth.y[right]

    def counts(weights: Weights) -> NDArray[np.float64]:
        rows = np.ones(len(truth.y)) if weights is None else weights
        sums = [(hit, rows[right]), (truth.y, rows), (outputs.labels, rows)]
        return np.array([np.bincount(codes, of, minlength=n_classes) for codes, of in sums], dtype=np.float64)

    return counts


def _probabilities(truth: Truth, outputs: Outputs) -> NDArray[np.float64] | None:
    return class_scores(outputs, truth.n_classes or 0) if outputs.kind == "probability" else None
