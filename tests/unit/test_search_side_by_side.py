"""Trials that run at the same time: when one begins, and what they have in common."""

import pytest
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression

from fake_learners import NotesFits
from fakes import TakesAll
from partwise import PartitionedSearchCV, Range

X, Y = make_classification(n_samples=300, n_features=5, flip_y=0.1, random_state=0)


def _search(learner, space, executor, **settings):
    return PartitionedSearchCV(
        learner, space, **{"n_partitions": 4, "executor": executor, "random_state": 0, "n_trials": 12} | settings
    )


@pytest.mark.parametrize("slots", [1, 3])
def test_a_trial_begins_when_a_worker_is_free(slots):
    """However much the executor would queue: what is known by then decides where the next trial looks."""
    executor = TakesAll(slots=slots)
    space = {"C": Range(1e-3, 1e2, log=True)}
    _search(LogisticRegression(), space, executor, n_partitions=2, reduction_factor=2).fit(X, Y)
    assert max(executor.under_way) == slots


@pytest.mark.parametrize("seed", range(6))
def test_equal_parameters_share_their_members(tmp_path, seed):
    """Whichever ends first, no member is fitted twice, and trials of equal parameters have equal scores."""
    place = tmp_path / "fits"
    settings = {"n_trials": 10, "sampler": "random", "random_state": seed}
    search = _search(NotesFits(str(place)), {"C": [0.01, 1.0, 10.0]}, TakesAll(seed=seed), **settings).fit(X, Y)
    fits = place.read_text().splitlines()
    assert len(fits) == len(set(fits))
    for trial in search.trials_:
        alike = [each for each in search.trials_ if each.params == trial.params]
        assert all(each.scores.get(1) == trial.scores[1] for each in alike)
