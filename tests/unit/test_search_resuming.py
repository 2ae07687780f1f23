"""A search that was stopped goes on where it was: no finished trial is made again, and no member fitted again."""

import sqlite3

import optuna
import pytest
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression

from fake_learners import InterruptedOnce, Misbehaves, NotesFits
from fakes import stop_after
from partwise import Checkpoint, PartitionedSearchCV, Range
from partwise.errors import InputError, ModelStoreError, SearchError
from partwise.search.claiming import claimed
from partwise.search.searching import Search

X, Y = make_classification(n_samples=300, n_features=5, flip_y=0.1, random_state=0)
C = {"C": Range(1e-3, 1e2, log=True)}
C_AND_TOL = C | {"tol": Range(1e-5, 1e-2, log=True)}


def _search(learner, tmp_path, space=C, **arguments):
    defaults = {
        "n_partitions": 4,
        "executor": "inline",
        "random_state": 0,
        "study": f"sqlite:///{tmp_path}/study.db",
        "checkpoint": Checkpoint(str(tmp_path / "members"), trust=True),
    }
    return PartitionedSearchCV(learner, space, **defaults | arguments)


def _told(search):
    return [(trial.number, trial.params, trial.state, trial.scores) for trial in search.trials_]


def _n_fits(search):
    return sum(trial.n_fits for trial in search.trials_)


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """The folder with the study of a search."""
    folder = tmp_path_factory.mktemp("searched")
    _search(LogisticRegression(), folder, n_trials=1).fit(X, Y)
    return folder


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid", "cmaes"])
def test_more_trials(tmp_path, sampler):
    """A search of 6 trials after one of 3 makes the 3 that are lacking, those that it would have made at once."""
    learner = LogisticRegression()
    settings = {"sampler": sampler, "space": C_AND_TOL}
    first = _search(learner, tmp_path, n_trials=3, **settings).fit(X, Y)
    more = _search(learner, tmp_path, n_trials=6, **settings).fit(X, Y)
    at_once = _search(learner, tmp_path, n_trials=6, study=None, checkpoint=None, **settings).fit(X, Y)
    assert _told(more)[:3] == _told(first)
    assert _told(more) == _told(at_once)
    assert len({str(trial.params) for trial in more.trials_}) == 6
    assert _n_fits(more) == _n_fits(at_once)
    assert more.corrected_score_ == pytest.approx(at_once.corrected_score_)


@pytest.mark.parametrize("sampler", ["tpe", "random", "cmaes"])
def test_a_trial_whose_parameters_were_not_drawn(tmp_path, sampler):
    """A process that is killed between the number of a trial and its parameters: they are drawn by the next."""
    learner, settings = LogisticRegression(), {"sampler": sampler, "space": C_AND_TOL}
    _search(learner, tmp_path, n_trials=3, **settings).fit(X, Y)
    optuna.load_study(study_name=None, storage=f"sqlite:///{tmp_path}/study.db").ask()
    more = _search(learner, tmp_path, n_trials=5, **settings).fit(X, Y)
    at_once = _search(learner, tmp_path, n_trials=5, study=None, checkpoint=None, **settings).fit(X, Y)
    assert _told(more) == _told(at_once)


def test_nothing_left_to_do(tmp_path):
    """A search that has ended gives the same once more, and fits nothing."""
    place = tmp_path / "fits"
    search = _search(NotesFits(str(place)), tmp_path, n_trials=4)
    first = _told(search.fit(X, Y))
    fits = place.read_text()
    assert _told(search.fit(X, Y)) == first
    assert place.read_text() == fits


def test_interrupted(tmp_path):
    """A search that was interrupted makes the trials that it would have made, and fits no member twice."""
    place = tmp_path / "fits"
    search = _search(NotesFits(str(place)), tmp_path, n_trials=5)
    with pytest.raises(KeyboardInterrupt):
        search.fit(X, Y, observe=stop_after(2))
    resumed = _told(search.fit(X, Y))
    fits = place.read_text().splitlines()
    assert len(fits) == len(set(fits))
    search.set_params(study=None, checkpoint=None).fit(X, Y)
    assert _told(search) == resumed


def test_interrupted_in_a_trial(tmp_path):
    """A trial that was under way is taken up: it counts once, and its members are asked, not fitted again."""
    place = tmp_path / "fits"
    search = _search(InterruptedOnce(str(place)), tmp_path, n_trials=3)
    with pytest.raises(KeyboardInterrupt):
        search.fit(X, Y)
    search.fit(X, Y)
    fits = place.read_text().splitlines()
    assert len(fits) == len(set(fits)) == _n_fits(search) + 2
    assert [trial.number for trial in search.trials_] == [0, 1, 2]
    assert {trial.state for trial in search.trials_} <= {"finished", "pruned"}


def test_without_members(tmp_path):
    """Where a study was kept but no members were, no trial is made again; members are, as the choice is corrected."""
    place = tmp_path / "fits"
    first = _search(NotesFits(str(place)), tmp_path, n_trials=4, checkpoint=None).fit(X, Y)
    fits = place.read_text().splitlines()
    again = _search(NotesFits(str(place)), tmp_path, n_trials=4, checkpoint=None).fit(X, Y)
    assert _told(again) == _told(first)
    assert len(place.read_text().splitlines()) == 2 * len(fits)
    assert again.corrected_score_ == pytest.approx(first.corrected_score_)


def test_optuna_opens_the_study(tmp_path):
    """Optuna, and with it its dashboard, opens the study: the states of trials, their scores on each rung, the best."""
    search = _search(Misbehaves(), tmp_path, space={"how": ["fits", "raises"]}, sampler="grid").fit(X, Y)
    study = optuna.load_study(study_name="partwise", storage=f"sqlite:///{tmp_path}/study.db")
    states = {trial.params["how"]: trial.state.name for trial in study.trials}
    assert states == {"fits": "COMPLETE", "raises": "FAIL"}
    assert study.best_params == search.best_params_
    assert study.best_value == search.best_score_
    assert study.best_trial.intermediate_values == search.trials_[search.best_index_].scores


@pytest.mark.parametrize(
    "changed",
    [
        {"random_state": 1},
        {"n_partitions": 3},
        {"reduction_factor": 3},
        {"fidelity": "rows"},
        {"scoring": "log_loss"},
        {"space": {"C": Range(1e-2, 1e2, log=True)}},
        {"learner": LogisticRegression(class_weight="balanced")},
        {"rows": slice(1, None)},
    ],
)
def test_another_search_is_refused(searched, changed):
    """The study of another search, whose scores cannot be compared, is refused."""
    arguments = {"learner": LogisticRegression(), "n_trials": 2, "rows": slice(None)} | changed
    rows = arguments.pop("rows")
    with pytest.raises(InputError, match="another search"):
        _search(tmp_path=searched, **arguments).fit(X[rows], Y[rows])


def test_another_sampler_goes_on(tmp_path):
    """A study may be gone on with by another sampler: what it has is no less comparable."""
    _search(LogisticRegression(), tmp_path, n_trials=2, sampler="random").fit(X, Y)
    search = _search(LogisticRegression(), tmp_path, n_trials=4, sampler="tpe").fit(X, Y)
    assert len(search.trials_) == 4


def test_members_that_may_not_be_read_are_told_at_once(tmp_path):
    """Members that only pickle holds, in a checkpoint that is not trusted, end the search at its first fit."""
    place = tmp_path / "fits"
    search = _search(NotesFits(str(place)), tmp_path, n_trials=20, checkpoint=str(tmp_path / "members"))
    with pytest.raises(ModelStoreError, match="trust=True"):
        search.fit(X, Y)
    assert len(place.read_text().splitlines()) == 1


def test_the_budget_is_that_of_all_processes(tmp_path):
    """What an earlier process spent of the budget is not to be had again."""
    settings = {"space": {"var_smoothing": Range(1e-9, 1.0, log=True)}, "n_trials": 50}
    first = _search(Misbehaves("naps"), tmp_path, budget=1.5, **settings).fit(X, Y)
    again = _search(Misbehaves("naps"), tmp_path, budget=1.5, **settings).fit(X, Y)
    assert [trial.number for trial in again.trials_] == [trial.number for trial in first.trials_]
    more = _search(Misbehaves("naps"), tmp_path, budget=3.0, **settings).fit(X, Y)
    assert len(more.trials_) > len(first.trials_)


def test_a_larger_budget_takes_up_what_a_smaller_one_stopped(tmp_path, monkeypatch):
    """A trial that the budget stopped is told as such, once; with a larger budget it goes on, as if never stopped."""
    place, seen = tmp_path / "fits", []
    search = _search(NotesFits(str(place)), tmp_path, n_trials=4)
    with monkeypatch.context() as patched:
        patched.setattr(Search, "_is_over", lambda self: self._n_units >= 3)
        stopped = search.fit(X, Y, observe=seen.append).trials_
        assert [(trial.state, trial.n_partitions) for trial in stopped] == [("stopped", 2)]
    with monkeypatch.context() as patched:
        patched.setattr(Search, "_is_over", lambda _: True)
        again = search.fit(X, Y, observe=seen.append)
        assert again.trials_ == stopped == seen
    more = _told(search.fit(X, Y))
    fits = place.read_text().splitlines()
    assert len(fits) == len(set(fits))
    assert _told(search.set_params(study=None, checkpoint=None).fit(X, Y)) == more


def test_a_study_that_can_no_longer_be_kept(tmp_path):
    """A database that fails in mid-search ends it, and says what to do."""

    def break_it(_):
        with sqlite3.connect(tmp_path / "study.db") as database:
            database.execute("DROP TABLE trials")

    with pytest.raises(SearchError, match=r"no longer be kept: .*no such table.*partwise resume"):
        _search(LogisticRegression(), tmp_path, n_trials=2).fit(X, Y, observe=break_it)


def test_two_processes_do_not_search_in_one_study(tmp_path):
    """The second is refused before it takes up what the first has under way; when that has ended, it may."""
    search = _search(LogisticRegression(), tmp_path, n_trials=1)
    with claimed(search.study), pytest.raises(InputError, match=r"Another process searches in .*study\.db"):
        search.fit(X, Y)
    assert len(search.fit(X, Y).trials_) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["members", "study.db"]


def test_no_folder_is_made_for_a_study(tmp_path):
    """A database in a folder that is not there is told, and the folder still is not there."""
    with pytest.raises(InputError, match="cannot be kept in"):
        _search(LogisticRegression(), tmp_path, n_trials=1, study=f"sqlite:///{tmp_path}/nowhere/study.db").fit(X, Y)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("other", ["sqlite:///{}/other.db", "sqlite:///file:{}/study.db?uri=true"])
def test_one_study_by_another_name(tmp_path, other):
    """A file that is reached by a link, or by a URI, is the same study."""
    (tmp_path / "other.db").symlink_to(tmp_path / "study.db")
    with claimed(f"sqlite:///{tmp_path}/study.db"), pytest.raises(InputError, match="Another process"):
        _search(LogisticRegression(), tmp_path, n_trials=1, study=other.format(tmp_path)).fit(X, Y)
