"""`partwise resume` that drops and adds members: the others stay, and everything says what was changed."""

import json

import mlflow
import numpy as np
import pandas as pd
import pytest

from partwise.config import CompareConfig, TrainConfig
from partwise.errors import InputError
from partwise.experiment import ResumeConfig, compare, resume, train
from partwise.model_store import load_model
from partwise.trackers.mlflow_runs import MlflowTracker

pytestmark = pytest.mark.usefixtures("ray_session")


def _rows(count, seed):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(count, 2)), columns=["a", "b"])
    frame["town"] = rng.choice(["Alba", "Asti"], count)
    frame["kind"] = np.where(frame["a"] + frame["b"] > 0, "x", "y")
    return frame


def _files(folder):
    _rows(1_000, 0).to_parquet(folder / "table.parquet")
    _rows(200, 1).to_parquet(folder / "more.parquet")
    pd.concat([_rows(90, 2), _rows(1_000, 0).iloc[:10]]).to_csv(folder / "even.csv", index=False)


def _settings(folder, **given):
    settings = {"data": str(folder / "table.parquet"), "target": "kind", "learner": "tree", "partitions": 4}
    return settings | {"output": folder / "run", "tracking_uri": "off", "storage": str(folder / "store")} | given


def _members(run):
    return {each["partition"]: each for each in json.loads((run / "members.json").read_text())}


def _digests(run):
    return {number: each["content_digest"] for number, each in _members(run).items()}


@pytest.fixture(scope="module")
def changed(tmp_path_factory):
    """A comparison of which member 1 was dropped, and to which two tables were added, one after the other."""
    folder = tmp_path_factory.mktemp("changed")
    _files(folder)
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    compare(CompareConfig.checked(**_settings(folder, tracking_uri=uri, storage=None)))
    before = _digests(folder / "run")
    first = resume(
        ResumeConfig(directory=folder / "run", drop=(1,), add=(str(folder / "more.parquet"),), quorum=0.75)
    ).comparison
    second = resume(
        ResumeConfig(directory=folder / "run", add=(str(folder / "even.csv"),), add_partitions=2)
    ).comparison
    return folder, uri, before, first, second


def test_members_that_were_not_changed_are_the_same(changed):
    """By digest; only those of added rows were fitted, as their journal's first entries say."""
    folder, _, before, _, _ = changed
    after = _digests(folder / "run")
    assert sorted(after) == [0, 2, 3, 4, 5, 6]
    assert {number: after[number] for number in (0, 2, 3)} == {number: before[number] for number in (0, 2, 3)}
    kept = [path.name.partition("-")[0] for path in (folder / "run" / "members").rglob("*.member")]
    assert sorted(kept) == ["00000", "00001", "00002", "00003", "00004", "00005", "00006"]


def test_the_comparison_says_what_was_changed(changed):
    """On the same test rows; rows that were added and are test rows are counted."""
    _, _, _, first, second = changed
    assert (first.partitions, second.partitions) == (5, 7)
    assert (first.ensemble.n_members, first.ensemble.n_dropped, first.ensemble.n_failed) == (4, 1, 0)
    assert (first.ensemble.n_rows, second.ensemble.n_rows, second.single.n_rows) == (1_000, 1_100, 800)
    assert first.n_test == second.n_test == 200
    assert first.single.scores == second.single.scores
    told = " ".join(second.notes)
    assert "Partition 1 (200 rows) has no member [dropped]" in told
    assert "Partition 4 added on" in told
    assert "Partitions 5 to 6 added on" in told
    assert "rows more, added later" in told
    assert "added rows have the very features of a test row" in told
    assert "4 of 6 members were fitted before the run went on" in told


def test_the_record_says_what_was_changed_and_when(changed):
    """In run.json, the journal, failures.json and the model."""
    folder, _, _, _, _ = changed
    changes = json.loads((folder / "run" / "run.json").read_text())["changes"]
    assert [(each["dropped"], [table["n_rows"] for table in each["added"]]) for each in changes] == [
        ([1], [200]),
        ([], [100]),
    ]
    assert all(each["time"].startswith("20") for each in changes)
    events = [json.loads(line) for line in (folder / "run" / "journal.jsonl").read_text().splitlines()]
    assert [each["change"] for each in events if each["event"] == "run_changed"] == changes
    (failure,) = json.loads((folder / "run" / "failures.json").read_text())
    assert (failure["partition"], failure["reason"]) == (1, "dropped")
    assert "[dropped]" in load_model(folder / "run" / "model").missing[0]


def test_the_tracker_has_the_members_and_the_model_that_there_are_now(changed):
    """A dropped member is marked, added ones are there, and the newest model is that of the run directory."""
    _, uri, _, _, second = changed
    client = mlflow.MlflowClient(tracking_uri=uri)
    runs = client.search_runs([client.get_experiment_by_name("partwise").experiment_id])
    children = {run.info.run_name: run for run in runs if "mlflow.parentRunId" in run.data.tags}
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert sorted(children) == [f"partition {number}" for number in range(7)]
    assert children["partition 1"].data.tags["partwise.reason"] == "dropped"
    assert [run.info.status for name, run in sorted(children.items())].count("FINISHED") == 6
    assert (parent.data.metrics["n_dropped"], parent.data.metrics["n_members"]) == (1, 6)
    outputs = client.get_run(parent.info.run_id).outputs.model_outputs
    assert len(outputs) == 3
    assert second.ensemble.n_members == 6


def test_events_that_are_sent_again_add_nothing(changed):
    """Neither members nor models, though some of both were replaced since."""
    folder, uri, _, _, _ = changed
    client = mlflow.MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("partwise").experiment_id
    before = {run.info.run_id: run.data.tags.get("partwise.reason") for run in client.search_runs([experiment])}
    parent = json.loads((folder / "run" / "run.json").read_text())["tracked"]
    tracker = MlflowTracker(uri, "partwise")
    tracker.open(folder / "run")
    tracker.resume(parent)
    tracker.write([json.loads(line) for line in (folder / "run" / "journal.jsonl").read_text().splitlines()])
    tracker.close("finished")
    after = {run.info.run_id: run.data.tags.get("partwise.reason") for run in client.search_runs([experiment])}
    assert after == before
    assert len(client.get_run(parent).outputs.model_outputs) == 3


def test_a_finished_run_stays_as_it_was_changed(changed):
    """Without further wishes resume returns its record; what was dropped is not taken for lacking."""
    folder, _, _, _, second = changed
    assert resume(ResumeConfig(directory=folder / "run")).comparison == second


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A training from files, of which nothing was changed."""
    folder = tmp_path_factory.mktemp("trained")
    _files(folder)
    train(TrainConfig.checked(**_settings(folder)))
    return folder


def test_a_training_from_files_is_changed_too(trained):
    """Members are added and dropped beside those of stored partitions, and what was dropped comes back."""
    before = _digests(trained / "run")
    run = trained / "run"
    changed = resume(ResumeConfig(directory=run, drop=(0,), add=(str(trained / "more.parquet"),), quorum=0.7)).training
    assert (changed.ensemble.n_members, changed.ensemble.n_dropped, changed.n_train) == (4, 1, 1_000)
    assert "no added row is one of them was not checked" in " ".join(changed.notes)
    again = resume(ResumeConfig(directory=run, restore=(0,))).training
    assert (again.ensemble.n_members, again.ensemble.n_dropped) == (5, 0)
    assert {number: each for number, each in _digests(run).items() if number < 4} == before
    assert load_model(run / "model").missing == ()


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory):
    """A comparison that is to stay as it is, and tables that cannot be added to it."""
    folder = tmp_path_factory.mktemp("unchanged")
    _files(folder)
    _rows(50, 3).drop(columns="town").to_parquet(folder / "other.parquet")
    _rows(50, 4).assign(kind="z").to_parquet(folder / "new.parquet")
    _rows(50, 5).to_parquet(folder / "twice.parquet")
    compare(CompareConfig.checked(**_settings(folder, storage=None)))
    return folder


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"drop": (2,)}, "the quorum is 90% of them"),
        ({"drop": (9,)}, r"no partitions \[9\]"),
        ({"restore": (1,)}, r"Partitions \[1\] cannot be restored, as they are not dropped. Dropped: none"),
        ({"add": ("nothing.parquet",)}, "nothing.parquet"),
        ({"add": ("table.parquet",)}, "is in the run already"),
        ({"add": ("other.parquet",)}, "lacks 1 of the 3 columns"),
        ({"add": ("twice.parquet", "twice.parquet")}, "is in the run already"),
        ({"add": ("new.parquet",)}, "which the first table lacks"),
        ({"quorum": 2.0}, "--quorum 2.0 is wrong"),
        ({"add": ("more.parquet",), "add_partitions": 0}, "--add-partitions 0 is wrong"),
    ],
)
def test_what_cannot_be_changed_is_refused_and_changes_nothing(unchanged, monkeypatch, asked, said):
    """The run's record has nothing of it, so that it goes on as it was."""
    monkeypatch.chdir(unchanged)
    with pytest.raises(InputError, match=said):
        resume(ResumeConfig(directory=unchanged / "run", **asked))
    record = json.loads((unchanged / "run" / "run.json").read_text())
    assert (record["state"], record.get("changes", [])) == ("finished", [])


def test_a_run_whose_table_is_another_one_keeps_its_changes(tmp_path):
    """It is refused, and with the table restored it has the members that it was left with."""
    _files(tmp_path)
    train(TrainConfig.checked(**_settings(tmp_path)))
    run, table = tmp_path / "run", tmp_path / "table.parquet"
    resume(ResumeConfig(directory=run, drop=(1,), quorum=0.7))
    table.rename(tmp_path / "aside.parquet")
    _rows(900, 6).to_parquet(table)
    for asked in ({"drop": (2,), "quorum": 0.5}, {"quorum": 0.6}):
        with pytest.raises(InputError, match="has changed since the run began"):
            resume(ResumeConfig(directory=run, **asked))
    record = json.loads((run / "run.json").read_text())
    assert (record["state"], [each["dropped"] for each in record["changes"]]) == ("finished", [[1]])
    (tmp_path / "aside.parquet").replace(table)
    assert resume(ResumeConfig(directory=run, quorum=0.5)).training.ensemble.n_dropped == 1
