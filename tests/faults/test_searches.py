"""Searches on Ray: trials that crash, hang or give NaN, and a driver that is killed at half."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sklearn.datasets import make_classification
from sklearn.naive_bayes import GaussianNB

from fake_learners import Misbehaves
from partwise import Checkpoint, PartitionedClassifier, PartitionedSearchCV, Range
from partwise.executors.ray_tasks import RayExecutor

X, Y = make_classification(n_samples=300, n_features=5, flip_y=0.1, random_state=0)
NB = {"var_smoothing": Range(1e-9, 1.0, log=True)}

pytestmark = pytest.mark.usefixtures("ray_session")


def _search(learner, space, **arguments):
    defaults = {"n_partitions": 4, "executor": "ray", "random_state": 0}
    return PartitionedSearchCV(learner, space, **defaults | arguments)


def _told(search):
    return [(trial.params, trial.state, trial.scores) for trial in search.trials_]


def _digests(search):
    return [member.content_digest for member in search.best_estimator_.members_]


@pytest.fixture(scope="module")
def broken(ray_session):  # noqa: ARG001 - it must be there first
    """A search in which trials fail in every way; its trials by what they did."""
    hows = ["fits", "raises", "gives_nan", "crashes", "hangs"]
    executor = RayExecutor(timeout=5.0, max_attempts=2)
    search = _search(Misbehaves(), {"how": hows}, sampler="grid", executor=executor).fit(X, Y)
    return search, {trial.params["how"]: trial for trial in search.trials_}


def test_the_search_goes_on(broken):
    """Whatever becomes of the others, each trial ends once, and the one that can be fitted gives the ensemble."""
    search, trials = broken
    assert len(search.trials_) == len(trials) == 5
    assert trials["fits"].state == "finished"
    assert search.best_params_ == {"how": "fits"}
    alone = PartitionedClassifier(Misbehaves(), n_partitions=4, executor="inline", random_state=0).fit(X, Y)
    assert _digests(search) == [member.content_digest for member in alone.members_]


@pytest.mark.parametrize(
    ("how", "state", "said"),
    [
        ("raises", "failed", "ValueError: not with these parameters"),
        ("gives_nan", "failed", "NaN or infinite"),
        ("crashes", "failed", "worker"),
        ("hangs", "timed_out", "had not finished"),
    ],
)
def test_it_says_what_became_of_a_trial(broken, how, state, said):
    """Trials that failed and that timed out are told apart, each with its reason."""
    trial = broken[1][how]
    assert (trial.state, trial.scores) == (state, {})
    assert said in trial.reason


def test_one_by_one_is_the_same_everywhere():
    """Where trials wait for each other, they are those of a search in process, and so are the members."""
    settings = {"one_by_one": True, "n_trials": 5}
    there, here = (_search(GaussianNB(), NB, executor=each, **settings).fit(X, Y) for each in ("ray", "inline"))
    assert _told(there) == _told(here)
    assert _digests(there) == _digests(here)


def test_trials_side_by_side_keep_to_their_own_parameters():
    """Trials that run at the same time are fitted with their own parameters: they score as one after another."""
    settings = {"n_trials": 6, "sampler": "random", "reduction_factor": 1}
    there, here = (_search(GaussianNB(), NB, executor=each, **settings).fit(X, Y) for each in ("ray", "inline"))
    assert _told(there) == _told(here)


_DRIVER = """
import sys
from test_searches import resumable
resumable(*sys.argv[1:]).fit(*__import__("test_searches").ROWS, observe=lambda trial: print(trial.number, flush=True))
"""
ROWS = (X, Y)


def resumable(folder, executor):
    """Return a search of naps that can be gone on with; it notes its fits."""
    return _search(
        Misbehaves("naps", f"{folder}/fits"),
        NB,
        n_trials=8,
        sampler="random",
        study=f"sqlite:///{folder}/study.db",
        checkpoint=Checkpoint(f"{folder}/members", trust=True),
        executor=executor,
    )


@pytest.mark.parametrize("executor", ["inline", pytest.param("ray", marks=pytest.mark.long)])
def test_a_killed_driver_loses_no_trial(tmp_path, executor):
    """A search goes on: no trial that had ended is made again, and no member is fitted again but those under way."""
    path = os.pathsep.join([str(Path(__file__).parent), os.environ["PYTHONPATH"]])
    driver = subprocess.Popen(
        [sys.executable, "-c", _DRIVER, str(tmp_path), executor],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
    )
    for _ in range(3):
        assert driver.stdout.readline().strip().isdigit()
    driver.send_signal(signal.SIGKILL)
    driver.communicate()
    fitted = (tmp_path / "fits").read_text().splitlines()

    seen = []
    search = resumable(tmp_path, "ray").fit(X, Y, observe=seen.append)
    fits = (tmp_path / "fits").read_text().splitlines()
    assert [trial.number for trial in search.trials_] == list(range(8))
    assert len(seen) <= 5  # three had ended
    assert {trial.state for trial in search.trials_} <= {"finished", "pruned"}
    assert len(fitted) < len(fits)
    assert len(fits) - len(set(fits)) <= (1 if executor == "inline" else RayExecutor().slots)
