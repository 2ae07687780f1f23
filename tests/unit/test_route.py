"""Facts about routing: each row is answered by the experts of its own cell."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import LinearSVC

from fakes import KeepsWhatItSaw, NearestMean
from partwise import PartitionedClassifier, PartitionedRegressor
from partwise.combiners import make_combiner
from partwise.combiners.route import Route
from partwise.errors import InputError, ModelStoreError
from partwise.model_store import StoredModel, load_model, save_model
from partwise.pool import MemberPool
from partwise.routed import RoutedPredictor

RNG = np.random.default_rng(0)
X = RNG.uniform(-1.0, 1.0, size=(900, 2))
CHECKERS = np.where((X[:, 0] > 0) ^ (X[:, 1] > 0), "black", "white")
THREE = np.array(["a", "b", "c"])[np.digitize(X[:, 0] + 0.1 * RNG.normal(size=900), [-0.4, 0.4])]


def _classifier(learner=None, **settings):
    settings = {"n_partitions": 6, "combine": "route", "executor": "inline", "random_state": 0, **settings}
    return PartitionedClassifier(GaussianNB() if learner is None else learner, **settings)


def _regressor(learner=None, **settings):
    settings = {"n_partitions": 6, "combine": "route", "executor": "inline", "random_state": 0, **settings}
    return PartitionedRegressor(Ridge() if learner is None else learner, **settings)


def _cells(model, rows=X):
    return model.partitions_.router.nearest(rows)[0][:, 0]


def test_a_row_is_answered_by_its_own_member_alone():
    """Every row gets, to the last bit, what the member of its cell says, and no other is asked."""
    model = _classifier().fit(X, THREE)
    pool, cells, outputs = model.predictor_.pool, _cells(model), model.predict_proba(X)
    assert sorted(set(cells)) == list(range(6))
    for member in model.members_:
        rows = cells == member.partition
        np.testing.assert_array_equal(outputs[rows], pool.member_outputs(member, X[rows]))


def test_training_rows_go_to_the_member_that_was_trained_on_them():
    """The cell of a row is the same in the cut and in the prediction."""
    model = _classifier().fit(X, THREE)
    for partition, rows in enumerate(model.partitions_.rows):
        assert set(_cells(model, X[rows])) == {partition}


def test_members_are_those_of_their_cells():
    """Each member is what the learner is on the rows of its cell."""
    model = _regressor().fit(X, X[:, 0] * X[:, 1])
    for member, rows in zip(model.members_, model.partitions_.rows, strict=True):
        alone = Ridge().fit(X[rows], X[rows, 0] * X[rows, 1])
        np.testing.assert_allclose(member.estimator.coef_, alone.coef_)


@pytest.mark.parametrize("neighbours", [2, 3, 6])
def test_neighbours_answer_together(neighbours):
    """The outputs are the mean of what the nearest members say, by weights that fall with the distance."""
    model = _classifier(combine=Route(neighbours)).fit(X, THREE)
    router = model.partitions_.router
    distances = router.distances(X).astype(float)
    order = np.argsort(distances, axis=1, kind="stable")[:, :neighbours]
    weights = np.exp(-(distances - distances.min(axis=1, keepdims=True)) / router.width)
    weights = np.take_along_axis(weights, order, axis=1)
    weights /= weights.sum(axis=1, keepdims=True)
    each = model.predictor_.pool.outputs(X)
    expected = sum(weights[:, [i]] * each[order[:, i], np.arange(len(X))] for i in range(neighbours))
    np.testing.assert_allclose(model.predict_proba(X), expected, atol=1e-5)


def test_shares_sum_to_one_and_follow_the_distance():
    """The nearest cell counts most, cells equally far count alike, and one far beyond the border hardly at all."""
    router = replace(_classifier().fit(X, THREE).partitions_.router, width=0.5)
    shares = router.shares(np.array([[0.0, 0.0], [0.0, 0.5], [0.0, 50.0], [0.0, 1e9]], dtype=np.float32))
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    np.testing.assert_allclose(shares[:, 0], [0.5, 1 / (1 + np.exp(-1)), 1.0, 1.0])


def test_more_neighbours_than_cells_are_all_cells():
    """A number of neighbours beyond the number of cells asks all members."""
    many, all_six = (_classifier(combine=Route(count)).fit(X, THREE).predict_proba(X) for count in (99, 6))
    np.testing.assert_array_equal(many, all_six)


def test_neighbours_smooth_the_borders():
    """With neighbours the jump from one side of a border to the other is smaller than without."""
    line = np.column_stack([np.linspace(-1, 1, 4001), np.zeros(4001)])
    jumps = [
        np.abs(np.diff(_regressor(KeepsWhatItSaw(), combine=combine).fit(X, X[:, 0]).predict(line))).max()
        for combine in (Route(), Route(2))
    ]
    assert jumps[1] < 0.75 * jumps[0]


@pytest.mark.parametrize(
    ("learner", "neighbours"),
    [(LogisticRegression(), 1), (LinearSVC(), 1), (NearestMean(), 1), (LogisticRegression(), 2), (LinearSVC(), 2)],
    ids=str,
)
def test_cells_of_one_class(learner, neighbours):
    """Where a cell holds one class alone its rows get that class, whatever the learner can say."""
    table = np.vstack([RNG.normal(size=(200, 2)), RNG.normal(size=(100, 2)) + 20.0])
    labels = np.r_[np.where(table[:200, 0] > 0, "x", "y"), np.full(100, "z")]
    model = _classifier(learner, n_partitions=3, combine=Route(neighbours)).fit(table, labels)
    assert any((member.class_counts > 0).sum() == 1 for member in model.members_)
    assert set(model.predict(table[200:])) == {"z"}
    assert (model.predict(table) == labels).mean() > 0.9


def test_a_cell_without_weight_goes_to_the_nearest_that_has_a_member():
    """Rows of a cell whose training rows weigh nothing are answered by the nearest member, by the same distances."""
    cells = _cells(_regressor().fit(X, X[:, 0]))
    model = _regressor(KeepsWhatItSaw()).fit(X, X[:, 0], sample_weight=(cells != 2).astype(float))
    assert [failure.partition for failure in model.failures_] == [2]
    distances = model.partitions_.router.distances(X)
    distances[:, 2] = np.inf
    means = {member.partition: member.estimator.mean_ for member in model.members_}
    np.testing.assert_array_equal(model.predict(X), [means[cell] for cell in distances.argmin(axis=1)])


def test_overlap_trains_members_on_shared_rows():
    """With overlap members see rows beyond their border, and a row is still answered by its own member."""
    alone, shared = (
        _regressor(KeepsWhatItSaw(), partitioner=name).fit(X, X[:, 0]) for name in ("clustered", "clustered:0.3")
    )
    assert sum(member.n_rows for member in alone.members_) == 900
    assert sum(member.n_rows for member in shared.members_) == pytest.approx(900 * 1.3, abs=10)
    np.testing.assert_array_equal(_cells(alone), _cells(shared))


def test_regression_of_several_targets():
    """Each row gets all targets from its member."""
    targets = np.column_stack([X[:, 0], X[:, 1], X.sum(axis=1)])
    model = _regressor(combine=Route(2)).fit(X, targets)
    assert model.predict(X[:7]).shape == (7, 3)
    assert model.score(X, targets) > 0.99


@pytest.mark.parametrize("combine", ["route", Route(3)])
def test_blocks_get_the_outputs_of_the_whole(combine):
    """What a row is given does not depend on the rows beside it."""
    model = _classifier(combine=combine).fit(X, THREE)
    whole = model.predict_proba(X)
    for rows in (slice(0, 1), slice(5, 300), slice(300, 900), RNG.permutation(900)):
        np.testing.assert_allclose(model.predict_proba(X[rows]), whole[rows], atol=1e-6)


def test_no_rows_give_no_outputs():
    """A table without rows has outputs without rows, of the right width."""
    predictor = _classifier().fit(X, THREE).predictor_
    assert predictor.outputs(X[:0]).shape == (0, 3)


def test_sparse_tables_are_routed_as_they_come():
    """The rows of a sparse matrix are cut, fitted and predicted without becoming dense."""
    table = sparse.random_array((600, 30), density=0.1, format="csr", rng=np.random.default_rng(0))
    labels = np.asarray(table.sum(axis=1)).ravel() > 1.5
    model = _classifier(LogisticRegression(C=100.0), n_partitions=3).fit(table, labels)
    assert model.score(table, labels) > 0.8


def test_local_experts_see_what_one_line_cannot():
    """On a checkerboard straight lines in cells are right where their vote, as one line, is no better than chance."""
    test = np.random.default_rng(1).uniform(-1.0, 1.0, size=(2000, 2))
    truth = np.where((test[:, 0] > 0) ^ (test[:, 1] > 0), "black", "white")
    routed, voted = (
        _classifier(LogisticRegression(C=100.0), n_partitions=8, combine=combine).fit(X, CHECKERS).score(test, truth)
        for combine in ("route", "soft")
    )
    assert routed > 0.85
    assert voted < 0.65


def test_local_lines_beat_one_line_in_regression():
    """On a curved target lines in cells explain more of rows that were held back than the mean of lines."""
    rng = np.random.default_rng(2)
    table = rng.uniform(-3, 3, size=(1500, 1))
    target = np.sin(table[:, 0] * 2) + 0.1 * rng.normal(size=1500)
    routed, mean = (
        _regressor(n_partitions=10, combine=combine).fit(table[:1000], target[:1000]).score(table[1000:], target[1000:])
        for combine in ("route", "mean")
    )
    assert routed > 0.9
    assert mean < 0.5


@pytest.fixture(scope="module")
def steep():
    """Lines in cells of a steep curve; rows far from every centre, where lines run away."""
    far = np.array([[90.0, -90.0], [-70.0, 40.0]])
    return _regressor(combine=Route(2)).fit(X, np.column_stack([np.exp(3 * X[:, 0]), X[:, 1]])), far


def test_a_row_far_from_every_centre_gets_no_number_that_its_members_never_saw(steep):
    """Each target stays within the range of those that the members of its cells were fitted on."""
    model, far = steep
    alone = np.stack([model.predictor_.pool.member_outputs(member, far) for member in model.members_])
    assert np.abs(alone).max(axis=(0, 1)).min() > 10
    cells = model.partitions_.router.nearest(far, 2)[0]
    lows, highs = np.stack([member.target_range for member in model.members_], axis=1)
    said = model.predict(far)
    assert (said >= lows[cells].min(axis=1) - 1e-9).all()
    assert (said <= highs[cells].max(axis=1) + 1e-9).all()


def test_a_stored_model_keeps_to_the_same_range(steep, tmp_path):
    """Far rows get from disk what they get from memory."""
    model, far = steep
    loaded = load_model(save_model(tmp_path / "m", _stored(model)))
    np.testing.assert_array_equal(loaded.outputs(far), model.predict_outputs(far))


def test_a_mean_of_lines_goes_on_beyond():
    """One line on all rows would say as much."""
    model = _regressor(combine="mean", partitioner="shuffled").fit(X, X[:, 0])
    assert model.predict(np.array([[5.0, 0.0]])) > 4 * X[:, 0].max()


def test_a_bounded_mean_keeps_to_what_members_have_seen(tmp_path):
    """Of each target, and from disk too."""
    targets = np.column_stack([X[:, 0], 100 * X[:, 1]])
    model = _regressor(combine="mean:bounded", partitioner="shuffled").fit(X, targets)
    far = np.array([[50.0, -50.0]])
    said = model.predict(far)[0]
    ends = np.stack([member.target_range for member in model.members_])
    np.testing.assert_allclose(said, [ends[:, 1, 0].mean(), ends[:, 0, 1].mean()])
    near = X[(np.abs(X) < 0.5).all(axis=1)]
    np.testing.assert_allclose(model.predict(near), model.predictor_.pool.outputs(near).mean(axis=0))
    loaded = load_model(save_model(tmp_path / "m", _stored(model)))
    np.testing.assert_array_equal(loaded.outputs(far)[0], said)


def test_a_bounded_mean_of_models_from_elsewhere_is_refused():
    """They do not tell what they were fitted on."""
    models = [Ridge().fit(X, X[:, 0]) for _ in range(2)]
    with pytest.raises(InputError, match=r"fitted elsewhere(.|\n)*'mean', 'median'"):
        PartitionedRegressor.from_members(models, combine="mean:bounded")


def test_a_model_is_the_same_by_seed():
    """The same table and seed give the same cells and members."""
    first, again = (_classifier(HistGradientBoostingClassifier(max_iter=3)).fit(X, THREE) for _ in range(2))
    assert [m.content_digest for m in first.members_] == [m.content_digest for m in again.members_]


def _stored(model):
    regression = isinstance(model, PartitionedRegressor)
    return StoredModel(
        task="regression" if regression else "classification",
        classes=None if regression else model.classes_,
        encoder=None,
        predictor=model.predictor_,
        feature_names=None,
    )


@pytest.mark.parametrize(
    "model", [_classifier(), _classifier(combine=Route(2)), _regressor(combine=Route(3))], ids=["one", "two", "values"]
)
def test_a_stored_model_predicts_the_same(tmp_path, model):
    """Members, cells and their weights come back from disk with equal outputs."""
    model = clone(model).fit(X, THREE if isinstance(model, PartitionedClassifier) else X[:, 0] ** 2)
    loaded = load_model(save_model(tmp_path / "m", _stored(model)))
    np.testing.assert_array_equal(loaded.outputs(X), model.predict_outputs(X))


def test_a_stored_model_that_lacks_a_cell_is_refused(tmp_path):
    """A model.json whose cells are not those of its members is refused when it is read."""
    directory = save_model(tmp_path / "m", _stored(_classifier(n_partitions=2).fit(X, THREE)))
    manifest = directory / "model.json"
    manifest.write_text(manifest.read_text().replace('"type": "routed"', '"type": "aggregated"'))
    with pytest.raises(ModelStoreError, match="cannot be made"):
        load_model(directory)


def test_there_is_a_cell_for_each_member():
    """A predictor whose cells and members are of different numbers cannot be made."""
    predictor = _classifier().fit(X, THREE).predictor_
    with pytest.raises(ValueError, match="6 cells for 5 members"):
        RoutedPredictor(MemberPool.of(predictor.pool.members[:5], 3), predictor.router, 1)


def test_a_routed_model_is_approximate():
    """The result says that it is not the model of a single fit."""
    assert _classifier().fit(X, THREE).predictor_.exactness == "approximate"


@pytest.mark.parametrize("neighbours", [0, -1, "x", "2.5"])
def test_wrong_numbers_of_neighbours_are_refused(neighbours):
    """The error has the value that was given, and what is valid."""
    with pytest.raises(InputError, match=rf"{neighbours}(.|\n)*Valid: "):
        Route(neighbours)
    with pytest.raises(InputError, match=rf"'route:{neighbours}'(.|\n)*Valid: "):
        make_combiner(f"route:{neighbours}")


def test_a_name_may_carry_the_neighbours():
    """`route:3` is `Route(neighbours=3)`, for either task."""
    assert make_combiner("route:3", "regression") == make_combiner("route:3", "classification") == Route(neighbours=3)


def test_out_of_partition_evidence_is_refused():
    """No other member knows a row's cell, so evidence would say nothing: the error says how to judge instead."""
    with pytest.raises(InputError, match=r"'route'(.|\n)*held back"):
        _classifier(out_of_partition=True).fit(X, THREE)


def test_real_rows_in_regression():
    """A table of people, in cells of like size, gives finite predictions with some skill."""
    rows, targets = load_diabetes(return_X_y=True)
    assert (
        _regressor(Ridge(0.1), n_partitions=3, combine=Route(3))
        .fit(rows[:300], targets[:300])
        .score(rows[300:], targets[300:])
        > 0.3
    )
