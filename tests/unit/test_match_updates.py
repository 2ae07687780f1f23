"""Facts about as many updates on a partition as on the whole table."""

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Perceptron, SGDClassifier, SGDRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from partwise import PartitionedClassifier, PartitionedRegressor
from partwise.errors import InputError
from partwise.learners.updates import match_updates, passes_of

RNG = np.random.default_rng(0)
X = RNG.normal(size=(600, 3))
Y = (X[:, 0] + X[:, 1] > 0).astype(int)

pytestmark = pytest.mark.filterwarnings(f"ignore::{ConvergenceWarning.__module__}.{ConvergenceWarning.__name__}")


def _members(learner, **settings):
    make = PartitionedRegressor if hasattr(learner, "loss") and "Regressor" in str(learner) else PartitionedClassifier
    settings = {"n_partitions": 4, "match_updates": True, "executor": "inline", "random_state": 0, **settings}
    return [member.estimator for member in make(learner, **settings).fit(X, Y).members_]


@pytest.mark.parametrize(
    "learner",
    [
        MLPClassifier(max_iter=5, n_iter_no_change=3),
        MLPRegressor(max_iter=5, n_iter_no_change=3, solver="sgd"),
        SGDClassifier(max_iter=5, n_iter_no_change=3),
        SGDRegressor(max_iter=5, n_iter_no_change=3),
        Perceptron(max_iter=5, n_iter_no_change=3),
    ],
    ids=lambda learner: type(learner).__name__,
)
def test_passes_grow_as_rows_shrink(learner):
    """On a quarter of the rows learners get four times the passes, in all and without progress."""
    assert [(m.max_iter, m.n_iter_no_change) for m in _members(learner)] == [(20, 12)] * 4


def test_replicated_rows_count():
    """On half of the rows, in three of six partitions each, passes are doubled."""
    members = _members(SGDClassifier(max_iter=5), n_partitions=6, replication=3)
    assert [m.max_iter for m in members] == [10] * 6


def test_passes_in_a_pipeline_grow_too():
    """A learner in the depths of a Pipeline is reached."""
    deep = make_pipeline(StandardScaler(), make_pipeline(StandardScaler(), MLPClassifier(max_iter=5)))
    assert [m[-1][-1].max_iter for m in _members(deep)] == [20] * 4


def test_off_means_untouched():
    """Without the setting passes stay as the user set them."""
    assert [m.max_iter for m in _members(SGDClassifier(max_iter=5), match_updates=False)] == [5] * 4


def test_what_the_user_gave_stays_as_it_was():
    """The template is copied, never changed."""
    learner = SGDClassifier(max_iter=5)
    _members(learner)
    assert learner.max_iter == 5


@pytest.mark.parametrize(("rows", "passes"), [(100, 5), (99, 5), (60, 8), (33, 15), (1000, 1)])
def test_passes_are_rounded_and_never_none(rows, passes):
    """The number of passes is a whole number, and at least one."""
    assert match_updates(SGDClassifier(max_iter=5), rows, 100).max_iter == passes


@pytest.mark.parametrize("learner", [SGDClassifier(max_iter=7, tol=None), SGDRegressor(max_iter=7, tol=None)], ids=str)
def test_members_make_the_updates_of_a_full_fit(learner):
    """The count of weight updates of each member is that of one model on all rows, but for rounding."""
    full = learner.fit(X, Y).t_
    np.testing.assert_allclose([member.t_ for member in _members(learner, n_partitions=7)], full, rtol=0.02)


def test_perceptrons_make_the_updates_of_a_full_fit():
    """So is the number of batches of a perceptron."""
    learner = MLPClassifier(max_iter=6, n_iter_no_change=1000, tol=0.0, batch_size=10, random_state=0)
    full = learner.fit(X, Y).t_
    np.testing.assert_allclose([member.t_ for member in _members(learner)], full, rtol=0.02)


@pytest.mark.parametrize(
    "learner",
    [
        LogisticRegression(),
        RandomForestClassifier(),
        MLPClassifier(solver="lbfgs"),
        make_pipeline(StandardScaler(), LogisticRegression()),
    ],
    ids=str,
)
def test_learners_without_passes_are_refused(learner):
    """The error names the learner, and those that make passes."""
    with pytest.raises(InputError, match=rf"match_updates=True, but {type(learner).__name__}(.|\n)*Valid: MLPClassif"):
        PartitionedClassifier(learner, match_updates=True, executor="inline").fit(X, Y)


def test_the_names_of_passes_are_nested():
    """Settings are found by the names that `set_params` takes."""
    deep = make_pipeline(StandardScaler(), SGDClassifier(max_iter=9, n_iter_no_change=4))
    assert passes_of(deep) == {"sgdclassifier__max_iter": 9, "sgdclassifier__n_iter_no_change": 4}
