"""What becomes of tasks when workers die, hang or are slow, when memory runs out, and when nodes go and come."""

import os
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from sklearn.datasets import load_iris

from fake_work import hang_on, hang_once, kill_me, nap
from fakes import CrashesOnNegative, DiesOnce
from partwise import PartitionedClassifier, RayExecutor
from partwise.errors import MemberFitError
from partwise.records import Task
from scenario_runs import run_scenario


def _outcomes(executor, work, shared, payloads):
    tasks = (Task(index, payload, 9) for index, payload in enumerate(payloads))
    return {outcome.id: outcome for outcome in executor.run(work, shared, tasks, members=True)}


@pytest.mark.usefixtures("ray_session")
def test_a_worker_that_is_killed_from_outside_costs_one_attempt(tmp_path):
    """SIGKILL in the middle of a task: that task is tried again, the others are not."""
    place = tmp_path / "pid"
    killed = []

    def kill():
        while not place.exists() or not place.read_text():
            time.sleep(0.05)
        killed.append(int(place.read_text()))
        os.kill(killed[0], 9)

    killer = threading.Thread(target=kill)
    killer.start()
    outcomes = _outcomes(RayExecutor(), kill_me, str(place), [1, 2, 3])
    killer.join()
    assert {index: outcome.value for index, outcome in outcomes.items()} == {0: 1, 1: 2, 2: 3}
    assert sorted(outcome.attempts for outcome in outcomes.values()) == [1, 1, 2]
    assert killed[0] not in {outcome.process for outcome in outcomes.values()}


@pytest.mark.usefixtures("ray_session")
def test_a_member_whose_worker_dies_is_fitted_again(tmp_path):
    """SIGKILL in the middle of a fit: the members are those of a run without it."""
    marker = tmp_path / "killed"

    def fit(executor):
        X, y = load_iris(return_X_y=True)
        return PartitionedClassifier(DiesOnce(str(marker)), n_partitions=6, executor=executor, random_state=3).fit(X, y)

    members = fit("ray").members_
    assert marker.exists()
    assert max(member.attempts for member in members) == 2
    usual = fit("inline").members_
    assert [member.content_digest for member in members] == [member.content_digest for member in usual]


@pytest.mark.usefixtures("ray_session")
def test_a_fit_that_always_crashes_its_process_is_given_up_by_name(tmp_path):
    """A segmentation fault: the error names the partition, its rows, the reason and the attempts."""
    place = tmp_path / "fits"
    rows, labels = np.vstack([np.ones((60, 3)), [[-1.0, 0, 0]]]), np.arange(61) % 2
    executor = RayExecutor(max_attempts=2)
    model = PartitionedClassifier(
        CrashesOnNegative(str(place)), n_partitions=3, partitioner="ordered", executor=executor
    )
    with pytest.raises(MemberFitError, match=r"Partition 2 \(20 rows\)(.|\n)*\[crash\]") as refused:
        model.fit(rows, labels)
    (failure,) = refused.value.failures
    assert (failure.partition, failure.reason, failure.attempts) == (2, "crash", 2)
    assert len(place.read_text().split()) >= 2


@pytest.mark.usefixtures("ray_session")
def test_a_task_that_hangs_is_tried_again(tmp_path):
    """After its time it is cancelled by force, and done at the second attempt; others are not held back."""
    outcomes = _outcomes(RayExecutor(timeout=2.0), hang_once, str(tmp_path / "hung"), [5, 6, 7])
    assert {index: outcome.value for index, outcome in outcomes.items()} == {0: 5, 1: 6, 2: 7}
    assert sorted(outcome.attempts for outcome in outcomes.values()) == [1, 1, 2]


@pytest.mark.usefixtures("ray_session")
def test_a_task_that_always_hangs_is_given_up(tmp_path):
    """The failure says how long it was waited for; no process of it is left."""
    place = tmp_path / "pids"
    outcomes = _outcomes(RayExecutor(timeout=1.5, max_attempts=2), hang_on, (str(place), 1), [0, 1, 2])
    failure = outcomes[1].failure
    assert (failure.reason, outcomes[1].attempts, outcomes[1].rows) == ("timeout", 2, 9)
    assert "had not finished" in failure.message
    assert [outcomes[index].value for index in (0, 2)] == [0, 2]
    pids = [int(line) for line in place.read_text().split()]
    assert len(pids) == 2
    time.sleep(1.0)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


@pytest.mark.long
@pytest.mark.usefixtures("ray_session")
def test_the_time_counts_from_the_start_in_a_worker():
    """Tasks that wait for a slot for longer than their time are not given up."""
    executor = RayExecutor(timeout=3.0)
    outcomes = _outcomes(executor, nap, None, [1.0] * 5 * executor.slots)
    assert all(outcome.failure is None and outcome.attempts == 1 for outcome in outcomes.values())


@pytest.mark.usefixtures("ray_session")
def test_only_members_have_a_deadline():
    """A table may be read for longer than a member may be fitted."""
    (outcome,) = RayExecutor(timeout=0.5).run(nap, None, [Task(0, 1.5)])
    assert outcome.value == 1.5


@pytest.mark.long
def test_memory_that_never_suffices_is_given_up():
    """Three attempts, and an end: Ray by itself would try for ever."""
    found = run_scenario("out_of_memory")
    assert (found["reason"], found["attempts"]) == ("out_of_memory", 3)
    assert found["seconds"] < 60


@pytest.mark.long
def test_members_that_do_not_fit_side_by_side_are_fitted_one_by_one():
    """Ray kills one of two, or both; each is done in the end, alone."""
    if psutil.virtual_memory().available < 8 << 30:
        pytest.skip("it takes 8 GB of free memory")
    found = run_scenario("too_large_together")
    assert len(set(found["values"])) == 1
    assert found["values"][0] > 2_000
    assert max(found["attempts"]) > 1


def test_members_of_a_lost_node_are_fitted_elsewhere(tmp_path):
    """A node dies in mid-run: the same members as without the fault, some at a second attempt."""
    found = run_scenario("node_lost", tmp_path)
    assert found["alive"] == 1
    assert found["attempts"] > 1
    assert found["digests"] == found["usual"]


@pytest.mark.long
def test_a_node_that_joins_is_used(tmp_path):
    """A node comes in mid-run: the same members, some of them from there."""
    found = run_scenario("node_joins", tmp_path)
    assert len(found["nodes"]) == 2
    assert found["digests"] == found["usual"]


@pytest.mark.long
def test_a_node_that_joins_with_another_version_is_refused(tmp_path):
    """Each time, by name, before a member of its is taken; without it the run goes on."""
    found = run_scenario("other_node_joins", tmp_path)
    assert len(found["refusals"]) == 2
    for refusal in found["refusals"]:
        assert f"/{found['node']} has partwise 9.9.9 (driver " in refusal
        assert refusal.count(" has ") == 1
    assert found["digests"] == found["usual"]


@pytest.mark.long
def test_a_clock_that_is_wrong_harms_nothing(tmp_path):
    """One node is an hour ahead: doctor says so; the members, their deadlines and what is told of times are right."""
    found = run_scenario("wrong_clock", tmp_path)
    state, said = found["clocks"].pop(found["other"][:8])
    assert (state, said) == ("bad", "3,600 s from the driver's")
    assert [state for state, _ in found["clocks"].values()] == ["good"]
    assert len(found["nodes"]) == 2
    assert found["attempts"] == 1
    began, ended = found["times"]
    assert all(began <= started <= ended for started in found["started"])
    assert found["digests"] == found["usual"]


@pytest.mark.long
def test_a_slow_task_is_copied_and_the_first_to_finish_counts(tmp_path):
    """The copy of task 8 is done long before its first attempt, whose outcome is marked."""
    outcomes = run_scenario("two_copies", tmp_path / "marker")["outcomes"]
    of_slow = [(duplicate, seconds) for index, duplicate, seconds in outcomes if index == 8]
    assert [duplicate for duplicate, _ in of_slow] == [False, True]
    assert of_slow[0][1] < 15 < of_slow[1][1]
    assert sorted(index for index, duplicate, _ in outcomes if not duplicate) == list(range(10))
