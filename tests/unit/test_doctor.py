"""What the doctor says of machines: pure rules on what they tell."""

from dataclasses import replace

import pytest

from partwise.doctor.machines import check_clocks, check_disk, check_machine, check_token, check_versions
from partwise.doctor.probe import MachineFacts, look_at_machine
from partwise.records import TaskFailure

GIB = 2**30
FACTS = MachineFacts(
    host="x",
    versions={"python": "3.11.7", "ray": "2.60.0", "partwise": "0.1.0", "scikit-learn": "1.9.1", "numpy": "2.4.6"},
    cores=4,
    memory=16 * GIB,
    shared_memory=8 * GIB,
    temporary=100 * GIB,
    temporary_total=200 * GIB,
    open_files=65_536,
    clock=1_000.0,
    mark=None,
)


def _states(checks):
    return {check.name.rpartition(": ")[2]: check.state for check in checks}


def test_a_sound_machine_is_good():
    """Every line, and none with a mend."""
    checks = list(check_machine(FACTS, "x"))
    assert {check.state for check in checks} == {"good"}
    assert not any(check.mend for check in checks)


@pytest.mark.parametrize(
    ("change", "name", "state"),
    [
        ({"memory": 2 * GIB, "shared_memory": GIB}, "free memory", "warning"),
        ({"memory": GIB // 2, "shared_memory": GIB}, "free memory", "bad"),
        ({"memory": None}, "free memory", "warning"),
        ({"shared_memory": 64 * 2**20}, "/dev/shm", "warning"),  # noqa: S108 - a name
        ({"temporary": 5 * GIB}, "disk for temporary files", "bad"),
        ({"temporary": 5 * GIB, "temporary_total": 20 * GIB}, "disk for temporary files", "warning"),
        ({"open_files": 1_024}, "open files", "warning"),
    ],
)
def test_what_lacks_is_told_with_its_mend(change, name, state):
    """That line alone, and it says what to do."""
    checks = list(check_machine(replace(FACTS, **change), "x"))
    assert _states(checks)[name] == state
    assert [check.name for check in checks if check.mend] == [f"x: {name}"]


@pytest.mark.parametrize(
    ("versions", "state"),
    [({}, "good"), ({"ray": "2.59.0"}, "bad"), ({"python": "3.11.8"}, "bad"), ({"numpy": "2.3.0"}, "warning")],
)
def test_versions_that_matter_are_those_that_pickles_cross(versions, state):
    """Other versions of Ray or Python are bad, those of arrays a warning."""
    (check,) = check_versions(FACTS, {"n": replace(FACTS, versions=FACTS.versions | versions)})
    assert check.state == state
    assert all(number in check.found for number in versions.values())


def test_a_node_that_does_not_answer_is_bad():
    """With what went wrong there."""
    failure = TaskFailure(reason="error", error_type="TimeoutError", message="no answer", traceback="")
    (check,) = check_versions(FACTS, {"n": failure})
    assert (check.state, check.found) == ("bad", "TimeoutError: no answer")


@pytest.mark.parametrize(("clock", "state"), [(1_001.0, "good"), (1_020.0, "warning"), (900.0, "bad")])
def test_clocks_that_differ_are_told(clock, state):
    """Beyond what the answer took."""
    (check,) = check_clocks(FACTS, {"n": replace(FACTS, clock=clock)}, took=1.0)
    assert check.state == state


def test_a_disk_that_ray_calls_full_is_bad():
    """Of a large disk 5 % are not enough, however much that is."""
    assert check_disk("d", 40 * GIB, 1_000 * GIB).state == "bad"


def test_a_token_that_others_can_read_is_bad(tmp_path):
    """The mend is a command."""
    token = tmp_path / "auth_token"
    token.write_text("secret")
    token.chmod(0o644)
    check = check_token(token)
    assert (check.state, check.mend) == ("bad", f"chmod 600 {token}")
    token.chmod(0o600)
    assert check_token(token).state == "good"


def test_this_machine_tells_of_itself(tmp_path):
    """With what it read at the place that it was asked about, None where there is nothing."""
    (tmp_path / "mark").write_text("word")
    facts = look_at_machine(str(tmp_path / "mark"))
    assert facts.mark == "word"
    assert facts.cores > 0
    assert look_at_machine(str(tmp_path / "nothing")).mark is None
