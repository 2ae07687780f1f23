"""LightGBM: each process sums gradients into histograms, which are scattered, added up, and searched for splits."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import lightgbm
import numpy as np

from partwise.allreduce.joining import joined
from partwise.learners.lightgbm_trees import LightGBMClassifier, LightGBMRegressor
from partwise.records import Part
from partwise.rows import take_rows

__all__ = ["LightGBMTrees"]

_DRAWN = ("subsample", "bagging_fraction")


@dataclass(frozen=True, slots=True)
class LightGBMTrees:
    """Histograms by reduce-scatter (``tree_learner=data``; Meng and others, NIPS 2016, describe what it adds up)."""

    trainer = "lightgbm"
    takes = (LightGBMClassifier, LightGBMRegressor, lightgbm.LGBMClassifier, lightgbm.LGBMRegressor)

    def refusal(self, template: Any) -> str | None:
        """Return why several processes cannot fit with these settings, and what to do instead; None where they can."""
        if template.get_params().get("class_weight") == "balanced":
            return "class_weight='balanced' counts the classes of one process. Valid: a weight for each class."
        if callable(template.objective):
            return "its objective is a function. Valid: the name of one of LightGBM's."
        if getattr(template, "early_stopping_rounds", None) is not None:
            return "early_stopping_rounds is set, and each rank would stop by rows of its own. Leave it out."
        return None

    def exactness(self, template: Any) -> str:
        """Return in what the model is that of one process on all rows, and in what it is not."""
        said = "exact up to bins, which each rank finds for a share of the features on its own rows"
        params = template.get_params()
        drawn = any(params.get(name, 1.0) < 1.0 for name in _DRAWN) and params.get("subsample_freq", 0) > 0
        return f"{said}; each rank draws its own rows by subsample" if drawn else said

    def fit(self, template: Any, part: Part, n_classes: int | None, settings: Mapping[str, Any]) -> Any:
        """Return the fitted estimator, the same in every process."""
        part = part if n_classes is None else _with_all_classes(part, n_classes)
        learner = template.get_params().get("tree_learner", "serial")
        network = {**settings, "pre_partition": True, "tree_learner": "data" if learner == "serial" else learner}
        template.set_params(**network)
        fitted = template.fit(part.X, part.y, sample_weight=part.weights)
        for name in network:  # as lightgbm.dask does: who predicts with it is no rank
            fitted._other_params.pop(name)  # noqa: SLF001 - as above
            delattr(fitted, name)
        return fitted


def _with_all_classes(part: Part, n_classes: int) -> Part:
    """Return the rows with one of weight zero for each class that they lack: every rank must know all of them."""
    lacking = np.setdiff1d(np.arange(n_classes), part.y)
    if not len(lacking):
        return part
    weights = np.ones(len(part.y)) if part.weights is None else part.weights
    silent = Part(part.partition, take_rows(part.X, np.zeros(len(lacking), np.int64)), lacking, np.zeros(len(lacking)))
    return joined([replace(part, weights=weights), silent])
