"""The same table and seed give the same members wherever they are fitted."""

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

_SCRIPT = """
import json

import numpy as np
import ray
from ray.cluster_utils import Cluster
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from fakes import SlowTree
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

import partwise
from partwise import PartitionedClassifier, RayExecutor
from partwise.digests import content_digest


class Mine(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.means_ = np.stack([X[y == label].mean(axis=0) for label in self.classes_])
        return self

    def predict(self, X):
        return self.classes_[((X[:, None] - self.means_) ** 2).sum(axis=2).argmin(axis=1)]


def double(X):
    return 2 * X


X, y = load_iris(return_X_y=True)
LEARNERS = {
    "tree": (SlowTree(max_features=1), {}),
    "own class": (Mine(), {}),
    "own function": (make_pipeline(FunctionTransformer(double), DecisionTreeClassifier(max_features=1)), {}),
    "local experts": (DecisionTreeClassifier(max_features=1), {"partitioner": "clustered", "combine": "route:2"}),
    "forest in shares": (RandomForestClassifier(20), {"partitioner": "replicated"}),
}


def report(executor):
    if executor == "ray":
        RayExecutor().warm(np.sum, np.eye(2))  # a cold node would stay idle while the others finish tiny members
    found = {}
    for name, (learner, settings) in LEARNERS.items():
        model = PartitionedClassifier(learner, n_partitions=8, executor=executor, random_state=3, **settings).fit(X, y)
        found[name] = [member.content_digest for member in model.members_]
        found[name + ", combined"] = [member.content_digest for member in model.predictor_.pool.members]
        found[name + ", predictions"] = content_digest(model.predict_outputs(X))
        if name == "tree":
            found["nodes"] = len({member.node for member in model.members_})
    return found


def report_stored(executor, storage):
    settings = {"n_partitions": 8, "executor": executor, "random_state": 3, "storage": storage}
    model = PartitionedClassifier(SlowTree(max_depth=4), **settings).fit(partwise.scan("table", "kind"))
    return {
        "digests": [member.content_digest for member in model.members_],
        "nodes": len({member.node for member in model.members_}),
    }


reports = {"inline": report("inline"), "again": report("inline")}
reports["stored"] = {"inline": report_stored("inline", "of this process")}
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
ray.init(address=cluster.address, log_to_driver=False)
reports["1 node, 1 CPU"] = report("ray")
cluster.add_node(num_cpus=1)
cluster.wait_for_nodes()
reports["2 nodes, 2 CPUs"] = report("ray")
reports["stored"]["2 nodes"] = report_stored("ray", "shared")
cluster.add_node(num_cpus=6)
cluster.wait_for_nodes()
reports["3 nodes, 8 CPUs"] = report("ray")
ray.shutdown()
cluster.shutdown()
print(json.dumps(reports))
"""

PLACES = {"again": 1, "1 node, 1 CPU": 1, "2 nodes, 2 CPUs": 2, "3 nodes, 8 CPUs": 3}


def _write_table(folder):
    """Write five files of two kinds of rows."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(5):
        rows = pd.DataFrame(rng.normal(size=(800, 6)), columns=list("abcdef"))
        rows["kind"] = np.where(rows["a"] + rows["b"] + 0.3 * rng.normal(size=800) > 0, "x", "y")
        rows.to_parquet(folder / f"{index}.parquet", index=False)


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Digests from a script of its own, as a user would run it: the classes in it live in `__main__`."""
    place = tmp_path_factory.mktemp("script")
    (place / "fit_everywhere.py").write_text(_SCRIPT)
    _write_table(place / "table")
    run = subprocess.run(
        [sys.executable, "fit_everywhere.py"],
        cwd=place,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"},
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads(run.stdout.splitlines()[-1])


LEARNERS = ["tree", "own class", "own function", "local experts", "forest in shares"]


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize("place", PLACES)
def test_digests_are_those_of_the_first_fit_in_process(reports, place, learner):
    """Members are equal with 1, 2 or 8 CPUs, on 1, 2 or 3 nodes, also of what only the user's script defines."""
    # Cells of one class hold equal constants; no other two members are equal.
    assert len(set(reports["inline"][learner])) > (3 if learner == "local experts" else 7)
    assert reports[place][learner] == reports["inline"][learner]


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize("place", PLACES)
def test_what_is_combined_and_predicted_is_that_of_the_first_fit(reports, place, learner):
    """So are the members that predict, of a forest in shares the merged forest, and all outputs to the last bit."""
    for what in (", combined", ", predictions"):
        assert reports[place][learner + what] == reports["inline"][learner + what]
    assert len(reports[place][learner + ", combined"]) == (1 if learner == "forest in shares" else 8)


@pytest.mark.parametrize("place", PLACES)
def test_members_are_fitted_on_every_node(reports, place):
    """No node of the cluster stays idle."""
    assert reports[place]["nodes"] == PLACES[place]


def test_two_nodes_fit_the_members_of_this_process_from_a_store(reports):
    """Partitions that nodes exchange in a shared folder hold the same rows in the same order."""
    stored = reports["stored"]
    assert len(set(stored["inline"]["digests"])) == 8
    assert stored["2 nodes"]["digests"] == stored["inline"]["digests"]


def test_both_nodes_fit_members_from_a_store(reports):
    """Neither is idle."""
    assert reports["stored"]["2 nodes"]["nodes"] == 2
