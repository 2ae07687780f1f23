"""`partwise doctor`: real Ray, real places, and some that hang."""

import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest
from moto.server import ThreadedMotoServer
from pyarrow import fs

from partwise.cli import main
from partwise.doctor import DoctorConfig, examine

CLOSED = "127.0.0.1:9"


def _asked(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main(["doctor", *arguments, "--json"])
    return ended.value.code, {check["name"]: check for check in json.loads(capsys.readouterr().out)}


def _of_places(**settings):
    """Return the lines of a doctor that finds no Ray, by name."""
    return {check.name: check for check in examine(DoctorConfig(address=CLOSED, **settings))}


@pytest.mark.usefixtures("ray_session")
def test_a_sound_place_is_good_and_stays_as_it_was(capsys, tmp_path, monkeypatch):
    """Exit code 0; machine, places, Ray and its node were looked at; no file is left."""
    monkeypatch.chdir(tmp_path)
    code, checks = _asked(capsys)
    assert code == 0
    assert {"software", "Ray's token", "run directory", "partition store", "tracking", "Ray"} <= set(checks)
    kinds = {name.rpartition(": ")[2] for name in checks if "/" in name.partition(":")[0]}
    assert kinds == {"versions", "clock", "partition store", "/dev/shm", "disk for temporary files"}  # noqa: S108 - names
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("ray_session")
def test_places_that_cannot_be_written_to_are_bad(capsys):
    """Exit code 1, and each line says the mend."""
    code, checks = _asked(capsys, "--storage", "/proc/store", "--output", "/proc/run", "--tracking-uri", "off")
    assert code == 1
    assert "--storage" in checks["partition store"]["mend"]
    assert "--output" in checks["run directory"]["mend"]


@pytest.fixture(scope="module")
def where_nothing_answers(tmp_path_factory):
    """The lines of a doctor that finds neither Ray nor a tracking server."""
    place = tmp_path_factory.mktemp("alone")
    return _of_places(storage=str(place / "store"), tracking_uri=f"http://{CLOSED}", output=place)


def test_a_cluster_that_is_not_there_is_bad(where_nothing_answers):
    """The other lines are there all the same."""
    assert where_nothing_answers["Ray"].state == "bad"
    assert CLOSED in where_nothing_answers["Ray"].found
    assert where_nothing_answers["run directory"].state == "good"


def test_wrong_input_exits_with_2(capsys):
    """As in the other commands; nothing is looked at."""
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--address", "head", "--ship", "nothing.py"])
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert "HOST:PORT" in said.err
    assert "nothing.py" in said.err
    assert said.out == ""


def test_a_server_that_refuses_is_bad(where_nothing_answers):
    """A run would go on without it, says the mend."""
    check = where_nothing_answers["tracking"]
    assert check.state == "bad"
    assert "partwise sync" in check.mend


def test_a_database_that_is_locked_is_bad(tmp_path):
    """Another connection holds it."""
    database = tmp_path / "runs.db"
    with closing(sqlite3.connect(database)) as holder:
        holder.execute("CREATE TABLE t (x)")
        holder.execute("BEGIN EXCLUSIVE")
        check = _of_places(storage=str(tmp_path), tracking_uri=f"sqlite:///{database}", output=tmp_path)["tracking"]
    assert check.state == "bad"
    assert "locked" in check.found


def _environment(home, **more):
    """Return that of a user of their own, without credentials and settings of this one's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "AWS_"))}
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
    return kept | keys | {"AWS_EC2_METADATA_DISABLED": "true", "HOME": str(home), "RAY_USAGE_STATS_ENABLED": "0"} | more


def _doctor(home, *arguments):
    command = [sys.executable, "-m", "partwise", "doctor", *arguments, "--json"]
    said = subprocess.run(
        command, cwd=home, env=_environment(home), capture_output=True, text=True, timeout=200, check=False
    )
    assert said.stdout, said.stderr
    return said, {check["name"]: check for check in json.loads(said.stdout)}


@pytest.fixture
def silent():
    """The address of a server that takes requests and never answers."""
    with closing(socket.socket()) as server:
        server.bind(("127.0.0.1", 0))
        server.listen(50)
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_servers_that_hang_do_not_hold_up_the_end(silent, tmp_path):
    """Not the command, nor the end of its process: a bucket's library cannot be interrupted."""
    started = time.monotonic()
    bucket = f"s3://bucket/store?endpoint_override={silent}&scheme=http"
    said, checks = _doctor(tmp_path, "--storage", bucket, "--tracking-uri", f"http://{silent}", "--address", CLOSED)
    assert time.monotonic() - started < 60
    assert said.returncode == 1
    assert checks["tracking"]["state"] == "bad"
    assert (checks["partition store"]["state"], checks["partition store"]["found"]) == ("warning", "no answer in time")
    assert checks["run directory"]["state"] == "good"


@pytest.fixture
def bucket(monkeypatch):
    """A file system with a bucket in it, and what makes a path there a URI."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    for name, value in _environment("").items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    place = "{}:{}".format(*server.get_host_and_port())
    filesystem = fs.S3FileSystem(endpoint_override=place, scheme="http", allow_bucket_creation=True)
    filesystem.create_dir("bucket")
    yield filesystem, f"?endpoint_override={place}&scheme=http"
    server.stop()


def test_ray_is_started_where_no_address_is_given_and_sees_a_bucket(bucket, tmp_path):
    """It says that it was started; its node reads the mark, which is deleted in the end."""
    filesystem, settings = bucket
    said, checks = _doctor(tmp_path, "--storage", f"s3://bucket/store{settings}", "--tracking-uri", "off")
    assert said.returncode == 0, said.stdout
    assert "no --address" in checks["Ray"]["found"]
    assert [check["state"] for name, check in checks.items() if name.endswith(": partition store")] == ["good"]
    left = filesystem.get_file_info(fs.FileSelector("bucket", recursive=True))
    assert [each.path for each in left if each.type == fs.FileType.File] == []


# Two more nodes: one with other versions, one where partwise cannot be imported.

_CLUSTER = """
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import ray
from ray.cluster_utils import Cluster

from partwise import RayExecutor
from partwise.doctor.probe import tell_time
from partwise.errors import ClusterError
from partwise.executors.ray_cluster import on_every_node


def shadow(folder, content):
    for name, text in content.items():
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return {"PYTHONPATH": str(Path(folder).absolute())}


def metadata(name, version):
    return {f"{name}-{version}.dist-info/METADATA": f"Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n"}


def refusal(address):
    try:
        RayExecutor(address=address).connect()
    except ClusterError as error:
        return str(error)
    return None


other = shadow("other", metadata("partwise", "9.9.9") | metadata("numpy", "0.0.1"))
broken = shadow("broken", {"partwise/__init__.py": "raise ImportError('no partwise here')"})
shadow("mine", {"shipped_module.py": "NUMBER = 1"})
Path("elsewhere").mkdir()
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
try:
    nodes = {"head": cluster.head_node}
    nodes["other"] = cluster.add_node(num_cpus=1, env_vars=other)
    nodes["broken"] = cluster.add_node(num_cpus=1, env_vars=broken)
    cluster.wait_for_nodes()
    command = [sys.executable, "-m", "partwise", "doctor", "--address", cluster.address, "--json"]
    command += ["--storage", "store", "--tracking-uri", "off", "--ship", "../mine/shipped_module.py"]
    said = subprocess.run(command, cwd="elsewhere", capture_output=True, text=True)
    refusals = [refusal(cluster.address) for _ in range(2)]
    ray.init(address=cluster.address, log_to_driver=False)
    raylet = nodes["other"].all_processes["raylet"][0].process
    os.kill(raylet.pid, signal.SIGSTOP)
    try:
        hung = on_every_node(tell_time, None, 5.0)
    finally:
        os.kill(raylet.pid, signal.SIGCONT)
finally:
    ray.shutdown()
    cluster.shutdown()
report = {
    "code": said.returncode,
    "refusals": refusals,
    "checks": json.loads(said.stdout or "null"),
    "complaints": said.stderr,
    "nodes": {node.node_id[:8]: name for name, node in nodes.items()},
    "hung": {node.rpartition("/")[2]: type(answer).__name__ for node, answer in hung.items()},
    "left": sorted(path.name for path in Path("elsewhere").iterdir()),
}
print(json.dumps(report))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What the doctor finds on a cluster of three nodes, of which two are ill, as the nodes' names and lines."""
    place = tmp_path_factory.mktemp("cluster")
    (place / "script.py").write_text(_CLUSTER)
    ran = subprocess.run(
        [sys.executable, "script.py"],
        cwd=place,
        env=_environment(place),
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3_000:]
    report = json.loads(ran.stdout.splitlines()[-1])
    assert report["checks"], report["complaints"]
    return report


def _line(told, node, kind):
    short = next(each for each, name in told["nodes"].items() if name == node)
    return next(check for check in told["checks"] if check["name"].endswith(f"/{short}: {kind}"))


def test_versions_that_differ_on_one_node_are_told_of_that_node(told):
    """From both sides; the exit code says that something is bad."""
    assert _line(told, "head", "versions")["state"] == "good"
    check = _line(told, "other", "versions")
    assert check["state"] == "bad"
    assert "partwise 9.9.9 (driver " in check["found"]
    assert "numpy 0.0.1 (driver " in check["found"]
    assert told["code"] == 1


def test_a_run_is_refused_where_a_node_has_another_partwise(told):
    """Before anything is fitted, each time, with the node and both versions; the other nodes are not to blame."""
    (short,) = (short for short, name in told["nodes"].items() if name == "other")
    for refusal in told["refusals"]:
        assert f"/{short} has partwise 9.9.9 (driver " in refusal
        assert refusal.count(" has ") == 1


def test_a_node_where_partwise_is_broken_tells_of_itself_all_the_same(told):
    """What it is like, and why it does not see the store."""
    assert _line(told, "broken", "cores")["state"] == "good"
    check = _line(told, "broken", "partition store")
    assert check["state"] == "bad"
    assert "no partwise here" in check["found"]


@pytest.mark.parametrize("node", ["head", "other"])
def test_a_relative_store_is_seen_by_nodes_that_run_elsewhere(told, node):
    """Nodes have another working directory than the driver."""
    assert _line(told, node, "partition store")["state"] == "good"


@pytest.mark.parametrize("node", ["head", "other", "broken"])
@pytest.mark.parametrize(
    "kind",
    ["clock", "cores", "free memory", "open files", "/dev/shm", "disk for temporary files"],  # noqa: S108 - a name
)
def test_every_node_is_looked_at(told, node, kind):
    """One line a kind."""
    assert _line(told, node, kind)["found"]


def test_clocks_of_one_machine_agree_to_less_than_it_takes_to_start_a_worker(told):
    """Workers are there when they are asked for the time."""
    assert _line(told, "head", "clock")["state"] == "good"
    assert float(_line(told, "head", "clock")["found"].split()[1]) < 1.0


@pytest.mark.parametrize("node", ["head", "other", "broken"])
def test_shipped_modules_are_found_on_every_node(told, node):
    """Under the name that they are imported by."""
    check = _line(told, node, "shipped modules")
    assert (check["state"], check["found"]) == ("good", "shipped_module")


def test_a_cluster_without_a_token_is_told(told):
    """It is a warning: on a closed network it may be meant so."""
    (check,) = (check for check in told["checks"] if check["name"] == "Ray's token")
    assert check["state"] == "warning"
    assert "ray get-auth-token" in check["mend"]


def test_nothing_is_left_where_the_store_would_be(told):
    """Neither the mark nor its folder."""
    assert told["left"] == []


def test_a_node_that_hangs_is_a_failure_and_the_others_answer(told):
    """Within the time that it has."""
    answers = {told["nodes"][node]: answer for node, answer in told["hung"].items()}
    assert answers == {"head": "float", "broken": "float", "other": "TaskFailure"}
