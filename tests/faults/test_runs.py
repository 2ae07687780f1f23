"""Runs that are killed, stopped, started twice or lack members: what was finished stays finished."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

import mlflow
import numpy as np
import pandas as pd
import pytest
from moto.server import ThreadedMotoServer
from pyarrow import fs

from commands import run_here
from processes import gone, processes_of

LEARNER = '''
import os
import time
from pathlib import Path

from sklearn.tree import DecisionTreeClassifier

FITS, SECONDS = Path(os.environ["FITS"]), float(os.environ.get("SECONDS_A_FIT", "0.7"))


class Slow(DecisionTreeClassifier):
    """Notes each fit by its first value, and takes its time; refuses the fits that a file asks it to refuse."""

    def fit(self, X, y):
        first = f"{X[0, 0]:.6f}"
        with FITS.open("a") as file:
            file.write(f"{first}\\n")
        time.sleep(SECONDS)
        refused = FITS.with_name("refused")
        if refused.exists() and first in refused.read_text().split():
            raise RuntimeError("refused")
        return super().fit(X, y)
'''
PARTITIONS = 10
COMPARE = ["compare", "table.parquet", "--target", "kind", "--learner", "slow.py:Slow", "--param", "max_depth=3"]
COMPARE += ["--partitions", str(PARTITIONS), "--output", "run", "--tracking-uri", "sqlite:///mlflow.db"]
UNTRACKED = ("--tracking-uri", "off")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A table of two kinds."""
    place, rng = tmp_path_factory.mktemp("runs"), np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(2_000, 3)), columns=["a", "b", "c"])
    frame["kind"] = np.where(frame["a"] + frame["b"] > 0, "x", "y")
    frame.to_parquet(place / "table.parquet")
    return place / "table.parquet"


class _Place:
    """A folder with the learner and the table, in which commands are started."""

    def __init__(self, folder, table):
        self.folder, self.table = folder, folder / "table.parquet"
        self.table.write_bytes(table.read_bytes())
        (folder / "slow.py").write_text(LEARNER)
        self.environment = {**os.environ, "FITS": str(folder / "fits")}

    def start(self, *arguments):
        """Start a command in a session of its own, so that a signal reaches it and no other."""
        return subprocess.Popen(
            [sys.executable, "-m", "partwise", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def compare(self, *options):
        """Start a comparison with the slow learner."""
        return self.start(*COMPARE, *options)

    def here(self, *arguments):
        """Run a command in this process, on the session's Ray; return its exit code, and what it said."""
        with pytest.MonkeyPatch.context() as patch:
            for name in self.environment.keys() & {"FITS", "SECONDS_A_FIT"}:
                patch.setenv(name, self.environment[name])
            said = run_here(self.folder, *arguments)
        return said.returncode, said.stdout, " ".join(said.stderr.split())

    def done(self, process):
        """Wait for a command; return its exit code, and what it said."""
        out, err = process.communicate(timeout=200)
        return process.returncode, out, " ".join(err.split())

    def fits(self):
        """Return how many fits have begun."""
        path = self.folder / "fits"
        return len(path.read_text().split()) if path.exists() else 0

    def wait_for_fits(self, count, process):
        """Wait until so many fits have begun."""
        ends = time.monotonic() + 120
        while self.fits() < count and time.monotonic() < ends and process.poll() is None:
            time.sleep(0.05)
        assert self.fits() >= count, process.communicate()[1]

    def kept(self):
        """Return the partitions whose members are kept."""
        return sorted(int(path.name.partition("-")[0]) for path in (self.folder / "run" / "members").rglob("*.member"))

    def digests(self):
        """Return the members' digests, by the run's record."""
        return [member["content_digest"] for member in json.loads((self.folder / "run" / "members.json").read_text())]

    def record(self):
        """Return the record of the comparison."""
        return json.loads((self.folder / "run" / "comparison.json").read_text())


@pytest.fixture
def place(tmp_path, table):
    """A folder of its own for each test."""
    return _Place(tmp_path, table)


@pytest.fixture(scope="module")
def faultless(tmp_path_factory, table, ray_session):  # noqa: ARG001 - it runs there
    """A run to which nothing happened."""
    place = _Place(tmp_path_factory.mktemp("faultless"), table)
    place.environment["SECONDS_A_FIT"] = "0"
    code, _, said = place.here(*COMPARE, *UNTRACKED)
    assert code == 0, said
    assert place.fits() == 1 + PARTITIONS
    return place


def test_a_killed_driver_loses_nothing_that_was_finished(place, faultless):
    """SIGKILL in mid-run, then resume: what is missing is fitted alone, members are those without a fault.

    The lock that it left holds nobody up.
    """
    run = place.compare()
    place.wait_for_fits(1 + 6, run)
    processes = processes_of(run.pid)
    run.kill()
    run.communicate()
    assert gone(processes)
    assert list((place.folder / "run").glob("owner-*.json"))
    kept, begun = place.kept(), place.fits()
    assert 3 <= len(kept) < PARTITIONS
    code, _, said = place.here("resume", "run", "--trust")
    assert code == 0, said
    assert place.fits() - begun == PARTITIONS - len(kept)
    assert place.digests() == faultless.digests()
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{place.folder / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("partwise").experiment_id])
    assert len(runs) == 1 + PARTITIONS
    assert {each.info.status for each in runs} == {"FINISHED"}


@dataclass
class _Stopped:
    """A run that was stopped by a signal: what it said, and what was left."""

    place: _Place
    code: int
    said: str
    seconds: float
    processes: set
    refused: tuple


@pytest.fixture(scope="module")
def stopped(tmp_path_factory, table):
    """A run that got SIGTERM while it fitted; a second process, this one, had asked for its directory before."""
    place = _Place(tmp_path_factory.mktemp("stopped"), table)
    place.environment["SECONDS_A_FIT"] = "2"
    run = place.compare(*UNTRACKED)
    place.wait_for_fits(1 + 4, run)
    second = place.here("resume", "run", "--trust")
    processes = processes_of(run.pid)
    started = time.monotonic()
    run.send_signal(signal.SIGTERM)
    code, _, said = place.done(run)
    return _Stopped(place, code, said, time.monotonic() - started, processes, (run.pid, *second))


@pytest.fixture
def copy(stopped, tmp_path):
    """The stopped run, in a folder of its own."""
    shutil.copytree(stopped.place.folder, tmp_path / "copy")
    other = _Place(tmp_path / "copy", stopped.place.table)
    path = tmp_path / "copy" / "run" / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"working_directory": str(tmp_path / "copy")}))
    other.environment["SECONDS_A_FIT"] = "0"
    return other


def test_a_stopped_run_says_how_to_go_on(stopped):
    """Exit code 130 soon, and the command; `benchmarks/stopping.py` measures that it takes under 5 seconds."""
    assert stopped.code == 130, stopped.said[-2_000:]
    assert f"Go on with: partwise resume {stopped.place.folder / 'run'}" in stopped.said
    assert stopped.seconds < 30


def test_a_stopped_run_leaves_nothing_behind(stopped):
    """No process, lock or half-written file; the record says that it was interrupted."""
    assert gone(stopped.processes)
    left = {path.name for path in (stopped.place.folder / "run").rglob("*")}
    assert not {name for name in left if name.endswith((".tmp", ".lock")) or name.startswith("owner")}
    assert json.loads((stopped.place.folder / "run" / "run.json").read_text())["state"] == "interrupted"


@pytest.mark.long
def test_a_stopped_run_goes_on(copy, faultless):
    """With the members of a run without faults."""
    assert copy.done(copy.start("resume", "run", "--trust"))[0] == 0
    assert copy.digests() == faultless.digests()


def test_two_processes_on_one_directory(stopped):
    """The second is refused while the first lives, and names it."""
    owner, code, _, said = stopped.refused
    assert code == 2
    assert f"in use by process {owner}" in said


@pytest.mark.long
def test_a_table_that_has_changed_is_not_gone_on_with(copy):
    """Members of two tables are never mixed."""
    frame = pd.read_parquet(copy.table)
    frame.loc[0, "b"] += 1
    frame.to_parquet(copy.table)
    for _ in range(2):  # the refusal itself must not make the new table the known one
        code, _, said = copy.done(copy.start("resume", "run", "--trust"))
        assert code == 2
        assert "has changed since the run began" in said


def test_members_that_hold_code_are_not_taken_without_trust(copy):
    """Refused before anything is fitted, with the next step."""
    begun = copy.fits()
    code, _, said = copy.here("resume", "run")
    assert code == 2
    assert "--trust" in said
    assert copy.fits() == begun


@pytest.mark.long
def test_a_second_signal_ends_at_once(place):
    """Who asks twice does not wait for anything to be saved."""
    run = place.compare()
    place.wait_for_fits(1 + 2, run)
    processes = processes_of(run.pid)
    run.send_signal(signal.SIGINT)
    run.send_signal(signal.SIGTERM)
    started = time.monotonic()
    assert place.done(run)[0] == 130
    assert time.monotonic() - started < 10
    assert gone(processes)


def test_a_finished_run_is_not_run_again(faultless):
    """Resume shows its record, and fits nothing."""
    begun = faultless.fits()
    code, out, said = faultless.here("resume", "run", "--json")
    assert code == 0, said
    assert json.loads(out) == faultless.record()
    assert faultless.fits() == begun


MANY = 1_000
NAMED = LEARNER.replace('f"{X[0, 0]:.6f}"', "hashlib.sha256(X.tobytes()).hexdigest()").replace(
    "import os", "import hashlib\nimport os"
)
"""Notes by their rows which partitions it is fitted on."""


def _train_many(place):
    (place.folder / "slow.py").write_text(NAMED)
    place.environment["SECONDS_A_FIT"] = "0.02"
    arguments = ["train", "table.parquet", "--target", "kind", "--learner", "slow:Slow", "--ship", "slow.py"]
    arguments += ["--partitions", str(MANY), "--storage", "store", "--output", "run"]
    return place.start(*arguments, "--tracking-uri", "sqlite:///mlflow.db")


@pytest.mark.long
def test_a_thousand_members_that_are_killed_at_half_are_not_fitted_twice(tmp_path, table):
    """SIGKILL of the driver at 500 of 1,000: resume fits those that lack, once."""
    rows = pd.read_parquet(table)
    usual, killed = ((tmp_path / name) for name in ("usual", "killed"))
    for folder in (usual, killed):
        folder.mkdir()
    many = tmp_path / "many.parquet"
    pd.concat([rows] * 5, ignore_index=True).assign(c=lambda frame: np.arange(len(frame))).to_parquet(many)
    place = _Place(killed, many)
    run = _train_many(place)
    place.wait_for_fits(MANY // 2, run)
    processes = processes_of(run.pid)
    run.kill()
    run.communicate()
    assert gone(processes)
    kept, before = place.kept(), (killed / "fits").read_text().split()
    assert len(kept) == len(set(kept))
    assert MANY // 3 < len(kept) < 2 * MANY // 3
    (killed / "fits").unlink()
    code, _, said = place.done(place.start("resume", "run", "--trust"))
    assert code == 0, said
    after = (killed / "fits").read_text().split()
    assert len(after) == MANY - len(kept)
    assert len(set(after)) == len(after)
    assert len(set(before) & set(after)) == len(before) - len(kept)  # those that the kill met in their fit
    assert len(set(before) | set(after)) == MANY
    assert place.done(place.start("resume", "run"))[0] == 0
    assert (killed / "fits").read_text().split() == after
    other = _Place(usual, many)
    code, _, said = other.done(_train_many(other))
    assert code == 0, said
    assert place.digests() == other.digests()


@pytest.fixture
def bucket(place):
    """A bucket of a fake S3 on loopback; the commands of the place have credentials for it. Its name, and its URI."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    address = "{}:{}".format(*server.get_host_and_port())
    place.environment |= {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    settings = {"access_key": "key", "secret_key": "secret", "region": "us-east-1", "scheme": "http"}
    filesystem = fs.S3FileSystem(endpoint_override=address, allow_bucket_creation=True, **settings)
    filesystem.create_dir("runs")
    yield filesystem, f"s3://runs/run?endpoint_override={address}&scheme=http"
    server.stop()


def _objects(filesystem):
    infos = filesystem.get_file_info(fs.FileSelector("runs/run", recursive=True))
    return [info.path.removeprefix("runs/run/") for info in infos if info.type == fs.FileType.File]


@pytest.mark.long
def test_a_killed_driver_whose_run_is_in_a_bucket_loses_nothing(place, bucket, faultless):
    """SIGKILL in mid-run; nothing of the run is on this machine, and resume fits what is missing alone."""
    filesystem, uri = bucket
    run = place.compare("--output", uri)
    place.wait_for_fits(1 + 6, run)
    processes = processes_of(run.pid)
    run.kill()
    run.communicate()
    assert gone(processes)
    left, begun = _objects(filesystem), place.fits()
    kept = [name for name in left if name.endswith(".member")]
    assert 3 <= len(kept) < PARTITIONS
    assert any(name.startswith("owner-") for name in left)
    code, _, said = place.done(place.start("resume", uri, "--trust"))
    assert code == 0, said
    assert place.fits() - begun == PARTITIONS - len(kept)
    members = json.loads(filesystem.open_input_file("runs/run/members.json").read())
    assert [member["content_digest"] for member in members] == faultless.digests()
    assert not [name for name in _objects(filesystem) if name.startswith("owner-") or name.endswith((".tmp", ".sent"))]
    assert "Run directory: s3://runs/run" in said
    code, _, said = place.done(place.start("predict", uri, "table.parquet", "-o", "said.parquet", "--trust"))
    assert code == 0, said
    assert len(pd.read_parquet(place.folder / "said.parquet")) == len(pd.read_parquet(place.table))


def test_what_is_no_run_directory_is_refused(tmp_path):
    """With what would be one."""
    said = run_here(tmp_path, "resume", ".")
    assert said.returncode == 2
    assert "is no run directory: it has no run.json" in said.stderr


@pytest.fixture
def two_refused(place, faultless):
    """Two partitions whose fits fail: by the first value of their rows, as the learner sees it."""
    place.environment["SECONDS_A_FIT"] = "0"
    one_model, *members = (faultless.folder / "fits").read_text().split()
    refused = [value for value in members if value != one_model][:2]  # whose first row is not that of the table
    (place.folder / "refused").write_text(" ".join(refused))
    return place


@pytest.mark.long
def test_an_ensemble_that_lacks_members_fails_unless_told_otherwise(two_refused):
    """By default a member that cannot be fitted ends the run, and is named."""
    code, _, said = two_refused.done(two_refused.compare())
    assert code == 1
    assert "has no member [error]: RuntimeError: refused" in said


@pytest.mark.long
def test_less_than_the_quorum_fails(two_refused):
    """8 of 10 members are not 90 %."""
    code, _, said = two_refused.done(two_refused.compare("--on-failure", "skip"))
    assert code == 1
    assert "has no member [error]" in said


def test_what_is_missing_is_stated_everywhere_and_can_be_repaired(two_refused, faultless):
    """With a quorum of 80 % the run ends well, table, JSON, MLflow and model say what lacks, and resume fits it."""
    place = two_refused
    code, out, said = place.here(*COMPARE, "--on-failure", "skip", "--quorum", "0.8")
    assert code == 0, said
    assert "8 (2 failed)" in out
    record = place.record()
    assert (record["ensemble"]["n_members"], record["ensemble"]["n_failed"]) == (8, 2)
    assert sum("has no member [error]: RuntimeError: refused" in note for note in record["notes"]) == 2
    model = json.loads((place.folder / "run" / "model" / "model.json").read_text())
    assert sum("has no member" in each for each in model["missing"]) == 2
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{place.folder / 'mlflow.db'}")
    parents = client.search_runs([client.get_experiment_by_name("partwise").experiment_id], "metrics.n_failed = 2")
    assert len(parents) == 1
    (place.folder / "refused").unlink()
    begun = place.fits()
    code, _, said = place.here("resume", "run", "--trust")
    assert code == 0, said
    assert place.fits() - begun == 2
    assert place.digests() == faultless.digests()
    assert place.record()["ensemble"]["n_failed"] == 0
