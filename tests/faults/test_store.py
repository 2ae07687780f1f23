"""Facts about stores when things go wrong, or lie otherwise: kills, altered files, row groups, sorted rows."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet
from sklearn.naive_bayes import GaussianNB

import partwise
from partwise import PartitionedClassifier, PartwiseError
from partwise.cli import main
from partwise.config import TrainConfig
from partwise.experiment import train

FEATURES = ["a", "b", "c", "d", "e", "f"]


def _rows(n_rows, seed=0):
    """Features that tell two kinds apart in 9 of 10 rows."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.normal(size=(n_rows, len(FEATURES))).astype(np.float32), columns=FEATURES)
    table["kind"] = np.where(table["a"] + table["b"] + 0.3 * rng.normal(size=n_rows) > 0, "x", "y")
    return table


def _write(table, folder, n_files):
    folder.mkdir()
    for index, rows in enumerate(np.array_split(np.arange(len(table)), n_files)):
        table.iloc[rows].to_parquet(folder / f"{index:02d}.parquet", index=False)
    return folder


def _digests(model):
    return [member.content_digest for member in model.members_]


def _listed(storage):
    """What `partwise store list` tells."""
    command = [sys.executable, "-m", "partwise", "store", "list", "--json", "--storage", str(storage)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, timeout=200, check=True).stdout)


@pytest.fixture(scope="module")
def home():
    """A folder for the files of Rays that are not this session's: short, as paths of sockets must be."""
    place = tempfile.mkdtemp(prefix="pw-")
    yield place
    shutil.rmtree(place, ignore_errors=True)


def _environment(home):
    return {**os.environ, "RAY_TMPDIR": home, "RAY_USAGE_STATS_ENABLED": "0"}


def _running(session, home):
    """The processes of a session, and all others that were started with a Ray in this folder."""
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*") if _belongs(entry, session, home)]


def _belongs(entry, session, home):
    with suppress(OSError):  # it has ended meanwhile
        state, _, _, its_session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
        command = (entry / "cmdline").read_bytes()
        return state != "Z" and (int(its_session) == session or home.encode() in command)
    return False


def _left_after(seconds, session, home):
    """The processes that are still there after so many seconds."""
    deadline = time.monotonic() + seconds
    while (left := _running(session, home)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def _end(pids):
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


# 1. A run that is killed while the store is built.

N_KILLED = 12
"""Files, and partitions: the run is killed at the first of them."""


@dataclass(frozen=True)
class Killed:
    """What was found after a kill; `listed` is what the store told then."""

    storage: Path
    code: int
    left: list[int]
    files: list[str]
    listed: list[dict]


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A table whose exchange takes a while."""
    return _write(_rows(100_000 * N_KILLED), tmp_path_factory.mktemp("large") / "table", N_KILLED)


@pytest.fixture(scope="module", params=["exchange/*.arrow", "part-*.parquet"])
def killed(request, large, home, tmp_path_factory):
    """A `partwise train` whose process group was killed as soon as the store held such a file."""
    place = tmp_path_factory.mktemp("killed")
    storage = place / "store"
    command = [sys.executable, "-m", "partwise", "train", str(large), "--target", "kind", "--learner", "naive_bayes"]
    command += ["--partitions", str(N_KILLED), "--storage", str(storage), "--tracking-uri", "off", "--output", "run"]
    with (
        (place / "said.txt").open("w") as said,
        subprocess.Popen(
            command, cwd=place, env=_environment(home), stdout=said, stderr=said, start_new_session=True
        ) as process,
    ):
        try:
            deadline = time.monotonic() + 200
            while not any(storage.glob(f"*/*/{request.param}")):
                assert process.poll() is None, (place / "said.txt").read_text()
                assert time.monotonic() < deadline, (place / "said.txt").read_text()
                time.sleep(0.002)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            code = process.wait()
            left = _left_after(30, process.pid, home)
            _end(left)
    files = [str(path.relative_to(storage)) for path in storage.rglob("*") if path.is_file()]
    return Killed(storage, code, left, files, _listed(storage))


def _trained(large, storage, output):
    """The digests of the members of a run, as its directory tells them."""
    config = TrainConfig.checked(
        data=str(large),
        target="kind",
        learner="naive_bayes",
        partitions=N_KILLED,
        storage=str(storage),
        tracking_uri="off",
        output=output,
    )
    train(config)
    return [member["content_digest"] for member in json.loads((output / "members.json").read_text())]


@pytest.fixture(scope="module")
def fresh(large, ray_session, tmp_path_factory):  # noqa: ARG001 - Ray for the training
    """The digests of a run on a store of its own."""
    place = tmp_path_factory.mktemp("fresh")
    return _trained(large, place / "store", place / "run")


@pytest.fixture(scope="module")
def later(killed, large, ray_session, tmp_path_factory):  # noqa: ARG001 - Ray for the training
    """The digests of a run on the store that a killed one left, and what the store tells afterwards."""
    return _trained(large, killed.storage, tmp_path_factory.mktemp("later") / "run"), _listed(killed.storage)


@pytest.mark.long
def test_the_kill_is_in_the_middle_of_the_build(killed):
    """Files of the exchange are there, and no manifest is: the rows are on their way."""
    assert killed.code == -signal.SIGKILL
    assert any("/exchange/" in file for file in killed.files)
    assert not any("manifest" in file for file in killed.files)


@pytest.mark.long
def test_no_process_of_a_killed_run_is_left(killed):
    """Its own Ray ends with it, workers included."""
    assert killed.left == []


@pytest.mark.long
def test_a_killed_run_leaves_nothing_that_is_listed_as_complete(killed):
    """`partwise store list` shows what is left, without a manifest."""
    assert [entry["manifest"] for entry in killed.listed] == [None]


@pytest.mark.long
def test_a_later_run_has_the_members_of_a_fresh_store(later, fresh):
    """Nothing that a killed run left gets into the members of the next."""
    digests, _ = later
    assert len(set(fresh)) == N_KILLED
    assert digests == fresh


@pytest.mark.long
def test_a_later_run_completes_the_table_that_was_killed(killed, later):
    """It is stored under the same key: the later run has looked at what was left, and has not taken it."""
    _, (entry,) = later
    assert entry["key"] == killed.listed[0]["key"]
    assert entry["manifest"]["n_rows"] == 0.8 * 100_000 * N_KILLED


# 2. Cuts of all kinds, from row groups of any size.

N_MANY = 120_000
ROW_GROUPS = (1_000, 50_000)
CUTS = {
    "two copies": ({"replication": 2}, {}),
    "two copies, shuffled": ({"partitioner": "shuffled", "replication": 2}, {}),
    "grouped": ({"partitioner": "grouped"}, {"group": "owner"}),
    "two copies of groups": ({"partitioner": "grouped", "replication": 2}, {"group": "owner"}),
    "ordered by time": ({"partitioner": "ordered"}, {"time": "day"}),
    "clustered": ({"partitioner": "clustered"}, {}),
    "clustered, with overlap": ({"partitioner": "clustered:0.2"}, {}),
}
"""Settings of the cut, and the roles of columns. Runs of time and cells have no copies elsewhere."""


@pytest.fixture(scope="module")
def many():
    """Rows with owners and with days that are in no order."""
    rng = np.random.default_rng(1)
    table = _rows(N_MANY)
    table["owner"] = rng.integers(0, 300, N_MANY)
    table["day"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 90, N_MANY), unit="D")
    return table


@pytest.fixture(scope="module")
def grouped_files(many, tmp_path_factory):
    """The rows in a file with small row groups and in one with large; a column that nobody reads makes them heavy."""
    place = tmp_path_factory.mktemp("many")
    arrow = pa.Table.from_pandas(many, preserve_index=False)
    arrow = arrow.append_column("heavy", pa.repeat("." * 600, N_MANY))
    for size in ROW_GROUPS:
        parquet.write_table(arrow, place / f"{size}.parquet", row_group_size=size, use_dictionary=False)
    return place


@pytest.fixture(scope="module", params=CUTS)
def cut(request, many, grouped_files, tmp_path_factory):
    """The digests of the members of a cut: from either file, and from memory."""
    settings, roles = CUTS[request.param]
    settings = {"n_partitions": 5, "executor": "inline", "random_state": 3, **settings}
    found = {}
    for size in ROW_GROUPS:
        model = PartitionedClassifier(GaussianNB(), storage=str(tmp_path_factory.mktemp("store")), **settings)
        model.fit(partwise.scan(grouped_files / f"{size}.parquet", "kind", columns=FEATURES, **roles))
        found[size] = _digests(model)
    given = {"groups" if role == "group" else role: many[column] for role, column in roles.items()}
    model = PartitionedClassifier(GaussianNB(), **settings).fit(many[FEATURES], many["kind"], **given)
    return {**found, "memory": _digests(model)}


def test_row_groups_decide_what_is_read_at_once(grouped_files):
    """The two files come in pieces that begin at other rows."""
    sizes = [
        [piece.n_rows for piece in partwise.scan(grouped_files / f"{size}.parquet").source.pieces()]
        for size in ROW_GROUPS
    ]
    assert sizes[0] != sizes[1]
    assert min(map(len, sizes)) > 1


def test_members_do_not_depend_on_row_groups(cut):
    """They are the same from row groups of 1,000 and of 50,000 rows."""
    assert len(set(cut[1_000])) == 5
    assert cut[1_000] == cut[50_000]


def test_members_are_those_of_the_table_in_memory(cut):
    """Files and memory send the same rows to the same members, in the same order."""
    assert cut[1_000] == cut["memory"]


# 3. Partitions that are altered after they were stored.


class _Stored:
    """A small table, its store, and fits from it."""

    def __init__(self, place):
        self.storage = place / "store"
        self.table = _write(_rows(3_000), place / "table", 2)
        self.digests = self.fit()
        (self.key,) = (path.name for path in self.storage.iterdir())
        self.part = sorted((self.storage / self.key).rglob("part-*.parquet"))[1]
        self.content = self.part.read_bytes()

    def fit(self):
        model = PartitionedClassifier(
            GaussianNB(), n_partitions=3, executor="inline", random_state=0, storage=str(self.storage)
        )
        return _digests(model.fit(partwise.scan(self.table, "kind")))

    def flip(self, place):
        altered = bytearray(self.content)
        altered[place] ^= 1
        self.part.write_bytes(altered)


@pytest.fixture
def stored(tmp_path):
    return _Stored(tmp_path)


@pytest.fixture(params=["altered", "removed"])
def damaged(request, stored):
    """A store in which one partition is not what was written."""
    if request.param == "altered":
        stored.flip(len(stored.content) // 2)
    else:
        stored.part.unlink()
    return stored


def test_a_damaged_partition_ends_the_next_fit(damaged):
    """The error names the file."""
    with pytest.raises(PartwiseError, match=str(damaged.part)):
        damaged.fit()


def test_a_store_that_was_cleaned_works_again(damaged):
    """After `partwise store clean --key` the table is stored anew, with the members of the first time."""
    with pytest.raises(SystemExit) as ended:
        main(["store", "clean", "--key", damaged.key[:8], "--storage", str(damaged.storage)])
    assert ended.value.code == 0
    assert damaged.fit() == damaged.digests
    assert not damaged.part.exists()  # another build, another folder


@pytest.mark.parametrize("where", ["columns", "footer"])
def test_wherever_a_byte_flips_the_file_is_named_or_nothing_changes(where, stored):
    """No place in the file gives other members, or an error that leaves the file to be guessed."""
    end = len(stored.content)
    footer = end - 8 - int.from_bytes(stored.content[-8:-4], "little")
    wrong = {}
    for place in np.linspace(*((0, footer - 1) if where == "columns" else (footer, end - 1)), 60, dtype=int).tolist():
        stored.flip(place)
        try:
            if stored.fit() != stored.digests:
                wrong[place] = "other members"
        except PartwiseError as error:
            if str(stored.part) not in str(error):
                wrong[place] = str(error)
    assert wrong == {}


# 4. Rows that are sorted by their target, and a model that learns bit by bit.


@pytest.fixture(scope="module")
def incremental(ray_session, tmp_path_factory):  # noqa: ARG001 - Ray for the comparisons
    """What `compare` tells of its incremental model, on files of sorted and of shuffled rows.

    A partition is more than one call of `partial_fit`, within which the learner itself would shuffle.
    """
    place, rows, scores = tmp_path_factory.mktemp("incremental"), _rows(60_000), {}
    for order, table in {"shuffled": rows, "sorted": rows.sort_values("kind", kind="stable")}.items():
        folder, run = _write(table, place / order, 4), place / f"run of {order}"
        arguments = ["--target", "kind", "--learner", "sgd", "--partitions", "2", "--also", "incremental"]
        arguments += ["--storage", str(place / "store"), "--tracking-uri", "off", "--output", str(run)]
        with pytest.raises(SystemExit) as ended:
            main(["compare", str(folder), *arguments])
        assert ended.value.code == 0
        scores[order] = json.loads((run / "comparison.json").read_text())["alternatives"]["incremental"]
    return scores


@pytest.mark.long
def test_an_incremental_model_learns_all_rows_of_files(incremental):
    """It goes through every training row, whatever their order."""
    assert {order: found["n_rows"] for order, found in incremental.items()} == {"shuffled": 48_000, "sorted": 48_000}


@pytest.mark.long
def test_sorted_rows_are_learned_as_well_as_shuffled_ones(incremental):
    """The order of the rows in their files decides no more than one pass of this learner varies by itself."""
    sorted_score, shuffled_score = (incremental[order]["scores"]["accuracy"] for order in ("sorted", "shuffled"))
    assert shuffled_score > 0.85
    assert sorted_score == pytest.approx(shuffled_score, abs=0.05)
