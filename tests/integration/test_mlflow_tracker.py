"""Facts about runs in a real MLflow store."""

import hashlib
import json
import logging
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from partwise.encoders import TableEncoder
from partwise.errors import InputError, ModelStoreError, PartwiseError
from partwise.model_store import StoredModel, save_model
from partwise.pool import AggregatedPredictor, MemberPool
from partwise.records import Member
from partwise.trackers import without_credentials
from partwise.trackers.mlflow_runs import MlflowTracker

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

DIGEST = "0123456789abcdef" * 4
REPORT = {
    "scores": {"accuracy": 0.75, "roc_auc": None},
    "fit_seconds": 2.0,
    "predict_seconds": 0.5,
    "cpu_seconds": 3.0,
    "peak_memory_bytes": 1000,
    "encode_seconds": 0.1,
    "where": "here",
    "n_rows": 80,
}
COMPARISON = {
    "single": REPORT,
    "ensemble": REPORT | {"fit_seconds": 1.0, "n_members": 3, "n_failed": 1, "out_of_partition_score": None},
    "startup_seconds": 5.0,
    "speedup": 2.0,
    "efficiency": 0.9,
    "difference": {"estimate": -0.01, "low": -0.02, "high": None, "p_value": 0.04},
    "verdict": "Twice as fast.",
}


def _started(**changes):
    dataset = {
        "name": "flights",
        "source": "https://ann:secret@example.org/flights.parquet",
        "digest": DIGEST,
        "n_rows": 100,
        "n_columns": 3,
        "target": "late",
        "schema": {"delay": "float64", "carrier": "str", "count": "int64"},
        "n_train": 80,
        "n_test": 20,
    }
    event = {
        "event": "run_started",
        "time": 1000.0,
        "name": "a comparison",
        "settings": {"learner": "ridge", "partitions": 3},
        "tags": {"version.ray": "2.60.0"},
        "dataset": dataset,
    }
    return event | changes


def _member(partition, **changes):
    event = {
        "event": "member_finished",
        "time": 1010.0,
        "partition": partition,
        "n_rows": 27,
        "class_counts": [20, 7],
        "fit_seconds": 1.5,
        "cpu_seconds": 1.4,
        "peak_memory_bytes": None,
        "node": "n1",
        "process": 42,
        "started": 1002.25,
        "seed": 7,
        "content_digest": "ab" * 20,
        "attempts": 1,
        "out_of_partition_score": 0.7,
    }
    return event | changes


def _failure(partition):
    return {
        "event": "member_failed",
        "time": 1011.0,
        "partition": partition,
        "n_rows": 5,
        "reason": "out_of_memory",
        "message": "killed",
        "attempts": 3,
    }


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    """One store for the module: a fresh one takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/runs.db"


@pytest.fixture
def tracker(uri, tmp_path, request):
    tracker = MlflowTracker(uri, f"experiment {request.node.name[:60]}")
    tracker.open(tmp_path)
    return tracker


@pytest.fixture
def client(uri):
    return MlflowClient(tracking_uri=uri)


def _children(client, run):
    query = f"tags.`mlflow.parentRunId` = '{run.info.run_id}'"
    runs = client.search_runs([run.info.experiment_id], query, max_results=1000)
    return sorted(runs, key=lambda child: int(child.data.params["partition"]))


def test_the_parent_run_has_settings_tags_and_data(tracker, client, tmp_path):
    """The run's name, start, parameters, tags and dataset are those of the first event, without passwords."""
    tracker.write([_started()])
    tracker.close("finished")
    run = client.get_run(tracker.run_id)
    assert (run.info.run_name, run.info.start_time, run.info.status) == ("a comparison", 1_000_000, "FINISHED")
    assert run.data.params == {"learner": "ridge", "partitions": "3"}
    assert run.data.tags["partwise.run_directory"] == str(tmp_path)
    assert run.data.tags["partwise.data_digest"] == DIGEST
    assert run.data.tags["version.ray"] == "2.60.0"
    (given,) = run.inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest) == ("flights", DIGEST[:36])
    assert [(tag.key, tag.value) for tag in given.tags] == [("mlflow.data.context", "training")]
    assert json.loads(given.dataset.profile)["num_rows"] == 100
    assert [column["type"] for column in json.loads(given.dataset.schema)["mlflow_colspec"]] == [
        "double",
        "string",
        "long",
    ]
    assert json.loads(given.dataset.source) == {"url": "https://***@example.org/flights.parquet"}
    assert mlflow.data.get_source(given).url == "https://***@example.org/flights.parquet"


def test_many_and_long_settings_are_all_logged(tracker, client):
    """More parameters than a batch takes are logged, and a value beyond MLflow's limit says that it was cut."""
    settings = {f"setting_{index}": index for index in range(230)} | {"long": "x" * 9000}
    tracker.write([_started(settings=settings)])
    params = client.get_run(tracker.run_id).data.params
    assert len(params) == 231
    assert len(params["long"]) == 6000
    assert params["long"].endswith("... [cut from 9,000 characters]")


def test_members_are_children_with_their_own_times(tracker, client):
    """Each member is a child run with its measurements, from its real start to its real end; failures are FAILED."""
    tracker.write([_started(), _member(1), _member(0), _failure(2)])
    assert _children(client, client.get_run(tracker.run_id)) == []
    tracker.write([{"event": "comparison", "time": 1020.0, "comparison": COMPARISON}])
    first, second, failed = _children(client, client.get_run(tracker.run_id))
    assert (first.info.run_name, second.info.run_name) == ("partition 0", "partition 1")
    assert (first.info.start_time, first.info.end_time, first.info.status) == (1_002_250, 1_003_750, "FINISHED")
    assert first.data.metrics == {
        "n_rows": 27,
        "fit_seconds": 1.5,
        "cpu_seconds": 1.4,
        "out_of_partition_score": 0.7,
    }
    assert first.data.params == {
        "partition": "0",
        "class_counts": "[20, 7]",
        "seed": "7",
        "attempts": "1",
        "node": "n1",
        "process": "42",
    }
    assert first.data.tags["partwise.content_digest"] == "ab" * 20
    assert (failed.info.status, failed.data.tags["partwise.reason"]) == ("FAILED", "out_of_memory")


def test_a_child_takes_one_batch(tracker, monkeypatch):
    """A member costs one call for all its metrics and parameters, not one for each."""
    tracker.write([_started(), _member(0), _member(1)])
    calls = []
    batch = tracker._client.log_batch
    monkeypatch.setattr(tracker._client, "log_batch", lambda *args: (calls.append(args), batch(*args)))
    tracker.close("finished")
    assert len(calls) == 2


def test_a_child_that_was_begun_is_ended(tracker, client, uri, tmp_path):
    """What a server that went away, or a kill, left of a member or a trial is gone on with: each is there once."""
    trial = {"event": "trial_ended", "time": 1003.0, "number": 0, "params": {"C": 1.0}, "state": "pruned", "reason": ""}
    tracker.write([_started()])
    for name in ("partition 0", "trial 0"):
        tags = {"mlflow.parentRunId": tracker.run_id}
        client.create_run(tracker._experiment_id, tags=tags, run_name=name)
    again = MlflowTracker(uri, tracker._experiment)
    again.open(tmp_path)
    again.resume(tracker.run_id)
    again.write([_member(0), trial | {"scores": {"1": 0.7}, "cpu_seconds": 0.1, "started": 1002.0}])
    again.close("finished")
    found = client.search_runs([tracker._experiment_id], f"tags.`mlflow.parentRunId` = '{tracker.run_id}'")
    assert sorted(run.info.run_name for run in found) == ["partition 0", "trial 0"]
    children = {run.info.run_name: run for run in found}
    assert {run.info.status for run in children.values()} == {"FINISHED"}
    assert children["partition 0"].data.metrics["fit_seconds"] == 1.5
    assert children["trial 0"].data.metrics["score"] == 0.7
    assert children["trial 0"].data.tags["partwise.state"] == "pruned"


def test_very_many_trials_are_one_table(tracker, client, monkeypatch, tmp_path):
    """Beyond the number that is shown as children, trials are rows of a table, and a tag says so."""
    monkeypatch.setattr("partwise.trackers.mlflow_runs._MOST_TRIALS", 2)
    trial = {"event": "trial_ended", "time": 1003.0, "params": {"C": 1.0}, "state": "pruned", "reason": ""}
    trial |= {"scores": {"1": 0.7}, "cpu_seconds": 0.1, "started": 1002.0}
    tracker.write([_started(), *(trial | {"number": number} for number in range(3))])
    tracker.close("finished")
    assert client.search_runs([tracker._experiment_id], f"tags.`mlflow.parentRunId` = '{tracker.run_id}'") == []
    table = json.loads(Path(client.download_artifacts(tracker.run_id, "trials.json", tmp_path)).read_text())
    assert len(table["data"]) == 3
    assert "more than 2 trials" in client.get_run(tracker.run_id).data.tags["partwise.trials_logged_as"]


def test_the_comparison_is_metrics_of_the_parent(tracker, client):
    """Scores and costs of both models, their difference and the verdict stand on the parent; nulls are left out."""
    tracker.write([_started(), {"event": "comparison", "time": 1020.0, "comparison": COMPARISON}])
    run = client.get_run(tracker.run_id)
    metrics = run.data.metrics
    assert metrics["single_accuracy"] == metrics["ensemble_accuracy"] == 0.75
    assert (metrics["single_fit_seconds"], metrics["ensemble_fit_seconds"]) == (2.0, 1.0)
    assert metrics["ensemble_predict_seconds"] == 0.5
    assert metrics["single_cpu_seconds"] == 3.0
    assert metrics["single_peak_memory_bytes"] == 1000
    assert (metrics["startup_seconds"], metrics["speedup"], metrics["efficiency"]) == (5.0, 2.0, 0.9)
    assert (metrics["difference_estimate"], metrics["difference_low"]) == (-0.01, -0.02)
    assert metrics["difference_p_value"] == 0.04
    assert (metrics["n_members"], metrics["n_failed"]) == (3, 1)
    assert not {"single_roc_auc", "difference_high", "ensemble_out_of_partition_score"} & set(metrics)
    assert run.data.tags["partwise.verdict"] == "Twice as fast."


def test_partitions_are_summed_up(tracker, client):
    """The parent says how many partitions there are, of what sizes, and by which method."""
    parts = [{"partition": index, "n_rows": rows, "class_counts": None} for index, rows in enumerate((5, 9))]
    tracker.write([_started(), {"event": "partitioned", "method": "stratified", "partitions": parts}])
    run = client.get_run(tracker.run_id)
    assert run.data.metrics == {"n_partitions": 2, "partition_rows_min": 5, "partition_rows_max": 9}
    assert run.data.tags["partwise.partitioner"] == "stratified"


def test_more_than_a_hundred_members_are_a_table(tracker, client, tmp_path):
    """A run of 101 members has no children but a table of them, and a tag that says so."""
    (tmp_path / "members.json").write_text("{}")
    tracker.write([_started(), *(_member(index) for index in range(100)), _failure(100)])
    tracker.close("finished")
    run = client.get_run(tracker.run_id)
    tracker.write([{"event": "artifacts", "paths": ["members.json"]}])
    assert _children(client, run) == []
    assert run.data.tags["partwise.members_logged_as"] == "table: more than 100 members"
    (tmp_path / "down").mkdir()
    table = json.loads(Path(client.download_artifacts(tracker.run_id, "members.json", tmp_path / "down")).read_text())
    assert len(table["data"]) == 101
    row = dict(zip(table["columns"], table["data"][100], strict=True))
    assert (row["partition"], row["reason"], row["fit_seconds"]) == (100, "out_of_memory", None)


def test_artifacts_keep_their_folders(tracker, client, tmp_path):
    """Files of the run directory are uploaded under the names they have there; one that is missing is an error."""
    (tmp_path / "plots").mkdir()
    for name in ("comparison.json", "plots/scores.png"):
        (tmp_path / name).write_text("x")
    tracker.write([_started(), {"event": "artifacts", "paths": ["comparison.json", "plots/scores.png"]}])
    assert {file.path for file in client.list_artifacts(tracker.run_id)} == {"comparison.json", "plots"}
    assert [file.path for file in client.list_artifacts(tracker.run_id, "plots")] == ["plots/scores.png"]
    with pytest.raises(InputError, match=r"report\.html.*does not exist"):
        tracker.write([{"event": "artifacts", "paths": ["report.html"]}])


@pytest.mark.parametrize(
    ("status", "logged"), [("finished", "FINISHED"), ("failed", "FAILED"), ("interrupted", "KILLED")]
)
def test_the_run_ends_as_it_ended(tracker, client, status, logged):
    """Each way to end has its status, and members of a run that broke off are logged all the same."""
    tracker.write([_started(), _member(0)])
    tracker.close(status)
    run = client.get_run(tracker.run_id)
    assert run.info.status == logged
    assert len(_children(client, run)) == 1


def test_other_ways_to_end_are_refused(tracker):
    """A status that is none is an input error with the valid ones."""
    with pytest.raises(InputError, match="Valid: failed, finished, interrupted"):
        tracker.close("done")


def test_the_users_mlflow_is_left_alone(tmp_path, capfd):
    """The active run, tracking URI, environment and log levels stay, and nothing is said on the terminal.

    Nothing appears but the database and the folder beside it, whatever the experiment is called.
    """
    before = (mlflow.active_run(), mlflow.get_tracking_uri(), dict(os.environ), logging.getLogger("mlflow").level)
    fresh = MlflowTracker(f"sqlite:///{tmp_path}/sub/fresh.db", "../loud, 100%20")
    fresh.open(tmp_path)
    fresh.write([_started(), _member(0)])
    fresh.close("finished")
    after = (mlflow.active_run(), mlflow.get_tracking_uri(), dict(os.environ), logging.getLogger("mlflow").level)
    assert before == after
    assert capfd.readouterr() == ("", "")
    assert {path.name for path in tmp_path.iterdir()} == {"sub"}
    assert fresh._client.get_run(fresh.run_id).info.artifact_uri.startswith(f"{tmp_path}/sub/mlruns/-loud-100-20/")


def test_no_address_is_printed_at_the_end(tracker, monkeypatch):
    """MLflow's lines with the run's address, which servers get on stdout, are off while the run is ended."""
    seen = []
    end = tracker._client.set_terminated
    switch = "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"
    monkeypatch.setattr(
        tracker._client, "set_terminated", lambda *args: (seen.append(os.environ.get(switch)), end(*args))
    )
    tracker.write([_started()])
    tracker.close("finished")
    assert seen == ["true"]


def test_telemetry_is_off_from_the_import_on():
    """A process that loads MLflow through partwise never makes MLflow's telemetry client."""
    code = (
        "import os, partwise.trackers.mlflow_runs as m; from mlflow.telemetry.client import get_telemetry_client as g;"
        "print(g(), 'MLFLOW_DISABLE_TELEMETRY' in os.environ)"
    )
    # without what makes MLflow believe that it is under test, where it is silent anyway
    plain = {name: value for name, value in os.environ.items() if name not in {"PYTEST_CURRENT_TEST", "CI"}}
    done = subprocess.run([sys.executable, "-c", code], env=plain, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["None", "False"]


def test_making_a_tracker_loads_mlflow_and_nothing_else_does():
    """The package, the trackers and ``off`` do without MLflow."""
    code = "import sys, partwise.trackers as t; t.make_tracker('off', 'x'); print('mlflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    "address",
    [
        "http://ann:se@cret@127.0.0.1:9",
        "postgresql://ann:se/cret@127.0.0.1:9/runs",
        "sqlite:////proc/partwise/runs.db",
        "carrier-pigeon://ann:secret@x",
    ],
)
def test_servers_that_cannot_be_used_fail_soon_without_passwords(address, tmp_path):
    """An address where nothing answers is an input error in seconds that names it, not its password."""
    begun = time.perf_counter()
    with pytest.raises(InputError, match=r"cannot be used: .*choose 'off'") as caught:
        MlflowTracker(address, "x").open(tmp_path)
    assert time.perf_counter() - begun < 60  # MLflow by itself tries for minutes
    shown = "".join(map(str, [caught.value, caught.value.__cause__]))
    assert "cret" not in shown
    assert without_credentials(address) in shown


def test_a_deleted_experiment_is_named(uri, tmp_path, client):
    """An experiment in MLflow's bin is an input error with the command that brings it back."""
    number = client.create_experiment("binned")
    client.delete_experiment(number)
    with pytest.raises(InputError, match=rf"was deleted.*restore --experiment-id {number}"):
        MlflowTracker(uri, "binned").open(tmp_path)


def test_failures_of_the_server_during_a_run_keep_passwords(tracker, monkeypatch):
    """What MLflow says when it fails later is passed on without passwords, with where the records are."""

    def fail(*_, **__):
        raise mlflow.exceptions.MlflowException("API request to http://ann:secret@x/api failed")

    tracker.write([_started()])
    monkeypatch.setattr(tracker._client, "log_batch", fail)
    with pytest.raises(PartwiseError, match=r"http://\*\*\*@x/api failed.*records are in") as caught:
        tracker.write([{"event": "comparison", "comparison": COMPARISON}])
    assert caught.value.__cause__ is None


def test_whatever_mlflow_raises_is_told_as_a_failure_of_tracking(tracker, monkeypatch):
    """Errors of its database among them: a signal may have stopped it in the middle of a transaction."""

    def fail(*_, **__):
        raise RuntimeError("this transaction is closed")

    tracker.write([_started()])
    monkeypatch.setattr(tracker._client, "set_terminated", fail)
    with pytest.raises(PartwiseError, match=r"failed: RuntimeError: this transaction is closed.*records are in"):
        tracker.close("interrupted")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://host:5000/a@b", "http://host:5000/a@b"),
        ("https://ann:pw@host/a@b", "https://***@host/a@b"),
        ("mysql+pymysql://a:b/c@d@h:1/x?ssl=1", "mysql+pymysql://***@h:1/x?ssl=1"),
        ("https://h/x?sig=abc&sv=2&access_token=t", "https://h/x?sig=***&sv=2&access_token=***"),
        ("https://token@host/", "https://***@host/"),
        ("sqlite:////tmp/runs.db", "sqlite:////tmp/runs.db"),
    ],
)
def test_credentials_are_masked(text, shown):
    """Users, passwords and tokens go; hosts, ports and paths stay."""
    assert without_credentials(text) == shown


def _frame(rows=60):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "delay": rng.normal(size=rows),
            "carrier": rng.choice(["AA", "UA", "DL"], rows),
            "count": rng.integers(0, 9, rows),
            "day": pd.date_range("2024-01-01", periods=rows),
        }
    )


def _logged_model(directory):
    frame = _frame()
    labels, codes = np.unique(np.where(frame["delay"] + frame["count"] > 4, "late", "on time"), return_inverse=True)
    encoder = TableEncoder().fit(frame)
    X = encoder.transform(frame)
    members = tuple(
        Member(
            partition=index,
            estimator=learner.fit(X[index::2], codes[index::2]),
            classes=np.arange(2),
            content_digest="",
        )
        for index, learner in enumerate((LogisticRegression(), GaussianNB()))
    )
    predictor = AggregatedPredictor(MemberPool.of(members, 2), "mean", np.ones(2))
    model = StoredModel(
        task="classification",
        classes=labels,
        encoder=encoder,
        predictor=predictor,
        feature_names=tuple(frame.columns),
    )
    save_model(directory / "model", model)
    example = frame.head(5)
    example.to_parquet(directory / "input_example.parquet")
    pd.DataFrame({"prediction": model.predict(example)}).to_parquet(directory / "output_example.parquet")
    event = {"event": "model_saved", "time": 1030.0, "path": "model", "pip_requirements": ["partwise", "scikit-learn"]}
    return model, event | {"input_example": "input_example.parquet", "output_example": "output_example.parquet"}


LOAD = """
import sys, mlflow, pandas as pd
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model(sys.argv[2])
table = pd.read_parquet(sys.argv[3])
pd.DataFrame({"prediction": model.predict(table)}).to_parquet(sys.argv[4])
"""


def test_the_model_loads_from_mlflow_in_a_fresh_process(tracker, client, uri, tmp_path, monkeypatch):
    """The logged model is one of the run, has signature, example and requirements, and predicts as the stored one.

    Missing values in a column of integers, and a column of real numbers that holds integers alone, are no error.
    """
    monkeypatch.setattr("mlflow.models.infer_pip_requirements", lambda *_, **__: pytest.fail("runs the model"))
    model, event = _logged_model(tmp_path)
    tracker.write([_started(), event])
    tracker.close("finished")
    run = client.get_run(tracker.run_id)
    assert [f"models:/{output.model_id}" for output in run.outputs.model_outputs] == [tracker.model_uri]

    table = _frame().assign(count=lambda t: t["count"].where(t.index % 7 > 0), delay=lambda t: t["delay"].round())
    table["delay"] = table["delay"].astype("int64")
    table.to_parquet(tmp_path / "table.parquet")
    arguments = [uri, tracker.model_uri, str(tmp_path / "table.parquet"), str(tmp_path / "out.parquet")]
    subprocess.run([sys.executable, "-c", LOAD, *arguments], check=True, capture_output=True, cwd=tmp_path)
    predictions = pd.read_parquet(tmp_path / "out.parquet")["prediction"].to_numpy()
    np.testing.assert_array_equal(predictions, model.predict(table))

    found = client.get_logged_model(tracker.model_uri.removeprefix("models:/")).artifact_location
    info = mlflow.models.Model.load(found)
    types = {column["name"]: column["type"] for column in info.signature.inputs.to_dict()}
    assert types == {"delay": "any", "carrier": "string", "count": "any", "day": "datetime"}
    assert info.load_input_example(found).shape == (5, 4)
    assert info.flavors["python_function"]["loader_module"] == "partwise.model_store"
    stored = Path(found) / "data" / "model"
    assert {path.suffix for path in stored.rglob("*") if path.is_file()} == {".skops", ".json"}


class _Canary:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_a_pickle_slipped_into_the_store_is_not_run(tracker, client, tmp_path):
    """A model in MLflow whose member was replaced by a pickle, digest and all, is refused."""
    _, event = _logged_model(tmp_path)
    data = pickle.dumps(_Canary(str(tmp_path / "canary")))
    (tmp_path / "model" / "members" / "0000.skops").write_bytes(data)
    manifest = json.loads((tmp_path / "model" / "model.json").read_text())
    manifest["members"][0] |= {"sha256": hashlib.sha256(data).hexdigest(), "format": "cloudpickle"}
    (tmp_path / "model" / "model.json").write_text(json.dumps(manifest))
    tracker.write([_started(), event])
    place = client.get_logged_model(tracker.model_uri.removeprefix("models:/")).artifact_location
    with pytest.raises(ModelStoreError, match=r"holds code.*trust=True"):
        mlflow.pyfunc.load_model(place)
    assert not (tmp_path / "canary").exists()
