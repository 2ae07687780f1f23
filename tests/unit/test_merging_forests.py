"""Facts about forests that are grown in shares."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone, is_classifier
from sklearn.datasets import make_classification, make_regression
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsRegressor

from partwise.digests import content_digest
from partwise.errors import InputError
from partwise.merging import merge_for
from partwise.model_store.objects import deserialise, serialise

X, LABELS = make_classification(120, 6, n_informative=4, n_classes=3, random_state=0)
VALUES = make_regression(120, 6, random_state=0)[1]
WEIGHTS = np.random.default_rng(0).uniform(0.1, 3.0, 120)
KINDS = [
    RandomForestClassifier(),
    RandomForestClassifier(class_weight="balanced"),
    RandomForestClassifier(class_weight="balanced_subsample", max_samples=0.5),
    RandomForestClassifier(class_weight={0: 3.0, 2: 0.5}, criterion="entropy", max_depth=3),
    RandomForestClassifier(bootstrap=False, max_features=2),
    RandomForestRegressor(),
    RandomForestRegressor(max_samples=30, ccp_alpha=1.0),
    ExtraTreesClassifier(),
    ExtraTreesClassifier(bootstrap=True, class_weight="balanced_subsample"),
    ExtraTreesRegressor(criterion="absolute_error"),
    BaggingClassifier(),
    BaggingClassifier(max_features=0.5, bootstrap_features=True, max_samples=0.7),
    BaggingClassifier(LogisticRegression(), max_features=3),
    BaggingRegressor(),
    BaggingRegressor(KNeighborsRegressor(), max_samples=50),
]

pytestmark = pytest.mark.filterwarnings("error")


def _target(template):
    return LABELS if is_classifier(template) else VALUES


def _sent(thing):
    return pickle.loads(pickle.dumps(thing))  # noqa: S301 - our own bytes


def _fit(template, table, y, weights=None):
    return template.fit(table, y) if weights is None else template.fit(table, y, sample_weight=weights)


def _grown(template, n_parts, table, y, weights=None):
    """Grow the shares, send each through pickle and merge them."""
    merge = merge_for(template)
    shares = [_fit(merge.part(template, index, n_parts), table, y, weights) for index in range(n_parts)]
    shares = [_sent(share) for share in shares]
    rows = [np.arange(len(y))] * n_parts
    n_classes = 3 if is_classifier(template) else None
    return merge.merge(template, shares, rows, n_classes)


def _pair(template, n_parts, table=X, y=None, weights=None, **settings):
    """Return the merged model and the single fit."""
    template = clone(template).set_params(**{"n_estimators": 7, "random_state": 0} | settings)
    y = _target(template) if y is None else y
    return _grown(template, n_parts, table, y, weights), _fit(clone(template), table, y, weights)


def _digest(model):
    return content_digest(_sent(model))


@pytest.mark.parametrize("template", KINDS, ids=repr)
def test_the_merged_model_has_the_digest_of_a_single_fit(template):
    """Everything that was learned is equal, in uneven shares of 3, 2 and 2 trees."""
    merged, single = _pair(template, 3)
    assert _digest(merged) == _digest(single)


@pytest.mark.parametrize("template", KINDS, ids=repr)
def test_weighted_rows_give_the_digest_of_a_single_fit(template):
    """Weights decide which rows are drawn, or how they count, as they do in a single fit."""
    if "KNeighbors" in repr(template):
        template = clone(template).set_params(estimator=None)
    merged, single = _pair(template, 2, weights=WEIGHTS)
    assert _digest(merged) == _digest(single)


@pytest.mark.parametrize("seed", [1, 7, 2**31 - 1])
@pytest.mark.parametrize("template", [RandomForestClassifier(), ExtraTreesRegressor(), BaggingClassifier()], ids=repr)
def test_trees_have_the_seeds_of_a_single_fit(template, seed):
    """Seeds come in the order in which a single fit draws them."""
    merged, single = _pair(template, 4, random_state=seed)
    assert [tree.random_state for tree in merged.estimators_] == [tree.random_state for tree in single.estimators_]


@pytest.mark.parametrize("n_parts", [1, 2, 5, 7, 8, 20])
def test_trees_are_equal_whatever_the_number_of_parts(n_parts):
    """Thresholds and values of every tree agree to the bit, also with more parts than trees."""
    merged, single = _pair(RandomForestClassifier(), n_parts)
    for own, other in zip(merged.estimators_, single.estimators_, strict=True):
        np.testing.assert_array_equal(own.tree_.threshold, other.tree_.threshold)
        np.testing.assert_array_equal(own.tree_.value, other.tree_.value)


@pytest.mark.parametrize("template", KINDS, ids=repr)
def test_predictions_are_equal_to_the_bit(template):
    """Predictions, and probabilities where there are any, are those of the single fit."""
    merged, single = _pair(template, 3)
    for method in ("predict", "predict_proba"):
        if hasattr(single, method):
            np.testing.assert_array_equal(getattr(merged, method)(X), getattr(single, method)(X))


@pytest.mark.parametrize(("n_trees", "n_parts"), [(7, 3), (2, 5), (10, 5), (100, 8)])
def test_shares_differ_by_one_tree_at_most(n_trees, n_parts):
    """Shares follow each other without a gap."""
    template = RandomForestClassifier(n_trees, random_state=0)
    shares = [merge_for(template).part(template, index, n_parts) for index in range(n_parts)]
    sizes = [share.last - share.first for share in shares]
    assert sum(sizes) == n_trees
    assert max(sizes) - min(sizes) <= 1
    assert [share.first for share in shares[1:]] == [share.last for share in shares[:-1]]


def test_a_part_without_trees_looks_at_no_row():
    """It fits to an empty result."""
    template = RandomForestClassifier(1, random_state=0)
    assert merge_for(template).part(template, 0, 2).fit(None, None).forest_ is None


@pytest.mark.parametrize("template", [RandomForestRegressor(), ExtraTreesRegressor(), BaggingRegressor()], ids=repr)
def test_several_targets(template):
    """Regression on two targets predicts what the single fit predicts."""
    merged, single = _pair(template, 3, y=np.column_stack([VALUES, VALUES**2]))
    np.testing.assert_array_equal(merged.predict(X), single.predict(X))


@pytest.mark.parametrize("template", [RandomForestClassifier(), ExtraTreesClassifier(), BaggingClassifier()], ids=repr)
@pytest.mark.parametrize("make", [sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array])
def test_sparse_rows(template, make):
    """Sparse features give the trees of a single fit."""
    merged, single = _pair(template, 3, make(np.where(X > 0.5, X, 0.0)))
    assert _digest(merged) == _digest(single)


@pytest.mark.parametrize("template", [RandomForestClassifier(), ExtraTreesRegressor(), BaggingRegressor()], ids=repr)
def test_missing_values(template):
    """Gaps go where a single fit sends them."""
    merged, single = _pair(template, 3, np.where(X > 1.5, np.nan, X))
    assert _digest(merged) == _digest(single)


@pytest.mark.parametrize("template", [RandomForestClassifier(), BaggingClassifier()], ids=repr)
def test_names_of_features(template):
    """The merged model knows the columns of the table."""
    merged, single = _pair(template, 3, pd.DataFrame(X, columns=list("abcdef")))
    assert merged.feature_names_in_.tolist() == single.feature_names_in_.tolist() == list("abcdef")


def test_importances_are_those_of_all_trees():
    """They are the mean over all parts."""
    merged, single = _pair(RandomForestRegressor(), 3)
    np.testing.assert_array_equal(merged.feature_importances_, single.feature_importances_)


@pytest.mark.parametrize("template", [RandomForestClassifier(max_samples=0.3), BaggingClassifier()], ids=repr)
def test_drawn_rows_are_known(template):
    """``estimators_samples_`` makes the drawn rows again for the trees of all parts."""
    merged, single = _pair(template, 3)
    np.testing.assert_array_equal(merged.estimators_samples_, single.estimators_samples_)


def test_settings_are_those_of_the_template():
    """Nothing of the warm start remains."""
    template = RandomForestClassifier(7, n_jobs=2, random_state=0, warm_start=False)
    assert repr(_grown(template, 3, X, LABELS).get_params()) == repr(template.get_params())


def test_merging_leaves_the_parts_as_they_are():
    """Parts can be merged twice."""
    template = BaggingClassifier(n_estimators=5, random_state=0)
    merge = merge_for(template)
    shares = [merge.part(template, index, 2).fit(X, LABELS) for index in range(2)]
    first = _digest(merge.merge(template, shares, [], 3))
    assert _digest(merge.merge(template, shares, [], 3)) == first


@pytest.mark.parametrize("template", [RandomForestClassifier(), ExtraTreesRegressor(), BaggingClassifier()], ids=repr)
def test_merged_models_are_stored_without_code(template):
    """A merged forest is read back from skops within the list of types, and predicts the same."""
    merged, _ = _pair(template, 3)
    file_format, data = serialise(merged)
    assert file_format == "skops"
    np.testing.assert_array_equal(deserialise(data, file_format, "model").predict(X), merged.predict(X))


@pytest.mark.parametrize(
    ("template", "advice"),
    [
        (RandomForestClassifier(oob_score=True), "oob_score=False"),
        (BaggingRegressor(oob_score=True), "oob_score=False"),
        (ExtraTreesClassifier(warm_start=True), "warm_start=False"),
        (RandomForestClassifier(n_estimators=0), "whole number from 1"),
        (BaggingClassifier(n_estimators=2.5), "whole number from 1"),
    ],
    ids=repr,
)
def test_refusals_say_what_to_do(template, advice):
    """Settings that cannot be merged are refused with the next step."""
    with pytest.raises(InputError, match=advice):
        merge_for(template)
