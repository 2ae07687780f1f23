"""Tracking never costs a model: a server that is down, fails or is slow, and a database that is locked."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import mlflow
import numpy as np
import pandas as pd
import pytest

from commands import run_here
from partwise.trackers.mlflow_runs import MlflowTracker

pytestmark = pytest.mark.usefixtures("ray_session")


@pytest.fixture
def place(tmp_path):
    """A folder with a small table."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(600, 3)), columns=["a", "b", "c"])
    frame["kind"] = np.where(frame["a"] > 0, "x", "y")
    frame.to_parquet(tmp_path / "table.parquet")
    return tmp_path


def _compare(place, uri):
    options = ["--learner", "tree", "--partitions", "3", "--output", "run", "--tracking-uri", uri]
    return run_here(place, "compare", "table.parquet", "--target", "kind", *options)


def _free_port():
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class _Refusing(BaseHTTPRequestHandler):
    """Answers every request with an error of the server."""

    def do_GET(self):
        body = b'{"error_code": "INTERNAL_ERROR", "message": "the cellar is flooded"}'
        self.send_response(500)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - the name that the server looks for

    def log_message(self, *_):
        pass


@pytest.fixture
def refusing():
    """The address of a server that answers 500."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def silent():
    """The address of a server that takes requests and never answers."""
    with closing(socket.socket()) as server:
        server.bind(("127.0.0.1", 0))
        server.listen(50)
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def stopping(tmp_path):
    """The address of MLflow's own server on the file ``later.db``, and its process."""
    port = _free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{tmp_path / 'later.db'}", "--default-artifact-root"]
    command += [str(tmp_path / "artifacts")]
    with (tmp_path / "server.log").open("w") as log:
        server = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    ends = time.monotonic() + 120
    while time.monotonic() < ends:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            time.sleep(0.2)
    yield address, server
    if server.poll() is None:
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()


def _runs(place, name):
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{place / name}")
    return client.search_runs([client.get_experiment_by_name("partwise").experiment_id]), client


def _check_untracked(place, said):
    """The run ended well, and says how its records get to the server later."""
    assert said.returncode == 0, said.stderr
    assert f"partwise sync {place / 'run'}" in " ".join(said.stderr.split())
    assert json.loads((place / "run" / "comparison.json").read_text())["ensemble"]["n_members"] == 3


def _check_synced_once(place, *options):
    """Sent twice, there is one run with its children, scores and model."""
    for _ in range(2):
        said = run_here(place, "sync", "run", *options)
        assert said.returncode == 0, said.stderr
    runs, client = _runs(place, "later.db")
    assert len(runs) == 1 + 3
    assert {run.info.status for run in runs} == {"FINISHED"}
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    scores = json.loads((place / "run" / "comparison.json").read_text())["ensemble"]["scores"]
    assert parent.data.metrics["ensemble_accuracy"] == pytest.approx(scores["accuracy"])
    assert len(client.get_metric_history(parent.info.run_id, "ensemble_accuracy")) == 1
    assert len(parent.outputs.model_outputs) == 1


def test_a_server_that_is_down_costs_nothing(place):
    """A port where nobody listens: the run ends well, and is sent later, once."""
    _check_untracked(place, _compare(place, f"http://127.0.0.1:{_free_port()}"))
    _check_synced_once(place, "--tracking-uri", f"sqlite:///{place / 'later.db'}")


@pytest.mark.long
def test_a_server_that_fails_costs_nothing(place, refusing):
    """500 at every request."""
    _check_untracked(place, _compare(place, refusing))


@pytest.mark.long
def test_a_server_that_never_answers_costs_seconds(place, silent):
    """Requests are taken and left alone: the run goes on after some seconds."""
    _check_untracked(place, _compare(place, silent))


@pytest.mark.long
def test_a_server_that_stops_in_mid_run_costs_nothing(place, stopping):
    """The run has begun there when it is killed; what lacks is sent to the same run later."""
    address, server = stopping
    options = ["--learner", "tree", "--partitions", "3", "--output", "run", "--tracking-uri", address]
    command = [sys.executable, "-m", "partwise", "compare", "table.parquet", "--target", "kind", *options]
    run = subprocess.Popen(command, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    journal = place / "run" / "journal.jsonl"
    while not (journal.exists() and "run_started" in journal.read_text()) and run.poll() is None:
        time.sleep(0.05)
    time.sleep(2.0)  # the request for the run has been answered
    os.killpg(server.pid, signal.SIGKILL)
    out, err = run.communicate(timeout=250)
    _check_untracked(place, subprocess.CompletedProcess(command, run.returncode, out, err))
    assert json.loads((place / "run" / "run.json").read_text())["tracked"] is not None
    record = json.loads((place / "run" / "run.json").read_text())
    record["config"]["tracking_uri"] = f"sqlite:///{place / 'later.db'}"  # the server's own store
    (place / "run" / "run.json").write_text(json.dumps(record))
    _check_synced_once(place)


def test_a_database_that_is_locked_costs_nothing(place):
    """Another process holds the SQLite file all the time; when it lets go, the run is sent to the same file, once."""
    path = place / "later.db"
    mlflow.MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    with closing(sqlite3.connect(path)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        _check_untracked(place, _compare(place, "sqlite:///later.db"))
    _check_synced_once(place)


def test_a_database_that_is_locked_for_a_moment_is_waited_for(tmp_path):
    """Some seconds cost no run its tracking."""
    path = tmp_path / "later.db"
    mlflow.MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    holder = sqlite3.connect(path, check_same_thread=False)
    holder.execute("BEGIN EXCLUSIVE")
    release = threading.Timer(1.5, holder.rollback)
    started = time.monotonic()
    release.start()
    tracker = MlflowTracker(f"sqlite:///{path}", "partwise")
    tracker.open(tmp_path)
    assert time.monotonic() - started >= 1.5
    release.join()
    holder.close()


@pytest.mark.long
def test_a_database_that_is_locked_for_a_minute_gets_the_run_later(place):
    """The run ends well meanwhile, in a fraction of a minute more; then it is sent, once."""
    path = place / "later.db"
    mlflow.MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    holder = sqlite3.connect(path, check_same_thread=False)
    holder.execute("BEGIN EXCLUSIVE")
    release = threading.Timer(60.0, holder.rollback)
    release.start()
    _check_untracked(place, _compare(place, "sqlite:///later.db"))
    release.join()
    holder.close()
    _check_synced_once(place)


@pytest.mark.long
def test_a_run_that_was_tracked_is_not_sent_twice(place):
    """`sync` of a run that the server has."""
    assert _compare(place, "sqlite:///later.db").returncode == 0
    _check_synced_once(place)


def test_a_password_in_the_address_is_kept_nowhere(place):
    """Not in what is printed, nor in any file of the run, nor in that of a later sync; the rest of the address is."""
    port = _free_port()
    said = _compare(place, f"http://ann:hunter2@127.0.0.1:{port}/")
    _check_untracked(place, said)
    assert f"127.0.0.1:{port}" in said.stderr
    synced = run_here(place, "sync", "run", "--tracking-uri", f"http://ann:hunter2@127.0.0.1:{port}/")
    assert synced.returncode != 0
    assert "hunter2" not in said.stdout + said.stderr + synced.stdout + synced.stderr
    files = [path for path in place.rglob("*") if path.is_file()]
    assert place / "run" / "run.json" in files
    assert [path for path in files if b"hunter2" in path.read_bytes()] == []


def test_an_address_that_can_never_work_is_refused_at_once(place):
    """A wrong scheme is a mistake, not an outage: nothing is fitted."""
    said = _compare(place, "carrier-pigeon://x")
    assert said.returncode == 2
    assert "cannot be used" in said.stderr
    assert not (place / "run" / "comparison.json").exists()


@pytest.mark.long
def test_a_run_that_was_not_to_be_tracked_is_not_sent(place):
    """Unless it is said where to."""
    assert _compare(place, "off").returncode == 0
    said = run_here(place, "sync", "run")
    assert said.returncode == 2
    assert "--tracking-uri" in said.stderr
