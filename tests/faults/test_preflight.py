"""What a cluster lacks is told before anything is fitted, in a line; and no cluster is joined unasked."""

import json
import os
import subprocess
import sys

import pytest
import ray
from sklearn.naive_bayes import GaussianNB

from partwise import RayExecutor
from partwise.errors import ClusterError
from scenario_runs import run_scenario

pytestmark = pytest.mark.usefixtures("ray_session")


class OnlyHere(GaussianNB):
    """A learner whose module no worker has."""

    def __reduce__(self):
        return __import__, ("a_module_of_the_driver_alone",)


def test_more_cpus_than_any_node_has_are_refused_when_the_cluster_is_reached():
    """A training counts its table with one CPU for each task: it must not be done in vain."""
    with pytest.raises(ClusterError, match=r"10000 CPUs (.|\n)*at most \d+ with cpus_per_member"):
        RayExecutor(cpus_per_task=10_000).connect()


def test_gpus_that_no_node_has_are_refused_when_the_cluster_is_reached():
    """Ray by itself would wait for such a node for ever."""
    with pytest.raises(ClusterError, match=r"2 GPUs (.|\n)*GPUs of the nodes are \[0\.0\](.|\n)*at most 0 with"):
        RayExecutor(gpus_per_task=2).connect()


@pytest.fixture(scope="module")
def of_gpus():
    """What became of tasks where one node says that it has a GPU."""
    return run_scenario("gpus")


def test_members_share_a_gpu(of_gpus):
    """Two halves run at once, on the node that has it."""
    assert of_gpus["slots"] == 2
    assert of_gpus["members"] == [[0]] * 4


def test_tasks_that_fit_no_member_leave_gpus_alone(of_gpus):
    """Tables are read on all nodes."""
    assert of_gpus["others"] == [[]] * 4


def test_more_than_the_gpu_of_any_node_is_refused(of_gpus):
    """With what may be asked for."""
    assert "Ask for at most 1 with --gpus-per-member" in of_gpus["refused"]


def test_settings_are_held_against_what_the_connected_cluster_has(of_gpus):
    """A node may have more CPUs than this machine; what none has is refused with what there is."""
    good, bad = of_gpus["settings"]
    assert good == ""
    assert "is more than any node has. Valid: 1 to" in bad


def test_what_workers_cannot_load_is_told_in_a_line():
    """The module is named, with the next step; no traceback of Ray's is in the message."""
    with pytest.raises(ClusterError) as refused:
        RayExecutor().warm(repr, OnlyHere())
    assert "ModuleNotFoundError: No module named 'a_module_of_the_driver_alone'" in str(refused.value)
    assert "--ship" in str(refused.value)
    assert "\n" not in str(refused.value)


_RUN = """
import json

import psutil
import ray

from partwise import RayExecutor
from partwise.records import Task

list(RayExecutor().run(divmod, 7, [Task(0, 2)]))
ours = [psutil.Process(), *psutil.Process().children(recursive=True)]
connections = [each for process in ours for each in process.net_connections("inet")]
listening = {each.laddr.ip for each in connections if each.status == "LISTEN"}
print(json.dumps({"address": ray.get_runtime_context().gcs_address, "listening": sorted(listening)}))
"""


@pytest.fixture(scope="module")
def of_our_own(ray_session, tmp_path_factory):  # noqa: ARG001 - another Ray that happens to be there
    """What became of a run without an address in a process of its own, which Ray by itself would have let join."""
    home = str(tmp_path_factory.mktemp("home"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | {"HOME": home}
    ran = subprocess.run(
        [sys.executable, "-c", _RUN], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


def test_a_run_without_an_address_joins_no_cluster_that_happens_to_be_there(of_our_own):
    """The Ray of this session is another's."""
    assert of_our_own["address"] != ray.get_runtime_context().gcs_address


def test_a_ray_of_our_own_listens_on_the_loopback_address_alone(of_our_own):
    """No port of the driver, of Ray's servers and of its workers can be reached from another machine."""
    assert of_our_own["listening"]
    assert set(of_our_own["listening"]) <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}
