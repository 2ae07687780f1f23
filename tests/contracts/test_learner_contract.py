"""What the catalogue says of each named learner, tried on the real estimator."""

from contextlib import nullcontext
from importlib.util import find_spec

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.utils import get_tags
from sklearn.utils.validation import has_fit_parameter

from partwise.errors import InputError
from partwise.learners import learner_names, make_learner
from partwise.learners.listing import described
from partwise.merging import merge_for
from partwise.recipes import make_recipe
from partwise.templates import configured

TASKS = ("classification", "regression")
QUICK = {
    **{name: {"iterations": 5} for name in ("catboost",)},
    **{name: {"max_iter": 5} for name in ("hist_gradient_boosting", "mlp", "torch_mlp")},
    **{name: {"n_estimators": 5} for name in ("xgboost", "lightgbm", "random_forest", "extra_trees")},
}
"""Fewer rounds, by learner."""
_NEEDS = {"boosting": ("xgboost", "lightgbm", "catboost"), "torch": ("torch", "skorch")}


def _pairs():
    for task in TASKS:
        for name in learner_names(task):
            absent = [each for each in _NEEDS.get(described(name).extra, ()) if find_spec(each) is None]
            marks = (
                [pytest.mark.skip(reason=f"{absent[0]} is not installed: partwise[{described(name).extra}]")]
                if absent
                else []
            )
            yield pytest.param(name, task, marks=marks, id=f"{name}-{task}")


every_learner = pytest.mark.parametrize(("name", "task"), list(_pairs()))


@pytest.fixture(scope="module")
def rows():
    """Return two numbers and a code of four levels, and classes that they decide."""
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.random((120, 2)), rng.integers(0, 4, 120)]).astype(np.float32)
    return X, (X[:, 0] + X[:, 2] > 2).astype(np.int64)


def _estimator(name, task):
    return configured(make_learner(name, task, QUICK.get(name, {})).estimator, 0, 1)


def _expected(possible):
    return nullcontext() if possible else pytest.raises((TypeError, ValueError))


@every_learner
@pytest.mark.filterwarnings("ignore")
def test_tasks_are_those_that_it_learns(name, task, rows):
    """It fits and predicts each task that is said, and only these."""
    X, y = rows
    assert task in described(name).tasks
    assert _estimator(name, task).fit(X, y).predict(X).shape == (120,)


@every_learner
@pytest.mark.filterwarnings("ignore")
def test_missing_values_are_taken_or_refused_as_said(name, task, rows):
    """A NaN is learned from where that is said, and else refused."""
    X, y = rows
    X = np.where(np.arange(360).reshape(120, 3) % 50 == 0, np.nan, X)
    with _expected(described(name).missing):
        _estimator(name, task).fit(X, y).predict(X)
    assert get_tags(make_learner(name, task).estimator).input_tags.allow_nan is described(name).missing


@every_learner
@pytest.mark.filterwarnings("ignore")
def test_sparse_matrices_are_taken_or_refused_as_said(name, task, rows):
    """A sparse matrix is learned from where that is said, and else refused."""
    X, y = rows
    with _expected(described(name).sparse):
        _estimator(name, task).fit(csr_matrix(X), y).predict(csr_matrix(X))


@every_learner
@pytest.mark.filterwarnings("ignore")
def test_weights_are_taken_or_refused_as_said(name, task, rows):
    """Rows that contradict each other are decided by weights where those are taken; else there is no place for them."""
    X, y = rows
    estimator = _estimator(name, task)
    assert has_fit_parameter(estimator, "sample_weight") is described(name).weights
    if described(name).weights:
        both, labels = np.concatenate([X, X]), np.concatenate([y, 1 - y])
        one, other = (
            _estimator(name, task).fit(both, labels, sample_weight=np.repeat(weights, len(y))).predict(X)
            for weights in ([9.0, 1.0], [1.0, 9.0])
        )
        assert not np.array_equal(one, other)


@every_learner
@pytest.mark.filterwarnings("ignore")
def test_codes_are_categories_where_that_is_said(name, task, rows):
    """Such learners have the parameter, and learn with it; they ask the encoder for codes."""
    X, y = rows
    estimator = _estimator(name, task)
    assert ("categorical_features" in estimator.get_params()) is described(name).categories
    if described(name).categories:
        assert make_learner(name, task).needs.categories == "ordinal"
        assert estimator.set_params(categorical_features=[2]).fit(X, y).predict(X).shape == (120,)


@every_learner
def test_combinations_that_suit_are_possible(name, task):
    """Each makes a recipe for the task; an exact merge is said where there is one, and only there."""
    learner = make_learner(name, task, {"init_seed": 0} if name == "torch_mlp" else {})
    rungs = [{"soft": "mean"}.get(rung, rung) if task == "regression" else rung for rung in described(name).rungs]
    for rung in rungs:
        assert make_recipe(None, rung, task, learner.estimator, n_partitions=4).combiner.name == rung
    with nullcontext() if described(name).exact else pytest.raises(InputError, match="no exact merge"):
        merge_for(learner.estimator)
