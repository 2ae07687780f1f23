"""The named learners, as data; nothing of theirs is imported here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from partwise.learners.spaces import Dimension
from partwise.records import LearnerNeeds

__all__ = ["CATALOGUE", "Entry"]

_NUMBERS = LearnerNeeds()
_TREES = LearnerNeeds(scale=False, impute=False, categories="ordinal")
_TREES_WITHOUT_NAN = LearnerNeeds(scale=False, impute=True, categories="ordinal")
_CODES = LearnerNeeds(categories="ordinal")

_LOCAL = ("route", "stack", "soft")
_SMOOTH = ("soft", "stack")
_EXACT = ("pool", "soft", "stack")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A named learner: where its estimator of each task is, how it starts, and what it can do.

    Parameters
    ----------
    classifier, regressor
        Paths, ``package.module:Name``, of a class, an estimator or a function without arguments; None where there is
        none.
    instead
        Names the learner of the other task, for a learner that has only one.
    extra
        The extra of partwise that installs it.
    weights, sparse, categories
        Whether its fit takes ``sample_weight``, whether it takes sparse matrices, and whether it treats the encoder's
        codes as categories rather than numbers. Whether it takes missing values is in ``needs``.
    rungs
        The combinations that suit it, the best first; ``soft`` is ``mean`` in regression.
    space
        Where a search looks by default, of a learner of another package; partwise's own have theirs in ``SPACES``.
    """

    name: str
    classifier: str | None = None
    regressor: str | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    needs: LearnerNeeds = _NUMBERS
    instead: str = ""
    extra: str | None = None
    weights: bool = True
    sparse: bool = True
    categories: bool = False
    rungs: tuple[str, ...] = _SMOOTH
    space: Mapping[str, Dimension] = field(default_factory=dict)


def _both(name: str, module: str, stem: str, **settings: Any) -> Entry:
    return Entry(name=name, classifier=f"{module}:{stem}Classifier", regressor=f"{module}:{stem}Regressor", **settings)


def _kernel(name: str) -> Entry:
    stem = f"partwise.learners.kernels:{name}"
    return Entry(name=name, classifier=f"{stem}_classifier", regressor=f"{stem}_regressor", weights=False)


_ENTRIES = (
    # lbfgs often stops at its own limit of 100 steps, with a warning in each partition
    Entry(
        name="logistic",
        classifier="sklearn.linear_model:LogisticRegression",
        defaults={"max_iter": 1000},
        instead="ridge",
    ),
    Entry(
        name="ridge",
        classifier="sklearn.linear_model:RidgeClassifier",
        regressor="sklearn.linear_model:Ridge",
        rungs=_EXACT,
    ),
    Entry(name="linear_svc", classifier="sklearn.svm:LinearSVC", regressor="sklearn.svm:LinearSVR"),
    Entry(name="svc", classifier="sklearn.svm:SVC", instead="svr", rungs=_LOCAL),
    Entry(name="svr", regressor="sklearn.svm:SVR", instead="svc", rungs=_LOCAL),
    _kernel("nystroem"),
    _kernel("random_features"),
    Entry(name="sgd", classifier="sklearn.linear_model:SGDClassifier", regressor="sklearn.linear_model:SGDRegressor"),
    _both("knn", "sklearn.neighbors", "KNeighbors", weights=False, rungs=("pool", "route", "stack")),
    Entry(name="naive_bayes", classifier="sklearn.naive_bayes:GaussianNB", instead="ridge", sparse=False, rungs=_EXACT),
    Entry(
        name="lda",
        classifier="sklearn.discriminant_analysis:LinearDiscriminantAnalysis",
        instead="ridge",
        weights=False,
        sparse=False,
        rungs=_EXACT,
    ),
    _both("tree", "sklearn.tree", "DecisionTree", needs=_TREES, rungs=_LOCAL),
    _both("random_forest", "sklearn.ensemble", "RandomForest", needs=_TREES, rungs=("pool", *_LOCAL)),
    _both("extra_trees", "sklearn.ensemble", "ExtraTrees", needs=_TREES, rungs=("pool", *_LOCAL)),
    _both("gradient_boosting", "sklearn.ensemble", "GradientBoosting", needs=_TREES_WITHOUT_NAN, rungs=_LOCAL),
    _both(
        "hist_gradient_boosting",
        "sklearn.ensemble",
        "HistGradientBoosting",
        needs=_TREES,
        sparse=False,
        categories=True,
        rungs=_LOCAL,
    ),
    # no early stopping: it holds rows back by class, and fails in a partition where a class has one row
    _both("mlp", "sklearn.neural_network", "MLP", rungs=_LOCAL),
    _both("gaussian_process", "sklearn.gaussian_process", "GaussianProcess", weights=False, sparse=False, rungs=_LOCAL),
    # both write to the terminal at every fit otherwise, from all workers at once
    _both(
        "xgboost",
        "partwise.learners.xgboost_trees",
        "XGBoost",
        defaults={"verbosity": 0},
        needs=_TREES,
        extra="boosting",
        categories=True,
        rungs=_LOCAL,
    ),
    _both(
        "lightgbm",
        "partwise.learners.lightgbm_trees",
        "LightGBM",
        defaults={"verbose": -1},
        needs=_TREES,
        extra="boosting",
        categories=True,
        rungs=_LOCAL,
    ),
    _both(
        "catboost",
        "partwise.learners.catboost_trees",
        "CatBoostTrees",
        needs=_TREES,
        extra="boosting",
        sparse=False,
        categories=True,
        rungs=_LOCAL,
    ),
    _both(
        "torch_mlp",
        "partwise.learners.torch_mlp",
        "TorchMLP",
        needs=_CODES,
        extra="torch",
        sparse=False,
        categories=True,
        rungs=("route", "stack", "soft", "average_weights"),
    ),
)

CATALOGUE: Mapping[str, Entry] = {entry.name: entry for entry in _ENTRIES}
"""The named learners by name."""
