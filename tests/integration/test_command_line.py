"""`partwise compare` as a user runs it: a process of its own, real Ray, real MLflow, files on disk."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pytest

from commands import run_here
from fakes import wine_table
from partwise.cli import main
from partwise.comparison import Comparison
from partwise.model_store import load_model


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of the command line: its folder and what it printed."""
    folder = tmp_path_factory.mktemp("compare")
    wine_table().to_csv(folder / "wine.csv", index=False)
    command = [sys.executable, "-m", "partwise", "compare", "wine.csv", "--target", "cultivar"]
    command += ["--learner", "random_forest", "--param", "n_estimators=10", "--output", "run", "--json"]
    command += ["--combine", "weighted:score"]
    said = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
    assert said.returncode == 0, said.stderr
    return folder, said


@pytest.fixture(scope="module")
def chosen(tmp_path_factory, ray_session):  # noqa: ARG001 - it runs there
    """A run in which the data chose the recipe: its folder and what it printed."""
    folder = tmp_path_factory.mktemp("chosen")
    wine_table().to_csv(folder / "wine.csv", index=False)
    options = ["--learner", "naive_bayes", "--combine", "auto", "--tracking-uri", "off", "--output", "run"]
    said = run_here(folder, "compare", "wine.csv", "--target", "cultivar", "--partitions", "3", *options)
    assert said.returncode == 0, said.stderr
    return folder, said


@pytest.fixture(scope="module")
def tracked(finished):
    """The MLflow client on the default store of that run, the parent run and its children."""
    folder, _ = finished
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("partwise")
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    return client, parent, [run for run in runs if run.info.run_id != parent.info.run_id]


def test_stdout_is_the_comparison_and_nothing_else(finished):
    """With --json stdout holds comparison.json, byte for byte."""
    folder, said = finished
    assert said.stdout == (folder / "run" / "comparison.json").read_text()


def test_comparison_times_every_step(finished):
    """The parts of the ensemble's fit add up to the whole."""
    ensemble = Comparison.from_json(finished[1].stdout).ensemble
    parts = ensemble.encode_seconds + ensemble.partition_seconds + ensemble.members_seconds + ensemble.combine_seconds
    assert ensemble.fit_seconds == pytest.approx(parts)


def test_records_name_the_combiner_as_it_was_asked_for(finished, tracked):
    """The comparison, the settings of the run and the parameters in MLflow have the name with its argument."""
    settings = json.loads((finished[0] / "run" / "run.json").read_text())["settings"]
    said = (Comparison.from_json(finished[1].stdout).combine, settings["combine"], tracked[1].data.params["combine"])
    assert said == ("weighted:score",) * 3


def test_the_leaderboard_is_printed_and_recorded(chosen):
    """Where the data chose, every recipe that was tried is on the terminal, in comparison.json and in a table."""
    folder, said = chosen
    comparison = Comparison.from_json((folder / "run" / "comparison.json").read_text())
    names = {entry.recipe for entry in comparison.leaderboard}
    assert {"one model", "stratified, pool"} <= names
    assert all(name in said.stdout for name in names)
    assert len((folder / "run" / "leaderboard.csv").read_text().splitlines()) == 1 + len(names)


def test_the_choice_is_the_recipe_of_the_record(chosen):
    """The recipe in the record is the entry that was chosen, with the reason."""
    comparison = Comparison.from_json((chosen[0] / "run" / "comparison.json").read_text())
    (entry,) = [entry for entry in comparison.leaderboard if entry.chosen]
    assert entry.recipe == comparison.recipe
    assert comparison.selection_reason is not None


def test_run_directory_holds_the_records(finished):
    """The run directory has settings, partitions, members, failures, journal, plots and the model."""
    files = {path.name for path in (finished[0] / "run").iterdir()}
    assert {"run.json", "partitions.json", "members.json", "failures.json", "journal.jsonl", "plots", "model"} <= files


def test_every_partition_has_its_member_on_record(finished):
    """members.json lists 8 members with their rows, which add up to the training rows."""
    members = json.loads((finished[0] / "run" / "members.json").read_text())
    assert sum(member["n_rows"] for member in members) == Comparison.from_json(finished[1].stdout).n_train


def test_ui_command_is_printed_with_an_absolute_store(finished):
    """The user is told where the runs are and how to look at them."""
    assert f"mlflow ui --backend-store-uri sqlite:///{finished[0] / 'mlflow.db'}" in finished[1].stderr


def test_parent_run_is_finished_with_eight_children(tracked):
    """MLflow has one parent and one child for each member, all finished."""
    _, parent, children = tracked
    statuses = {run.info.status for run in (parent, *children)}
    assert (len(children), statuses) == (8, {"FINISHED"})


def test_parent_run_has_the_scores_of_both_models(tracked, finished):
    """The metrics of the parent are those of comparison.json."""
    comparison = Comparison.from_json(finished[1].stdout)
    metrics = tracked[1].data.metrics
    assert metrics["ensemble_accuracy"] == pytest.approx(comparison.ensemble.scores["accuracy"])
    assert metrics["single_accuracy"] == pytest.approx(comparison.single.scores["accuracy"])


def test_children_have_the_out_of_partition_score(tracked):
    """Each child run holds its member's own score on rows it never saw."""
    assert all(0 <= child.data.metrics["out_of_partition_score"] <= 1 for child in tracked[2])


def test_children_name_the_host_that_the_comparison_names(tracked, finished):
    """A child run's node is the host of which the comparison says that the members were fitted there."""
    hosts = {child.data.params["node"].partition("/")[0] for child in tracked[2]}
    assert hosts == {Comparison.from_json(finished[1].stdout).ensemble.where.split(" on ")[1].partition(",")[0]}


def test_plots_are_artifacts(tracked):
    """The plots lie beside the run in MLflow."""
    client, parent, _ = tracked
    names = {Path(item.path).name for item in client.list_artifacts(parent.info.run_id, "plots")}
    assert names == {"scores.png", "timeline.png", "roc.png", "growth.png"}


def test_model_is_stored_without_pickle(finished):
    """The stored model is skops files and JSON alone."""
    endings = {path.suffix for path in (finished[0] / "run" / "model").rglob("*") if path.is_file()}
    assert endings == {".skops", ".json"}


def test_logged_model_predicts_alike_in_a_fresh_process(finished, tracked):
    """mlflow.pyfunc loads the model in a process that knows nothing of the run, to equal predictions."""
    folder, _ = finished
    _, parent, _ = tracked
    (model,) = mlflow.MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}").search_logged_models(
        [parent.info.experiment_id]
    )
    rows = wine_table().drop(columns="cultivar")
    rows.to_parquet(folder / "rows.parquet")
    program = (
        "import mlflow, pandas as pd, sys\n"
        f"mlflow.set_tracking_uri('sqlite:///{folder / 'mlflow.db'}')\n"
        f"model = mlflow.pyfunc.load_model('{model.model_uri}')\n"
        "print('\\n'.join(model.predict(pd.read_parquet('rows.parquet'))))"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=120, check=True
    )
    assert said.stdout.split() == load_model(folder / "run" / "model").predict(rows).tolist()


WRONG = {
    "path": (["nowhere.csv", "--target", "cultivar"], "nowhere.csv"),
    "column": (["wine.csv", "--target", "cultivars"], "Did you mean 'cultivar'"),
    "learner": (["wine.csv", "--target", "cultivar", "--learner", "randomforest"], "random_forest"),
    "parameter": (["wine.csv", "--target", "cultivar", "--param", "max_itr=3"], "max_iter"),
    "parameter value": (["wine.csv", "--target", "cultivar", "--param", "max_iter=-3"], "-3"),
    "task": (["wine.csv", "--target", "cultivar", "--task", "ranking"], "regression"),
    "task of the target": (["wine.csv", "--target", "cultivar", "--task", "regression"], "--task classification"),
    "metric": (["wine.csv", "--target", "cultivar", "--metric", "acuracy"], "accuracy"),
    "metric of the task": (["wine.csv", "--target", "cultivar", "--metric", "r2"], "r2"),
    "no partitions": (["wine.csv", "--target", "cultivar", "--partitions", "0"], "0"),
    "negative partitions": (["wine.csv", "--target", "cultivar", "--partitions", "-2"], "-2"),
    "more partitions than rows": (["wine.csv", "--target", "cultivar", "--partitions", "9999"], "9999"),
    "NaN in the target": (["gaps.csv", "--target", "cultivar"], "72 missing"),
    "one class": (["one.csv", "--target", "cultivar"], "1 class"),
    "duplicate columns": (["twice.csv", "--target", "cultivar"], "alcohol"),
    "negative weights": (["weights.csv", "--target", "cultivar", "--weight", "weight"], "negative"),
    "combiner": (["wine.csv", "--target", "cultivar", "--combine", "median"], "soft"),
    "argument of a combiner": (
        ["wine.csv", "--target", "cultivar", "--combine", "weighted:accuracy"],
        "Valid: 'size', 'score'",
    ),
    "scores of one partition": (
        ["wine.csv", "--target", "cultivar", "--partitions", "1", "--combine", "weighted:score", "--no-evidence"],
        "--combine 'weighted:score' learns from rows that members have not seen",
    ),
    "auto of one partition": (
        ["wine.csv", "--target", "cultivar", "--partitions", "1", "--combine", "auto"],
        "2 partitions or more",
    ),
    "auto with replication": (
        ["wine.csv", "--target", "cultivar", "--replication", "2", "--combine", "auto"],
        "2 partitions or more, and replication 1",
    ),
    "partitioner": (["wine.csv", "--target", "cultivar", "--partitioner", "random"], "stratified"),
    "no target": (["wine.csv"], "--target"),
    "one partition with evidence": (["wine.csv", "--target", "cultivar", "--partitions", "1"], "--no-evidence"),
    "weights for a learner without": (
        ["ages.csv", "--target", "cultivar", "--weight", "age", "--learner", "knn"],
        "sample_weight",
    ),
    "words as weights": (["wine.csv", "--target", "cultivar", "--weight", "grower"], "Weights are numbers"),
    "words as times": (["wine.csv", "--target", "cultivar", "--time", "grower"], "neither numbers nor dates"),
    "groups": (["wine.csv", "--target", "cultivar", "--group", "grower", "--partitions", "9"], "groups"),
    "cpus": (["wine.csv", "--target", "cultivar", "--cpus-per-member", "4096"], "4096"),
}


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Tables with something wrong in them."""
    folder = tmp_path_factory.mktemp("tables")
    table = wine_table()
    table.to_csv(folder / "wine.csv", index=False)
    table.assign(age=1).to_csv(folder / "ages.csv", index=False)
    table.assign(cultivar="barolo").to_csv(folder / "one.csv", index=False)
    table.assign(weight=-1.0).to_csv(folder / "weights.csv", index=False)
    table.assign(cultivar=table["cultivar"].where(table.index >= 72)).to_csv(folder / "gaps.csv", index=False)
    twice = table.rename(columns={"malic_acid": "alcohol"})
    twice.to_csv(folder / "twice.csv", index=False)
    return folder


def exit_code(arguments, folder, monkeypatch):
    """Run the command line in this process, in a folder, and return its exit code."""
    monkeypatch.chdir(folder)
    with pytest.raises(SystemExit) as stop:
        main(["compare", *arguments, "--tracking-uri", "off"])
    return stop.value.code


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_exits_with_2_and_says_what_would_be_right(case, tables, monkeypatch, capsys):
    """What is wrong is named with its value or the valid values, without a traceback, before anything is fitted."""

    def refuse(_job, _limit):
        pytest.fail("the single model was paid for")

    monkeypatch.setattr("partwise.experiment.pipeline.fit_in_fresh_process", refuse)
    arguments, expected = WRONG[case]
    assert exit_code(arguments, tables, monkeypatch) == 2
    said = capsys.readouterr().err
    assert expected in said
    assert "Traceback" not in said


@pytest.mark.usefixtures("ray_session")
def test_gpus_that_are_not_there_are_told_before_anything_is_fitted(tables):
    """What there is, and no single model was paid for."""
    options = ["--gpus-per-member", "0.5", "--tracking-uri", "off"]
    said = run_here(tables, "compare", "wine.csv", "--target", "cultivar", *options)
    assert said.returncode == 1
    assert "GPUs of the nodes are [0.0]. Ask for at most 0 with --gpus-per-member" in " ".join(said.stderr.split())
    assert "Fitting one model" not in said.stderr


def test_unreachable_address_exits_with_2_before_anything_is_fitted(tables):
    """A cluster that does not answer is wrong input, found before the single model is paid for."""
    command = [sys.executable, "-m", "partwise", "compare", "wine.csv", "--target", "cultivar"]
    command += ["--address", "127.0.0.1:1", "--tracking-uri", "off"]
    said = subprocess.run(command, cwd=tables, capture_output=True, text=True, timeout=60, check=False)
    assert said.returncode == 2
    assert "ray start --head" in said.stderr
    assert "Fitting" not in said.stderr


def test_all_mistakes_come_at_once(tables, monkeypatch, capsys):
    """A wrong learner and a wrong metric are reported in one go, and so are wrong numbers and names of settings."""
    exit_code(["wine.csv", "--target", "cultivar", "--learner", "svm", "--metric", "acc"], tables, monkeypatch)
    said = capsys.readouterr().err
    assert "svm" in said
    assert "acc" in said
    exit_code(["wine.csv", "--target", "cultivar", "--partitions", "0", "--combine", "nope"], tables, monkeypatch)
    said = capsys.readouterr().err
    assert "--partitions" in said
    assert "nope" in said


def test_error_of_the_single_model_is_told_in_its_own_words(tables, monkeypatch, capsys):
    """What the learner said in the fresh process reaches the user, with exit code 1."""
    arguments = ["wine.csv", "--target", "cultivar", "--learner", "fakes:RaisesOnNegative", "--no-encode"]
    assert exit_code([*arguments, "--drop", "grower", "--drop", "bottled"], tables, monkeypatch) == 1
    assert "The single model could not be fitted" in capsys.readouterr().err


@pytest.mark.usefixtures("ray_session")
def test_json_stays_json_with_a_learner_that_prints(tables, monkeypatch, capfd):
    """What the single model's learner prints, in a process of its own, is not on stdout."""
    arguments = ["wine.csv", "--target", "cultivar", "--json", "--partitions", "2", "--output", "printed"]
    arguments += ["--learner", "gradient_boosting", "--param", "verbose=1", "--param", "n_estimators=5"]
    assert exit_code(arguments, tables, monkeypatch) == 0
    assert json.loads(capfd.readouterr().out)["partitions"] == 2


@pytest.mark.usefixtures("ray_session")
def test_failing_member_exits_with_1_and_is_named(tables, monkeypatch, capsys):
    """A learner that refuses the rows of a partition ends the run, named with its partition and reason."""
    monkeypatch.setattr("partwise.experiment.pipeline.fit_in_fresh_process", lambda _job, _limit: None)
    monkeypatch.setattr("partwise.experiment.recording.Recorder.keep_single", lambda *_: None)
    arguments = ["wine.csv", "--target", "cultivar", "--learner", "fakes:RaisesOnNegative", "--output", "failed"]
    assert exit_code(arguments, tables, monkeypatch) == 1
    assert "the first feature is negative" in capsys.readouterr().err
    (failure,) = json.loads((tables / "failed" / "failures.json").read_text())
    assert (failure["reason"], failure["error_type"]) == ("error", "ValueError")


def test_traceback_is_shown_with_debug(tables, monkeypatch, capsys):
    """--debug adds the traceback that is left out otherwise."""
    exit_code(["nowhere.csv", "--target", "cultivar", "--debug"], tables, monkeypatch)
    assert "Traceback" in capsys.readouterr().err


def test_interrupt_exits_with_130_and_marks_the_run(tables):
    """Ctrl-C ends the process with 130 and the journal says so."""
    command = [sys.executable, "-m", "partwise", "compare", "wine.csv", "--target", "cultivar", "--output", "stopped"]
    command += ["--tracking-uri", "off"]
    with subprocess.Popen(command, cwd=tables, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        journal = tables / "stopped" / "journal.jsonl"
        deadline = time.monotonic() + 60
        while not (journal.exists() and "run_started" in journal.read_text()) and time.monotonic() < deadline:
            time.sleep(0.1)
        os.kill(process.pid, signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert json.loads(journal.read_text().splitlines()[-1])["status"] == "interrupted"


def test_help_loads_neither_ray_nor_mlflow_nor_scikit_learn():
    """--help answers without paying for imports that it does not need."""
    program = (
        "import sys\nfrom partwise.cli import main\n"
        "try:\n    main(['compare', '--help'])\n"
        "except SystemExit:\n    print(sorted({'ray', 'mlflow', 'sklearn'} & set(sys.modules)), file=sys.stderr)"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert said.stderr.strip().endswith("[]")
