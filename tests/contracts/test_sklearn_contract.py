"""The estimators keep scikit-learn's own contract, in process and on Ray."""

import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.utils.estimator_checks import parametrize_with_checks

from partwise import PartitionedClassifier, PartitionedRegressor, PartitionedSearchCV

_REASON = (
    "weights are not repeated rows once the rows are cut: a row and its copies go to different partitions, while a "
    "row with a weight goes to one"
)


def _declared(_estimator):
    return {
        "check_sample_weight_equivalence_on_dense_data": _REASON,
        "check_sample_weight_equivalence_on_sparse_data": _REASON,
    }


def _ensembles(executor, classifiers, regressors):
    return [
        *(PartitionedClassifier(base, n_partitions=2, executor=executor) for base in classifiers),
        *(PartitionedRegressor(base, n_partitions=2, executor=executor) for base in regressors),
    ]


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(
    _ensembles(
        "inline",
        [LogisticRegression(), DecisionTreeClassifier(), LinearSVC(), GaussianNB()],
        [Ridge(), DecisionTreeRegressor()],
    ),
    expected_failed_checks=_declared,
)
def test_in_process(estimator, check):
    """Every check of scikit-learn holds in process."""
    check(estimator)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("ray_session")
@parametrize_with_checks(
    _ensembles("ray", [LogisticRegression(), DecisionTreeClassifier()], [Ridge()]), expected_failed_checks=_declared
)
def test_on_ray(estimator, check):
    """Every check of scikit-learn holds on Ray."""
    check(estimator)


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(
    [
        PartitionedSearchCV(learner, space, n_trials=2, n_partitions=2, executor="inline")
        for learner, space in ((LogisticRegression(), {"C": [0.1, 1.0]}), (Ridge(), {"alpha": [0.1, 1.0]}))
    ],
    expected_failed_checks=_declared,
)
def test_search(estimator, check):
    """Every check of scikit-learn holds of the search."""
    check(estimator)
