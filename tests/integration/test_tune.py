"""`partwise tune` as a user runs it: killed on its way, resumed to its end; real Ray, real MLflow, files on disk."""

import json
import signal
import subprocess
import sys
import time
from collections import Counter

import mlflow
import numpy as np
import optuna
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_wine
from sklearn.tree import DecisionTreeClassifier

from commands import run_here
from fakes import wine_table
from partwise import PartitionedSearchCV, Range
from partwise.cli import main
from partwise.model_store import load_model
from processes import gone, processes_of

TRIALS = 8
LEARNER = '''
import time

from sklearn.tree import DecisionTreeClassifier


class Slow(DecisionTreeClassifier):
    """Notes each fit, and takes its time."""

    def fit(self, X, y, sample_weight=None):
        time.sleep(0.2)
        super().fit(X, y, sample_weight)  # first: it is asked again with a copy where it refuses read-only memory
        with open(FITS, "a") as notes:
            notes.write(f"{self.max_depth} {len(y)}\\n")
        return self
'''
SPACE = """
[max_depth]
low = 1
high = 8

[ccp_alpha]
low = 1e-6
high = 1e-4
log = true
"""


def _ended(folder):
    journal = folder / "run" / "journal.jsonl"
    lines = journal.read_text().splitlines() if journal.exists() else []
    return [json.loads(line) for line in lines if '"trial_ended"' in line]


@pytest.fixture(scope="module")
def tuned(tmp_path_factory, ray_session):  # noqa: ARG001 - what goes on does so there
    """A search that was killed on its way and resumed: its folder, the trials at the kill, and what resume printed."""
    folder = tmp_path_factory.mktemp("tune")
    wine_table().to_csv(folder / "wine.csv", index=False)
    (folder / "slow.py").write_text(LEARNER.replace("FITS", repr(str(folder / "fits"))))
    (folder / "space.toml").write_text(SPACE)
    command = [sys.executable, "-m", "partwise", "tune", "wine.csv", "--target", "cultivar", "--partitions", "4"]
    command += ["--learner", "slow.py:Slow", "--space", "space.toml", "--trials", str(TRIALS), "--output", "run"]
    command += ["--metric", "balanced_accuracy", "--test-size", "0.25"]
    run = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 200
    while len(_ended(folder)) < TRIALS // 2 and run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    processes = processes_of(run.pid)
    run.send_signal(signal.SIGKILL)
    _, said = run.communicate()
    assert gone(processes)
    before = _ended(folder)
    assert before, said
    again = run_here(folder, "resume", "run", "--trust", "--json")
    assert again.returncode == 0, again.stderr
    return folder, before, again.stdout


def test_no_trial_is_lost_or_counted_twice(tuned):
    """Killed and resumed, the search has as many trials as were asked for, each once; those that ended stand."""
    folder, before, _ = tuned
    ended = _ended(folder)
    assert sorted(trial["number"] for trial in ended) == list(range(TRIALS))
    assert ended[: len(before)] == before


def test_no_member_is_fitted_twice_but_those_that_the_kill_met(tuned):
    """What was kept is asked again, not fitted; two workers may have been at a fit."""
    folder, _, _ = tuned
    fits = len((folder / "fits").read_text().splitlines())
    kept = Counter((path.parent.name, path.name[:5]) for path in (folder / "run" / "members").rglob("*.member"))
    assert set(kept.values()) == {1}
    assert len(kept) <= fits <= len(kept) + 2


def test_members_are_fitted_with_the_parameters_of_their_trial(tuned):
    """What trials asked for is what was fitted."""
    folder, _, out = tuned
    asked = {trial["params"]["max_depth"] for trial in json.loads(out)["trials"]}
    assert {int(line.split()[0]) for line in (folder / "fits").read_text().splitlines()} == asked


def test_stdout_is_the_record_and_nothing_else(tuned):
    """With --json stdout holds tuning.json; a finished search is shown, not run again."""
    folder, _, out = tuned
    record = json.loads(out)
    assert record == json.loads((folder / "run" / "tuning.json").read_text())
    assert 1e-6 <= record["best_params"]["ccp_alpha"] <= 1e-4
    assert {trial["state"] for trial in record["trials"]} <= {"finished", "pruned"}


def test_the_comparison_that_is_named_is_of_the_same_rows(tuned):
    """A note has the command that compares the best configuration with one model: its rows, metric and parameters."""
    _, _, out = tuned
    note = next(each for each in json.loads(out)["notes"] if each.startswith("Beside one model: partwise compare"))
    for wanted in ("--learner slow.py:Slow", "--metric balanced_accuracy", "--test-size 0.25", "--param max_depth="):
        assert wanted in note
    assert "--output" not in note


def test_the_ensemble_has_no_time_of_trials(tuned):
    """Members that trials have fitted are not counted as those of an earlier process of the run."""
    _, _, out = tuned
    record = json.loads(out)
    assert record["ensemble"]["members_seconds"] < 0.2 < record["ensemble"]["member_fit_seconds"]
    assert not any("before the run went on" in note for note in record["notes"])


def test_trials_are_children_of_the_run_in_mlflow(tuned):
    """Each trial once, with its parameters and its score after each number of partitions."""
    folder, _, out = tuned
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("partwise")
    runs = client.search_runs([experiment.experiment_id])
    children = {run.info.run_name: run for run in runs if run.info.run_name.startswith("trial ")}
    assert sorted(children) == sorted(f"trial {number}" for number in range(TRIALS))
    for trial in json.loads(out)["trials"]:
        child = children[f"trial {trial['number']}"]
        history = client.get_metric_history(child.info.run_id, "score")
        assert {str(point.step): point.value for point in history} == pytest.approx(trial["scores"])
        assert child.data.params["max_depth"] == str(trial["params"]["max_depth"])
        assert child.data.tags["partwise.state"] == trial["state"]


def test_the_study_opens_in_optuna(tuned):
    """The database of the run directory is a study as optuna-dashboard shows it."""
    folder, _, out = tuned
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{folder / 'run' / 'study.db'}")
    assert len(study.trials) == TRIALS
    assert study.best_trial.number == json.loads(out)["best_trial"]


def test_the_run_directory_has_plots_table_and_model(tuned):
    """The pictures, the trials as a table, and a model that predicts."""
    folder, _, _ = tuned
    run = folder / "run"
    assert {"history.png", "parallel_coordinates.png"} <= {path.name for path in (run / "plots").iterdir()}
    assert len(pd.read_csv(run / "trials.csv")) == TRIALS
    rows = wine_table().drop(columns="cultivar")
    predicted = load_model(run / "model", trust=True).predict(rows)
    assert (predicted == wine_table()["cultivar"]).mean() > 0.7


REFUSES = """
from sklearn.tree import DecisionTreeClassifier


class NoTwo(DecisionTreeClassifier):
    def fit(self, X, y, sample_weight=None):
        if self.max_depth == 2:
            raise ValueError("two is too few")
        return super().fit(X, y, sample_weight)
"""


@pytest.fixture(scope="module")
def gone_on_with(tmp_path_factory, ray_session):  # noqa: ARG001 - it runs there
    """A search of three trials, and one of six in its study, each in a run directory of its own: folder and records."""
    folder = tmp_path_factory.mktemp("study")
    wine_table().to_csv(folder / "wine.csv", index=False)
    (folder / "trees.py").write_text(REFUSES)
    (folder / "space.toml").write_text("[max_depth]\nvalues = [1, 2, 3, 4, 5, 6]\n")
    always = ["tune", "wine.csv", "--target", "cultivar", "--learner", "trees.py:NoTwo", "--space", "space.toml"]
    always += ["--sampler", "grid", "--reduction-factor", "1", "--partitions", "2", "--keep", "2", "--one-by-one"]
    always += ["--budget", "5m", "--study", f"sqlite:///{folder}/own.db", "--json"]
    runs = [run_here(folder, *always, "--trials", trials, "--output", f"run{trials}") for trials in (3, 6)]
    assert [run.returncode for run in runs] == [0, 0], runs[-1].stderr
    return folder, *(json.loads(run.stdout) for run in runs)


def test_more_trials_go_on_with_a_study(gone_on_with):
    """Those that ended are in the second record as they are in the first, and none is tried again."""
    folder, first, second = gone_on_with
    what = ("number", "params", "state", "scores", "started")
    told = [[[trial[each] for each in what] for trial in record["trials"]] for record in (first, second)]
    assert told[1][:3] == told[0]
    assert sorted(trial["params"]["max_depth"] for trial in second["trials"]) == [1, 2, 3, 4, 5, 6]
    assert not (folder / "run6" / "study.db").exists()


def test_what_the_command_was_told_is_what_it_does(gone_on_with):
    """Sampler, reduction factor and kept configurations of the record; it has no note of trials side by side."""
    _, _, record = gone_on_with
    assert (record["sampler"], record["reduction_factor"], len(record["kept"])) == ("grid", 1, 2)
    assert record["ensemble"]["n_members"] == 4
    assert not any("side by side" in note for note in record["notes"])


def test_a_trial_that_failed_is_told_with_its_reason(gone_on_with):
    """Among the notes, by number, with what the learner said; the others are not among them."""
    _, _, record = gone_on_with
    failed = next(trial["number"] for trial in record["trials"] if trial["params"]["max_depth"] == 2)
    told = [note for note in record["notes"] if note.startswith("Trial ")]
    assert told == [f"Trial {failed} failed: ValueError: two is too few"]


def test_mlflow_has_what_the_search_found(gone_on_with):
    """The best configuration as tags; how many trials ended how, and what each parameter decides, as metrics."""
    folder, _, record = gone_on_with
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("partwise")
    runs = client.search_runs([experiment.experiment_id], "metrics.n_trials = 6")
    assert len(runs) == 1
    data = runs[0].data
    assert data.tags["partwise.best.max_depth"] == str(record["best_params"]["max_depth"])
    assert (data.metrics["n_trials_finished"], data.metrics["n_trials_failed"]) == (5, 1)
    assert data.metrics["best_score"] == record["best_score"]
    assert data.metrics["importance.max_depth"] == record["importances"]["max_depth"] > 0
    assert (folder / "run6" / "plots" / "importance.png").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--sampler", "best"], "Unknown sampler 'best'"),
        (["--learner", "gaussian_process"], "no default search space for the learner 'gaussian_process'"),
        (["--partitions", "1", "--no-evidence"], "leaves no rows by which to judge"),
        (["--trials", "0"], "--trials 0 is wrong"),
        (["--budget", "soon"], "--budget 'soon' is wrong"),
        (["--space", "nowhere.toml"], "nowhere.toml"),
        (["--replication", "2"], "--replication 2: a search"),
        (["--on-failure", "skip"], "--on-failure skip: a trial"),
        (["--evidence"], "--evidence: trials are judged"),
        (["--fidelity", "rows", "--combine", "vote"], "--combine vote: with --fidelity rows"),
        (["--fidelity", "rows", "--partitioner", "clustered"], "--partitioner clustered: with --fidelity rows"),
        (["--fidelity", "rows", "--partitioner", "auto"], "--partitioner auto: with --fidelity rows"),
        (["--fidelity", "rows", "--match-updates", "--learner", "sgd"], "--match-updates: with --fidelity rows"),
        (["--sampler", "cmaes", "--learner", "logistic"], "needs 2 or more parameters"),
        (["--fidelity", "columns"], "Valid: 'members' or 'rows'"),
        (["--param", "C=1", "--learner", "logistic"], "Every parameter of the default search space is fixed"),
    ],
)
def test_wrong_settings_are_told_before_anything_is_fitted(options, said, tmp_path, monkeypatch, capsys):
    """Exit code 2, the value and what is valid; no run directory."""
    monkeypatch.chdir(tmp_path)
    wine_table().to_csv("wine.csv", index=False)
    with pytest.raises(SystemExit) as stop:
        main(["tune", "wine.csv", "--target", "cultivar", "--learner", "tree", *options])
    assert stop.value.code == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "partwise-runs").exists()


@pytest.mark.usefixtures("ray_session")
def test_one_model(tmp_path):
    """With --fidelity rows the run directory has one model of all training rows, and the record says so."""
    wine_table().to_csv(tmp_path / "wine.csv", index=False)
    options = ["--learner", "tree", "--trials", "4", "--partitions", "4", "--output", "run", "--json"]
    run = run_here(tmp_path, "tune", "wine.csv", "--target", "cultivar", "--fidelity", "rows", *options)
    assert run.returncode == 0, run.stderr
    record = json.loads(run.stdout)
    assert (record["fidelity"], record["recipe"], record["ensemble"]["n_members"]) == ("rows", "one model", 1)
    assert record["ensemble"]["exactness"] == "exact"
    best = next(trial for trial in record["trials"] if trial["number"] == record["best_trial"])
    assert [*best["scores"]] == ["1", "2", "4"]
    (member,) = load_model(tmp_path / "run" / "model", trust=True).predictor.pool.members
    assert member.n_rows == record["n_train"]
    assert member.estimator.max_depth == record["best_params"]["max_depth"]


@pytest.mark.usefixtures("ray_session")
def test_a_column_of_groups_is_never_cut_for_one_model(tmp_path):
    """With --group no row judges a model that knows its group: neighbours guess random labels."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"group": np.arange(60), "a": rng.normal(size=60), "y": rng.permutation(60) % 2})
    table.loc[table.index.repeat(5)].to_csv(tmp_path / "table.csv", index=False)
    (tmp_path / "space.toml").write_text('[weights]\nvalues = ["distance"]\n')
    options = ["--learner", "knn", "--space", "space.toml", "--trials", "1", "--fidelity", "rows", "--json"]
    run = run_here(tmp_path, "tune", "table.csv", "--target", "y", "--group", "group", *options)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["best_score"] < 0.7


@pytest.mark.usefixtures("ray_session")
def test_one_model_is_searched_as_in_process():
    """One by one, with fidelity="rows", trials and model on Ray are those of the same search in one process."""
    X, y = load_wine(return_X_y=True)
    space = {"max_depth": Range(1, 8, integer=True)}
    search = PartitionedSearchCV(
        DecisionTreeClassifier(), space, n_trials=4, fidelity="rows", n_partitions=4, one_by_one=True, random_state=0
    )
    here, there = (clone(search).set_params(executor=each).fit(X, y) for each in ("inline", "ray"))
    told = [[(trial.params, trial.state, trial.scores) for trial in each.trials_] for each in (here, there)]
    assert told[0] == told[1]
    assert here.corrected_score_ == there.corrected_score_
    assert np.array_equal(here.predict_proba(X), there.predict_proba(X))
