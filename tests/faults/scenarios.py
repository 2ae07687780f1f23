"""Faults of a cluster, each in a process of its own: a Ray that is broken on purpose is nobody else's.

``python scenarios.py NAME`` makes the fault happen and prints as JSON what became of the run.
"""

import json
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import ray
from ray.cluster_utils import Cluster
from sklearn.datasets import load_iris

from fake_work import nap, nap_with
from fakes import SlowTree
from partwise import PartitionedClassifier, RayExecutor
from partwise.config import FitConfig
from partwise.doctor.machines import check_clocks
from partwise.doctor.probe import tell_time
from partwise.errors import ClusterError, InputError
from partwise.executors.ray_cluster import on_every_node
from partwise.experiment.preparing import make_setup
from partwise.records import Task


def _cluster(*cpus):
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": cpus[0]})
    nodes = [cluster.add_node(num_cpus=count) for count in cpus[1:]]
    cluster.wait_for_nodes()
    ray.init(address=cluster.address, log_to_driver=False)
    return cluster, nodes


class NotedTree(SlowTree):
    """A slow tree that leaves a file for each fit that begins; on the node that is doomed the third never ends."""

    def __init__(self, folder="", max_features=1, random_state=None):
        super().__init__(max_features=max_features, random_state=random_state)
        self.folder = folder

    def fit(self, X, y):
        folder = Path(self.folder)
        if ray.is_initialized():
            node = ray.get_runtime_context().get_node_id()
            (folder / f"{node}-{time.time_ns()}").touch()
            if (folder / "doomed").exists():
                self._meet_its_end(node, (folder / "doomed").read_text())
                return super(SlowTree, self).fit(X, y)  # no node needs more time
        while (folder / "wait").exists():
            time.sleep(0.05)
        return super().fit(X, y)

    def _meet_its_end(self, node, doomed):
        """Wait on the doomed node to be killed in the third fit, elsewhere for that fit to begin."""
        while (_fits(self.folder, doomed) < 3) is not (node == doomed):
            time.sleep(0.05)


def _fits(folder, node):
    """Return how many fits have begun on a node."""
    return len(list(Path(folder).glob(f"{node}-*")))


def _digests(executor, folder):
    X, y = load_iris(return_X_y=True)
    learner = NotedTree(folder)
    model = PartitionedClassifier(learner, n_partitions=20, executor=executor, random_state=3).fit(X, y)
    members = model.members_
    return {
        "digests": [each.content_digest for each in members],
        "nodes": sorted({each.node for each in members}),
        "attempts": max(each.attempts for each in members),
        "started": [each.started for each in members],
    }


def _usual(folder):
    """The digests of the members of a run without faults."""
    return {"usual": _digests("inline", str(folder))["digests"]}


def _when(happened, act):
    """Act in a thread of its own as soon as something has happened."""

    def wait():
        while not happened():
            time.sleep(0.05)
        act()

    threading.Thread(target=wait, daemon=True).start()


def node_lost(folder):
    """A node dies while it fits its third member; its members are fitted elsewhere."""
    cluster, (second,) = _cluster(1, 1)
    (Path(folder) / "doomed").write_text(second.node_id)
    _when(lambda: _fits(folder, second.node_id) == 3, lambda: cluster.remove_node(second, allow_graceful=False))
    found = _digests("ray", folder) | _usual(folder)
    ends = time.monotonic() + 60
    while _alive() > 1 and time.monotonic() < ends:  # Ray may not have counted them yet
        time.sleep(0.1)
    return found | {"alive": _alive()}


def _alive():
    return sum(node["Alive"] for node in ray.nodes())


def node_joins(folder):
    """A node comes while the first member is fitted; it gets some of the others."""
    cluster, _ = _cluster(1)
    waiting = Path(folder) / "wait"
    waiting.touch()
    with ThreadPoolExecutor() as pool:
        run = pool.submit(_digests, "ray", folder)
        while len(list(Path(folder).iterdir())) == 1:
            time.sleep(0.05)
        cluster.add_node(num_cpus=1)  # in this thread: Ray sets signal handlers
        cluster.wait_for_nodes()
        waiting.unlink()
        return run.result() | _usual(folder)


_OTHER = "Metadata-Version: 2.1\nName: partwise\nVersion: 9.9.9\n"


def other_node_joins(folder):
    """A node with another partwise comes while the first member is fitted."""
    described = Path(folder) / "other" / "partwise-9.9.9.dist-info"
    described.mkdir(parents=True)
    (described / "METADATA").write_text(_OTHER)
    cluster, _ = _cluster(1)
    members = Path(folder) / "members"
    members.mkdir()
    waiting = members / "wait"
    waiting.touch()
    refusals = []
    with ThreadPoolExecutor() as pool:
        run = pool.submit(_digests, "ray", str(members))
        while len(list(members.iterdir())) == 1:
            time.sleep(0.05)
        node = cluster.add_node(num_cpus=1, env_vars={"PYTHONPATH": str(described.parent)})
        cluster.wait_for_nodes()
        for attempt in (run.result, RayExecutor().connect):
            try:
                attempt()
            except ClusterError as error:
                refusals.append(str(error))
    cluster.remove_node(node)
    waiting.unlink()
    found = _digests("ray", str(members)) | _usual(members)
    return found | {"node": node.node_id[:8], "refusals": refusals}


_FAST_CLOCK = """
import time

time.time = lambda right=time.time: right() + 3_600.0
"""


def wrong_clock(folder):
    """By the clock of one of two nodes it is an hour later."""
    (Path(folder) / "sitecustomize.py").write_text(_FAST_CLOCK)
    cluster, _ = _cluster(1)
    path = os.pathsep.join([folder, os.environ["PYTHONPATH"]])
    other = cluster.add_node(num_cpus=1, env_vars={"PYTHONPATH": path})
    cluster.wait_for_nodes()
    before = time.time()
    told = list(check_clocks(on_every_node(tell_time, None, 60.0), before, time.time()))
    found = _digests(RayExecutor(timeout=60.0), folder) | _usual(folder)
    return found | {
        "clocks": {check.name.partition(":")[0].rpartition("/")[2]: [check.state, check.found] for check in told},
        "other": other.node_id,
        "times": [before, time.time()],
    }


def out_of_memory():
    """Every task looks out of memory to Ray."""
    os.environ.update(RAY_memory_usage_threshold="0.01", RAY_memory_monitor_refresh_ms="50")
    ray.init(address="local", num_cpus=2, include_dashboard=False, _node_ip_address="127.0.0.1", log_to_driver=False)
    started = time.monotonic()
    (outcome,) = RayExecutor(max_attempts=3).run(nap_with, None, [Task(7, 30.0, 9)])
    return {
        "reason": outcome.failure.reason,
        "attempts": outcome.attempts,
        "seconds": time.monotonic() - started,
    }


def too_large_together():
    """Two tasks that a node has no memory for side by side, but for either of them alone."""
    memory = psutil.virtual_memory()
    threshold = (memory.total - memory.available + 3.5 * _LARGE) / memory.total
    os.environ.update(RAY_memory_usage_threshold=f"{threshold:.4f}", RAY_memory_monitor_refresh_ms="100")
    ray.init(address="local", num_cpus=2, include_dashboard=False, _node_ip_address="127.0.0.1", log_to_driver=False)
    outcomes = list(RayExecutor(max_attempts=6).run(hold_memory, None, [Task(index, 4.0) for index in range(2)]))
    return {"values": [outcome.value for outcome in outcomes], "attempts": [outcome.attempts for outcome in outcomes]}


_LARGE = 1 << 30


def hold_memory(_shared, seconds):
    """Take more than half of what is free, for a while; return how much."""
    block = bytearray(os.urandom(1 << 20)) * (int(2.2 * _LARGE) >> 20)
    time.sleep(seconds)
    return len(block) >> 20


def two_copies(marker):
    """A task that is slow at its first attempt alone, and another that is slow always."""
    ray.init(address="local", num_cpus=4, include_dashboard=False, _node_ip_address="127.0.0.1", log_to_driver=False)
    executor = RayExecutor(speculate=True)
    started = time.monotonic()
    tasks = [Task(index, {"seconds": 0.3}) for index in range(8)]
    tasks += [Task(8, {"seconds": 20.0, "marker": marker}), Task(9, {"seconds": 25.0})]
    outcomes = [
        (outcome.id, outcome.duplicate, time.monotonic() - started)
        for outcome in executor.run(slow_once, None, tasks, members=True)
    ]
    return {"outcomes": outcomes}


def slow_once(_shared, payload):
    """Sleep; where there is a marker, only for the first who comes."""
    marker = payload.get("marker")
    if marker is not None:
        if Path(marker).exists():
            return 0.0
        Path(marker).touch()
    return nap(None, payload["seconds"])


def gpus():
    """A node has a GPU, as far as Ray is told; members ask for half of it, other tasks for none."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    cpus = (os.cpu_count() or 1) + 2
    cluster.add_node(num_cpus=cpus, num_gpus=1)
    cluster.wait_for_nodes()
    ray.init(address=cluster.address, log_to_driver=False)
    executor = RayExecutor(gpus_per_task=0.5)
    tasks = [Task(index, 0.5) for index in range(4)]
    return {
        "slots": executor.slots,
        "members": [outcome.value for outcome in executor.run(seen_gpus, None, tasks, members=True)],
        "others": [outcome.value for outcome in executor.run(seen_gpus, None, tasks)],
        "refused": _refused(RayExecutor(gpus_per_task=1.5)),
        "settings": [_setup_refused(cpus), _setup_refused(cpus + 1)],
    }


def _setup_refused(cpus):
    try:
        make_setup(FitConfig.checked(data="wine.csv", target="kind", cpus_per_member=cpus), "classification", 2, 100)
    except InputError as error:
        return str(error)
    return ""


def seen_gpus(_shared, seconds):
    """Return the GPUs that Ray lets this process see, after a while."""
    time.sleep(seconds)
    return ray.get_gpu_ids()


def _refused(executor):
    try:
        executor.connect()
    except ClusterError as error:
        return str(error)
    return ""


if __name__ == "__main__":
    result = globals()[sys.argv[1]](*sys.argv[2:])
    ray.shutdown()  # what Ray has to say of lost nodes comes before
    sys.stdout.write(json.dumps(result) + "\n")
