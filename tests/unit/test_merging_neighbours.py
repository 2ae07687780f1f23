"""Facts about nearest neighbours in partitions."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.spatial.distance import cdist
from sklearn.base import clone, is_classifier
from sklearn.datasets import make_classification
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor, RadiusNeighborsClassifier
from skops import io as skops_io

from partwise.errors import InputError
from partwise.merging import TRUSTED_TYPES, merge_for, nearest, neighbours
from partwise.model_store.objects import deserialise, serialise

X, LABELS = make_classification(400, 5, n_informative=4, n_redundant=0, n_classes=3, random_state=0)
VALUES = np.sin(X[:, 0]) + X[:, 1]
QUERIES = np.vstack([np.random.default_rng(1).normal(size=(60, 5)), X[:40]])  # the last are at distance zero
SIZES = [1, 2, 150, 40, 207]
GRID = np.random.default_rng(2).integers(0, 3, size=(300, 3)).astype(float)  # 27 places for 300 rows
GRID_QUERIES = np.array(np.meshgrid(*[[0.0, 0.5, 1.0, 2.0]] * 3)).reshape(3, -1).T


def _halving(distances):
    return 0.5**distances


SETTINGS = [
    {},
    {"n_neighbors": 1},
    {"n_neighbors": 300},  # more than half of the rows, and more than any part has
    {"n_neighbors": 400},
    {"weights": "distance"},
    {"weights": "distance", "algorithm": "brute"},
    {"weights": _halving},
    {"algorithm": "ball_tree", "leaf_size": 3, "p": 1},
    {"metric": "chebyshev", "weights": "distance"},
    {"p": 3, "metric_params": {"w": [1.0, 2.0, 0.5, 1.0, 1.0]}},
    {"metric": "seuclidean", "metric_params": {"V": X.var(axis=0)}},
    {"metric": "haversine", "algorithm": "ball_tree"},
    {"metric": lambda a, b: float(np.abs(a - b).sum()), "n_neighbors": 3},
]


def _shown(settings):
    """Return settings as text that is the same in every process."""
    return str({name: getattr(value, "__name__", value) for name, value in settings.items()})


def _merged(template, table, y, sizes=SIZES):
    """Fit the parts on shuffled rows and merge them."""
    shuffled = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
    rows = [np.flatnonzero(shuffled == index) for index in range(len(sizes))]
    merge = merge_for(template)
    parts = [merge.part(template, index, len(rows)).fit(table[own], y[own]) for index, own in enumerate(rows)]
    n_classes = int(y.max()) + 1 if is_classifier(template) else None
    return merge.merge(template, parts, rows, n_classes)


def _pair(template, table=X, y=None, sizes=SIZES):
    """Return the merged model and the single fit."""
    y = (LABELS if is_classifier(template) else VALUES) if y is None else y
    return _merged(template, table, y, sizes), clone(template).fit(table, y)


def _by_hand(table, queries, k):
    """Return the places of the k nearest rows by distance and then by row."""
    return np.argsort(cdist(queries, table), axis=1, kind="stable")[:, :k]


def _columns(settings):
    return 2 if settings.get("metric") == "haversine" else 5


def _assert_agree(merged, single, *, brute):
    """Compare bit for bit; distances that are matrix products depend in their last bits on how many rows go in."""
    np.testing.assert_allclose(merged, single, rtol=1e-12 if brute else 0)


@pytest.mark.parametrize("settings", SETTINGS, ids=_shown)
def test_probabilities_are_those_of_a_single_fit(settings):
    """Where no two rows are equally far, all settings give its probabilities, to the bit but for matrix products."""
    columns = _columns(settings)
    merged, single = _pair(KNeighborsClassifier(**settings), X[:, :columns])
    queries = QUERIES[:, :columns]
    brute = settings.get("algorithm") == "brute"
    _assert_agree(merged.predict_proba(queries), single.predict_proba(queries), brute=brute)


@pytest.mark.parametrize("settings", SETTINGS, ids=_shown)
def test_classes_are_those_of_a_single_fit(settings):
    """Ties between classes go where scikit-learn sends them."""
    columns = _columns(settings)
    merged, single = _pair(KNeighborsClassifier(**settings), X[:, :columns])
    np.testing.assert_array_equal(merged.predict(QUERIES[:, :columns]), single.predict(QUERIES[:, :columns]))


@pytest.mark.parametrize("settings", SETTINGS, ids=_shown)
def test_values_are_those_of_a_single_fit(settings):
    """Means are taken over the same neighbours in the same order."""
    columns = _columns(settings)
    merged, single = _pair(KNeighborsRegressor(**settings), X[:, :columns])
    queries, brute = QUERIES[:, :columns], settings.get("algorithm") == "brute"
    _assert_agree(merged.predict(queries), single.predict(queries), brute=brute)


@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_several_targets(weights):
    """Regression on two targets has two columns."""
    merged, single = _pair(KNeighborsRegressor(weights=weights), y=np.column_stack([VALUES, -VALUES]))
    np.testing.assert_array_equal(merged.predict(QUERIES), single.predict(QUERIES))


@pytest.mark.parametrize("metric", ["cosine", "correlation"])
def test_metrics_made_of_matrix_products_agree_to_rounding(metric):
    """Their last bits depend on how many rows are multiplied at once, in scikit-learn too."""
    merged, single = _pair(KNeighborsRegressor(metric=metric, weights="distance"))
    queries = QUERIES[:60]
    np.testing.assert_allclose(merged.predict(queries), single.predict(queries), rtol=1e-9)


def test_many_columns_are_compared_one_by_one():
    """With more than 15 columns scikit-learn uses no tree, but matrix products: the values agree to rounding."""
    wide = np.random.default_rng(3).normal(size=(400, 20))
    merged, single = _pair(KNeighborsRegressor(weights="distance"), wide)
    _assert_agree(merged.predict(wide[:50] + 0.1), single.predict(wide[:50] + 0.1), brute=True)


@pytest.mark.parametrize("kind", [np.float32, np.int64])
def test_types_of_numbers(kind):
    """Single precision and whole numbers are searched as scikit-learn searches them."""
    table = np.random.default_rng(4).permutation(400 * 5).reshape(400, 5).astype(kind)
    merged, single = _pair(KNeighborsRegressor(weights="distance"), table)
    np.testing.assert_array_equal(merged.predict(table[:50]), single.predict(table[:50]))


@pytest.mark.parametrize("make", [sparse.csr_matrix, sparse.csr_array])
def test_sparse_rows(make):
    """Sparse features give the probabilities of a single fit."""
    table = np.where(X > 0.0, X, 0.0)
    table[:, 0] = X[:, 0]  # no two rows are equal
    merged, single = _pair(KNeighborsClassifier(), make(table))
    queries = make(QUERIES[:60])
    np.testing.assert_array_equal(merged.predict_proba(queries), single.predict_proba(queries))


@pytest.mark.parametrize("k", [1, 5, 40, 299, 300])
@pytest.mark.parametrize("algorithm", ["kd_tree", "ball_tree", "brute"])
@pytest.mark.parametrize("sizes", [[300], [100, 100, 100], [1, 9, 40, 250], [240, *[1] * 60]], ids=len)
def test_equal_distances_count_in_the_order_of_rows(k, algorithm, sizes):
    """On a grid with a dozen rows at each place the neighbours are those found by hand."""
    merged = _merged(KNeighborsRegressor(k, algorithm=algorithm), GRID, np.arange(300.0), sizes)
    np.testing.assert_array_equal(merged.kneighbors(GRID_QUERIES)[1], _by_hand(GRID, GRID_QUERIES, k))


def test_equal_distances_do_not_depend_on_the_partitions():
    """Any cut of the same table gives the same neighbours, sparse or not."""
    template = KNeighborsRegressor(7)
    one = _merged(template, GRID, np.arange(300.0), [300])
    cut = _merged(template, sparse.csr_matrix(GRID), np.arange(300.0), [20, 130, 150])
    np.testing.assert_array_equal(one.kneighbors(GRID_QUERIES)[1], cut.kneighbors(sparse.csr_matrix(GRID_QUERIES))[1])


def test_zero_distances_outweigh_all_others():
    """A query that equals rows of several parts is their vote alone."""
    labels = np.random.default_rng(5).integers(0, 3, 300)
    merged = _merged(KNeighborsClassifier(20, weights="distance"), GRID, labels, [100, 100, 100])
    query = np.ones((1, 3))
    equal = [place for place in _by_hand(GRID, query, 20)[0] if (GRID[place] == 1.0).all()]
    np.testing.assert_allclose(merged.predict_proba(query)[0], np.bincount(labels[equal], minlength=3) / len(equal))


def test_blocks_do_not_change_the_result(monkeypatch):
    """Memory is bounded by asking for a few queries at a time."""
    merged = _merged(KNeighborsRegressor(7), GRID, np.arange(300.0), [100, 100, 100])
    whole = merged.kneighbors(GRID_QUERIES)[1]
    for module in (nearest, neighbours):
        monkeypatch.setattr(module, "BLOCK", 50)
    np.testing.assert_array_equal(merged.kneighbors(GRID_QUERIES)[1], whole)


def test_parts_may_lack_classes():
    """Each part has one class, the model has all."""
    rows = [np.flatnonzero(label == LABELS) for label in range(3)]
    template = KNeighborsClassifier()
    merge = merge_for(template)
    parts = [merge.part(template, index, 3).fit(X[own], LABELS[own]) for index, own in enumerate(rows)]
    merged = merge.merge(template, parts, rows, 3)
    assert merged.classes_.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(merged.predict_proba(QUERIES), clone(template).fit(X, LABELS).predict_proba(QUERIES))


def test_positions_may_have_gaps():
    """Only the order of the global positions counts."""
    template = KNeighborsRegressor(3)
    merge = merge_for(template)
    cut = [np.arange(0, 400, 2), np.arange(1, 400, 2)]
    parts = [merge.part(template, index, 2).fit(X[own], VALUES[own]) for index, own in enumerate(cut)]
    merged = merge.merge(template, parts, [10 * own + 7 for own in cut], None)
    np.testing.assert_array_equal(merged.targets_, VALUES)


@pytest.mark.parametrize("template", [KNeighborsClassifier(4, weights="distance"), KNeighborsRegressor()], ids=repr)
@pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix])
def test_to_single_is_the_single_fit(template, make):
    """It is scikit-learn's own estimator on all rows in order."""
    merged, single = _pair(template, make(X))
    found = merged.to_single()
    assert type(found) is type(single)
    assert found.get_params() == single.get_params()
    np.testing.assert_array_equal(found.kneighbors(make(QUERIES))[1], single.kneighbors(make(QUERIES))[1])
    np.testing.assert_array_equal(found.predict(make(QUERIES)), single.predict(make(QUERIES)))


def test_names_of_features():
    """Columns are known by name, to the model and to its single twin, and checked once."""
    table = pd.DataFrame(X, columns=list("abcde"))
    template = KNeighborsClassifier()
    merge = merge_for(template)
    rows = [np.arange(200), np.arange(200, 400)]
    parts = [merge.part(template, index, 2).fit(table.iloc[own], LABELS[own]) for index, own in enumerate(rows)]
    merged = merge.merge(template, parts, rows, 3)
    assert merged.feature_names_in_.tolist() == merged.to_single().feature_names_in_.tolist() == list("abcde")
    with pytest.raises(ValueError, match="feature names"):
        merged.predict(table[list("edcba")])


def test_an_unfitted_copy_can_be_fitted():
    """``clone`` and ``fit`` work as for any estimator; one part then has all rows."""
    merged, single = _pair(KNeighborsClassifier(3))
    again = clone(merged).fit(X, LABELS)
    assert len(again.parts_) == 1
    assert again.score(QUERIES[60:], LABELS[:40]) == single.score(QUERIES[60:], LABELS[:40])


def test_more_neighbours_than_rows_are_refused():
    """The message names both numbers."""
    merged = _merged(KNeighborsClassifier(500), X, LABELS)
    with pytest.raises(InputError, match=r"n_neighbors=500 .* 400 rows"):
        merged.predict(QUERIES)


def test_weights_of_rows_are_refused():
    """Nearest neighbours cannot use them."""
    template = KNeighborsClassifier()
    with pytest.raises(InputError, match="sample_weight"):
        merge_for(template).part(template, 0, 1).fit(X, LABELS, sample_weight=np.ones(400))


@pytest.mark.parametrize(
    ("template", "advice"),
    [
        (KNeighborsClassifier(metric="precomputed"), "Name a metric"),
        (KNeighborsRegressor(metric="seuclidean"), "'V'"),
        (KNeighborsRegressor(metric="mahalanobis", metric_params={}), "'VI'"),
        (RadiusNeighborsClassifier(), "KNeighborsClassifier"),
        (type("Own", (KNeighborsClassifier,), {})(), "no exact merge for Own"),
    ],
    ids=repr,
)
def test_refusals_say_what_to_do(template, advice):
    """What cannot be merged is refused with the next step, or with the valid classes."""
    with pytest.raises(InputError, match=advice):
        merge_for(template)


@pytest.mark.parametrize("settings", [{}, {"algorithm": "brute"}, {"algorithm": "ball_tree", "p": 1}], ids=str)
@pytest.mark.parametrize("kind", [KNeighborsClassifier, KNeighborsRegressor])
def test_merged_models_are_stored_without_code(kind, settings):
    """They are read back from skops within the list of types, and predict the same."""
    merged = _pair(kind(**settings))[0]
    file_format, data = serialise(merged)
    assert file_format == "skops"
    np.testing.assert_array_equal(deserialise(data, file_format, "model").predict(QUERIES), merged.predict(QUERIES))


def test_the_list_of_types_names_what_is_stored():
    """Every name of this family is in one of the files, so that the list holds nothing else."""
    stored = {
        name
        for kind in (KNeighborsClassifier, KNeighborsRegressor)
        for name in skops_io.get_untrusted_types(data=skops_io.dumps(_pair(kind())[0]))
    }
    assert {name for name in TRUSTED_TYPES if name.startswith(neighbours.__name__)} <= stored
