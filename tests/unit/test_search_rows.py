"""A search for the parameters of one model: its rows grow with the partitions, and it is cross-validated at last."""

import pickle
from dataclasses import dataclass
from itertools import chain, combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import make_classification, make_regression
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, r2_score, root_mean_squared_error
from sklearn.model_selection import cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

import partwise
from fake_learners import InterruptedOnce, Memorises, Misbehaves, NotesFits, NotesRows, SaysItsNumber
from fakes import stop_after
from partwise import Checkpoint, InlineExecutor, PartitionedClassifier, PartitionedRegressor, PartitionedSearchCV, Range
from partwise.errors import InputError, SearchError
from partwise.partitioners import make_partitioner
from partwise.permutation import KeyedPermutation
from partwise.records import Part
from partwise.search.growing import growing
from partwise.tables import MemoryTable

X, Y = make_classification(n_samples=400, n_features=5, flip_y=0.15, random_state=0)
C = {"C": Range(1e-3, 1e2, log=True)}
ONE = {"unused": [0]}
TWO = {"unused": [0, 1]}


def _search(learner, space, **arguments):
    defaults = {"n_partitions": 4, "executor": "inline", "random_state": 0, "n_trials": 6, "fidelity": "rows"}
    return PartitionedSearchCV(learner, space, **defaults | arguments)


def _fitted(learner, space, **arguments):
    return _search(learner, space, **arguments).fit(X, Y)


def _partitions(X, y, n_partitions=4, seed=0, groups=None, **arguments):
    """Return the rows of each partition, as any fit with these settings cuts them."""
    of = PartitionedRegressor(LinearRegression()) if y.dtype.kind == "f" else PartitionedClassifier(Memorises())
    of.set_params(n_partitions=n_partitions, executor="inline", random_state=seed, **arguments)
    return of.fit(X, y, groups=groups).partitions_.rows


def _numbered(n_rows):
    """Return rows whose first column is their number, and labels of which a third is 'yes'."""
    X = np.column_stack([np.arange(float(n_rows)), np.zeros(n_rows)])
    return X, np.where(np.random.default_rng(0).permutation(n_rows) % 3 == 0, "yes", "no")


def _rows_of_fits(place):
    return [frozenset(map(int, line.split()[1:])) for line in place.read_text().splitlines()]


def _told(search):
    return [(trial.number, trial.params, trial.state, trial.scores) for trial in search.trials_]


def _n_fits(search):
    return sum(trial.n_fits for trial in search.trials_)


def _kept_in(folder):
    checkpoint = Checkpoint(str(folder / "members"), trust=True)
    return {"study": f"sqlite:///{folder}/study.db", "checkpoint": checkpoint}


@pytest.fixture(scope="module")
def searched():
    """A search over C."""
    return _fitted(LogisticRegression(C=0.5), C, n_trials=8)


@pytest.fixture(scope="module", params=[2, 3, 4, 5, 8])
def noted(request, tmp_path_factory):
    """One trial that came to its end: the rows of its fits in their order, those of each partition, and the search."""
    place, (rows, y) = tmp_path_factory.mktemp("noted") / "fits", _numbered(120)
    search = _search(NotesRows(str(place)), ONE, n_partitions=request.param, n_trials=1).fit(rows, y)
    partitions = [frozenset(map(int, each)) for each in _partitions(rows, y, request.param)]
    return _rows_of_fits(place), partitions, search


@settings(max_examples=8, deadline=None)
@given(
    st.integers(40, 120),
    st.integers(2, 9),
    st.integers(1, 3),
    st.integers(0, 99),
    st.sampled_from([None, "shuffled", "ordered"]),
)
def test_no_row_judges_a_model_that_was_fitted_on_it(n_rows, n_partitions, reduction_factor, seed, partitioner):
    """Models that know their own rows by heart, and say 'no' of all others, score what 'no' scores, on every rung.

    The rows that judge are those of all other partitions, and on the last rung all rows.
    """
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, 2))
    y = np.where(rng.permutation(n_rows) % 3 == 0, "yes", "no")
    cut = {"n_partitions": n_partitions, "partitioner": partitioner}
    search = _search(Memorises(), TWO, reduction_factor=reduction_factor, random_state=seed, n_trials=2, **cut).fit(
        X, y
    )
    rows = _partitions(X, y, seed=seed, **cut)
    assert search.trials_[0].state == "finished"
    for trial in search.trials_:
        for n_seen, score in trial.scores.items():
            judged = np.arange(n_rows) if n_seen == n_partitions else np.concatenate(rows[n_seen:])
            assert score == pytest.approx((y[judged] == "no").mean()), (trial, n_seen)


def test_rows_grow_with_the_partitions(noted):
    """Below all partitions a trial has one fit a rung: on the rows of the first 1, 2, 4 partitions together."""
    fits, partitions, search = noted
    rungs = [n_seen for n_seen in (1, 2, 4) if n_seen < len(partitions)]
    assert fits[: len(rungs)] == [frozenset().union(*partitions[:n_seen]) for n_seen in rungs]
    assert list(search.trials_[0].scores) == [*rungs, len(partitions)]


def test_the_last_rung_is_a_cross_validation(noted):
    """On all partitions each row is left out by one of three models (of two, where there are two partitions)."""
    fits, partitions, search = noted
    whole = frozenset(range(120))
    left_out = [whole - fit for fit in fits[:-1]]
    n_folds = min(3, len(partitions))
    covering = [
        folds
        for folds in combinations(left_out, n_folds)
        if all(folds) and sorted(chain.from_iterable(folds)) == list(range(120))
    ]
    assert len(covering) == 1
    assert _n_fits(search) == len(fits) - 1


def test_folds_are_whole_partitions(noted):
    """A fit has of each partition all rows or none, and folds differ by one partition at most."""
    fits, partitions, _ = noted
    assert all(each <= fit or not each & fit for fit in fits for each in partitions)
    rungs = [frozenset().union(*partitions[:n_seen]) for n_seen in (1, 2, 4)]
    sizes = [sum(each <= fit for each in partitions) for fit in fits[:-1] if fit not in rungs]
    assert not sizes or max(sizes) - min(sizes) <= 1


def test_the_result_is_one_fit_on_all_rows(noted):
    """Last of all, one model is fitted on all rows: the one member of the estimator."""
    fits, _, search = noted
    assert fits[-1] == frozenset(range(120))
    assert [member.n_rows for member in search.best_estimator_.members_] == [120]


def test_members_are_the_default(tmp_path):
    """Nobody who does not ask for rows gets them: by default a trial has a member for each partition."""
    place, (rows, y) = tmp_path / "fits", _numbered(120)
    search = PartitionedSearchCV(NotesRows(str(place)), ONE, n_partitions=4, executor="inline", n_trials=1).fit(rows, y)
    assert {len(each) for each in _rows_of_fits(place)} == {30}
    assert len(search.best_estimator_.members_) == 4


def test_the_model_is_a_plain_fit(searched):
    """It says what the learner says, fitted by hand on all rows with the best parameters."""
    alone = LogisticRegression(**searched.best_params_).fit(X, Y)
    assert np.allclose(searched.predict_proba(X), alone.predict_proba(X))
    assert searched.score(X, Y) == alone.score(X, Y)


def test_the_model_has_the_seed_of_its_estimator():
    """A learner that draws is fitted with the seed that its estimator has: a plain fit with it is the same."""
    forest = RandomForestClassifier(n_estimators=3, random_state=5)
    search = _fitted(forest, {"max_depth": [2, 6]}, n_trials=2)
    (member,) = search.best_estimator_.members_
    alone = clone(member.estimator).fit(X, Y)
    assert alone.max_depth == search.best_params_["max_depth"]
    assert np.allclose(search.predict_proba(X), alone.predict_proba(X))


def test_the_seed_of_a_search_is_that_of_the_model():
    """A learner without a seed of its own has one made from the search's: the same again, and another of another."""
    forest = RandomForestClassifier(n_estimators=3)
    said = [_fitted(forest, {"max_depth": [6]}, n_trials=1, random_state=seed).predict_proba(X) for seed in (0, 0, 1)]
    assert np.array_equal(said[0], said[1])
    assert not np.array_equal(said[0], said[2])


def test_the_best_was_cross_validated(searched):
    """The best trial is one of those that came to all partitions, by its score there."""
    finished = [trial for trial in searched.trials_ if trial.state == "finished"]
    best = searched.trials_[searched.best_index_]
    assert best in finished
    assert searched.best_score_ == best.scores[4] == max(trial.scores[4] for trial in finished)
    assert searched.best_params_ == best.params


def test_pruned_trials_cost_less(searched):
    """A pruned trial was fitted once a rung, and was not cross-validated."""
    pruned = [trial for trial in searched.trials_ if trial.state == "pruned"]
    assert pruned
    assert all(4 not in trial.scores and trial.n_fits == len(trial.scores) for trial in pruned)
    assert all(trial.n_fits == 2 + 3 for trial in searched.trials_ if trial.state == "finished")


def test_a_factor_of_one_cross_validates_every_trial():
    """Without rungs each trial has three fits and one score, that of a cross-validation."""
    search = _fitted(LogisticRegression(), C, reduction_factor=1, n_trials=4)
    assert [(trial.state, trial.n_fits, list(trial.scores)) for trial in search.trials_] == [("finished", 3, [4])] * 4


@pytest.mark.parametrize(("scoring", "by_hand"), [(None, r2_score), ("rmse", root_mean_squared_error)])
def test_scores_of_a_regression_are_of_a_cross_validation(tmp_path, scoring, by_hand):
    """A finished trial scores what scikit-learn finds with the same folds, over all rows at once."""
    X, y = make_regression(n_samples=150, n_features=4, noise=20.0, random_state=0)
    X[:, 0] = np.arange(150)

    class Notes(Ridge):
        def fit(self, X, y):
            with (tmp_path / "fits").open("a") as file:
                file.write(f"0 {' '.join(str(int(number)) for number in X[:, 0])}\n")
            return super().fit(X, y)

    search = _search(Notes(), {"alpha": [10.0]}, n_partitions=5, scoring=scoring, n_trials=1).fit(X, y)
    folds = [(sorted(each), sorted(set(range(150)) - each)) for each in _rows_of_fits(tmp_path / "fits")[-4:-1]]
    said = cross_val_predict(Ridge(alpha=10.0), X, y, cv=folds)
    assert search.trials_[0].scores[5] == pytest.approx(by_hand(y, said))


def test_regression():
    """A regressor's parameters are found; the model is a plain fit, and its loss is negated."""
    X, y = make_regression(n_samples=200, n_features=5, noise=5.0, random_state=0)
    search = _search(Ridge(), {"alpha": [0.1, 1e5]}, sampler="grid", scoring="rmse").fit(X, y)
    assert search.best_params_ == {"alpha": 0.1}
    assert search.corrected_score_ <= search.best_score_ < 0
    assert np.allclose(search.predict(X), Ridge(alpha=0.1).fit(X, y).predict(X))


def test_several_targets():
    """A regression of several targets is searched as one of one target."""
    X, y = make_regression(n_samples=120, n_features=5, n_targets=2, random_state=0)
    search = _search(Ridge(), {"alpha": [0.1, 1e5]}, sampler="grid").fit(X, y)
    assert search.best_params_ == {"alpha": 0.1}
    assert np.allclose(search.predict(X), Ridge(alpha=0.1).fit(X, y).predict(X))


def test_what_is_best_for_one_model():
    """Where few rows want another parameter than many, one model has that of many, and members that of few."""
    rng = np.random.default_rng(0)
    X = rng.uniform(-3.0, 3.0, size=(800, 2))
    y = (np.sin(3.0 * X[:, 0]) * np.sin(3.0 * X[:, 1]) > 0).astype(int)
    y = np.where(rng.random(800) < 0.2, 1 - y, y)
    space = {"n_neighbors": [1, 7, 15]}
    settings = {"n_partitions": 8, "reduction_factor": 1, "sampler": "grid"}
    rows, members = (
        _search(KNeighborsClassifier(), space, fidelity=fidelity, **settings).fit(X, y).best_params_["n_neighbors"]
        for fidelity in ("rows", "members")
    )
    assert rows > members


def test_keep_joins_several_models():
    """With keep=3 the estimator has up to three models of all rows, each of other parameters, and their weights."""
    search = _fitted(
        DecisionTreeClassifier(), {"max_depth": [1, 2, 3, 5, 8, None]}, keep=3, reduction_factor=1, sampler="grid"
    )
    members = search.best_estimator_.members_
    params = [each["max_depth"] for each, _ in search.kept_params_]
    assert 1 < len(params) <= 3
    assert len(set(params)) == len(params)
    assert [(member.estimator.max_depth, member.n_rows) for member in members] == [(each, 400) for each in params]
    weights = np.array([weight for _, weight in search.kept_params_])
    said = [clone(member.estimator).fit(X, Y).predict_proba(X) for member in members]
    assert np.allclose(search.predict_proba(X), np.tensordot(weights / weights.sum(), said, axes=1))


def test_keep_of_regressors():
    """Several regressors are weighed, too."""
    X, y = make_regression(n_samples=200, n_features=5, noise=50.0, random_state=0)
    space = {"alpha": [1e-3, 1.0, 30.0, 300.0]}
    search = _search(Ridge(), space, keep=3, reduction_factor=1, sampler="grid").fit(X, y)
    assert len(search.kept_params_) > 1
    said = [Ridge(**params).fit(X, y).predict(X) for params, _ in search.kept_params_]
    weights = [weight for _, weight in search.kept_params_]
    assert np.allclose(search.predict(X), np.average(said, axis=0, weights=weights))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"combine": "soft"}, "combine='soft'.*fidelity='members'"),
        ({"combine": "stack"}, "combine='stack'.*fidelity='members'"),
        ({"combine": "auto"}, "combine='auto'.*fidelity='members'"),
        ({"combine": "stack", "keep": 3}, "combine='stack'.*fidelity='members'"),
        ({"partitioner": "clustered"}, "partitioner='clustered'.*fidelity='members'"),
        ({"match_updates": True}, "match_updates=True.*fidelity='members'"),
        ({"partitioner": "clustered", "keep": 3}, "partitioner='clustered'.*fidelity='members'"),
        ({"partitioner": "replicated"}, "partitioner='replicated'.*fidelity='members'"),
        ({"fidelity": "row"}, "'row'.*members.*rows"),
        ({"fidelity": None}, "None.*members.*rows"),
        ({"n_partitions": 1}, "2 or more"),
    ],
)
def test_wrong_settings(tmp_path, arguments, said):
    """What does not go with one model is told before anything is fitted, with what does."""
    place = tmp_path / "fits"
    with pytest.raises(InputError, match=said):
        _fitted(NotesFits(str(place)), C, **arguments)
    assert not place.exists()


def test_groups_never_cross():
    """Knowing the rows of a group by heart does not help, on any rung: no row of it judges."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 5)
    X = np.repeat(rng.normal(size=(40, 2)), 5, axis=0)
    y = np.repeat(np.where(np.arange(40) % 3 == 0, "yes", "no"), 5)
    search = _search(Memorises(), ONE, partitioner="grouped", n_trials=1).fit(X, y, groups=groups)
    rows = _partitions(X, y, groups=groups, partitioner="grouped")
    shares = {n_seen: (y[np.concatenate(rows[n_seen:])] == "no").mean() for n_seen in (1, 2)}
    assert search.trials_[0].scores == pytest.approx(shares | {4: (y == "no").mean()})


def test_a_group_with_nearly_all_rows(tmp_path):
    """Without it next to no rows are left to fit a model on: that is told before anything is fitted."""
    place, groups = tmp_path / "fits", np.zeros(400, dtype=int)
    groups[-39:] = np.arange(1, 40)
    cut = {"partitioner": "grouped", "n_partitions": 3}
    with pytest.raises(InputError, match=r"361 of 400 rows: one model would have 39\. .*finer group"):
        _search(NotesFits(str(place)), C, **cut).fit(X, Y, groups=groups)
    assert not place.exists()
    groups[-40] = 40
    assert _search(LogisticRegression(), C, n_trials=1, **cut).fit(X, Y, groups=groups).best_score_ > 0


def test_rows_of_weight_zero_say_nothing():
    """Whatever is wrong with the labels of rows without weight, scores and model stay the same."""
    weights = (np.arange(400) % 3 > 0) * (1.0 + np.arange(400) % 2)
    wrong = np.where(weights == 0, 1 - Y, Y)
    first, second = (
        _search(LogisticRegression(), C, partitioner="shuffled", one_by_one=True).fit(X, y, sample_weight=weights)
        for y in (Y, wrong)
    )
    for one, other in zip(first.trials_, second.trials_, strict=True):
        assert one.params == other.params
        assert one.scores == pytest.approx(other.scores)
    assert np.allclose(first.predict_proba(X), second.predict_proba(X))


def test_weights_count_in_scores():
    """Rows judge by their weights: those of a model that always says the same score its share of the weight."""
    X, y = _numbered(120)
    weights = np.where(y == "yes", 1.0, 3.0)
    search = _search(LogisticRegression(), {"C": [1e-12]}, n_trials=1, partitioner="shuffled")
    search.fit(X * 0.0, y, sample_weight=weights)
    always = np.full(120, "no")
    assert search.best_score_ == pytest.approx(accuracy_score(y, always, sample_weight=weights))


@pytest.mark.parametrize("places", [[0], [1, 2], [3]])
def test_partitions_of_weight_zero(places):
    """Partitions without weight, the first ones or later ones, neither end a trial nor the search."""
    weights = np.ones(400)
    weights[np.concatenate([_partitions(X, Y)[place] for place in places])] = 0.0
    search = _search(LogisticRegression(), C, n_trials=3).fit(X, Y, sample_weight=weights)
    assert {trial.state for trial in search.trials_} <= {"finished", "pruned"}
    alone = LogisticRegression(**search.best_params_).fit(X, Y, weights)
    assert np.allclose(search.predict_proba(X), alone.predict_proba(X), atol=1e-4)


def test_weights_in_one_partition(tmp_path):
    """Where all rows that count are in one partition, none can judge: that is told before anything is fitted."""
    weights, place = np.zeros(400), tmp_path / "fits"
    weights[_partitions(X, Y)[2]] = 1.0
    with pytest.raises(InputError, match="one partition"):
        _search(NotesFits(str(place)), C).fit(X, Y, sample_weight=weights)
    assert not place.exists()


def test_rows_grow_in_the_order_of_time(tmp_path):
    """With a time for each row and partitioner='ordered' a trial begins with the earliest rows."""
    place, (rows, y) = tmp_path / "fits", _numbered(80)
    search = _search(NotesRows(str(place)), ONE, partitioner="ordered", n_trials=1)
    search.fit(rows, y, time=-np.arange(80.0))
    assert _rows_of_fits(place)[:2] == [frozenset(range(60, 80)), frozenset(range(40, 80))]


def test_classes_that_early_rows_do_not_have():
    """Of a table in the order of its labels the first partitions lack classes: scores count those rows as wrong."""
    X = np.arange(90.0)[:, None]
    y = np.repeat(["a", "b", "c"], 30)
    search = _search(KNeighborsClassifier(1), {"p": [2]}, n_partitions=3, partitioner="ordered", n_trials=1).fit(X, y)
    rows = _partitions(X, y, 3, partitioner="ordered")
    assert {frozenset(y[each]) for each in rows} == {frozenset("a"), frozenset("b"), frozenset("c")}
    assert search.trials_[0].scores == {1: 0.0, 2: 0.0, 3: 0.0}
    assert list(search.predict(X)) == list(y)


def test_tables_of_texts_and_gaps():
    """A DataFrame is encoded as for any fit: the model is that of an estimator with one partition."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"colour": rng.choice(["red", "blue"], 200), "size": rng.normal(size=200)})
    y = np.where((rows["colour"] == "red") & (rows["size"] > 0), "yes", "no")
    rows.loc[::7, "colour"] = None
    rows.loc[::5, "size"] = np.nan
    search = _search(LogisticRegression(), C, encoder="table").fit(rows, y)
    alone = PartitionedClassifier(
        LogisticRegression(**search.best_params_), n_partitions=1, encoder="table", executor="inline", random_state=0
    ).fit(rows, y)
    assert np.allclose(search.predict_proba(rows), alone.predict_proba(rows))
    assert search.best_score_ > (y == "no").mean()


def test_sparse_rows_give_the_same_trials():
    """Rows that are mostly zero may be given as a sparse matrix."""
    rows = X * (np.random.default_rng(0).random(X.shape) < 0.4)
    dense, sparse = (_search(LogisticRegression(), C, one_by_one=True).fit(each, Y) for each in (rows, csr_array(rows)))
    for one, other in zip(dense.trials_, sparse.trials_, strict=True):
        assert (one.params, one.state) == (other.params, other.state)
        assert one.scores == pytest.approx(other.scores, abs=0.01)
    assert np.allclose(dense.predict_proba(rows), sparse.predict_proba(csr_array(rows)), atol=1e-4)


def test_a_scanned_table_gives_the_same_trials(tmp_path):
    """A table that is never read into memory gives the trials, and the model, of the same rows in memory."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(300, 3)), columns=["a", "b", "c"])
    y = np.where(X["a"] + rng.normal(size=300) > 0, "yes", "no")
    X.assign(y=y).to_parquet(tmp_path / "table.parquet", row_group_size=100)
    memory = _search(LogisticRegression(), C, encoder="table").fit(X, y)
    scanned = _search(LogisticRegression(), C, encoder="table", storage=str(tmp_path / "store"))
    scanned.fit(partwise.scan(str(tmp_path / "table.parquet"), target="y"))
    for here, there in zip(memory.trials_, scanned.trials_, strict=True):
        assert (there.params, there.state) == (here.params, here.state)
        assert there.scores == pytest.approx(here.scores)
    assert [member.n_rows for member in scanned.best_estimator_.members_] == [300]
    assert np.array_equal(memory.predict(X), scanned.predict(X))


def test_one_seed_one_search():
    """With one seed the trials and their scores are the same each time; another seed makes others."""
    arguments = {"one_by_one": True, "n_trials": 3}
    first, again, other = (_fitted(LogisticRegression(), C, random_state=seed, **arguments) for seed in (0, 0, 1))
    assert _told(first) == _told(again)
    assert first.corrected_score_ == again.corrected_score_
    assert _told(first) != _told(other)


def test_survives_pickling(searched):
    """A fitted search predicts the same once pickled."""
    again = pickle.loads(pickle.dumps(searched))  # noqa: S301 - written a moment ago
    assert np.array_equal(again.predict_proba(X), searched.predict_proba(X))


def test_nothing_left_to_do(tmp_path):
    """A search that has ended gives the same once more, and fits nothing."""
    place = tmp_path / "fits"
    search = _search(NotesFits(str(place)), C, n_trials=2, keep=2, **_kept_in(tmp_path))
    first = _told(search.fit(X, Y))
    fits = place.read_text()
    assert _told(search.fit(X, Y)) == first
    assert place.read_text() == fits


@pytest.mark.parametrize(
    ("n_partitions", "reduction_factor", "keep"), [(4, 1, 1), (4, 2, 3), (2, 2, 1), (3, 2, 1), (6, 2, 1)]
)
def test_no_fit_is_made_twice(tmp_path, n_partitions, reduction_factor, keep):
    """Besides the fits of its trials a search makes those of its models; what a rung has, no fold fits again."""
    place = tmp_path / "fits"
    shape = {"n_partitions": n_partitions, "reduction_factor": reduction_factor, "keep": keep}
    search = _fitted(NotesFits(str(place)), C, n_trials=4, **shape)
    fits = place.read_text().splitlines()
    assert len(fits) == len(set(fits)) == _n_fits(search) + len(search.kept_params_)


def test_interrupted(tmp_path):
    """A search that was interrupted makes the trials that it would have made, and repeats no fit."""
    place = tmp_path / "fits"
    search = _search(NotesFits(str(place)), C, n_trials=3, **_kept_in(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        search.fit(X, Y, observe=stop_after(1))
    resumed = _told(search.fit(X, Y))
    fits = place.read_text().splitlines()
    assert len(fits) == len(set(fits))
    assert _told(search.set_params(study=None, checkpoint=None).fit(X, Y)) == resumed


def test_interrupted_in_a_cross_validation(tmp_path):
    """A trial that was interrupted in the third fit is taken up: it counts once, and repeats no fit."""
    place = tmp_path / "fits"
    search = _search(InterruptedOnce(str(place)), C, n_trials=3, n_partitions=2, **_kept_in(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        search.fit(X, Y)
    search.fit(X, Y)
    fits = place.read_text().splitlines()
    assert len(fits) == len(set(fits))
    assert [trial.number for trial in search.trials_] == [0, 1, 2]
    assert {trial.state for trial in search.trials_} <= {"finished", "pruned"}


def test_more_trials(tmp_path):
    """A search of 3 trials after one of 2 makes the one that is lacking, that that it would have made at once."""
    first = _fitted(LogisticRegression(), C, n_trials=2, **_kept_in(tmp_path))
    more = _fitted(LogisticRegression(), C, n_trials=3, **_kept_in(tmp_path))
    at_once = _fitted(LogisticRegression(), C, n_trials=3)
    assert _told(more)[:2] == _told(first)
    assert _told(more) == _told(at_once)
    assert more.corrected_score_ == pytest.approx(at_once.corrected_score_)


def test_the_study_of_another_fidelity_is_refused(tmp_path):
    """Scores of ensembles and those of one model cannot be compared: one study holds one or the other."""
    _fitted(LogisticRegression(), C, n_trials=1, fidelity="members", **_kept_in(tmp_path))
    with pytest.raises(InputError, match="another search"):
        _fitted(LogisticRegression(), C, n_trials=2, **_kept_in(tmp_path))


@pytest.mark.parametrize(("how", "said"), [("raises", "not with these parameters"), ("gives_nan", "NaN")])
def test_some_trials_fail(how, said):
    """A trial that raises, or gives NaN, has failed and says why; the others go on, and the best is one of them."""
    search = _fitted(Misbehaves(), {"how": ["fits", how]}, sampler="grid")
    states = {trial.params["how"]: trial for trial in search.trials_}
    assert (states["fits"].state, states[how].state) == ("finished", "failed")
    assert said in states[how].reason
    assert search.best_params_ == {"how": "fits"}


def test_a_trial_that_fails_in_one_fold():
    """A trial of whose three models one fails has failed, whatever the two others say."""
    rows, y = _numbered(120)

    class FailsLate(Memorises):
        def fit(self, X, y):
            if self.unused and len(X) > 60 and 0.0 not in X[:, 0]:
                raise ValueError("without the first row")
            return super().fit(X, y)

    search = _search(FailsLate(), TWO, sampler="grid", reduction_factor=1).fit(rows, y)
    failed = next(trial for trial in search.trials_ if trial.params["unused"])
    assert failed.state == "failed"
    assert "without the first row" in failed.reason
    assert 4 not in failed.scores
    assert search.best_params_ == {"unused": 0}


def test_all_trials_fail():
    """A search in which every trial fails says what the first one said."""
    with pytest.raises(SearchError, match=r"None of 2 trials.*not with these parameters"):
        _fitted(Misbehaves("raises"), {"var_smoothing": Range(1e-9, 1.0, log=True)}, n_trials=2)


def test_the_budget_ends_the_search():
    """After the budget nothing new is begun: most trials are not made, and there is a model of all rows."""
    arguments = {"n_trials": 100, "n_partitions": 2, "budget": 0.8}
    search = _fitted(Misbehaves("naps"), {"var_smoothing": Range(1e-9, 1.0, log=True)}, **arguments)
    assert 0 < len(search.trials_) < 10
    assert [trial.state for trial in search.trials_].count("stopped") <= 1
    assert [member.n_rows for member in search.best_estimator_.members_] == [400]


def test_a_budget_that_ends_before_a_cross_validation():
    """The best of trials of which none came to all partitions is the best of those that came farthest."""
    search = _fitted(Misbehaves("naps"), {"var_smoothing": Range(1e-9, 1.0, log=True)}, n_trials=100, budget=0.3)
    assert 4 not in search.trials_[0].scores
    assert search.best_params_ == search.trials_[0].params
    assert [member.n_rows for member in search.best_estimator_.members_] == [400]


def test_random_labels():
    """On labels of chance the best trial scores above it, and its corrected score does not."""
    X = np.random.default_rng(0).normal(size=(400, 3))
    best, corrected = [], []
    for seed in range(4):
        y = np.random.default_rng(seed).permutation(np.arange(400) % 2)
        space = {"number": Range(1, 10_000, integer=True)}
        search = _search(SaysItsNumber(), space, n_trials=10, sampler="random", random_state=seed).fit(X, y)
        best.append(search.best_score_)
        corrected.append(search.corrected_score_)
    assert np.mean(best) > 0.52
    assert np.mean(corrected) < 0.505


def test_the_best_is_scored_on_rows_that_judged_no_trial(monkeypatch):
    """Of 400 rows 320 judge, and the corrected score is of the 80 others, each by the model that never saw it."""
    monkeypatch.setattr("partwise.search.judging._FEWEST_ROWS", 50)
    search = _fitted(LogisticRegression(), C)
    rows, learner = _partitions(X, Y), LogisticRegression(**search.best_params_)
    folds = [np.concatenate(rows[:2]), rows[2], rows[3]]
    cv = [(np.setdiff1d(np.arange(400), fold), fold) for fold in folds]
    is_right = cross_val_predict(learner, X, Y, cv=cv) == Y
    judges = KeyedPermutation(400, (0, 100))(np.arange(400)) < 320
    assert search.best_score_ == pytest.approx(is_right[judges].mean())
    assert search.corrected_score_ == pytest.approx(is_right[~judges].mean())


def test_models_that_learn_from_random_labels():
    """Models that learn labels of chance by heart score what chance does, the best of many too once corrected."""
    X = np.random.default_rng(0).normal(size=(600, 3))
    corrected = []
    for seed in range(3):
        y = np.random.default_rng(seed).permutation(np.arange(600) % 2)
        search = _search(
            DecisionTreeClassifier(), {"max_depth": Range(1, 30, integer=True)}, n_trials=4, random_state=seed
        ).fit(X, y)
        assert search.best_score_ < 0.6 < search.score(X, y)
        corrected.append(search.corrected_score_)
    assert np.mean(corrected) == pytest.approx(0.5, abs=0.035)


@pytest.mark.parametrize(
    ("learner", "first"),
    [
        (SVC(C=1e5, gamma=1e-9), {"C": 1e2, "gamma": 1e-3}),
        (SVC(C=7.0, gamma="scale"), {"C": 7.0}),
        (SVC(C=np.inf, gamma=0.5), {"C": 1e2, "gamma": 0.5}),
    ],
)
def test_the_first_trial_is_the_learner_moved_into_the_space(learner, first):
    """Numbers outside of their ranges are those of the nearest end, and what no range can hold is drawn."""
    search = _fitted(learner, C | {"gamma": Range(1e-3, 1.0, log=True)}, n_trials=1)
    params = search.trials_[0].params
    assert {name: params[name] for name in first} == pytest.approx(first)
    assert 1e-3 <= params["gamma"] <= 1.0


def test_numbers_of_numpy_go_into_a_database(tmp_path):
    """A learner whose parameter is a number of NumPy is the first trial of a study that a database keeps."""
    learner, space = DecisionTreeClassifier(max_depth=np.int64(3)), {"max_depth": Range(1, 9, integer=True)}
    search = _fitted(learner, space, n_trials=1, study=f"sqlite:///{tmp_path}/study.db")
    assert search.trials_[0].params == {"max_depth": 3}


@dataclass(frozen=True)
class SaysItIsTwoNodes(InlineExecutor):
    """An executor that has two nodes of three cores, as it says."""

    slots = 6
    nodes = 2


def test_the_model_on_all_rows_has_the_cores_of_a_node():
    """Trials share the cores; the last fit, which is alone, has those of a node. Settings stay as they were."""
    forest = RandomForestClassifier(n_estimators=2)
    search = _fitted(forest, {"max_depth": [1, 2]}, n_trials=1, executor=SaysItIsTwoNodes())
    assert search.best_estimator_.members_[0].estimator.n_jobs == 3
    assert (search.best_estimator_.cpus_per_member, search.best_estimator_.executor) == (1, SaysItIsTwoNodes())


def test_rows_are_lent_once_a_partition():
    """However many rungs and folds have a partition, its rows are sent once; a union has them one after another."""
    table = MemoryTable(Part(0, X, Y, None), np.array([0, 1]))
    cut = table.cut(make_partitioner("stratified"), 4, 0, 1)
    lent = []

    def lend(value):
        lent.append(value)
        return lambda: value

    grown, _ = growing(cut, range(4), 2, lend)
    parts = [grown.reader.part(grown.payload(place)) for place in range(len(grown.unions))]
    assert len(lent) == 4
    for part, union in zip(parts, grown.unions, strict=True):
        assert np.array_equal(part.y, Y[np.concatenate([cut.positions[each] for each in union])])
