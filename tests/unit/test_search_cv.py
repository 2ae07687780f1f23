"""PartitionedSearchCV in process: what it tries, what it finds, and what becomes of trials that fail."""

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import make_classification, make_regression
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from fake_learners import Misbehaves, NotesFits
from partwise import Greedy, InlineExecutor, PartitionedClassifier, PartitionedSearchCV, Range
from partwise.errors import ConfigurationError, InputError, SearchError
from partwise.search import search_cv

X, Y = make_classification(n_samples=400, n_features=5, flip_y=0.15, random_state=0)
C = {"C": Range(1e-3, 1e2, log=True)}
NB = {"var_smoothing": Range(1e-9, 1.0, log=True)}


def _search(learner, space, **settings):
    return PartitionedSearchCV(
        learner, space, **{"n_partitions": 4, "executor": "inline", "random_state": 0, "n_trials": 8} | settings
    )


def _fitted(learner, space, **settings):
    return _search(learner, space, **settings).fit(X, Y)


@pytest.fixture(scope="module")
def searched():
    """A search over C."""
    return _fitted(LogisticRegression(C=0.5), C)


def _told(search):
    return [(trial.params, trial.state, trial.scores) for trial in search.trials_]


def _n_fits(search):
    return sum(trial.n_fits for trial in search.trials_)


def test_the_first_trial_is_the_learner_as_it_was_given(searched):
    """Parameters of the learner itself are tried first, and the learner stays as it was."""
    assert searched.trials_[0].params == {"C": 0.5}
    assert searched.estimator.C == 0.5


def test_a_learner_outside_of_the_space_is_moved_into_it():
    """Where a number of the learner lies outside of its range, the first trial has the nearest end."""
    search = _fitted(LogisticRegression(C=1e5), C, n_trials=2)
    assert search.trials_[0].params["C"] == 1e2


def test_what_the_space_has_no_place_for_is_drawn():
    """A parameter that the learner has as a text, and the space as numbers, is drawn; others stay."""
    search = _fitted(SVC(C=3.0, gamma="scale"), C | {"gamma": Range(1e-3, 1.0, log=True)}, n_trials=1)
    assert search.trials_[0].params["C"] == 3.0
    assert 1e-3 <= search.trials_[0].params["gamma"] <= 1.0


def test_columns_of_the_results(searched):
    """cv_results_ has scikit-learn's columns, one value a trial, masked where a trial has no such parameter."""
    results = pd.DataFrame(searched.cv_results_)
    assert len(results) == 8
    assert {"params", "param_C", "mean_test_score", "rank_test_score"} < set(results)
    assert [each["C"] for each in searched.cv_results_["params"]] == list(searched.cv_results_["param_C"])
    assert sorted(searched.cv_results_["rank_test_score"]) == list(range(1, 9))


def test_the_best_is_of_most_partitions(searched):
    """The best trial has rank 1, and the highest score of those that reached all partitions."""
    results = pd.DataFrame(searched.cv_results_)
    assert results["rank_test_score"][searched.best_index_] == 1
    most = results[results["n_partitions"] == 4]
    assert searched.best_score_ == most["mean_test_score"].max()
    assert searched.best_params_ == results["params"][searched.best_index_]
    assert {"finished", "pruned"} == set(results["state"])


def test_pruned_trials_cost_less(searched):
    """A pruned trial was fitted on fewer partitions, and its scores say on how many."""
    pruned = [trial for trial in searched.trials_ if trial.state == "pruned"]
    assert pruned
    assert all(trial.n_partitions < 4 for trial in pruned)
    assert _n_fits(searched) == sum(trial.n_partitions for trial in searched.trials_)


def test_the_ensemble_is_that_of_the_best_parameters(searched):
    """The final ensemble has the members that a fit with the best parameters has."""
    alone = PartitionedClassifier(
        LogisticRegression(**searched.best_params_), n_partitions=4, executor="inline", random_state=0
    ).fit(X, Y)
    digests = [[member.content_digest for member in each.members_] for each in (searched.best_estimator_, alone)]
    assert digests[0] == digests[1]
    assert np.array_equal(searched.predict(X), alone.predict(X))
    assert searched.score(X, Y) == alone.score(X, Y)


def test_survives_pickling_and_cloning(searched):
    """A fitted search predicts the same once pickled; a clone has its settings, and is not fitted."""
    again = pickle.loads(pickle.dumps(searched))  # noqa: S301 - written a moment ago
    assert np.array_equal(again.predict_proba(X), searched.predict_proba(X))
    copy = clone(searched)
    assert not hasattr(copy, "best_estimator_")
    assert str(copy.get_params()) == str(searched.get_params())


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid"])
def test_one_seed_one_search(sampler):
    """With one seed the trials, their scores and the members are the same each time; another seed makes others."""
    first, again = (_fitted(LogisticRegression(), C, sampler=sampler, one_by_one=True, n_trials=5) for _ in range(2))
    assert _told(first) == _told(again)
    digests = [[member.content_digest for member in each.best_estimator_.members_] for each in (first, again)]
    assert digests[0] == digests[1]
    assert first.corrected_score_ == again.corrected_score_
    assert _told(first) != _told(_fitted(LogisticRegression(), C, sampler=sampler, n_trials=5, random_state=1))


def test_a_grid_is_tried_once():
    """A grid has no more trials than points, and each of them once."""
    search = _fitted(LogisticRegression(), {"C": [0.1, 1.0, 10.0]}, sampler="grid", n_trials=50)
    assert sorted(trial.params["C"] for trial in search.trials_) == [0.1, 1.0, 10.0]


def test_steps_of_a_pipeline():
    """Parameters of a pipeline's step are searched by their long name."""
    search = _fitted(make_pipeline(StandardScaler(), SVC()), {"svc__C": Range(0.1, 10, log=True)}, n_trials=2)
    chosen = search.best_params_["svc__C"]
    assert all(chosen == member.estimator["svc"].C for member in search.best_estimator_.members_)


@pytest.mark.parametrize(("reduction_factor", "keep"), [(1, 1), (2, 1), (3, 1), (1, 3), (2, 3)])
def test_no_member_is_fitted_twice(tmp_path, reduction_factor, keep):
    """The ensemble takes over the members of its configurations: no fit is made twice, however many are kept."""
    place = tmp_path / "fits"
    search = _fitted(NotesFits(str(place)), C, n_trials=6, reduction_factor=reduction_factor, keep=keep)
    fits = place.read_text().splitlines()
    assert len(fits) == len(set(fits)) == _n_fits(search)
    if reduction_factor == 1:
        assert len(fits) == 6 * 4
    else:
        assert len(fits) < 6 * 4


def test_keep_joins_different_configurations():
    """An ensemble of several configurations has members of each, whose shares are the weights that it tells."""
    search = _fitted(DecisionTreeClassifier(), {"max_depth": [1, 2, 3, 5, 8, None]}, keep=3, reduction_factor=1)
    params = [each["max_depth"] for each, _ in search.kept_params_]
    assert 1 < len(params) <= 3
    assert len(set(params)) == len(params)
    members = search.best_estimator_.members_
    assert [member.estimator.max_depth for member in members] == list(np.repeat(params, 4))
    shares = search.best_estimator_.predictor_.weights.reshape(len(params), 4).sum(axis=1)
    assert np.allclose(shares, [weight for _, weight in search.kept_params_])
    assert np.allclose(search.predict_proba(X).sum(axis=1), 1.0)


@pytest.mark.parametrize(("combine", "kind"), [("soft", "probability"), ("vote", "vote")])
def test_keep_selects_by_what_the_ensembles_say(monkeypatch, combine, kind):
    """Votes are shares of members, no probabilities: configurations of voters are not selected by log loss."""
    kinds = []
    learn = Greedy.learn
    monkeypatch.setattr(Greedy, "learn", lambda self, pool, rows: kinds.append(pool.kind) or learn(self, pool, rows))
    _fitted(GaussianNB(), NB, keep=2, combine=combine, n_trials=3, reduction_factor=1)
    assert kinds == [kind]


def test_keep_of_values_that_are_arrays():
    """Configurations are told apart by what arrays hold, and none is kept twice."""
    priors = [np.array([share, 1.0 - share]) for share in (0.5, 0.3, 0.9)]
    settings = {"n_trials": 12, "sampler": "random", "keep": 3, "reduction_factor": 1}
    kept = _fitted(GaussianNB(), {"priors": priors}, **settings).kept_params_
    shares = [params["priors"][0] for params, _ in kept]
    assert len(shares) == len(set(shares)) > 1


def test_losses_are_minimised():
    """A loss is made small; best_score_, its correction and the columns have it negated, the trials keep it."""
    search = _fitted(LogisticRegression(), {"C": [1e-6, 1.0]}, scoring="log_loss", sampler="grid", reduction_factor=1)
    scores = [trial.score for trial in search.trials_]
    assert search.best_params_ == {"C": 1.0}
    assert search.best_score_ == -min(scores) < 0
    assert search.corrected_score_ <= search.best_score_
    assert sorted(search.cv_results_["mean_test_score"]) == sorted(-score for score in scores)


def test_regression():
    """A regressor is searched by R², or by a loss that was asked for."""
    X, y = make_regression(n_samples=200, n_features=5, noise=5.0, random_state=0)
    for scoring, sign in ((None, 1.0), ("rmse", -1.0)):
        search = _search(Ridge(), {"alpha": [0.1, 1e5]}, sampler="grid", scoring=scoring).fit(X, y)
        assert search.best_params_ == {"alpha": 0.1}
        assert np.sign(search.best_score_) == sign
        assert search.predict(X).shape == (200,)


def test_rows_are_lent_once_a_partition():
    """However many trials want the rows of a partition, they are sent once."""
    lent = []

    class Lends(InlineExecutor):
        def lend(self, value):
            lent.append(value.partition)
            return super().lend(value)

    search = _fitted(LogisticRegression(), C, executor=Lends())
    assert sorted(lent) == [0, 1, 2, 3]
    assert _n_fits(search) > 4


def test_several_targets():
    """A regression of several targets is searched as one of one target."""
    X, y = make_regression(n_samples=120, n_features=5, n_targets=2, random_state=0)
    search = _search(Ridge(), {"alpha": [0.1, 1e5]}, sampler="grid").fit(X, y)
    assert search.best_params_ == {"alpha": 0.1}
    assert search.predict(X).shape == (120, 2)


@pytest.mark.parametrize(("how", "said"), [("raises", "not with these parameters"), ("gives_nan", "NaN")])
def test_some_trials_fail(how, said):
    """A trial that raises, or gives NaN, has failed and says why; the others go on, and the best is one of them."""
    search = _fitted(Misbehaves(), {"how": ["fits", how]}, sampler="grid")
    states = {trial.params["how"]: trial for trial in search.trials_}
    assert states["fits"].state == "finished"
    assert states[how].state == "failed"
    assert said in states[how].reason
    assert search.best_params_ == {"how": "fits"}
    assert np.isfinite(search.predict_proba(X)).all()


def test_parameters_that_the_learner_refuses():
    """A choice that the learner does not take ends its trial, and costs no fit."""
    search = _fitted(DecisionTreeClassifier(), {"max_depth": [2, -1]}, sampler="grid")
    failed = next(trial for trial in search.trials_ if trial.params["max_depth"] == -1)
    assert failed.state == "failed"
    assert "-1" in failed.reason
    assert failed.cpu_seconds == 0.0


class LooksAtOnce(GaussianNB):
    """A learner of somebody else, who looks at a parameter where it is given."""

    def set_params(self, **params):
        if params.get("var_smoothing", 1.0) <= 0:
            raise ValueError("it is not above zero")
        return super().set_params(**params)


def test_parameters_that_cannot_be_set():
    """A choice that the learner does not even let itself be given ends its trial as well, and no other."""
    search = _fitted(LooksAtOnce(), {"var_smoothing": [1e-9, -1.0]}, sampler="grid")
    states = {trial.params["var_smoothing"]: trial for trial in search.trials_}
    assert (states[1e-9].state, states[-1.0].state) == ("finished", "failed")
    assert "not above zero" in states[-1.0].reason
    assert search.best_params_ == {"var_smoothing": 1e-9}


def test_all_trials_fail():
    """A search in which every trial fails says what the first one said, and what to do."""
    with pytest.raises(SearchError, match=r"None of 2 trials.*not with these parameters.*search space"):
        _fitted(Misbehaves("raises"), NB, n_trials=2)


def test_a_failed_trial_is_not_the_first():
    """A trial that failed later than the best one ended is ranked after it, without a score."""

    class FailsLate(GaussianNB):
        def fit(self, X, y):
            if self.var_smoothing > 0.5 and X.sum() != first:
                raise ValueError("late")
            return super().fit(X, y)

    parts = PartitionedClassifier(GaussianNB(), n_partitions=4, executor="inline", random_state=0).fit(X, Y).partitions_
    first = X[parts.rows[0]].sum()
    search = _fitted(FailsLate(), {"var_smoothing": [1e-9, 1.0]}, sampler="grid")
    failed = next(place for place, trial in enumerate(search.trials_) if trial.state == "failed")
    assert search.trials_[failed].scores  # it was judged on one partition
    assert search.cv_results_["rank_test_score"][failed] == 2
    assert np.isnan(search.cv_results_["mean_test_score"][failed])


def test_the_budget_ends_the_search():
    """After the budget nothing new is begun: most trials are not made, one may be stopped, and there is an ensemble."""
    search = _fitted(Misbehaves("naps"), NB, n_trials=100, budget=2.0)
    states = [trial.state for trial in search.trials_]
    assert 0 < len(states) < 20
    assert states.count("stopped") <= 1
    assert search.trials_[-1].state != "stopped" or "budget" in search.trials_[-1].reason
    assert len(search.best_estimator_.members_) == 4


def test_a_budget_that_ends_before_any_score():
    """A budget in which no trial can be judged is told."""
    with pytest.raises(SearchError, match="budget"):
        _fitted(GaussianNB(), NB, budget=1e-9)


@pytest.mark.parametrize(("keep", "n_held"), [(1, 0), (2, 2)])
def test_what_trials_said_is_held_where_it_is_asked_for(monkeypatch, keep, n_held):
    """With rows that judge no trial, the outputs of finished trials are held for the choice of several alone."""
    searches = []

    class Seen(search_cv.Search):
        def __post_init__(self):
            super().__post_init__()
            searches.append(self)

    monkeypatch.setattr(search_cv, "Search", Seen)
    X, y = make_classification(n_samples=4_000, flip_y=0.2, random_state=0)
    settings = {"n_partitions": 2, "sampler": "grid", "reduction_factor": 1, "keep": keep}
    _search(GaussianNB(), {"var_smoothing": [1e-9, 1.0]}, **settings).fit(X, y)
    assert len(searches[0]._outputs) == n_held


def test_observers_see_each_trial_once():
    """Whoever observes is called with each trial as it ends."""
    seen = []
    search = _search(LogisticRegression(), C).fit(X, Y, observe=seen.append)
    assert [(trial.number, trial.state) for trial in seen] == [(each.number, each.state) for each in search.trials_]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"n_trials": 0}, "n_trials=0"),
        ({"reduction_factor": 1.5}, "reduction_factor=1.5"),
        ({"keep": True}, "keep=True"),
        ({"budget": -1}, "budget=-1"),
        ({"sampler": "tpee"}, "Did you mean 'tpe'"),
        ({"sampler": "cmaes"}, "2 or more"),
        ({"scoring": "acuracy"}, "accuracy"),
        ({"scoring": "r2"}, "r2"),
        ({"n_partitions": 1}, "2 or more"),
        ({"keep": 2, "partitioner": "clustered"}, "keep=2"),
        ({"keep": 2, "combine": "stack"}, "keep=2"),
        ({"keep": 2, "combine": "auto"}, "keep=2"),
        ({"fidelity": "row"}, "Did you mean 'rows'"),
        ({"fidelity": "rows", "combine": "vote"}, "combine='vote' is of ensembles"),
        ({"fidelity": "rows", "partitioner": "clustered"}, "partitioner='clustered' is of ensembles"),
        ({"fidelity": "rows", "match_updates": True}, "match_updates=True is of ensembles"),
        ({"study": "sqlite:////no/such/folder/study.db"}, "study"),
    ],
)
def test_wrong_settings(tmp_path, settings, said):
    """What is wrong with the settings is told before anything is fitted."""
    place = tmp_path / "fits"
    with pytest.raises(InputError, match=said):
        _fitted(NotesFits(str(place)), C, **settings)
    assert not place.exists()


def test_parameters_that_the_learner_does_not_have():
    with pytest.raises(ConfigurationError, match=r"'c'. Valid: C, class_weight"):
        _fitted(LogisticRegression(), {"c": [1.0]})


@pytest.mark.parametrize("combine", ["vote", "weighted", "stack", "greedy"])
def test_every_combination_can_be_searched(combine):
    """Trials are judged by what combines members without rows, and the ensemble is combined as was asked for."""
    search = _fitted(LogisticRegression(), {"C": [1e-6, 1.0]}, sampler="grid", combine=combine)
    assert search.best_params_ == {"C": 1.0}
    assert search.best_estimator_.recipe_.combiner.name == combine


def test_votes_have_no_log_loss():
    """Shares of votes are no probabilities: a search by log loss of members that vote finds nothing."""
    with pytest.raises(SearchError, match="another metric"):
        _fitted(LogisticRegression(), {"C": [1.0]}, combine="vote", scoring="log_loss", n_trials=1)


def test_nothing_is_left_behind(monkeypatch, tmp_path):
    """Without a checkpoint, members are kept in a folder that goes with the search."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    _fitted(GaussianNB(), NB, n_trials=2)
    assert list(Path(tmp_path).iterdir()) == []
