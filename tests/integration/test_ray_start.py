"""A cluster whose head is a process of its own, as `ray start` makes it: joined, with and without a token."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from fakes import wine_table
from partwise.comparison import Comparison

RAY = str(Path(sys.executable).parent / "ray")
MODULE = '''
from sklearn.naive_bayes import GaussianNB


class Shipped(GaussianNB):
    """A learner that only the user's own machine has."""
'''


_JOIN = """
import sys
import time

from partwise import RayExecutor

started = time.monotonic()
try:
    RayExecutor(sys.argv[1]).connect()
finally:
    print(time.monotonic() - started)
"""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture(scope="module")
def temporary():
    """A folder for the files of these clusters, where `auto` finds no other: short, as paths of sockets must be."""
    place = tempfile.mkdtemp(prefix="pw-")
    yield place
    shutil.rmtree(place, ignore_errors=True)


def environment(home, temporary):
    """A user of their own: no token but what lies in this home."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return {**kept, "HOME": str(home), "RAY_TMPDIR": temporary, "RAY_USAGE_STATS_ENABLED": "0"}


@contextmanager
def running_head(home, surroundings):
    """Yield the port of a head that runs, and end it by its process id."""
    port = free_port()
    command = [RAY, "start", "--head", "--block", f"--port={port}", "--num-cpus=2", "--include-dashboard=false"]
    with (home / "head.log").open("w") as log:
        head = subprocess.Popen(command, env=surroundings, stdout=log, stderr=log)
    deadline = time.monotonic() + 60
    while "will now block" not in (home / "head.log").read_text() and time.monotonic() < deadline:
        time.sleep(0.2)
    yield port
    head.terminate()
    head.wait(timeout=30)


def make_token(surroundings):
    subprocess.run([RAY, "get-auth-token", "--generate"], env=surroundings, capture_output=True, check=True)


@pytest.fixture(params=["without a token", "with a token"])
def cluster(request, tmp_path, temporary):
    """The home and the environment of a running head, and whether it has a token."""
    surroundings = environment(tmp_path, temporary)
    if request.param == "with a token":
        make_token(surroundings)
    with running_head(tmp_path, surroundings):
        yield tmp_path, surroundings, (request.param == "with a token")


def test_a_token_that_is_missing_is_told_in_30_seconds(tmp_path, temporary):
    """Who has not that of the cluster is told how to get in; who has it gets in."""
    guest = tmp_path / "guest"
    guest.mkdir()
    surroundings = environment(tmp_path, temporary) | {"RAY_AUTH_MODE": "token"}
    make_token(surroundings)
    homes = {guest: environment(guest, temporary), tmp_path: surroundings}
    with running_head(tmp_path, surroundings) as port:
        command = [sys.executable, "-c", _JOIN, f"127.0.0.1:{port}"]
        asked = {
            home: subprocess.Popen(command, env=joins, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for home, joins in homes.items()
        }
        told = {home: process.communicate(timeout=100) for home, process in asked.items()}
    assert asked[tmp_path].returncode == 0, told[tmp_path][1]
    seconds, said = told[guest]
    assert asked[guest].returncode != 0
    assert "does not let this process in" in said
    assert "RAY_AUTH_MODE=token" in said
    assert float(seconds) < 30


def test_compare_joins_the_running_head(cluster):
    """`--address auto` fits every member on the head that runs, and ships the user's module to it."""
    home, surroundings, token_expected = cluster
    (home / "mine").mkdir()
    (home / "mine" / "shipped_learner.py").write_text(MODULE)
    wine_table().to_csv(home / "wine.csv", index=False)
    command = [sys.executable, "-m", "partwise", "compare", "wine.csv", "--target", "cultivar", "--address", "auto"]
    command += ["--learner", "shipped_learner:Shipped", "--ship", "mine/shipped_learner.py", "--json"]
    command += ["--tracking-uri", "off"]
    said = subprocess.run(
        command,
        cwd=home,
        env=surroundings,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    ensemble = Comparison.from_json(said.stdout).ensemble
    assert (ensemble.n_members, ensemble.where) == (8, "the Ray cluster at auto")
    assert (home / ".ray" / "auth_token").exists() is token_expected
