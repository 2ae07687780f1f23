"""`partwise train`, `predict` and `store` as a user runs them, on a table in several files."""

import json
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from pyarrow import parquet

from commands import run_here
from fakes import wine_table
from partwise.cli import main
from partwise.comparison.dataset import Roles, make_dataset
from partwise.config import CompareConfig, TrainConfig
from partwise.errors import InputError
from partwise.executors import InlineExecutor
from partwise.experiment import PredictConfig, predict, scanning, train
from partwise.experiment import predicting as prediction
from partwise.experiment.checking import check_before_reading
from partwise.experiment.preparing import Tables, read_dataset
from partwise.model_store import load_model
from partwise.sources import open_source

TABLE = wine_table()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, ray_session):  # noqa: ARG001 - it trains there
    """Three files of a table, and what a training on them left."""
    place = tmp_path_factory.mktemp("train")
    (place / "wine").mkdir()
    for index, rows in enumerate(np.array_split(np.arange(len(TABLE)), 3)):
        TABLE.iloc[rows].to_parquet(place / "wine" / f"{index}.parquet", index=False)
    asked = ["train", "wine/*.parquet", "--target", "cultivar", "--partitions", "4", "--learner", "random_forest"]
    said = run_here(place, *asked, "--param", "n_estimators=10", "--output", "run", "--json")
    assert said.returncode == 0, said.stderr
    (place / "said.json").write_text(said.stdout)
    return place


def _predict(folder, output, **settings):
    config = PredictConfig(model=folder / "run", data=str(folder / "wine"), output=output, **settings)
    return predict(config, executor=InlineExecutor())


def test_stdout_is_the_record_and_nothing_else(folder):
    """With --json stdout holds training.json, byte for byte."""
    assert (folder / "said.json").read_text() == (folder / "run" / "training.json").read_text()


def test_test_rows_are_those_of_a_table_in_memory(folder):
    """The hold-out is that of `compare`: the score is that of the stored model on the rows which it holds out."""
    record = json.loads((folder / "run" / "training.json").read_text())
    data = make_dataset(TABLE, Roles(target="cultivar"), "auto")
    assert (record["n_train"], record["n_test"]) == (len(data.train), len(data.test))
    right = load_model(folder / "run" / "model").predict(data.test) == data.labels[data.y_test]
    assert record["ensemble"]["scores"]["accuracy"] == pytest.approx(right.mean())


@pytest.mark.parametrize("name", ["run.json", "journal.jsonl", "partitions.json", "members.json", "failures.json"])
def test_the_run_directory_is_that_of_a_comparison(folder, name):
    """The same files tell of members, partitions and settings."""
    assert (folder / "run" / name).stat().st_size > 0


def test_the_run_is_tracked(folder):
    """MLflow has the run with its scores, and a child for each member."""
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("partwise").experiment_id])
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert len(runs) == 1 + 4
    assert parent.data.metrics["ensemble_accuracy"] > 0.8


def _train(folder, output, **settings):
    """Train in this process, on the session's Ray."""
    config = TrainConfig.checked(
        data=str(folder / "wine"), target="cultivar", learner="tree", tracking_uri="off", output=output, **settings
    )
    return train(config)


@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize(
    "settings", [{"test_size": 0.0}, {"group": "grower"}, {"time": "bottled"}, {"test": "0"}], ids=str
)
def test_test_rows_may_be_chosen_otherwise(settings, folder, tmp_path):
    """No rows, whole groups, the last in time, or another table."""
    if "test" in settings:
        settings, expected = {"test": folder / "wine" / "0.parquet"}, 238
    elif "test_size" in settings:
        expected = 0
    else:
        expected = len(make_dataset(TABLE, Roles(target="cultivar", **settings), "auto").test)
    done = _train(folder, tmp_path / "run", partitions=2, storage=str(tmp_path / "store"), **settings)
    assert done.training.n_test == expected


def test_a_plan_needs_no_ray(folder, monkeypatch):
    """--dry-run tells rows, disk and memory, and writes nothing."""
    monkeypatch.setattr("partwise.executors.ray_tasks.connect", lambda *_: pytest.fail("Ray was asked for"))
    before = sorted(folder.iterdir())
    plan = json.loads(run_here(folder, "train", "wine", "--target", "cultivar", "--dry-run", "--json").stdout)
    assert (plan["n_rows"], plan["partitions"]) == (len(TABLE), 8)
    assert plan["store_bytes"] > plan["table_bytes"] > 0
    assert sorted(folder.iterdir()) == before


def test_a_dry_run_ends_as_the_run_would(folder):
    """Both exit with 2 and the same words where settings and columns are wrong, and leave nothing."""
    wrong = ["train", "wine", "--target", "cultivra", "--learner", "random_forst", "--group", "growre"]
    before = sorted(folder.iterdir())
    planned, begun = (run_here(folder, *wrong, *further) for further in (["--dry-run"], []))
    assert planned.returncode == begun.returncode == 2
    assert planned.stderr == begun.stderr
    assert all(f"Did you mean '{name}'" in planned.stderr for name in ("cultivar", "random_forest", "grower"))
    assert sorted(folder.iterdir()) == before


def test_predictions_come_in_the_order_of_the_rows(folder, tmp_path):
    """One row for each, with the columns to keep, as the model says."""
    done = _predict(folder, tmp_path / "out.parquet", keep=("grower",))
    table = pd.read_parquet(tmp_path / "out.parquet")
    assert (done.n_rows, done.pieces, done.resumed) == (len(TABLE), 3, 0)
    assert table["grower"].tolist() == TABLE["grower"].tolist()
    assert table["prediction"].tolist() == load_model(folder / "run" / "model").predict(TABLE).tolist()


def test_probabilities_have_a_column_for_each_class(folder, tmp_path):
    """They sum to one, and the largest is that of the prediction."""
    _predict(folder, tmp_path / "out.csv", probabilities=True)
    table = pd.read_csv(tmp_path / "out.csv")
    names = [f"probability_{label}" for label in ("barbera", "barolo", "grignolino")]
    np.testing.assert_allclose(table[names].sum(axis=1), 1.0)
    assert table[names].idxmax(axis=1).str.removeprefix("probability_").tolist() == table["prediction"].tolist()


def test_a_stopped_prediction_goes_on(folder, tmp_path, monkeypatch):
    """Pieces that were finished are not predicted again, and the output is that of one run."""
    real = prediction.outputs_of
    asked = []

    def counted(model, piece, further):
        if len(asked) == 2:
            raise KeyboardInterrupt
        asked.append(piece.fingerprint)
        return real(model, piece, further)

    monkeypatch.setattr(prediction, "outputs_of", counted)
    with pytest.raises(KeyboardInterrupt):
        _predict(folder, tmp_path / "out.parquet")
    monkeypatch.undo()
    assert not (tmp_path / "out.parquet").exists()
    assert _predict(folder, tmp_path / "out.parquet").resumed == 2
    _predict(folder, tmp_path / "whole.parquet")
    assert parquet.read_table(tmp_path / "out.parquet").equals(parquet.read_table(tmp_path / "whole.parquet"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.parquet", "whole.parquet"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"output": "out.txt"}, r"out\.txt' is of an unknown kind\. Valid endings: \.parquet, \.csv"),
        ({"output": "nowhere/out.csv"}, "no folder"),
        ({"keep": ("nonesuch",)}, "Unknown column 'nonesuch'"),
        ({"output": "there.csv"}, "exists(.|\n)*--overwrite"),
    ],
    ids=str,
)
def test_what_cannot_be_written_is_told_before_anything_is_predicted(settings, said, folder, tmp_path):
    """A wrong output, or a column that is not there."""
    (tmp_path / "there.csv").touch()
    output = tmp_path / Path(settings.get("output", "out.csv"))
    with pytest.raises(InputError, match=said):
        _predict(folder, output, keep=settings.get("keep", ()))


def test_a_table_without_the_models_columns_is_refused(folder, tmp_path):
    """The error names the columns that are missing."""
    TABLE.drop(columns=["alcohol"]).to_parquet(tmp_path / "lacking.parquet")
    config = PredictConfig(model=folder / "run", data=str(tmp_path / "lacking.parquet"), output=tmp_path / "o.csv")
    with pytest.raises(InputError, match=r"lacks 1 of the 6 columns(.|\n)*alcohol"):
        predict(config, executor=InlineExecutor())


@pytest.mark.usefixtures("ray_session")
def test_the_store_is_listed_and_cleaned(folder, tmp_path, capsys):
    """Tables are listed by key; cleaning spares what is complete, unless it is named."""
    store = tmp_path / "store"
    _train(folder, tmp_path / "run", partitions=2, storage=str(store))
    (store / ("0" * 32) / "0123abcd").mkdir(parents=True)
    (store / "of another program").mkdir()

    def asked(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(["store", *arguments, "--storage", str(store)])
        return ended.value.code, capsys.readouterr().out

    listed = json.loads(asked("list", "--json")[1])
    (key,) = [entry["key"] for entry in listed if entry["manifest"] is not None]
    assert len(listed) == 2
    assert "1 of 2 tables" in asked("clean")[1]
    assert sorted(path.name for path in store.iterdir()) == sorted([key, "of another program"])
    assert asked("clean", "--key", "nonesuch")[0] == 2
    assert asked("clean", "--key", key[:6])[0] == 0
    assert [path.name for path in store.iterdir()] == ["of another program"]


@pytest.fixture(scope="module")
def compared(folder):
    """A comparison in which the ensemble is fitted from files, and one model on a sample of the rows."""
    place = folder / "compared"
    place.mkdir()
    asked = ["compare", "../wine", "--target", "cultivar", "--learner", "tree", "--partitions", "3"]
    asked += ["--storage", "store", "--tracking-uri", "off", "--output", "run"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scanning, "_held_rows", lambda *_: 300)
        patch.setattr(scanning, "_MOST_TEST_ROWS", 100)
        said = run_here(place, *asked)
    assert said.returncode == 0, said.stderr
    return json.loads((place / "run" / "comparison.json").read_text()), said.stdout


def test_one_model_has_the_rows_that_memory_holds(compared):
    """The record says how many rows each model was fitted on, and on how many they are judged."""
    record, _ = compared
    n_train = len(make_dataset(TABLE, Roles(target="cultivar"), "auto").train)
    assert (record["single"]["n_rows"], record["ensemble"]["n_rows"], record["n_test"]) == (300, n_train, 100)


def test_a_sample_is_said_in_so_many_words(compared):
    """The verdict, the table and the notes say that one model had some of the rows only."""
    record, printed = compared
    words = f"one model on 300 of {record['n_train']:,} rows"
    assert words in record["verdict"]
    assert words in " ".join(printed.split())
    assert any("as many as the free memory" in note for note in record["notes"])


@pytest.mark.usefixtures("compared", "ray_session")
def test_members_are_those_of_a_training(folder, tmp_path):
    """`compare` from files fits the members that `train` does."""
    _train(folder, tmp_path / "run", partitions=3, storage=str(tmp_path / "store"))
    mine, theirs = (
        [member["content_digest"] for member in json.loads((place / "members.json").read_text())]
        for place in (tmp_path / "run", folder / "compared" / "run")
    )
    assert mine == theirs


def test_digits_in_a_test_table_are_text_where_the_table_has_words(tmp_path):
    """A CSV file says no types; both commands read the test table as the other one."""
    table = pd.DataFrame({"zip": [f"{row % 30:03d}" for row in range(200)], "grade": ["low", "high"] * 100})
    table.loc[0, "zip"] = "B12"
    table.to_csv(tmp_path / "train.csv", index=False)
    table[1:41].to_csv(tmp_path / "test.csv", index=False)
    settings = {"data": str(tmp_path / "train.csv"), "test": tmp_path / "test.csv", "target": "grade"}
    settings |= {"learner": "tree", "partitions": 2, "tracking_uri": "off"}
    config = CompareConfig.checked(**settings, output=tmp_path / "run")
    tables = Tables(config, open_source(config.data))
    check_before_reading(tables)
    dataset, _ = read_dataset(tables)
    assert set(dataset.test["zip"]) <= set(dataset.train["zip"])
