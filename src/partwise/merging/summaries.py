"""What parts keep of their rows for a merge, and how a merged model gets its place to stand."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import validate_data

from partwise.errors import InputError
from partwise.merging.triangles import Factor, factor, merge_factors

__all__ = ["ClassFactors", "ClassSummary", "LeastSquaresSummary", "blank_fit", "merge_classes", "row_weights"]

_DENSE_COLUMNS = 10_000
"""A triangle of so many columns takes 800 MB."""


class LeastSquaresSummary(BaseEstimator):
    """The weighted mean of features and targets, and the triangle of their scatter about it."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Factor the rows ``[X y]``; ``y`` has shape (rows,) or (rows, targets)."""
        X, y = validate_data(
            self, X, y, accept_sparse="csr", dtype=[np.float64, np.float32], multi_output=True, y_numeric=True
        )
        _check_width(X)
        self.n_rows_ = X.shape[0]
        self.flat_ = y.ndim == 1
        targets = np.asarray(y, dtype=np.float64).reshape(self.n_rows_, -1)
        weights = row_weights(sample_weight, self.n_rows_)
        found = factor(X, np.zeros(self.n_rows_, dtype=np.int64), 1, weights, targets)
        self.weights_, self.means_, self.triangle_ = found.weights, found.means, found.triangle
        return self

    @property
    def factor(self) -> Factor:
        """The rows as one group."""
        return Factor(self.weights_, self.means_, self.triangle_)


class ClassSummary(BaseEstimator):
    """The rows, weight and mean of each class, and the triangle of the scatter about these means.

    Parameters
    ----------
    separate
        Keep one triangle for each class, rather than one for all: for models that weigh classes when all are known.
    weightless
        Name of a learner that takes no weights.
    """

    def __init__(self, *, separate: bool = False, weightless: str | None = None) -> None:
        self.separate = separate
        self.weightless = weightless

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Factor the rows; ``y`` holds class codes, of which some may be lacking."""
        if self.weightless is not None and sample_weight is not None:
            raise InputError(
                f"{self.weightless} takes no row weights. Leave them out, or choose a learner that takes them, "
                "such as RidgeClassifier or GaussianNB."
            )
        X, y = validate_data(self, X, y, accept_sparse="csr", dtype=[np.float64, np.float32])
        _check_width(X)
        weights = row_weights(sample_weight, X.shape[0])
        self.codes_, codes, self.counts_ = np.unique(y, return_inverse=True, return_counts=True)
        n_codes = len(self.codes_)
        if self.separate:
            groups = (np.flatnonzero(codes == code) for code in range(n_codes))
            found = [factor(X[rows], np.zeros(len(rows), dtype=np.int64), 1, weights[rows]) for rows in groups]
        else:
            found = [factor(X, codes, n_codes, weights)]
        self.weights_ = np.concatenate([one.weights for one in found])
        self.means_ = np.vstack([one.means for one in found])
        self.triangles_ = [one.triangle for one in found]
        return self


@dataclass(frozen=True, slots=True)
class ClassFactors:
    """All parts' classes.

    Attributes
    ----------
    counts
        Rows of each class, those of weight zero among them.
    factors
        One with a group for each class; or, where parts kept them apart, one with a single group for each class.
    """

    counts: NDArray[np.int64]
    factors: tuple[Factor, ...]

    @property
    def pooled(self) -> Factor:
        """The classes as groups of one factor."""
        if len(self.factors) == 1 and len(self.factors[0].weights) == len(self.counts):
            return self.factors[0]
        n_classes = len(self.counts)
        spread = [_placed(one, np.array([code]), n_classes) for code, one in enumerate(self.factors)]
        return merge_factors(spread)


def merge_classes(parts: Sequence[ClassSummary], n_classes: int) -> ClassFactors:
    """Merge the summaries of parts that may lack classes.

    Raises
    ------
    InputError
        If a class has no rows in any part.
    """
    counts = np.zeros(n_classes, dtype=np.int64)
    for part in parts:
        counts[part.codes_] += part.counts_
    if not counts.all():
        raise InputError(f"classes {np.flatnonzero(counts == 0).tolist()} of {n_classes} have no rows in any part.")
    if not parts[0].separate:
        placed = [
            _placed(Factor(part.weights_, part.means_, part.triangles_[0]), part.codes_, n_classes) for part in parts
        ]
        return ClassFactors(counts, (merge_factors(placed),))
    held: list[list[Factor]] = [[] for _ in range(n_classes)]
    for part in parts:
        for place, code in enumerate(part.codes_.tolist()):
            held[code].append(Factor(part.weights_[[place]], part.means_[[place]], part.triangles_[place]))
    return ClassFactors(counts, tuple(merge_factors(factors) for factors in held))


def blank_fit(template: Any, parts: Sequence[Any], y: NDArray[Any], **settings: Any) -> Any:
    """Fit a copy of the template on rows of zeros, to be filled with what was merged.

    scikit-learn thereby checks the settings and gives every attribute its shape, those too that only its own methods
    read, in whichever version is installed.

    Parameters
    ----------
    y
        Targets of the blank rows.
    settings
        Of this fit alone; the fitted copy has the template's.
    """
    model = clone(template).set_params(**settings).fit(np.zeros((len(y), parts[0].n_features_in_)), y)
    model.set_params(**{name: getattr(template, name) for name in settings})
    if hasattr(parts[0], "feature_names_in_"):
        model.feature_names_in_ = parts[0].feature_names_in_.copy()
    return model


def row_weights(sample_weight: Any, n_rows: int) -> NDArray[np.float64]:
    """Return the weights as an array of shape (rows,), ones where there are none.

    Raises
    ------
    InputError
        If there is not one finite, non-negative weight for each row.
    """
    if sample_weight is None:
        return np.ones(n_rows)
    weights = np.asarray(sample_weight, dtype=np.float64)
    if weights.ndim == 0:
        weights = np.full(n_rows, weights)
    if weights.shape != (n_rows,):
        raise InputError(f"sample_weight has shape {weights.shape}; it must be ({n_rows},), one weight for each row.")
    if not (np.isfinite(weights) & (weights >= 0)).all():
        raise InputError("sample_weight has negative or infinite values, or NaN; every weight must be a number from 0.")
    return weights


def _placed(found: Factor, codes: NDArray[np.int64], n_groups: int) -> Factor:
    """Give the groups of a factor their places among all groups."""
    weights, means = np.zeros(n_groups), np.zeros((n_groups, found.means.shape[1]))
    weights[codes], means[codes] = found.weights, found.means
    return Factor(weights, means, found.triangle)


def _check_width(X: Any) -> None:
    if issparse(X) and X.shape[1] > _DENSE_COLUMNS:
        raise InputError(
            f"X is sparse with {X.shape[1]} columns, and a merge keeps a dense triangle of columns x columns: at most "
            f"{_DENSE_COLUMNS}. Reduce the columns, for instance with TruncatedSVD, or combine by 'mean' or 'soft'."
        )
