"""Linear and quadratic discriminant analysis, merged by TSQR of the rows about the means of their classes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, eigh, lstsq, svd
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis

from partwise.errors import InputError
from partwise.merging.summaries import ClassFactors, ClassSummary, blank_fit, merge_classes

__all__ = ["LinearDiscriminantMerge", "QuadraticDiscriminantMerge"]


class LinearDiscriminantMerge:
    """Linear discriminant analysis, all solvers, in double precision whatever the columns are.

    Components may have the opposite sign of a single fit's, as the signs of singular vectors are nobody's choice.
    """

    takes: tuple[type, ...] = (LinearDiscriminantAnalysis,)
    copies = False

    def refusal(self, template: Any) -> str | None:
        """Return why these settings cannot be merged exactly and what to do instead; None where they can."""
        return _refusal(template)

    def part(self, template: Any, index: int, n_parts: int) -> ClassSummary:  # noqa: ARG002 - parts are alike
        """Return an empty summary; classes stay apart where given priors, not their sizes, weigh covariances."""
        covariance = template.solver != "svd" or template.store_covariance
        return ClassSummary(
            separate=template.priors is not None and covariance, weightless="LinearDiscriminantAnalysis"
        )

    def merge(
        self,
        template: Any,
        parts: Sequence[ClassSummary],
        rows: Sequence[NDArray[np.int64]],  # noqa: ARG002 - sums have no order of rows
        n_classes: int | None,
    ) -> Any:
        """Return the fitted classifier that ``template.fit`` would give."""
        assert n_classes is not None  # noqa: S101 - narrows the type
        classes = merge_classes(parts, n_classes)
        n_rows = int(classes.counts.sum())
        if n_rows <= n_classes:
            raise InputError(f"{n_rows} rows for {n_classes} classes: there must be more rows than classes.")
        # Blank rows have no covariance; lsqr is the solver that can do without.
        model = blank_fit(template, parts, np.repeat(np.arange(n_classes), 2), solver="lsqr", shrinkage=None)
        if template.priors is None:
            model.priors_ = classes.counts / n_rows
        model.means_ = classes.pooled.means
        del model.covariance_
        if template.solver != "svd" or template.store_covariance:
            model.covariance_ = _shrunk(_covariance(classes, model.priors_), template.shrinkage)
        {"svd": _solve_svd, "lsqr": _solve_lsqr, "eigen": _solve_eigen}[template.solver](model, classes)
        if n_classes == 2:
            model.coef_ = model.coef_[[1]] - model.coef_[[0]]
            model.intercept_ = model.intercept_[[1]] - model.intercept_[[0]]
        return model


class QuadraticDiscriminantMerge:
    """Quadratic discriminant analysis, in double precision whatever the columns are; axes may have opposite signs."""

    takes: tuple[type, ...] = (QuadraticDiscriminantAnalysis,)
    copies = False

    def refusal(self, template: Any) -> str | None:
        """Return why these settings cannot be merged exactly and what to do instead; None where they can."""
        return _refusal(template)

    def part(self, template: Any, index: int, n_parts: int) -> ClassSummary:  # noqa: ARG002 - parts are alike
        """Return an empty summary."""
        return ClassSummary(separate=True, weightless="QuadraticDiscriminantAnalysis")

    def merge(
        self,
        template: Any,
        parts: Sequence[ClassSummary],
        rows: Sequence[NDArray[np.int64]],  # noqa: ARG002 - sums have no order of rows
        n_classes: int | None,
    ) -> Any:
        """Return the fitted classifier that ``template.fit`` would give.

        Raises
        ------
        InputError
            If the covariance of a class has not full rank, where a single fit fails too.
        """
        assert n_classes is not None  # noqa: S101 - narrows the type
        classes = merge_classes(parts, n_classes)
        if n_classes < 2:
            raise InputError("QuadraticDiscriminantAnalysis tells classes apart, and there is one. Give two or more.")
        model = clone(template)
        model.classes_ = np.arange(n_classes)
        model.n_features_in_ = parts[0].n_features_in_
        if hasattr(parts[0], "feature_names_in_"):
            model.feature_names_in_ = parts[0].feature_names_in_.copy()
        counts = classes.counts
        model.priors_ = counts / counts.sum() if template.priors is None else np.array(template.priors)
        model.means_ = np.vstack([one.means for one in classes.factors])
        lost = _lost_rows()
        axes = [
            _axes(template, one.triangle, int(count), int(count) - lost, code)
            for code, (one, count) in enumerate(zip(classes.factors, counts, strict=True))
        ]
        model.scalings_ = [scaling for scaling, _ in axes]
        model.rotations_ = [rotation for _, rotation in axes]
        if template.store_covariance:
            model.covariance_ = [(rotation * scaling) @ rotation.T for scaling, rotation in axes]
        return model


def _refusal(template: Any) -> str | None:
    solver = getattr(template, "solver", "svd")
    shrinkage = getattr(template, "shrinkage", None)
    if getattr(template, "covariance_estimator", None) is not None:
        return "covariance_estimator is fitted on all rows at once. Leave it out, or set shrinkage to a number."
    if isinstance(shrinkage, str):
        return (
            f"shrinkage={shrinkage!r} is estimated from fourth powers of all rows (Ledoit and Wolf). Set shrinkage to "
            "a number from 0 to 1, or None."
        )
    if solver == "svd" and shrinkage is not None:
        return f"solver='svd' takes no shrinkage (it is {shrinkage!r}). Set solver='eigen', or shrinkage=None."
    return None


def _covariance(classes: ClassFactors, priors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the covariance within classes, each weighted by its prior."""
    if len(classes.factors) < len(priors):  # the priors are the shares of rows
        triangle = classes.factors[0].triangle
        return np.asarray(triangle.T @ triangle / classes.counts.sum())
    shares = zip(classes.factors, priors / classes.counts, strict=True)
    return np.asarray(sum(share * (one.triangle.T @ one.triangle) for one, share in shares))


def _shrunk(covariance: NDArray[np.float64], shrinkage: float | None) -> NDArray[np.float64]:
    """Move a covariance towards the multiple of the identity that has its trace."""
    if shrinkage is None:
        return covariance
    n_features = len(covariance)
    mean = np.trace(covariance) / n_features
    return np.asarray((1.0 - shrinkage) * covariance + shrinkage * mean * np.eye(n_features))


def _solve_svd(model: Any, classes: ClassFactors) -> None:
    """Follow scikit-learn's steps on the triangle, which has the singular values of the centred rows."""
    n_rows, n_classes = classes.counts.sum(), len(classes.counts)
    triangle = classes.pooled.triangle
    model.xbar_ = model.priors_ @ model.means_
    deviations = np.sqrt((triangle**2).sum(axis=0) / n_rows)
    deviations[deviations == 0] = 1.0
    _, values, axes = svd(triangle / deviations / np.sqrt(n_rows), full_matrices=False)
    rank = int((values > model.tol).sum())
    if rank == 0:
        raise InputError(f"no feature varies within a class by more than tol={model.tol!r}. Lower tol.")
    scalings = (axes[:rank] / deviations).T / values[:rank]
    lengths = np.sqrt(n_rows * model.priors_ / max(n_classes - 1, 1))
    _, values, axes = svd((lengths[:, None] * (model.means_ - model.xbar_)) @ scalings, full_matrices=False)
    model.explained_variance_ratio_ = (values**2 / (values**2).sum())[: _n_components(model)]
    model.scalings_ = scalings @ axes.T[:, : int((values > model.tol * values[0]).sum())]
    coefficients = (model.means_ - model.xbar_) @ model.scalings_
    model.coef_ = coefficients @ model.scalings_.T
    model.intercept_ = -0.5 * (coefficients**2).sum(axis=1) + np.log(model.priors_) - model.coef_ @ model.xbar_


def _solve_lsqr(model: Any, classes: ClassFactors) -> None:  # noqa: ARG001 - the covariance says all
    model.coef_ = lstsq(model.covariance_, model.means_.T)[0].T
    _set_intercept(model)


def _solve_eigen(model: Any, classes: ClassFactors) -> None:
    """Find the axes that tell the classes apart best: eigenvectors of the scatter between, about that within."""
    shares = classes.counts / classes.counts.sum()
    moved = np.sqrt(shares)[:, None] * (model.means_ - shares @ model.means_)
    between = moved.T @ moved
    if model.priors is not None:  # scikit-learn takes total less within, and these are weighted in different ways
        between += _covariance(classes, shares) - _covariance(classes, model.priors_)
    try:
        values, axes = eigh(_shrunk(between, model.shrinkage), model.covariance_)
    except LinAlgError:
        raise InputError(
            "the covariance within classes has not full rank. Set solver='svd', or shrinkage to a number."
        ) from None
    model.explained_variance_ratio_ = np.sort(values / values.sum())[::-1][: _n_components(model)]
    model.scalings_ = axes[:, np.argsort(values)[::-1]]
    model.coef_ = model.means_ @ model.scalings_ @ model.scalings_.T
    _set_intercept(model)


def _n_components(model: Any) -> int:
    most = min(len(model.means_) - 1, model.n_features_in_)
    return most if model.n_components is None else int(model.n_components)


def _set_intercept(model: Any) -> None:
    model.intercept_ = -0.5 * (model.means_ * model.coef_).sum(axis=1) + np.log(model.priors_)


def _lost_rows() -> int:
    """Return by how much fewer than its rows the scatter of a class is divided: older scikit-learn takes one less."""
    model = QuadraticDiscriminantAnalysis().fit([[0.0], [2.0], [0.0], [2.0]], [0, 0, 1, 1])
    return 2 - round(2.0 / float(model.scalings_[0][0]))


def _axes(
    template: Any, triangle: NDArray[np.float64], n_rows: int, divisor: int, code: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the variances of one class along its axes, largest first, and the axes as columns."""
    n_features = triangle.shape[1]
    _, values, axes = svd(triangle, full_matrices=True)
    variances = np.zeros(n_features)
    variances[: len(values)] = values**2 / max(divisor, 1)
    if getattr(template, "solver", "svd") == "svd":
        variances = (1 - template.reg_param) * variances + template.reg_param
        full = n_rows > n_features
    else:
        shrinkage = template.shrinkage or 0.0
        variances = (1 - shrinkage) * variances + shrinkage * variances.mean()
        full = True
    if n_rows < 2 or not full or (variances <= template.tol).any():
        raise InputError(
            f"class {code} has {n_rows} rows and {n_features} features, and a covariance that has not full rank. Set "
            "reg_param (solver='svd') or shrinkage (solver='eigen') above 0, or choose LinearDiscriminantAnalysis."
        )
    return variances, axes.T
