"""Ridge regression and classification, merged by TSQR."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import svd
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.class_weight import compute_class_weight

from partwise.errors import InputError
from partwise.merging.summaries import (
    ClassFactors,
    ClassSummary,
    LeastSquaresSummary,
    blank_fit,
    merge_classes,
)
from partwise.merging.triangles import Factor, about_mean, about_origin, merge_factors

__all__ = ["RidgeClassifierMerge", "RidgeMerge"]


class RidgeMerge:
    """Ridge regression: the exact minimiser, whichever solver the template names.

    Solved by the singular values of the merged triangle, in double precision; ``solver_`` says ``svd`` and ``n_iter_``
    is None. A penalty of zero gives the solution of least norm.
    """

    takes: tuple[type, ...] = (Ridge,)
    copies = False

    def refusal(self, template: Any) -> str | None:
        """Return why these settings cannot be merged exactly and what to do instead; None where they can."""
        return _refusal(template, "'mean'")

    def part(self, template: Any, index: int, n_parts: int) -> LeastSquaresSummary:  # noqa: ARG002 - parts are alike
        """Return an empty summary."""
        return LeastSquaresSummary()

    def merge(
        self,
        template: Any,
        parts: Sequence[LeastSquaresSummary],
        rows: Sequence[NDArray[np.int64]],  # noqa: ARG002 - sums have no order of rows
        n_classes: int | None,  # noqa: ARG002 - values have no classes
    ) -> Any:
        """Return the fitted regression that ``template.fit`` would give."""
        found = merge_factors([part.factor for part in parts])
        n_targets = found.means.shape[1] - parts[0].n_features_in_
        blank = np.zeros(1) if parts[0].flat_ else np.zeros((1, n_targets))
        return _filled(blank_fit(template, parts, blank, solver="svd"), found)


class RidgeClassifierMerge:
    """Ridge regression on targets of -1 and 1; solved as ``Ridge`` is.

    Targets are constant within a class, so a part keeps the means of classes and the scatter about them.
    """

    takes: tuple[type, ...] = (RidgeClassifier,)
    copies = False

    def refusal(self, template: Any) -> str | None:
        """Return why these settings cannot be merged exactly and what to do instead; None where they can."""
        return _refusal(template, "'soft'")

    def part(self, template: Any, index: int, n_parts: int) -> ClassSummary:  # noqa: ARG002 - parts are alike
        """Return an empty summary."""
        return ClassSummary(separate=template.class_weight is not None)

    def merge(
        self,
        template: Any,
        parts: Sequence[ClassSummary],
        rows: Sequence[NDArray[np.int64]],  # noqa: ARG002 - sums have no order of rows
        n_classes: int | None,
    ) -> Any:
        """Return the fitted classifier that ``template.fit`` would give; ``class_weight`` has codes for keys."""
        assert n_classes is not None  # noqa: S101 - narrows the type
        codes = np.arange(n_classes)
        model = blank_fit(template, parts, codes, solver="svd", class_weight=None)
        found = _class_weighted(merge_classes(parts, n_classes), template.class_weight)
        signs = LabelBinarizer(pos_label=1, neg_label=-1).fit_transform(codes)
        return _filled(model, about_mean(found, signs))


def _refusal(template: Any, combination: str) -> str | None:
    if template.positive or template.solver == "lbfgs":
        return (
            f"positive={template.positive!r} with solver={template.solver!r} bounds the coefficients, and the bounded "
            "problem is not solved here. Set positive=False and solver='auto', or combine the members by "
            f"{combination}."
        )
    return None


def _class_weighted(classes: ClassFactors, class_weight: Any) -> Factor:
    """Return the pooled factor with each class' rows multiplied by its weight."""
    if class_weight is None:
        return classes.pooled
    codes = np.arange(len(classes.counts))
    weights = compute_class_weight(class_weight, classes=codes, y=np.repeat(codes, classes.counts))
    scaled = [
        Factor(one.weights * weight, one.means, one.triangle * np.sqrt(weight))
        for one, weight in zip(classes.factors, weights, strict=True)
    ]
    return ClassFactors(classes.counts, tuple(scaled)).pooled


def _filled(model: Any, found: Factor) -> Any:
    """Put the solution into a model that has been fitted on blank rows, in the shapes that it has there."""
    if not found.weights.any():
        raise InputError("every row has weight 0. Give some rows a weight above 0.")
    n_features = model.n_features_in_
    triangle = (found.triangle if model.fit_intercept else about_origin(found))[:n_features]
    n_targets = triangle.shape[1] - n_features
    penalties = np.broadcast_to(np.ravel(np.asarray(model.alpha, dtype=np.float64)), n_targets)
    coefficients = _minimiser(triangle[:, :n_features], triangle[:, n_features:], penalties)
    model.coef_ = coefficients.reshape(model.coef_.shape)
    if model.fit_intercept:
        heights = found.means[0, n_features:] - coefficients @ found.means[0, :n_features]
        model.intercept_ = heights.reshape(np.shape(model.intercept_))[()]
    return model


def _minimiser(
    features: NDArray[np.float64], targets: NDArray[np.float64], penalties: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Minimise ``|targets - features @ w|**2 + penalty * |w|**2`` for each target; shape (targets, features)."""
    left, values, right = svd(features, full_matrices=False)
    # What rounding left of a zero must not be divided by; a penalty sees to that itself.
    least = np.finfo(np.float64).eps * max(features.shape) * values.max(initial=0.0)
    kept = np.where(penalties > 0, values[:, None] > 0, values[:, None] > least)
    column = np.broadcast_to(values[:, None], kept.shape)
    factors = np.divide(column, column**2 + penalties, out=np.zeros(kept.shape), where=kept)
    solution: NDArray[np.float64] = (right.T @ (factors * (left.T @ targets))).T
    return solution
