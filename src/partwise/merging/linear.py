"""Linear least squares, merged by TSQR."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.linear_model import LinearRegression

from partwise.errors import InputError
from partwise.merging.summaries import LeastSquaresSummary
from partwise.merging.triangles import about_origin, merge_factors

__all__ = ["LinearRegressionMerge"]


class LinearRegressionMerge:
    """Ordinary and weighted least squares.

    The merged triangle of ``[X y]`` has the same minimisers, singular values and rank as all rows together, and
    scikit-learn itself solves it, with its own cutoff of small singular values. Coefficients are computed in double
    precision, where a single fit on float32 columns computes in single precision; sparse columns are solved as dense
    ones, where a single fit iterates.
    """

    takes: tuple[type, ...] = (LinearRegression,)
    copies = False

    def refusal(self, template: Any) -> str | None:
        """Return why these settings cannot be merged exactly and what to do instead; None where they can."""
        if template.positive:
            return (
                "positive=True bounds the coefficients, and the bounded problem is not solved here. Set "
                "positive=False, or combine the members by 'mean'."
            )
        return None

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
        if not found.weights.any():
            raise InputError("every row has weight 0. Give some rows a weight above 0.")
        n_features = parts[0].n_features_in_
        triangle = (found.triangle if template.fit_intercept else about_origin(found))[:n_features]
        features, targets = triangle[:, :n_features], triangle[:, n_features:]
        flat = parts[0].flat_
        model = clone(template).set_params(fit_intercept=False).fit(features, targets[:, 0] if flat else targets)
        model.set_params(fit_intercept=template.fit_intercept)
        n_rows = sum(part.n_rows_ for part in parts)
        singular = np.zeros(min(n_rows, n_features))
        count = min(len(singular), len(model.singular_))
        singular[:count] = model.singular_[:count]  # as many as the rows would have had
        model.singular_ = singular
        if template.fit_intercept:
            centre, heights = found.means[0, :n_features], found.means[0, n_features:]
            model.intercept_ = (heights[0] if flat else heights) - centre @ model.coef_.T
        if hasattr(parts[0], "feature_names_in_"):
            model.feature_names_in_ = parts[0].feature_names_in_.copy()
        return model
