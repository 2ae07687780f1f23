"""The named learners, as data; nothing of theirs is imported here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from partwise.records import LearnerNeeds

__all__ = ["CATALOGUE", "Entry"]

_NUMBERS = LearnerNeeds()
_TREES = LearnerNeeds(scale=False, impute=False, categories="ordinal")
_CODES = LearnerNeeds(categories="ordinal")
_TREES_WITHOUT_NAN = LearnerNeeds(scale=False, impute=True, categories="ordinal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A named learner: where its estimator of each task is, and how it starts.

    ``instead`` names the learner of the other task, for a learner that has only one; ``extra`` is the extra of
    partwise that installs it.
    """

    name: str
    classifier: str | None = None
    regressor: str | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    needs: LearnerNeeds = _NUMBERS
    instead: str = ""
    extra: str | None = None


def _both(name: str, module: str, stem: str, **settings: Any) -> Entry:
    return Entry(name=name, classifier=f"{module}:{stem}Classifier", regressor=f"{module}:{stem}Regressor", **settings)


_ENTRIES = (
    # lbfgs often stops at its own limit of 100 steps, with a warning in each partition
    Entry(
        name="logistic",
        classifier="sklearn.linear_model:LogisticRegression",
        defaults={"max_iter": 1000},
        instead="ridge",
    ),
    Entry(name="ridge", classifier="sklearn.linear_model:RidgeClassifier", regressor="sklearn.linear_model:Ridge"),
    Entry(name="linear_svc", classifier="sklearn.svm:LinearSVC", regressor="sklearn.svm:LinearSVR"),
    Entry(name="svc", classifier="sklearn.svm:SVC", instead="svr"),
    Entry(name="svr", regressor="sklearn.svm:SVR", instead="svc"),
    Entry(name="sgd", classifier="sklearn.linear_model:SGDClassifier", regressor="sklearn.linear_model:SGDRegressor"),
    _both("knn", "sklearn.neighbors", "KNeighbors"),
    Entry(name="naive_bayes", classifier="sklearn.naive_bayes:GaussianNB", instead="ridge"),
    Entry(name="lda", classifier="sklearn.discriminant_analysis:LinearDiscriminantAnalysis", instead="ridge"),
    _both("tree", "sklearn.tree", "DecisionTree", needs=_TREES),
    _both("random_forest", "sklearn.ensemble", "RandomForest", needs=_TREES),
    _both("extra_trees", "sklearn.ensemble", "ExtraTrees", needs=_TREES),
    _both("gradient_boosting", "sklearn.ensemble", "GradientBoosting", needs=_TREES_WITHOUT_NAN),
    _both("hist_gradient_boosting", "sklearn.ensemble", "HistGradientBoosting", needs=_TREES),
    # no early stopping: it holds rows back by class, and fails in a partition where a class has one row
    _both("mlp", "sklearn.neural_network", "MLP"),
    _both("gaussian_process", "sklearn.gaussian_process", "GaussianProcess"),
    # both write to the terminal at every fit otherwise, from all workers at once
    Entry(
        name="xgboost",
        classifier="partwise.learners.xgboost_trees:XGBoostClassifier",
        regressor="partwise.learners.xgboost_trees:XGBoostRegressor",
        defaults={"verbosity": 0},
        needs=_TREES,
        extra="boosting",
    ),
    Entry(
        name="lightgbm",
        classifier="partwise.learners.lightgbm_trees:LightGBMClassifier",
        regressor="partwise.learners.lightgbm_trees:LightGBMRegressor",
        defaults={"verbose": -1},
        needs=_TREES,
        extra="boosting",
    ),
    _both("catboost", "partwise.learners.catboost_trees", "CatBoostTrees", needs=_TREES, extra="boosting"),
    Entry(
        name="torch_mlp",
        classifier="partwise.learners.torch_mlp:TorchMLPClassifier",
        regressor="partwise.learners.torch_mlp:TorchMLPRegressor",
        needs=_CODES,
        extra="torch",
    ),
)

CATALOGUE: Mapping[str, Entry] = {entry.name: entry for entry in _ENTRIES}
"""The named learners by name."""
