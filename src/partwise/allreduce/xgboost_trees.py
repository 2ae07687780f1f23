"""XGBoost: each process sums gradients into histograms, which are added up before a split is chosen."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import xgboost

from partwise.learners.boosted import category_places, known_codes
from partwise.learners.xgboost_trees import XGBoostClassifier, XGBoostRegressor
from partwise.records import Part

__all__ = ["XGBoostTrees"]


@dataclass(frozen=True, slots=True)
class XGBoostTrees:
    """Histograms by all-reduce (Chen and Guestrin, XGBoost, KDD 2016, section 3.3; quantile sketches are merged)."""

    trainer = "xgboost"
    takes = (XGBoostClassifier, XGBoostRegressor, xgboost.XGBClassifier, xgboost.XGBRegressor)

    def refusal(self, template: Any) -> str | None:
        """Return why several processes cannot fit with these settings, and what to do instead; None where they can."""
        if template.tree_method == "exact":
            return "tree_method='exact' needs all rows in one process. Valid: hist (default), approx."
        if template.booster == "gblinear":
            return "booster='gblinear' has no distributed updates. Valid: gbtree (default), dart."
        if callable(template.objective):
            return "its objective is a function. Valid: the name of one of XGBoost's."
        if template.early_stopping_rounds is not None:
            return "early_stopping_rounds is set, and each rank would stop by rows of its own. Leave it out."
        return None

    def exactness(self, template: Any) -> str:
        """Return in what the model is that of one process on all rows, and in what it is not."""
        said = "exact up to the merged quantile sketches (bins of features) and the order of sums"
        drawn = template.subsample not in {None, 1}
        return f"{said}; each rank draws its own rows by subsample" if drawn else said

    def fit(self, template: Any, part: Part, n_classes: int | None, settings: Mapping[str, Any]) -> Any:  # noqa: ARG002 - the ranks are connected already
        """Return the fitted estimator, the same in every process."""
        places = category_places(getattr(template, "categorical_features", None))
        if places:
            types = ["c" if place in places else "q" for place in range(part.X.shape[1])]
            template.set_params(enable_categorical=True, feature_types=types)
        params = template.get_xgb_params()
        if n_classes is not None and n_classes > 2:
            params["num_class"] = n_classes
            if params.get("objective") != "multi:softmax":
                params["objective"] = "multi:softprob"
        with xgboost.config_context(verbosity=template.verbosity):
            rows = _matrix(template, replace(part, X=known_codes(part.X, places)))
            booster = xgboost.train(params, rows, template.get_num_boosting_rounds(), verbose_eval=False)
            template.load_model(booster.save_raw("ubj"))
        return template


def _matrix(template: Any, part: Part) -> Any:
    """Return the rows as one process would hold them: in bins, where trees are grown on histograms."""
    given = {"label": part.y, "weight": part.weights, "missing": template.missing, "nthread": template.n_jobs}
    given |= {"enable_categorical": template.enable_categorical, "feature_types": template.feature_types}
    if template.tree_method in {None, "auto", "hist"}:
        return xgboost.QuantileDMatrix(part.X, max_bin=template.max_bin, **given)
    return xgboost.DMatrix(part.X, **given)
