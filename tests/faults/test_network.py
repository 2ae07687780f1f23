"""A link that is cut between two nodes: each lives on, and neither can tell the other so."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

IP = shutil.which("ip")
RAY = str(Path(sys.executable).parent / "ray")
LEARNER = '''
import os
import time
from pathlib import Path

from sklearn.tree import DecisionTreeClassifier


class Slow(DecisionTreeClassifier):
    """Leaves a file for each fit that begins, under the name of the network that it begins in, and takes its time."""

    def fit(self, X, y):
        network = os.stat("/proc/self/ns/net").st_ino
        (Path(os.environ["FITS"]) / f"{network}-{time.time_ns()}").touch()
        time.sleep(float(os.environ["SECONDS_A_FIT"]))
        return super().fit(X, y)
'''
PARTITIONS = 36
PATIENCE = {
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
}
"""By itself Ray takes over half a minute until it gives up a node that has fallen silent."""


def _ip(*arguments):
    said = subprocess.run([IP, *arguments], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    return said.stdout


class _Networks:
    """Two networks with a link between them, Ray nodes in each, and a folder that both see, as they would a share."""

    def __init__(self, folder, home):
        self.folder, self.home = folder, home
        self.names = [f"pw{os.getpid()}{side}" for side in "ab"]
        self.address = "10.213.77.1:6391"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        self.environment = kept | {
            "HOME": str(home),
            "RAY_USAGE_STATS_ENABLED": "0",
            "FITS": str(folder / "fits"),
            "SECONDS_A_FIT": "1",
            **PATIENCE,
        }

    def link(self):
        """Make the networks, and put one end of a cable into each."""
        first, second = self.names
        for name in self.names:
            _ip("netns", "add", name)
        _ip("link", "add", "pwa", "netns", first, "type", "veth", "peer", "name", "pwb", "netns", second)
        for name, device, number in zip(self.names, ("pwa", "pwb"), (1, 2), strict=True):
            _ip("-n", name, "address", "add", f"10.213.77.{number}/24", "dev", device)
            _ip("-n", name, "link", "set", device, "up")
            _ip("-n", name, "link", "set", "lo", "up")

    def start_nodes(self):
        """Start the head in the first network, and let another node there and one of the second network join it."""
        head = ["--head", "--port=6391", "--include-dashboard=false", f"--temp-dir={self.home}"]
        joins = [f"--address={self.address}"]
        for number, (side, options) in enumerate(((0, head), (0, joins), (1, joins))):
            command = [RAY, "start", "--block", "--num-cpus=1", f"--node-ip-address=10.213.77.{side + 1}", *options]
            log = self.folder / f"node{number}.log"
            self.start(side, command, log.open("w"))
            ends = time.monotonic() + 60
            while "will now block" not in log.read_text():
                assert time.monotonic() < ends, log.read_text()
                time.sleep(0.1)

    def start(self, side, command, output):
        """Start a command in a network."""
        inside = [IP, "netns", "exec", self.names[side], *map(str, command)]
        return subprocess.Popen(inside, cwd=self.folder, env=self.environment, stdout=output, stderr=output, text=True)

    def fits(self, side):
        """Return how many fits have begun in a network."""
        inode = Path(f"/run/netns/{self.names[side]}").stat().st_ino
        return len(list((self.folder / "fits").glob(f"{inode}-*")))

    def cut(self):
        """Pull the cable: what is sent is lost, and no one is told."""
        _ip("-n", self.names[1], "link", "set", "pwb", "down")

    def is_cut(self):
        """Return whether no word goes from the first network to the second."""
        command = [sys.executable, "-c", "import socket; socket.create_connection(('10.213.77.2', 9), timeout=2)"]
        inside = subprocess.run([IP, "netns", "exec", self.names[0], *command], capture_output=True, check=False)
        return b"Connection refused" not in inside.stderr  # which is an answer

    def end(self):
        """End all processes in the networks, then these."""
        for name in self.names:
            while pids := _pids(name):
                for pid in pids:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                time.sleep(0.1)
            subprocess.run([IP, "netns", "delete", name], check=False, capture_output=True)


def _pids(name):
    said = subprocess.run([IP, "netns", "pids", name], capture_output=True, text=True, check=False).stdout
    return [int(pid) for pid in said.split() if "\nState:\tZ" not in _status(pid)]


def _status(pid):
    with suppress(OSError):
        return Path(f"/proc/{pid}/status").read_text()
    return ""


@pytest.fixture
def folder(tmp_path):
    """A folder with a table and a slow learner."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(2_400, 3)), columns=["a", "b", "c"])
    frame["kind"] = np.where(frame["a"] + frame["b"] > 0, "x", "y")
    frame.to_parquet(tmp_path / "table.parquet")
    (tmp_path / "slow.py").write_text(LEARNER)
    (tmp_path / "fits").mkdir()
    return tmp_path


@pytest.fixture
def networks(folder):
    """Two networks with nodes of one cluster; of neither anything is left in the end."""
    if os.geteuid() or IP is None:
        pytest.skip("networks of one's own take root, and the command ip")
    home = tempfile.mkdtemp(prefix="pw-")  # short, as paths of sockets must be
    made = _Networks(folder, Path(home))
    try:
        try:
            made.link()
        except AssertionError as refused:
            pytest.skip(f"this kernel makes no networks: {refused}")
        made.start_nodes()
        yield made
    finally:
        made.end()
        shutil.rmtree(home, ignore_errors=True)
    assert not any(name in _ip("netns", "list") for name in made.names)


def _train(output, *options):
    command = [sys.executable, "-m", "partwise", "train", "table.parquet", "--target", "kind", "--learner", "slow:Slow"]
    command += ["--ship", "slow.py", "--partitions", str(PARTITIONS), "--storage", f"store-{output}"]
    return [*command, "--tracking-uri", "off", "--output", output, *options]


def _members(folder, output):
    return json.loads((folder / output / "members.json").read_text())


@pytest.mark.long
def test_a_cut_link_ends_no_run(networks, folder):
    """Members that were on the far side are fitted on this one, and all are those of a run without a fault."""
    said = folder / "said.txt"
    run = networks.start(0, _train("run", "--address", networks.address), said.open("w"))
    ends = time.monotonic() + 120
    while networks.fits(1) < 3:
        assert run.poll() is None, said.read_text()
        assert time.monotonic() < ends, said.read_text()
        time.sleep(0.05)
    networks.cut()
    cut = time.monotonic()
    assert networks.is_cut()
    assert run.wait(timeout=150) == 0, said.read_text()
    assert time.monotonic() - cut < 60  # Ray by itself would wait for what it had sent there for some minutes
    assert networks.is_cut()
    assert networks.fits(0) >= PARTITIONS - networks.fits(1) + 1  # one of those there, at the least, was lost
    members = _members(folder, "run")
    assert max(member["attempts"] for member in members) == 2
    usual = subprocess.run(
        _train("usual"),
        cwd=folder,
        env=networks.environment | {"SECONDS_A_FIT": "0"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert usual.returncode == 0, usual.stderr
    digests = [member["content_digest"] for member in members]
    assert digests == [member["content_digest"] for member in _members(folder, "usual")]
    assert len(digests) == PARTITIONS
