"""The example that the project grew from, run as a user runs it: a script in a process of its own."""

import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from partwise.comparison import Comparison

SCRIPT = Path(__file__).parents[2] / "examples" / "distributed_training" / "ray_distributed_training.py"


def run_example(folder, *arguments):
    """Run the script in a folder and return the finished process."""
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run on 400 rows of 20 groups whose members vote, with MLflow's default store: the folder and the comparison."""
    folder, rng = tmp_path_factory.mktemp("seed"), np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(400, 3)), columns=["length", "width", "height"])
    table["g"] = [f"group {number % 20}" for number in range(len(table))]
    table["size"] = np.where(table["length"] + table["width"] > 0, "large", "small")
    table.to_parquet(folder / "boxes.parquet")
    own = ["--data", "boxes.parquet", "--target", "size", "--partitions=4", "--learner", "tree", "--json"]
    said = run_example(folder, *own, "--group", "g", "--combine", "vote")
    assert said.returncode == 0, said.stderr
    return folder, Comparison.from_json(said.stdout)


def test_own_table_is_compared_with_four_members(finished):
    """The options of `partwise compare` are handed on: four partitions give four trees."""
    comparison = finished[1]
    assert (comparison.learner, comparison.ensemble.n_members) == ("tree", 4)


def test_default_store_has_one_parent_and_four_children(finished):
    """MLflow's store in the working directory holds one parent run and one child for each member."""
    store = finished[0] / "mlflow.db"
    assert store.is_file()
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{store}")
    runs = client.search_runs([client.get_experiment_by_name("partwise").experiment_id])
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    parents = [run.data.tags["mlflow.parentRunId"] for run in runs if run.info.run_id != parent.info.run_id]
    assert parents == [parent.info.run_id] * 4


def test_help_says_where_the_partitions_are_set(tmp_path):
    """--help names --partitions, or the command whose help does."""
    said = run_example(tmp_path, "--help")
    assert said.returncode == 0
    assert "--partitions" in said.stdout or "partwise compare --help" in said.stdout


def test_groups_are_held_out_and_cut_whole(finished):
    """With --group the partitioner is the grouped one, and the test rows are whole groups."""
    assert finished[1].partitioner == "grouped"
    assert any("of the groups" in note for note in finished[1].notes)


def test_members_vote_when_asked(finished):
    """--combine vote is what the comparison reports."""
    assert finished[1].combine == "vote"
