"""A search deletes the members that it no longer needs, and only those."""

import pytest
from sklearn.datasets import make_classification
from sklearn.naive_bayes import GaussianNB

from fake_learners import NotesFits
from fakes import TakesAll, stop_after
from partwise import Checkpoint, PartitionedClassifier, PartitionedSearchCV, Range

X, Y = make_classification(n_samples=4_000, n_features=5, flip_y=0.2, random_state=0)
RANGE = {"var_smoothing": Range(1e-9, 1e2, log=True)}
CHOICES = {"var_smoothing": [1e-9, 1e-3, 1.0, 1e2]}


def _search(tmp_path, space=RANGE, **settings):
    defaults = {
        "n_partitions": 2,
        "n_trials": 6,
        "sampler": "random",
        "executor": "inline",
        "random_state": 0,
        "checkpoint": Checkpoint(str(tmp_path / "members"), trust=True, owned=True),
    }
    return PartitionedSearchCV(GaussianNB(), space, **defaults | settings)


def _n_configurations(tmp_path):
    return len(list((tmp_path / "members").iterdir()))


def test_members_of_the_best_trial_stay(tmp_path):
    """Those of the others go; the ensemble takes over what stayed, so that nothing is fitted again."""
    search = _search(tmp_path).fit(X, Y)
    assert _n_configurations(tmp_path) == 1
    assert all(member.recalled for member in search.best_estimator_.members_)


def test_a_search_that_goes_on_deletes_too(tmp_path):
    """After an interruption worse trials go, the best one is still the best, and none is repeated."""
    study = f"sqlite:///{tmp_path}/study.db"
    with pytest.raises(KeyboardInterrupt):
        _search(tmp_path, study=study).fit(X, Y, observe=stop_after(3))
    search = _search(tmp_path, study=study).fit(X, Y)
    at_once = _search(tmp_path / "elsewhere").fit(X, Y)
    assert search.best_params_ == at_once.best_params_
    assert [trial.scores for trial in search.trials_] == [trial.scores for trial in at_once.trials_]
    assert _n_configurations(tmp_path) <= 2


@pytest.mark.parametrize(
    ("settings", "n_rows"),
    [({"keep": 2}, 4_000), ({"space": CHOICES, "n_trials": 4, "sampler": "grid"}, 4_000), ({}, 3_000)],
    ids=["several are kept", "parameters may come back", "no rows are left to judge the best"],
)
def test_members_stay_that_may_be_wanted(tmp_path, settings, n_rows):
    """All stay where several configurations may be kept, taken over, or asked once more."""
    search = _search(tmp_path, **settings).fit(X[:n_rows], Y[:n_rows])
    assert _n_configurations(tmp_path) == len(search.trials_)


def test_members_of_others_stay(tmp_path):
    """A place that a search was given may have members of a fit, whose parameters a losing trial had, too."""
    shared = Checkpoint(str(tmp_path / "members"))
    learner = GaussianNB(var_smoothing=1e2)
    fit = PartitionedClassifier(learner, n_partitions=2, executor="inline", random_state=0, checkpoint=shared)
    fit.fit(X, Y)
    search = _search(tmp_path, checkpoint=shared).set_params(estimator=learner).fit(X, Y)
    assert search.best_params_ != {"var_smoothing": 1e2}
    assert all(member.recalled for member in fit.fit(X, Y).members_)


@pytest.mark.parametrize("seed", range(4))
def test_of_equal_trials_the_one_that_wins_stays(tmp_path, seed):
    """Whichever ended first: the members of the best one are not fitted again."""
    settings = {"executor": TakesAll(seed=seed), "space": {"C": Range(1.0, 1.0001)}, "reduction_factor": 1}
    search = _search(tmp_path, **settings).set_params(estimator=NotesFits(str(tmp_path / "fits"))).fit(X, Y)
    assert len({trial.score for trial in search.trials_}) == 1
    assert search.best_index_ == 0
    assert len((tmp_path / "fits").read_text().splitlines()) == 6 * 2
    assert _n_configurations(tmp_path) == 1
