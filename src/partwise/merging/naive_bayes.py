"""Naive Bayes, merged by adding counts, or means and squared deviations."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.naive_bayes import BernoulliNB, CategoricalNB, ComplementNB, GaussianNB, MultinomialNB
from sklearn.utils.validation import validate_data

from partwise.errors import InputError
from partwise.merging.summaries import row_weights
from partwise.merging.triangles import blocks, centred, merge_means

__all__ = ["CountingMerge", "GaussianMerge", "GaussianSummary"]

_Moments = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
"""Weights, shape (groups,), means and sums of squared deviations of groups, shape (groups, columns)."""


class GaussianSummary(BaseEstimator):
    """Weight, mean and squared deviations of each class, and of all rows without weights.

    The latter are the first entry of each array: the smoothing of variances is a share of the largest variance of all
    rows, whatever their weights.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Summarise the rows; ``y`` holds class codes, of which some may be lacking."""
        X, y = validate_data(self, X, y)
        self.codes_, codes = np.unique(y, return_inverse=True)
        weights = row_weights(sample_weight, len(y))
        n_groups = len(self.codes_)
        shape = (n_groups + 1, X.shape[1])
        found: _Moments = np.zeros(n_groups + 1), np.zeros(shape), np.zeros(shape)
        for rows in blocks(X.shape[0], sum(shape)):
            block = np.asarray(X[rows], dtype=np.float64)
            every = np.zeros(len(block), dtype=np.int64)
            heavy = weights[rows] > 0
            groups = _deviations(block[heavy], codes[rows][heavy], n_groups, weights[rows][heavy])
            found = _merged([found, _stacked(_deviations(block, every, 1, np.ones(len(block))), groups)])
        self.weights_, self.means_, self.squares_ = found
        return self


class GaussianMerge:
    """Gaussian naive Bayes, in double precision whatever the columns are."""

    takes: tuple[type, ...] = (GaussianNB,)
    copies = False

    def refusal(self, template: Any) -> str | None:  # noqa: ARG002 - there are no other settings
        """Return None: all settings can be merged."""
        return None

    def part(self, template: Any, index: int, n_parts: int) -> GaussianSummary:  # noqa: ARG002 - parts are alike
        """Return an empty summary."""
        return GaussianSummary()

    def merge(
        self,
        template: Any,
        parts: Sequence[GaussianSummary],
        rows: Sequence[NDArray[np.int64]],  # noqa: ARG002 - sums have no order of rows
        n_classes: int | None,
    ) -> Any:
        """Return the fitted classifier that ``template.fit`` would give."""
        assert n_classes is not None  # noqa: S101 - narrows the type
        weights, means, squares = _merged([_placed(part, n_classes + 1) for part in parts])
        # A class of next to no weight has no mean and no variance in scikit-learn.
        heavy = ~np.isclose(weights, 0.0)[:, None]
        means = np.where(heavy, means, 0.0)
        variances = np.divide(squares, weights[:, None], out=np.zeros_like(squares), where=heavy)
        model = clone(template)
        model.classes_ = np.arange(n_classes)
        model.n_features_in_ = parts[0].n_features_in_
        if hasattr(parts[0], "feature_names_in_"):
            model.feature_names_in_ = parts[0].feature_names_in_.copy()
        model.epsilon_ = template.var_smoothing * variances[0].max()
        model.theta_ = means[1:]
        model.var_ = variances[1:] + model.epsilon_
        model.class_count_ = weights[1:]
        model.class_prior_ = _priors(template.priors, weights[1:])
        return model


class CountingMerge:
    """Naive Bayes on counts: parts are classifiers of their own, of which only the counts matter.

    Whole numbers merge to the very bits of a single fit.
    """

    takes: tuple[type, ...] = (MultinomialNB, BernoulliNB, ComplementNB, CategoricalNB)
    copies = False

    def refusal(self, template: Any) -> str | None:  # noqa: ARG002 - there are no other settings
        """Return None: all settings can be merged."""
        return None

    def part(self, template: Any, index: int, n_parts: int) -> Any:  # noqa: ARG002 - parts are alike
        """Return an unfitted classifier whose smoothing and prior hold for any set of classes."""
        return clone(template).set_params(alpha=1.0, class_prior=None)

    def merge(
        self,
        template: Any,
        parts: Sequence[Any],
        rows: Sequence[NDArray[np.int64]],  # noqa: ARG002 - sums have no order of rows
        n_classes: int | None,
    ) -> Any:
        """Return the fitted classifier that ``template.fit`` would give."""
        assert n_classes is not None  # noqa: S101 - narrows the type
        model = clone(template)
        model.classes_ = np.arange(n_classes)
        model.n_features_in_ = parts[0].n_features_in_
        model.class_count_ = _added([part.class_count_[:, None] for part in parts], parts, n_classes)[:, 0]
        last = np.zeros(model.n_features_in_, dtype=np.int64)
        if hasattr(parts[0], "category_count_"):
            tables = zip(*(part.category_count_ for part in parts), strict=True)
            model.category_count_ = [_added(counts, parts, n_classes) for counts in tables]
            last = np.array([counts.shape[1] - 1 for counts in model.category_count_])
        else:
            model.feature_count_ = _added([part.feature_count_ for part in parts], parts, n_classes)
        # Two rows that cancel leave all counts as they are, and scikit-learn makes its probabilities of them.
        model.partial_fit(np.stack([last, last]), np.zeros(2, dtype=np.int64), sample_weight=np.array([1.0, -1.0]))
        if hasattr(parts[0], "feature_names_in_"):
            model.feature_names_in_ = parts[0].feature_names_in_.copy()
        return model


def _deviations(
    block: NDArray[np.float64], codes: NDArray[np.int64], n_groups: int, weights: NDArray[np.float64]
) -> _Moments:
    """Return weights, means and sums of squared deviations of groups."""
    squares = np.zeros((n_groups, block.shape[1]))
    if len(block) == 0:
        return np.zeros(n_groups), np.zeros_like(squares), squares
    totals, means, rest, order = centred(block, codes, n_groups, weights)
    present, starts = np.unique(codes[order], return_index=True)
    squares[present] = np.add.reduceat(weights[order][:, None] * rest**2, starts)
    return totals, means, squares


def _stacked(first: _Moments, second: _Moments) -> _Moments:
    weights, means, squares = (np.concatenate(pair) for pair in zip(first, second, strict=True))
    return weights, means, squares


def _merged(moments: Sequence[_Moments]) -> _Moments:
    """Add squared deviations, and those of means from the common mean (Chan, Golub and LeVeque 1983)."""
    weights = np.stack([one[0] for one in moments])
    means = np.stack([one[1] for one in moments])
    totals, centres = merge_means(weights, means)
    moved = (weights[:, :, None] * (means - centres) ** 2).sum(axis=0)
    return totals, centres, np.sum([one[2] for one in moments], axis=0) + moved


def _placed(part: GaussianSummary, n_groups: int) -> _Moments:
    """Give the groups of a part their places among all groups."""
    places = np.concatenate([[0], part.codes_ + 1])
    weights, n_features = np.zeros(n_groups), part.n_features_in_
    means, squares = np.zeros((n_groups, n_features)), np.zeros((n_groups, n_features))
    weights[places], means[places], squares[places] = part.weights_, part.means_, part.squares_
    return weights, means, squares


def _priors(given: Any, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    if given is None:
        return weights / weights.sum()
    priors = np.array(given, dtype=np.float64)
    if priors.shape != weights.shape or not np.isclose(priors.sum(), 1.0) or (priors < 0).any():
        raise InputError(
            f"priors={given!r} must be {len(weights)} numbers from 0, one for each class, whose sum is 1. Set them so, "
            "or leave them out."
        )
    return priors


def _added(counts: Sequence[NDArray[np.float64]], parts: Sequence[Any], n_classes: int) -> NDArray[np.float64]:
    """Add counts of shape (classes of the part, values), each to the rows of its classes."""
    total = np.zeros((n_classes, max(count.shape[1] for count in counts)))
    for count, part in zip(counts, parts, strict=True):
        total[part.classes_, : count.shape[1]] += count
    return total
