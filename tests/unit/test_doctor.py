"""What the doctor says of machines and places: pure rules on what they tell, and looks at real places."""

import os
import resource
import sqlite3
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from partwise.cli.program import app
from partwise.doctor import DoctorConfig
from partwise.doctor.checks import bad
from partwise.doctor.isolation import CheckProcess
from partwise.doctor.machines import (
    check_clocks,
    check_disk,
    check_machine,
    check_modules,
    check_ray_places,
    check_token,
    check_versions,
)
from partwise.doctor.places import check_seen, look_at_run_directory, look_at_store
from partwise.doctor.probe import MachineFacts, Question, look_at_machine
from partwise.doctor.tracking import look_at_tracking
from partwise.errors import ClusterError, ConfigurationError
from partwise.executors.node_versions import check_node_versions
from partwise.executors.timeouts import call_with_timeout
from partwise.provenance import versions
from partwise.records import TaskFailure

MIB, GIB = 2**20, 2**30
FACTS = MachineFacts(
    versions={"python": "3.11.7", "ray": "2.60.0", "partwise": "0.1.0", "scikit-learn": "1.9.1", "numpy": "2.4.6"},
    cores=4,
    memory=16 * GIB,
    shared_memory=(8 * GIB, 8 * GIB),
    object_store=4 * GIB,
    temporary_folder="/tmp/ray",  # noqa: S108 - a name
    temporary=(100 * GIB, 200 * GIB),
    open_files=65_536,
    mark=None,
    mark_fault="",
    absent=(),
)
FAILURE = TaskFailure(reason="error", error_type="TimeoutError", message="no answer", traceback="")


def _lines(facts):
    return [*check_machine(facts, "x"), *check_ray_places(facts, "x")]


def test_a_sound_machine_is_good():
    """Every line, and none with a mend."""
    assert {check.state for check in _lines(FACTS)} == {"good"}
    assert not any(check.mend for check in _lines(FACTS))


@pytest.mark.parametrize(
    ("change", "name", "state"),
    [
        ({"memory": 2 * GIB}, "free memory", "warning"),
        ({"memory": GIB // 2}, "free memory", "bad"),
        ({"memory": None}, "free memory", "warning"),
        ({"shared_memory": (64 * MIB, 64 * MIB), "object_store": 60 * MIB}, "/dev/shm", "warning"),  # noqa: S108 - a name
        ({"object_store": 9 * GIB}, "/dev/shm", "warning"),  # noqa: S108 - a name
        ({"object_store": None, "shared_memory": (GIB, 8 * GIB)}, "/dev/shm", "warning"),  # noqa: S108 - a name
        ({"temporary": (9 * GIB, 200 * GIB)}, "disk for temporary files", "bad"),
        ({"temporary": (5 * GIB, 20 * GIB)}, "disk for temporary files", "warning"),
        ({"temporary": None}, "disk for temporary files", "warning"),
        ({"open_files": 1_024}, "open files", "warning"),
    ],
)
def test_what_lacks_is_told_with_its_mend(change, name, state):
    """That line alone, and it says what to do."""
    told = [check for check in _lines(replace(FACTS, **change)) if check.mend]
    assert [(check.name, check.state) for check in told] == [(f"x: {name}", state)]


@pytest.mark.parametrize("change", [{"open_files": None}, {"shared_memory": (GIB, 8 * GIB)}, {"shared_memory": None}])
def test_what_is_no_lack_is_good(change):
    """No limit of files; memory that Ray itself has mapped by now; a system that has no /dev/shm."""
    assert {check.state for check in _lines(replace(FACTS, **change))} == {"good"}


def test_a_disk_is_full_for_ray_before_it_is_full():
    """Ray's temporary folder needs 5 % of the disk free, a run only needs space."""
    space = (40 * GIB, 1_000 * GIB)
    assert check_disk("d", "/", space, full=0.95).state == "bad"
    assert check_disk("d", "/", space).state == "good"


@pytest.mark.parametrize(
    ("versions", "state"),
    [
        ({}, "good"),
        ({"ray": "2.59.0"}, "bad"),
        ({"python": "3.11.8"}, "bad"),
        ({"partwise": "0.2.0"}, "bad"),
        ({"scikit-learn": "1.8.0"}, "bad"),
        ({"numpy": "2.3.0"}, "warning"),
    ],
)
def test_versions_that_matter_are_those_that_pickles_cross(versions, state):
    """Other versions of Ray or Python are bad, those of arrays a warning; what differs is told from both sides."""
    (check,) = check_versions(FACTS, {"n": replace(FACTS, versions=FACTS.versions | versions)})
    assert check.state == state
    assert all(f"{name} {number} (driver {FACTS.versions[name]})" in check.found for name, number in versions.items())


@pytest.mark.parametrize("change", [{}, {"numpy": "2.3.0"}, None])
def test_a_run_is_not_refused_for_what_may_be_well(change, monkeypatch):
    """Arrays of other versions, a node that does not answer, a partwise that is shipped rather than installed."""
    here = versions()
    shipped = {name: number for name, number in here.items() if name != "partwise"}
    answers = {"n": FAILURE if change is None else here | change, "m": shipped}
    monkeypatch.setattr("partwise.executors.node_versions.on_every_node", lambda *_: answers)
    check_node_versions()


@pytest.mark.parametrize("package", ["python", "ray", "partwise", "scikit-learn"])
def test_a_run_is_refused_for_what_cannot_be_unpickled(package, monkeypatch):
    """The node and both versions are told, and the next step."""
    answers = {"n": versions() | {package: "0.1"}, "m": versions()}
    monkeypatch.setattr("partwise.executors.node_versions.on_every_node", lambda *_: answers)
    with pytest.raises(ClusterError, match=rf": n has {package} 0\.1 \(driver [^;]*\)\. Next: install"):
        check_node_versions()


def test_a_package_that_a_node_lacks_is_told():
    """By its name."""
    versions = {name: number for name, number in FACTS.versions.items() if name != "partwise"}
    (check,) = check_versions(FACTS, {"n": replace(FACTS, versions=versions)})
    assert (check.state, check.found) == ("bad", "partwise absent (driver 0.1.0)")


def test_a_node_that_does_not_answer_is_bad_once():
    """With what went wrong there, and not again in other lines."""
    (check,) = check_versions(FACTS, {"n": FAILURE})
    assert (check.state, check.found) == ("bad", "does not tell: TimeoutError: no answer")
    assert not [*check_seen("word", {"n": FAILURE}), *check_modules({"n": FAILURE}, ("mine",))]


def test_a_shipped_module_that_a_node_does_not_find_is_bad():
    """It is named."""
    nodes = {"n": replace(FACTS, absent=("mine",)), "m": FACTS}
    first, second = check_modules(nodes, ("mine", "other"))
    assert (first.state, first.found) == ("bad", "not found: mine")
    assert (second.state, second.found) == ("good", "mine, other")


@pytest.mark.parametrize(
    ("clock", "state"), [(1_001.0, "good"), (1_022.0, "warning"), (980.0, "warning"), (900.0, "bad")]
)
def test_clocks_that_differ_are_told(clock, state):
    """Before it was asked, or after it had answered."""
    (check,) = check_clocks({"n": clock}, sent=1_000.0, received=1_002.0)
    assert check.state == state


def test_a_clock_that_is_not_told_is_a_warning():
    """With the reason."""
    (check,) = check_clocks({"n": FAILURE}, sent=0.0, received=1.0)
    assert (check.state, check.found) == ("warning", "not told: no answer")


def test_a_node_that_does_not_see_the_store_says_why():
    """Its own error is what helps."""
    nodes = {"n": replace(FACTS, mark="word"), "m": replace(FACTS, mark_fault="PermissionError: no")}
    first, second = check_seen("word", nodes)
    assert first.state == "good"
    assert (second.state, second.found) == ("bad", "not seen: PermissionError: no")


@pytest.fixture
def home(tmp_path):
    """A home with a token that its owner alone can read."""
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("secret")
    (tmp_path / ".ray" / "auth_token").chmod(0o600)
    return tmp_path


def test_a_token_that_others_can_read_is_bad(home):
    """The mend is a command."""
    token = home / ".ray" / "auth_token"
    token.chmod(0o644)
    check = check_token({"RAY_AUTH_MODE": "token"}, home)
    assert (check.state, check.mend) == ("bad", f"chmod 600 {token}")


@pytest.mark.parametrize(
    ("environment", "state"),
    [
        ({"RAY_AUTH_MODE": "token"}, "good"),
        ({"RAY_AUTH_MODE": "Token"}, "good"),
        ({}, "warning"),
        ({"RAY_AUTH_MODE": "disabled"}, "warning"),
        ({"RAY_AUTH_MODE": "tokens"}, "warning"),
        ({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": "/nowhere/token"}, "bad"),
        ({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": "/nowhere/token", "RAY_AUTH_TOKEN": "secret"}, "good"),
    ],
)
def test_a_token_counts_where_ray_is_told_to_use_it(environment, state, home):
    """As Ray reads its variables; any word but token turns tokens off."""
    check = check_token(environment, home)
    assert check.state == state
    assert bool(check.mend) == (state != "good")
    assert "secret" not in check.found


def test_this_machine_tells_of_itself(tmp_path):
    """With what it reads at the place that it is asked about."""
    (tmp_path / "mark").write_text("word")
    facts = MachineFacts(**look_at_machine(Question(storage=str(tmp_path), mark="mark"), {}))
    assert facts.mark == "word"
    assert facts.cores == len(os.sched_getaffinity(0))
    assert facts.open_files == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert facts.temporary_folder == tempfile.gettempdir()


def test_this_machine_says_why_it_cannot_read_the_mark(tmp_path):
    """The error, not only that there is one."""
    facts = MachineFacts(**look_at_machine(Question(storage=str(tmp_path), mark="mark"), {}))
    assert facts.mark is None
    assert "FileNotFoundError" in facts.mark_fault


def test_modules_are_looked_for():
    """One that can be imported is not absent."""
    facts = look_at_machine(Question(modules=("json", "no_such_module")), {})
    assert facts["absent"] == ("no_such_module",)


def test_ray_says_where_its_temporary_folder_is(tmp_path):
    """It need not be the system's."""
    facts = look_at_machine(Question(), {"temporary": str(tmp_path), "object_store": GIB})
    assert (facts["temporary_folder"], facts["object_store"]) == (str(tmp_path), GIB)


@pytest.fixture
def read_only():
    """A folder with a database, neither of which this process may write to, also where it is root's."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        folder = Path(place) / "locked"
        folder.mkdir()
        with closing(sqlite3.connect(folder / "runs.db")) as connection:
            connection.execute("CREATE TABLE t (x)")
        (folder / "runs.db").chmod(0o444)
        folder.chmod(0o555)
        own = os.geteuid()
        if own == 0:
            os.seteuid(65_534)
        yield folder
        os.seteuid(own)
        folder.chmod(0o755)


def test_a_run_directory_in_a_read_only_folder_is_bad(read_only):
    """It is found before a run is."""
    (check,) = next(look_at_run_directory(read_only / "run", "probe"))
    assert check.state == "bad"
    assert str(read_only) in check.found


def test_a_run_directory_need_not_exist(tmp_path):
    """Its parent is what counts, and stays as it was."""
    checks = next(look_at_run_directory(tmp_path / "a" / "b", "probe"))
    assert [check.state for check in checks] == ["good", "good"]
    assert list(tmp_path.iterdir()) == []


def test_a_store_in_a_read_only_folder_is_bad(read_only):
    """There is no second line on its disk."""
    (check,) = next(look_at_store(str(read_only / "store"), "mark", "word"))
    assert check.state == "bad"
    assert "--storage" in check.mend


def test_the_mark_is_in_the_store_until_the_look_is_closed(tmp_path):
    """Then it is gone, with the folders that were made for it."""
    looking = look_at_store(str(tmp_path / "a" / "b"), "mark", "word")
    next(looking)
    assert (tmp_path / "a" / "b" / "mark").read_text() == "word"
    looking.close()
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_was_there_stays(tmp_path):
    """So does what is in it."""
    (tmp_path / "table").touch()
    looking = look_at_store(str(tmp_path), "mark", "word")
    next(looking)
    looking.close()
    assert [each.name for each in tmp_path.iterdir()] == ["table"]


def test_a_database_that_is_read_only_is_bad(read_only):
    """SQLite itself would open it."""
    (check,) = next(look_at_tracking(f"sqlite:///{read_only / 'runs.db'}"))
    assert check.state == "bad"
    assert str(read_only / "runs.db") in check.found


def test_a_database_that_is_not_there_is_not_made(tmp_path):
    """Nor are folders for it."""
    (check,) = next(look_at_tracking(f"sqlite:///{tmp_path}/a/runs.db"))
    assert (check.state, list(tmp_path.iterdir())) == ("good", [])


def test_a_database_is_not_changed(tmp_path):
    """Whether it can be written to is found without writing."""
    with closing(sqlite3.connect(tmp_path / "runs.db")) as connection:
        connection.execute("CREATE TABLE t (x)")
    before = (tmp_path / "runs.db").read_bytes()
    (check,) = next(look_at_tracking(f"sqlite:///{tmp_path}/runs.db"))
    assert check.state == "good"
    assert (tmp_path / "runs.db").read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["runs.db"]


@pytest.mark.parametrize("uri", ["databricks", "sqlite:///:memory:"])
def test_what_cannot_be_asked_without_writing_is_a_warning(uri):
    """It is not passed off as good."""
    (check,) = next(look_at_tracking(uri))
    assert check.state == "warning"


def test_a_look_that_hangs_is_a_warning_and_is_ended():
    """It takes no longer than it may."""
    started = time.monotonic()
    with CheckProcess("x", time.sleep, 60) as process:
        (check,) = process.checks(started + 1.0)
    assert (check.name, check.state) == ("x", "warning")
    assert time.monotonic() - started < 40
    assert process._process.exitcode is not None


@pytest.mark.parametrize(("look", "given", "said"), [(look_at_tracking, 5, "AttributeError"), (os._exit, 3, "died")])
def test_a_look_that_fails_is_a_warning_with_the_reason(look, given, said):
    """Whether it raises or its process dies."""
    with CheckProcess("x", look, given) as process:
        (check,) = process.checks(time.monotonic() + 60)
    assert check.state == "warning"
    assert said in check.found


def test_a_look_is_closed_when_its_process_is_left(tmp_path):
    """It tidies up in its own process."""
    with CheckProcess("x", look_at_store, str(tmp_path), "mark", "word") as process:
        assert process.checks(time.monotonic() + 60)[0].state == "good"
        assert (tmp_path / "mark").exists()
    assert not (tmp_path / "mark").exists()


def test_a_call_that_hangs_is_left_behind():
    """And raises."""
    with pytest.raises(TimeoutError):
        call_with_timeout(lambda: time.sleep(5), 0.1)


def test_all_mistakes_are_told_at_once():
    """Each with the value that was given."""
    given = {"address": "head", "tracking_uri": "./mlruns", "ship": ("nothing.py",)}
    with pytest.raises(ConfigurationError) as told:
        DoctorConfig.checked(**given)
    assert [
        value in mistake for value, mistake in zip(("head", "./mlruns", "nothing.py"), told.value.mistakes, strict=True)
    ]


@pytest.mark.parametrize("address", ["auto", "local", "head:6379", "ray://head:10001", "[::1]:6379", None])
@pytest.mark.parametrize("uri", ["off", "sqlite:///x.db", "http://host:5000", "postgresql://u:p@host/db", "databricks"])
def test_what_other_commands_take_is_no_mistake(address, uri):
    """Nothing is looked at yet."""
    DoctorConfig.checked(address=address, tracking_uri=uri)


def test_texts_in_brackets_reach_the_user(monkeypatch):
    """As in ray[client]: the table takes them for no markup."""
    told = bad("x", "needs 'ray[client]'", "pip install 'ray[client]'")
    monkeypatch.setattr("partwise.doctor.examine", lambda *_: [told])
    said = CliRunner().invoke(app, ["doctor"])
    assert said.output.count("ray[client]") == 2
    assert said.exit_code == 1
