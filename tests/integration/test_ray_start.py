"""A cluster whose head is a process of its own, as `ray start` makes it: joined, with and without a token."""

import os
import socket
import subprocess
import sys
import time
from ast import literal_eval
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


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def environment(home):
    """A user of their own: no token but what lies in this home."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return {**kept, "HOME": str(home), "RAY_USAGE_STATS_ENABLED": "0"}


@pytest.fixture(params=["without a token", "with a token"])
def cluster(request, tmp_path):
    """The home, the port and the environment of a running head, which is ended by its process id."""
    surroundings = environment(tmp_path)
    if request.param == "with a token":
        subprocess.run([RAY, "get-auth-token", "--generate"], env=surroundings, capture_output=True, check=True)
    port = free_port()
    command = [RAY, "start", "--head", "--block", f"--port={port}", "--num-cpus=2", "--include-dashboard=false"]
    with (tmp_path / "head.log").open("w") as log:
        head = subprocess.Popen(command, env=surroundings, stdout=log, stderr=log)
    deadline = time.monotonic() + 60
    while "will now block" not in (tmp_path / "head.log").read_text() and time.monotonic() < deadline:
        time.sleep(0.2)
    yield tmp_path, surroundings, (request.param == "with a token")
    head.terminate()
    head.wait(timeout=30)


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


def test_a_ray_of_our_own_listens_on_the_loopback_address_alone(tmp_path):
    """No port of the driver, of Ray's servers and of its workers can be reached from another machine."""
    program = (
        "import psutil, ray\nfrom partwise import RayExecutor\nRayExecutor().connect()\n"
        "ray.get([ray.remote(lambda: 1).remote() for _ in range(2)])\n"
        "ours = [psutil.Process(), *psutil.Process().children(recursive=True)]\n"
        "print({c.laddr.ip for p in ours for c in p.net_connections('inet') if c.status == 'LISTEN'})\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    addresses = literal_eval(said.stdout.splitlines()[-1])
    assert addresses
    assert addresses <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}
