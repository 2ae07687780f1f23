"""Forests and bagging: each part sees all rows and grows its share of the trees that one fit would grow."""

import copy
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)

__all__ = ["ForestMerge", "ForestShare"]


@dataclass(slots=True)
class ForestShare:
    """The trees ``first`` to ``last - 1`` of a forest, each with the seed that it has in a single fit.

    Parameters
    ----------
    template
        The seeded, unfitted forest.
    first, last
        Equal where there are more parts than trees; nothing is fitted then.
    """

    template: Any
    first: int
    last: int
    forest_: Any = field(default=None, init=False)

    def fit(self, X: Any, y: NDArray[Any], sample_weight: NDArray[np.float64] | None = None) -> Self:
        """Grow the share on all rows; afterwards ``forest_`` is a fitted forest of these trees alone."""
        if self.first == self.last:
            return self
        forest = clone(self.template).set_params(n_estimators=self.last)
        if self.first:
            # A warm start draws the seeds of the trees that are there already, and looks at nothing but their number.
            forest.set_params(warm_start=True)
            for name in _lists(forest):
                setattr(forest, name, [None] * self.first)
        with warnings.catch_warnings():
            # "balanced" weights are wrong in a warm start on other rows; these are the same rows.
            warnings.filterwarnings("ignore", message="class_weight presets")
            forest.fit(X, y) if sample_weight is None else forest.fit(X, y, sample_weight=sample_weight)
        for name in _lists(forest):
            setattr(forest, name, getattr(forest, name)[self.first :])
        self.forest_ = forest.set_params(n_estimators=self.last - self.first, warm_start=False)
        return self


class ForestMerge:
    """Random forests (Breiman 2001), extremely randomised trees (Geurts 2006), bagging (Breiman 1996).

    The merged forest has the seeds, the rows drawn and the trees of a single fit with the same ``random_state``.
    """

    takes: tuple[type, ...] = (
        RandomForestClassifier,
        RandomForestRegressor,
        ExtraTreesClassifier,
        ExtraTreesRegressor,
        BaggingClassifier,
        BaggingRegressor,
    )
    copies = True

    def refusal(self, template: Any) -> str | None:
        """Return why these settings cannot be merged exactly and what to do instead; None where they can."""
        count = template.n_estimators
        if not isinstance(count, Integral) or int(count) < 1:
            return f"n_estimators={count!r} is no number of trees. Set a whole number from 1."
        if template.oob_score is not False:
            return (
                f"oob_score={template.oob_score!r} needs all trees and all rows in one place. Set oob_score=False and "
                "score the merged model on held-back rows."
            )
        if template.warm_start:
            return "warm_start=True continues an earlier fit, and parts have none. Set warm_start=False."
        return None

    def part(self, template: Any, index: int, n_parts: int) -> ForestShare:
        """Return one share; shares differ by one tree at most."""
        count = int(template.n_estimators)
        return ForestShare(template, index * count // n_parts, (index + 1) * count // n_parts)

    def merge(
        self,
        template: Any,
        parts: Sequence[ForestShare],
        rows: Any,  # noqa: ARG002 - every part has seen them all
        n_classes: int | None,  # noqa: ARG002 - every part has seen all classes
    ) -> Any:
        """Return the fitted forest that ``template.fit`` would give."""
        forests = [part.forest_ for part in sorted(parts, key=lambda part: part.first) if part.forest_ is not None]
        merged = copy.copy(forests[0])
        for name in _lists(merged):
            setattr(merged, name, [entry for forest in forests for entry in getattr(forest, name)])
        if hasattr(merged, "_seeds"):
            # Bagging makes `estimators_samples_` from these; after a warm start it knows the newest seeds only.
            merged._seeds = np.concatenate([forest._seeds for forest in forests])  # noqa: SLF001 - no public way
        names = ("n_estimators", "n_jobs", "random_state", "verbose")
        return merged.set_params(**{name: getattr(template, name) for name in names})


def _lists(forest: Any) -> tuple[str, ...]:
    """Return the attributes that hold one entry for each tree."""
    bagging = hasattr(forest, "bootstrap_features")
    return ("estimators_", "estimators_features_") if bagging else ("estimators_",)
