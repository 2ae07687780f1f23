"""One model within a time, and one that learns bit by bit, beside an ensemble: on the command line, on Ray."""

import json
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from commands import run_here
from partwise.cli import main
from partwise.experiment import scanning

SLOW = '''
import time

from sklearn.linear_model import SGDClassifier


class Slow(SGDClassifier):
    """Takes a known time for each row."""

    def fit(self, X, y):
        time.sleep(2e-4 * len(y))
        return super().fit(X, y)
'''
N_ROWS = 10_000


OPTIONS = ["../table.parquet", "--target", "kind", "--partitions", "3", "--output", "run"]
TRACKED, UNTRACKED = ("--tracking-uri", "sqlite:///mlflow.db"), ("--tracking-uri", "off")


def _compare(place, *options):
    return run_here(place, "compare", *OPTIONS, *options)


def _compared(place, *options):
    place.mkdir()
    said = _compare(place, *options)
    assert said.returncode == 0, said.stderr
    return json.loads((place / "run" / "comparison.json").read_text()), " ".join(said.stdout.split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory, ray_session):  # noqa: ARG001 - comparisons run there
    """A table of two kinds, and a learner that takes its time."""
    place, rng = tmp_path_factory.mktemp("alternatives"), np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(N_ROWS, 3)), columns=["a", "b", "c"])
    table["kind"] = np.where(table["a"] + table["b"] + rng.normal(size=N_ROWS) > 0, "x", "y")
    table.to_parquet(place / "table.parquet")
    (place / "slow.py").write_text(SLOW)
    return place


@pytest.fixture(scope="module")
def in_memory(folder):
    """A learner whose incremental model is that of one fit, on a table in memory."""
    options = ("--learner", "naive_bayes", "--combine", "soft", "--also", "incremental")
    return _compared(folder / "in_memory", *options, *TRACKED)


@pytest.fixture(scope="module")
def by_allreduce(folder):
    """One model that all workers fit together, on partitions that are stored."""
    pytest.importorskip("xgboost", reason="needs the extra boosting")
    options = ("--learner", "xgboost", "--param", "n_estimators=5", "--also", "allreduce", "--storage", "store")
    before = _home()
    return *_compared(folder / "by_allreduce", *options, *TRACKED), before


def _home():
    """The names in the folder of the home to which Ray Train would write."""
    return {path.name for path in (Path.home() / "ray_results").glob("*")}


@pytest.fixture(scope="module")
def from_files(folder):
    """One model on a sample, an ensemble from files; nobody asked for an alternative."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scanning, "_held_rows", lambda *_: 2_000)
        return _compared(folder / "from_files", "--learner", "sgd", "--storage", "store", *UNTRACKED)


@pytest.fixture(scope="module")
def within_budget(folder):
    """One model of a slow learner may take half a second."""
    options = ("--learner", "../slow.py:Slow", "--baseline-budget", "0.5s", "--no-match-updates")
    return _compared(folder / "within_budget", *options, *UNTRACKED)


def test_an_alternative_has_all_rows_and_its_scores(in_memory):
    """Gaussian naive Bayes learned bit by bit says what one model says."""
    record, _ = in_memory
    found = record["alternatives"]["incremental"]
    assert found["n_rows"] == record["n_train"]
    assert found["scores"] == pytest.approx(record["single"]["scores"])


def test_the_ensemble_is_compared_with_an_alternative(in_memory):
    """The difference is the ensemble minus it, with an interval."""
    record, _ = in_memory
    found = record["alternatives"]["incremental"]
    gained = record["ensemble"]["scores"]["accuracy"] - found["scores"]["accuracy"]
    assert found["difference"]["estimate"] == pytest.approx(gained)
    assert found["difference"]["low"] <= gained <= found["difference"]["high"]


def test_the_terminal_shows_alternatives(in_memory):
    """With score, difference and times."""
    _, printed = in_memory
    assert "Alternatives" in printed
    assert "ensemble minus it" in printed
    assert "Incremental: one model on 8,000 rows" in printed


def test_the_tracker_has_alternatives(in_memory, folder):
    """Their scores and costs are metrics of the run."""
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{folder / 'in_memory' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("partwise").experiment_id
    (parent,) = [run for run in client.search_runs([experiment]) if "mlflow.parentRunId" not in run.data.tags]
    found = in_memory[0]["alternatives"]["incremental"]
    assert parent.data.metrics["incremental_accuracy"] == pytest.approx(found["scores"]["accuracy"])
    assert parent.data.metrics["incremental_fit_seconds"] == pytest.approx(found["fit_seconds"])
    assert parent.data.metrics["difference_to_incremental_estimate"] == pytest.approx(found["difference"]["estimate"])
    assert parent.data.metrics["single_n_rows"] == 8_000


def test_a_model_by_allreduce_stands_beside_the_others(by_allreduce):
    """Its bins differ from those of one process, and little else: the record says so, the terminal and the tracker."""
    record, printed, _ = by_allreduce
    found = record["alternatives"]["allreduce"]
    assert found["n_rows"] == 8_000
    assert found["difference_to_single"]["estimate"] == pytest.approx(0, abs=0.02)
    assert found["startup_seconds"] > 0
    assert "exact up to the merged quantile sketches" in found["exactness"]
    assert "Allreduce: one model on 8,000 rows; Ray Train" in printed
    assert "minus one model" in printed


def test_a_model_by_allreduce_is_tracked_and_leaves_no_files(by_allreduce, folder):
    """Ray Train would write to the home folder."""
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{folder / 'by_allreduce' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("partwise").experiment_id
    (parent,) = [run for run in client.search_runs([experiment]) if "mlflow.parentRunId" not in run.data.tags]
    found = by_allreduce[0]["alternatives"]["allreduce"]
    assert parent.data.metrics["allreduce_accuracy"] == pytest.approx(found["scores"]["accuracy"])
    assert parent.data.metrics["allreduce_difference_estimate"] == found["difference_to_single"]["estimate"]
    assert _home() == by_allreduce[2]


def test_where_one_model_lacks_rows_the_alternative_comes_by_itself(from_files):
    """One model has 2,000 rows, the incremental one all."""
    record, _ = from_files
    assert record["single"]["n_rows"] == 2_000
    assert record["alternatives"]["incremental"]["n_rows"] == record["n_train"] == 8_000
    assert record["alternatives"]["incremental"]["scores"]["accuracy"] > 0.7


def test_one_model_gets_the_rows_that_the_time_is_enough_for(within_budget):
    """Half a second is some 2,000 rows of this learner's, of 8,000; fewer on a busy machine."""
    record, _ = within_budget
    assert 100 <= record["single"]["n_rows"] <= 2_500
    assert record["ensemble"]["n_rows"] == 8_000


def test_the_verdict_says_how_many_rows_one_model_had(within_budget):
    """It is no comparison with one model on all rows."""
    record, printed = within_budget
    words = f"one model on {record['single']['n_rows']:,} of 8,000 rows"
    assert words in record["verdict"]
    assert words in printed
    (note,) = [note for note in record["notes"] if note.startswith("One model on")]
    assert "a fit on 8,000 would take about " in note
    assert "--baseline-budget" in note


def test_a_learner_that_cannot_is_refused_before_anything_is_fitted(folder):
    """--also incremental for a tree: the input is wrong."""
    said = _compare(folder / "in_memory", "--learner", "tree", "--also", "incremental", "--output", "other")
    assert said.returncode == 2
    assert "needs a learner with partial_fit, and 'tree' has none" in " ".join(said.stderr.split())


@pytest.mark.parametrize("budget", ["soon", "-1s", "0"])
def test_a_time_that_is_none_is_refused(budget, folder, capsys):
    """With what was given and what is valid."""
    with pytest.raises(SystemExit) as ended:
        main(["compare", str(folder / "table.parquet"), "--target", "kind", f"--baseline-budget={budget}"])
    assert ended.value.code == 2
    assert f"--baseline-budget {budget!r} is wrong" in " ".join(capsys.readouterr().err.split())
