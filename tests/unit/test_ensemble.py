"""Facts about the estimators as their users see them."""

import pickle
from threading import Lock

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy import sparse
from scipy.stats import binom
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes, load_iris, make_blobs, make_classification
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, r2_score
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from fakes import CountsFits, NearestMean, PredictsNaN, TellsProcess
from partwise import PartitionedClassifier, PartitionedRegressor, Vote, Weighted
from partwise.combiners import COMBINERS
from partwise.errors import InputError, PartwiseError, PredictionError
from partwise.executors import EXECUTORS
from partwise.partitioners import PARTITIONERS

X, CODES = load_iris(return_X_y=True)
Y = np.array(["setosa", "versicolor", "virginica"])[CODES]
NAMES = ["length", "width", "petal length", "petal width"]


def _classifier(estimator=None, **settings):
    settings = {"n_partitions": 3, "executor": "inline", "random_state": 0, **settings}
    return PartitionedClassifier(GaussianNB() if estimator is None else estimator, **settings)


def _regressor(estimator=None, **settings):
    settings = {"n_partitions": 3, "executor": "inline", "random_state": 0, **settings}
    return PartitionedRegressor(Ridge() if estimator is None else estimator, **settings)


# ---- what comes in ----


@pytest.mark.parametrize(
    "labels", [Y, CODES * 10 - 5, Y == "setosa", CODES + 0.0], ids=["text", "gaps", "bool", "float"]
)
@pytest.mark.parametrize("learner", [LogisticRegression(max_iter=500), LinearSVC(), NearestMean()], ids=str)
def test_labels_of_every_kind_come_back(labels, learner):
    """Predictions are the user's own labels, of probabilities, of decision values and of votes."""
    model = _classifier(learner).fit(X, labels)
    assert model.classes_.tolist() == sorted(set(labels.tolist()))
    assert model.predict(X).dtype == labels.dtype
    assert model.score(X, labels) > 0.8


def test_many_classes():
    """Sixty classes of ten rows each, in four partitions."""
    rows, labels = make_blobs(600, n_features=8, centers=60, cluster_std=0.3, random_state=0)
    model = _classifier(n_partitions=4).fit(rows, labels)
    assert model.predict_proba(rows).shape == (600, 60)
    assert model.score(rows, labels) > 0.95


@pytest.mark.parametrize("learner", [GaussianNB(), SVC(), NearestMean()], ids=str)
def test_classes_that_partitions_lack(learner):
    """Members that each know one or two of three classes make an ensemble that knows all three."""
    model = _classifier(learner, n_partitions=4, partitioner="ordered").fit(X, Y)
    assert {(m.class_counts > 0).sum() for m in model.members_} == {1, 2}
    assert set(model.predict(X)) == set(Y)


def test_a_class_that_a_member_lacks_has_no_probability_there():
    """The mean over members counts what a member does not know as zero."""
    model = _classifier(n_partitions=2, partitioner="ordered").fit(X, Y)
    first = GaussianNB().fit(X[:75], CODES[:75]).predict_proba(X)
    second = GaussianNB().fit(X[75:], CODES[75:]).predict_proba(X)
    expected = (np.pad(first, ((0, 0), (0, 1))) + np.pad(second, ((0, 0), (1, 0)))) / 2
    np.testing.assert_allclose(model.predict_proba(X), expected)


_FRAME = pd.DataFrame(X, columns=NAMES)
_TABLES = {
    "pandas": (_FRAME, pd.Series(Y, index=range(7, 157))),
    "categorical": (_FRAME, pd.Series(Y, dtype="category")),
    "polars": (pl.DataFrame(_FRAME), pl.Series(Y.tolist())),
    "arrow": (pa.Table.from_pandas(_FRAME), pa.chunked_array([Y[:50].tolist(), Y[50:].tolist()])),
    "arrow array": (pa.Table.from_pandas(_FRAME), pa.array(Y.tolist())),
    "list": (X.tolist(), Y.tolist()),
    "csr": (sparse.csr_matrix(X), Y),
    "csc": (sparse.csc_array(X), Y),
    "coo": (sparse.coo_matrix(X), Y),
}


@pytest.mark.parametrize("kind", _TABLES)
def test_every_kind_of_table_gives_equal_predictions(kind):
    """DataFrames of pandas, polars and Arrow, lists and sparse matrices predict as the array does."""
    table, labels = _TABLES[kind]
    model = _classifier(SVC(), out_of_partition=True).fit(table, labels)
    expected = _classifier(SVC(), out_of_partition=True).fit(X, Y)
    np.testing.assert_array_equal(model.predict(table), expected.predict(X))
    np.testing.assert_allclose(model.decision_function(table), expected.decision_function(X), atol=1e-6)
    assert model.out_of_partition_score_ == expected.out_of_partition_score_


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow"])
def test_column_names_are_kept(kind):
    """The names of a table's columns are remembered, and other names are refused."""
    table = _TABLES[kind][0]
    model = _classifier().fit(table, Y)
    assert model.feature_names_in_.tolist() == NAMES
    with pytest.raises(ValueError, match="breadth"):
        model.predict(_FRAME.rename(columns={"width": "breadth"}))


def test_a_pipeline_reads_a_raw_table():
    """A Pipeline that encodes text itself is a base learner: columns reach it as they are."""
    frame = pd.DataFrame(
        {"kind": np.where(CODES == 0, "small", "large"), "petal": X[:, 2], "gone": [None] + [1.0] * 149}
    )
    columns = make_column_transformer((OneHotEncoder(), ["kind"]), (StandardScaler(), ["petal"]))
    model = _classifier(make_pipeline(columns, LogisticRegression())).fit(frame, Y)
    assert model.score(frame, Y) > 0.9


def test_an_encoder_is_fitted_once_and_shared():
    """All members see the columns as one encoder makes them, which is fitted on all rows, and used to predict."""
    CountsFits.fits = 0
    model = _classifier(encoder=CountsFits()).fit(_FRAME, Y)
    assert CountsFits.fits == 1
    assert model.encoder_.rows_ == 150
    expected = _classifier().fit(2.0 * X, Y)
    np.testing.assert_allclose(model.predict_proba(_FRAME), expected.predict_proba(2.0 * X))


def test_a_raw_table_becomes_numbers():
    """`encoder="table"` takes text, dates and missing values for a learner that takes none of them."""
    frame = pd.DataFrame(
        {
            "kind": np.where(CODES == 0, "small", "large"),
            "petal": np.where(np.arange(150) % 7 == 0, np.nan, X[:, 2]),
            "day": pd.Timestamp("2026-01-01") + pd.to_timedelta(CODES * 90, unit="D"),
        }
    )
    model = _classifier(LogisticRegression(), encoder="table").fit(frame, Y)
    assert model.score(frame.iloc[::-1], Y[::-1]) > 0.95


def test_several_targets():
    """A regressor that takes several targets predicts several, also out of partition."""
    targets = X[:, 2:] @ np.array([[1.0, 2.0, 0.0], [0.0, 1.0, 3.0]])
    model = _regressor(out_of_partition=True).fit(X[:, :2], targets)
    assert model.predict(X[:5, :2]).shape == (5, 3)
    assert model.out_of_partition_predictions_.shape == (150, 3)
    expected = np.mean([m.estimator.predict(X[:, :2]) for m in model.members_], axis=0)
    np.testing.assert_allclose(model.predict(X[:, :2]), expected)


@pytest.mark.parametrize(
    ("model", "advice"),
    [(_classifier(), "MultiOutputClassifier"), (_regressor(SVR()), "MultiOutputRegressor")],
    ids=["classifier", "regressor"],
)
def test_several_targets_are_refused_clearly(model, advice):
    """Where only one target is taken the error says how many were given, and what to wrap."""
    with pytest.raises(InputError, match=f"2 targets(.|\n)*{advice}"):
        model.fit(X, np.column_stack([CODES, CODES]))


# ---- what comes out ----


@pytest.mark.parametrize(
    ("learner", "combine", "method"),
    [
        (GaussianNB(), "soft", "predict_proba"),
        (GaussianNB(), "vote", "decision_function"),
        (GaussianNB(), Vote(), "decision_function"),
        (GaussianNB(), "weighted", "predict_proba"),
        (LinearSVC(), "soft", "decision_function"),
        (LinearSVC(), "stack", "predict_proba"),
        (NearestMean(), "soft", "decision_function"),
    ],
    ids=str,
)
def test_outputs_have_one_name_before_and_after_fit(learner, combine, method):
    """There are probabilities where probabilities are averaged, else decision values, and no fit changes that."""
    model = _classifier(learner, combine=combine)
    methods = {"predict_proba", "decision_function"}
    assert {name for name in methods if hasattr(model, name)} == {method}
    model.fit(X, Y)
    assert {name for name in methods if hasattr(model, name)} == {method}
    assert getattr(model, method)(X).shape == (150, 3)


def test_two_classes_have_one_decision_value():
    """The value is positive where the second class is predicted, as scikit-learn wants it."""
    model = _classifier(LinearSVC()).fit(X, CODES == 1)
    np.testing.assert_array_equal(model.decision_function(X) > 0, model.predict(X))


def test_a_member_that_gives_nan_is_named():
    """Outputs that are no numbers stop the prediction with the name of the partition."""
    model = _classifier(PredictsNaN()).fit(X, Y)
    with pytest.raises(PredictionError, match="partition 0 gave NaN"):
        model.predict(X)


@pytest.mark.usefixtures("ray_session")
def test_long_predictions_leave_this_process():
    """Where it pays, blocks of rows are predicted by the workers of the executor, each row once and in order."""
    model = PartitionedRegressor.from_members([TellsProcess().fit(None, None)])
    here = TellsProcess().predict(X[:1])[0]
    assert set(model.set_params(executor="inline").predict(np.zeros((6000, 1)))) == {here}
    assert len(set(model.set_params(executor="ray").predict(np.zeros((6000, 1)))) - {here}) >= 1


@pytest.mark.usefixtures("ray_session")
def test_predictions_on_ray_are_those_in_process():
    """Members and outputs are equal to the last bit, whatever the executor and however rows are cut into blocks."""
    rows, labels = make_blobs(9000, n_features=5, centers=4, cluster_std=6.0, random_state=0)
    inline, on_ray = (
        _classifier(KNeighborsClassifier(), executor=executor, out_of_partition=True).fit(rows, labels)
        for executor in ("inline", "ray")
    )
    assert [m.content_digest for m in inline.members_] == [m.content_digest for m in on_ray.members_]
    np.testing.assert_array_equal(inline.predict_proba(rows), on_ray.predict_proba(rows))
    np.testing.assert_array_equal(inline.out_of_partition_outputs_, on_ray.out_of_partition_outputs_)


def test_timings_name_the_steps():
    """A fit says what each of its steps took."""
    assert set(_classifier().fit(X, Y).timings_) == {"encode", "partition", "members", "combine", "evidence"}


# ---- scikit-learn's ways ----


def test_clone_and_parameters():
    """Nested parameters are read and set, and a clone has the settings and nothing that was learned."""
    model = _classifier(SVC(C=2.0), combine=Weighted(by="score")).fit(X, Y)
    copy = clone(model)
    assert not hasattr(copy, "members_")
    assert copy.get_params()["estimator__C"] == 2.0
    assert copy.combine == Weighted(by="score")
    copy.set_params(estimator__C=5.0, n_partitions=2).fit(X, Y)
    assert [member.estimator.C for member in copy.members_] == [5.0, 5.0]
    assert model.estimator.C == 2.0


@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize("executor", ["inline", "ray"])
def test_pickle(executor):
    """A fitted ensemble survives pickle with its predictions, and holds no connection."""
    model = _classifier(executor=executor).fit(X, Y)
    copy = pickle.loads(pickle.dumps(model))  # noqa: S301 - our own bytes
    np.testing.assert_array_equal(copy.predict_proba(X), model.predict_proba(X))
    assert [m.content_digest for m in copy.members_] == [m.content_digest for m in model.members_]


def test_the_default_learner():
    """Without a base learner the trees of scikit-learn's histogram boosting are fitted."""
    model = PartitionedClassifier(n_partitions=2, executor="inline").fit(X, Y)
    assert isinstance(model.members_[0].estimator, HistGradientBoostingClassifier)


# ---- members from elsewhere ----


def test_from_members_with_different_classes():
    """Models that know different classes are combined over the union, each by its own labels."""
    first = GaussianNB().fit(X[:100], Y[:100])
    second = GaussianNB().fit(X[50:], Y[50:])
    model = PartitionedClassifier.from_members([first, second])
    assert model.classes_.tolist() == sorted(set(Y))
    expected = np.pad(first.predict_proba(X), ((0, 0), (0, 1))) + np.pad(second.predict_proba(X), ((0, 0), (1, 0)))
    np.testing.assert_allclose(model.predict_proba(X), expected / 2)
    assert model.n_features_in_ == 4


def test_from_members_that_vote():
    """Models that can only name labels are combined by votes, by their own labels."""
    models = [NearestMean().fit(X[:100], Y[:100]), NearestMean().fit(X[50:], Y[50:]), NearestMean().fit(X, Y)]
    model = PartitionedClassifier.from_members(models, combine="vote")
    assert model.score(X, Y) > 0.85


def test_from_members_by_size():
    """The sizes are the weights of the models."""
    models = [Ridge().fit(X[:50, :2], X[:50, 2]), Ridge().fit(X[50:, :2], X[50:, 2])]
    model = PartitionedRegressor.from_members(models, combine="weighted", sizes=[50, 100])
    expected = (models[0].predict(X[:, :2]) + 2 * models[1].predict(X[:, :2])) / 3
    np.testing.assert_allclose(model.predict(X[:, :2]), expected)


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow", "csr"])
def test_from_members_takes_what_its_models_take(kind):
    """What the models were fitted on, DataFrame or sparse, the ensemble predicts too."""
    table = _TABLES[kind][0]
    fitted = LogisticRegression(max_iter=500).fit(table if kind == "csr" else _FRAME, Y)
    model = PartitionedClassifier.from_members([fitted, fitted])
    np.testing.assert_allclose(model.predict_proba(table), fitted.predict_proba(table if kind == "csr" else _FRAME))


@pytest.mark.parametrize(
    ("models", "settings", "message"),
    [
        ([], {}, "models is empty"),
        ([GaussianNB()], {}, r"Models \[0\] have no `classes_`"),
        ([GaussianNB().fit(X, Y), GaussianNB().fit(X[:, :2], Y)], {}, "different numbers of features"),
        ([GaussianNB().fit(X, Y)], {"sizes": [1, 2]}, "2 values for 1 models"),
        ([GaussianNB().fit(X, Y)], {"combine": Weighted(by="score")}, "no training rows"),
        ([GaussianNB().fit(X, Y), GaussianNB().fit(X, CODES)], {}, "label"),
    ],
    ids=["none", "unfitted", "widths", "sizes", "score", "labels of two kinds"],
)
def test_members_that_do_not_fit_together_are_refused(models, settings, message):
    """The error says which models, and why."""
    with pytest.raises(InputError, match=message):
        PartitionedClassifier.from_members(models, **settings)


# ---- evidence ----


@pytest.mark.parametrize("seed", range(5))
def test_random_labels_are_not_above_chance(seed):
    """Members that learn noise by heart show no skill on rows that they never saw."""
    rng = np.random.default_rng(seed)
    rows, labels = rng.normal(size=(2000, 5)), rng.integers(2, size=2000)
    model = _classifier(DecisionTreeClassifier(), n_partitions=4, out_of_partition=True, random_state=seed)
    model.fit(rows, labels)
    correct = (model.out_of_partition_predictions_ == labels).sum()
    assert model.score(rows, labels) > 0.6, "the members did learn their rows by heart"
    assert correct <= binom.ppf(0.9999, 2000, max(labels.mean(), 1 - labels.mean()))


@pytest.mark.parametrize("combine", ["soft", "vote"])
def test_evidence_equals_a_computation_by_hand(combine):
    """Each row is predicted by the members that never saw it, each member is scored on the rows of the others."""
    model = _classifier(combine=combine, out_of_partition=True).fit(X, Y)
    each = np.stack([m.estimator.predict_proba(X) for m in model.members_])
    shares = each if combine == "soft" else np.eye(3)[each.argmax(axis=2)]
    expected, scores = np.empty((150, 3)), []
    for partition, rows in enumerate(model.partitions_.rows):
        expected[rows] = np.delete(shares, partition, axis=0)[:, rows].mean(axis=0)
        others = np.setdiff1d(np.arange(150), rows)
        scores.append(accuracy_score(CODES[others], each[partition][others].argmax(axis=1)))
    np.testing.assert_allclose(model.out_of_partition_outputs_, expected)
    np.testing.assert_array_equal(model.out_of_partition_predictions_, model.classes_[expected.argmax(axis=1)])
    assert model.out_of_partition_score_ == accuracy_score(CODES, expected.argmax(axis=1))
    np.testing.assert_allclose(model.out_of_partition_member_scores_, scores)


@pytest.mark.parametrize("combine", ["soft", "weighted:score"])
def test_evidence_heeds_the_weights_of_rows(combine):
    """Scores on unseen rows weigh these as the fit does, however the evidence was gathered."""
    weights = np.random.default_rng(0).uniform(0.1, 5.0, len(Y))
    model = _classifier(DecisionTreeClassifier(max_depth=1), combine=combine, out_of_partition=True)
    model.fit(X, Y, sample_weight=weights)
    right = model.out_of_partition_predictions_ == Y
    assert model.out_of_partition_score_ == pytest.approx(np.average(right, weights=weights))
    for member, score in zip(model.members_, model.out_of_partition_member_scores_, strict=True):
        others = np.setdiff1d(np.arange(len(Y)), model.partitions_.rows[member.partition])
        right = member.classes[member.estimator.predict(X[others])] == CODES[others]
        assert score == pytest.approx(np.average(right, weights=weights[others]))


@pytest.mark.parametrize("combine", ["mean", "weighted:score"])
def test_evidence_of_a_regression_heeds_the_weights_of_rows(combine):
    """R² on unseen rows weighs these as the fit does, in the errors and in the variance of the target."""
    rows, targets = load_diabetes(return_X_y=True)
    weights = np.random.default_rng(0).uniform(0.1, 5.0, len(targets))
    model = _regressor(DecisionTreeRegressor(max_depth=3), combine=combine, out_of_partition=True)
    model.fit(rows, targets, sample_weight=weights)
    said = model.out_of_partition_predictions_
    assert model.out_of_partition_score_ == pytest.approx(r2_score(targets, said, sample_weight=weights))
    shares = weights / weights.sum()
    spread = shares @ (targets - shares @ targets) ** 2
    for member, score in zip(model.members_, model.out_of_partition_member_scores_, strict=True):
        others = np.setdiff1d(np.arange(len(targets)), model.partitions_.rows[member.partition])
        losses = (member.estimator.predict(rows[others]) - targets[others]) ** 2
        assert score == pytest.approx(1.0 - np.average(losses, weights=weights[others]) / spread)


@pytest.mark.usefixtures("ray_session")
def test_processor_time_of_evidence_is_counted():
    """What workers spend on evidence for a combiner that learns is known; in this process it is in the fit's usage."""
    rows, labels = make_classification(2000, random_state=0)
    learner = KNeighborsClassifier(50)
    on_ray = PartitionedClassifier(learner, n_partitions=2, combine="stack", random_state=0).fit(rows, labels)
    inline = _classifier(learner, n_partitions=2, combine="stack").fit(rows, labels)
    assert on_ray.combine_cpu_seconds_ > 0
    assert inline.combine_cpu_seconds_ == 0


def test_evidence_of_a_regression_equals_a_computation_by_hand():
    """Predictions are those of the other members, and the score is their R²."""
    rows, targets = load_diabetes(return_X_y=True)
    model = _regressor(DecisionTreeRegressor(max_depth=3), out_of_partition=True).fit(rows, targets)
    each = np.stack([m.estimator.predict(rows) for m in model.members_])
    expected = np.empty(len(targets))
    for partition, chosen in enumerate(model.partitions_.rows):
        expected[chosen] = np.delete(each, partition, axis=0)[:, chosen].mean(axis=0)
    np.testing.assert_allclose(model.out_of_partition_predictions_, expected)
    assert model.out_of_partition_score_ == pytest.approx(r2_score(targets, expected))


def test_evidence_needs_a_second_member():
    """With one member no row is unseen: the error says so before anything is fitted, and what to change."""
    with pytest.raises(InputError, match=r"two|2"):
        _classifier(n_partitions=1, out_of_partition=True).fit(X, Y)
    with pytest.raises(InputError, match=r"two|2"):
        _classifier(n_partitions=1, combine=Weighted(by="score")).fit(X, Y)


def test_without_evidence_there_is_none():
    """A fit that was not asked for evidence has none, and none is left over from an earlier fit."""
    model = _classifier(out_of_partition=True).fit(X, Y)
    assert hasattr(model, "out_of_partition_score_")
    model.set_params(out_of_partition=False).fit(X[::-1], Y[::-1])
    assert not hasattr(model, "out_of_partition_score_")


# ---- errors ----

_MISSING = np.where(np.arange(150) == 3, np.nan, CODES)
_BAD_INPUT = {
    "n_partitions 0": (_classifier(n_partitions=0), {}, r"n_partitions=0 (.|\n)*1 or more"),
    "n_partitions -1": (_classifier(n_partitions=-1), {}, r"n_partitions=-1 (.|\n)*1 or more"),
    "n_partitions text": (_classifier(n_partitions="8"), {}, r"n_partitions='8'"),
    "n_partitions > rows": (_classifier(n_partitions=151), {}, r"n_partitions=151 for 150 (.|\n)*1 to 150"),
    "cpus 0": (_classifier(cpus_per_member=0), {}, r"cpus_per_member=0"),
    "missing class": (_classifier(), {"y": _MISSING}, r"target has 1 missing"),
    "missing text": (_classifier(), {"y": [None, *Y[1:]]}, r"target has 1 missing"),
    "missing value": (_regressor(), {"y": _MISSING}, r"target has 1 missing"),
    "infinite value": (_regressor(), {"y": np.where(np.arange(150) < 2, np.inf, 1.0)}, r"target has 2 "),
    "one class": (_classifier(), {"y": np.full(150, "yes")}, r"1 class only(.|\n)*yes"),
    "duplicate columns": (_classifier(), {"X": pd.DataFrame(X, columns=list("abca"))}, r"Duplicate column(.|\n)*a"),
    "duplicate columns, Arrow": (
        _classifier(),
        {"X": pa.table([pa.array(X[:, i]) for i in range(2)], names=["a", "a"])},
        r"[Dd]uplicate column(.|\n)*a",
    ),
    "negative weights": (_classifier(), {"sample_weight": np.r_[-1.0, np.ones(149)]}, r"1 negative"),
    "weights all zero": (_classifier(), {"sample_weight": np.zeros(150)}, r"zero on every row"),
    "missing weights": (_classifier(), {"sample_weight": np.r_[np.nan, np.ones(149)]}, r"sample_weight(.|\n)*NaN"),
    "weights not taken": (_classifier(KNeighborsClassifier()), {"sample_weight": np.ones(150)}, r"no sample_weight"),
    "groups too short": (_classifier(partitioner="grouped"), {"groups": [1, 2]}, r"groups has 2 values for 150"),
    "partitioner": (_classifier(partitioner="stratifed"), {}, r"Valid: " + ", ".join(sorted(PARTITIONERS))),
    "combiner": (_classifier(combine="sofd"), {}, r"'sofd'(.|\n)*Valid: (.|\n)*soft(.|\n)*Did you mean 'soft'"),
    "executor": (_classifier(executor="dask"), {}, r"'dask'(.|\n)*Valid: " + ", ".join(sorted(EXECUTORS))),
    "encoder": (_classifier(encoder="tables"), {}, r"'tables'(.|\n)*Valid: .*table"),
    "learner is a class": (_classifier(GaussianNB), {}, r"not a class"),
    "learner of the other task": (_classifier(Ridge()), {}, r"Use PartitionedRegressor"),
    "stratified regression": (_regressor(partitioner="stratified"), {"y": X[:, 0]}, r"take 'shuffled'"),
}


@pytest.mark.parametrize("case", _BAD_INPUT)
def test_bad_input_is_one_clear_error(case):
    """The error says what was given, and what is valid or what to do."""
    model, given, message = _BAD_INPUT[case]
    with pytest.raises(InputError, match=message):
        model.fit(**{"X": X, "y": CODES, **given})


def test_every_combiner_is_offered_where_it_fits():
    """The valid names in the error are the combiners of the task, all of them."""
    for task, make in (("classification", _classifier), ("regression", _regressor)):
        names = [name for name, kind in COMBINERS.items() if kind().task in {task, "any"}]
        with pytest.raises(InputError, match=f"Valid: {', '.join(names)}"):
            make(combine="?").fit(X, CODES)


def test_columns_may_be_labelled_by_numbers():
    """An encoder matches columns whose labels are numbers by their labels, in whatever order they come."""
    table = pd.DataFrame(X, columns=range(X.shape[1]))
    model = _classifier(encoder="table").fit(table, CODES)
    np.testing.assert_array_equal(model.predict_proba(table[table.columns[::-1]]), model.predict_proba(table))
    with pytest.raises(InputError, match="1 of 4 columns are missing: '0'"):
        model.predict(table.rename(columns={0: 9}))


@pytest.mark.parametrize("encoder", [None, "table"])
def test_labels_of_two_kinds_are_refused(encoder):
    """Columns of which some are labelled by numbers and some by texts are refused in words of what to do."""
    table = pd.DataFrame(X, columns=[*range(X.shape[1] - 1), "0"])
    with pytest.raises(TypeError, match=r"\['int', 'str'\](.|\n)*columns\.astype\(str\)"):
        _classifier(encoder=encoder).fit(table, CODES)


def test_the_name_of_weights_by_score_weighs_by_score():
    """``weighted:score`` gives the weights of ``Weighted(by="score")``, which are not those by size."""
    by_name, by_settings, by_size = (
        _classifier(combine=combine).fit(X, CODES).predictor_.weights
        for combine in ("weighted:score", Weighted(by="score"), "weighted:size")
    )
    np.testing.assert_array_equal(by_name, by_settings)
    assert not np.allclose(by_name / by_name.sum(), by_size / by_size.sum())


@pytest.mark.parametrize("combine", ["weighted:score", Weighted(by="score"), "sofd", ["soft"]])
def test_probabilities_are_told_before_the_fit(combine):
    """Whether there will be probabilities is told without an error, also where the combiner will be refused."""
    assert hasattr(_classifier(combine=combine), "predict_proba")


@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize("executor", ["inline", "ray"])
def test_an_estimator_that_cannot_be_pickled_is_refused(executor):
    """What cannot travel to a worker is refused with the name of its type and the cause."""
    locked = FunctionTransformer(func=_Locked())
    with pytest.raises(PartwiseError, match=r"pickle"):
        _classifier(make_pipeline(locked, GaussianNB()), executor=executor).fit(X, Y)


class _Locked:
    """A function that holds a lock."""

    def __init__(self):
        self.lock = Lock()

    def __call__(self, table):
        return table

    def __deepcopy__(self, memo):
        return self
