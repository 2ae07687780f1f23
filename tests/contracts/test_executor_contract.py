"""What every executor promises; a new one joins by its entry in MAKERS."""

import math
import multiprocessing
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import ray
from joblib import parallel_config
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.tree import DecisionTreeClassifier

from fake_work import (
    Keeper,
    NotesLoading,
    compute_for,
    die_on,
    die_once,
    fail_strangely,
    fit_on_ray,
    ignore,
    nap,
    nap_with,
    note_and_fail,
    note_nothing,
    note_process,
    row_of,
    scale,
    scale_or_fail,
    thread_counts,
    thread_lock,
)
from partwise import InlineExecutor, PartitionedClassifier, RayExecutor
from partwise.errors import ClusterError, InputError
from partwise.executors import EXECUTORS, make_executor
from partwise.records import Task

MAKERS = {"inline": InlineExecutor, "ray": RayExecutor}

pytestmark = pytest.mark.usefixtures("ray_session")
every_executor = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def _outcomes(executor, work, shared, payloads, rows=0):
    tasks = (Task(index, payload, rows) for index, payload in enumerate(payloads))
    return {outcome.id: outcome for outcome in executor.run(work, shared, tasks)}


@contextmanager
def _within(seconds):
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds


def test_every_executor_is_here():
    """Every executor that users can name is tested."""
    assert set(MAKERS) == set(EXECUTORS)


@every_executor
def test_every_task_has_one_outcome(make):
    """Each of many tiny tasks gives its value once, under its own id, with its rows."""
    found = [(o.id, o.value, o.rows) for o in make().run(scale, 3, (Task(i, i, i % 5) for i in range(300)))]
    assert sorted(found) == [(i, 3 * i, i % 5) for i in range(300)]


def test_tasks_that_are_alone_are_not_sent_together():
    """However short they are: no more are drawn than tasks that workers have, or wait for next."""
    drawn, ahead, executor = [], [], RayExecutor()
    tasks = (drawn.append(number) or Task(number, number, alone=True) for number in range(200))
    for n_got, _ in enumerate(executor.run(scale, 3, tasks)):
        ahead.append(len(drawn) - n_got)
    assert max(ahead) <= 2 * executor.slots
    assert len(ahead) == 200


@every_executor
def test_no_tasks_no_outcomes(make):
    """Without tasks nothing comes, and nothing waits."""
    assert _outcomes(make(), scale, 3, []) == {}


@every_executor
def test_arrays_arrive_as_they_were(make):
    """Values and payloads keep their bits, shapes and types."""
    payloads = [np.random.default_rng(i).normal(size=(50, 3)).astype(kind) for i, kind in enumerate("fdg")]
    outcomes = _outcomes(make(), ignore, None, payloads)
    for index, payload in enumerate(payloads):
        assert outcomes[index].value.dtype == payload.dtype
        np.testing.assert_array_equal(outcomes[index].value, payload)


@every_executor
def test_what_is_lent_reaches_every_task(make):
    """A value that was lent is there in all tasks whose payloads hold it, before and after other runs."""
    executor, rows = make(), np.random.default_rng(0).normal(size=(50, 3))
    lent = executor.lend(rows)
    for _ in range(2):
        outcomes = _outcomes(executor, row_of, None, [(lent, index) for index in range(20)])
        for index in range(20):
            np.testing.assert_array_equal(outcomes[index].value, rows[index])


@every_executor
def test_an_error_is_an_outcome(make):
    """A task that raises becomes a failure with type, message and traceback; the others have their values."""
    outcomes = _outcomes(make(), scale_or_fail, 2, [1, -5, 3])
    failure = outcomes[1].failure
    assert (outcomes[0].value, outcomes[1].value, outcomes[2].value) == (2, None, 6)
    assert (failure.reason, failure.error_type, failure.message) == ("error", "ValueError", "-5 is negative")
    assert "in scale_or_fail" in failure.traceback
    assert outcomes[0].failure is None


@every_executor
def test_an_error_that_cannot_be_pickled_is_an_outcome(make):
    """An exception that survives no process boundary still gives its type and message."""
    failure = _outcomes(make(), fail_strangely, 1, [2])[0].failure
    assert (failure.reason, failure.error_type, failure.message) == ("error", "UnpicklableError", "1 and 2")


@every_executor
def test_tasks_are_drawn_as_they_can_start(make):
    """Payloads need not exist at once: few more tasks are drawn than have come back."""
    executor = make()
    limit = 4 * executor.slots
    drawn = 0

    def tasks():
        nonlocal drawn
        for index in range(6 * executor.slots):
            drawn += 1
            yield Task(index, 0.12)

    ahead = [drawn - received for received, _ in enumerate(executor.run(nap, None, tasks()))]
    assert len(ahead) == 6 * executor.slots
    assert max(ahead) <= limit


@every_executor
@pytest.mark.parametrize("cpus", [1, 2])
def test_a_task_has_as_many_threads_as_cpus(make, cpus):
    """Native libraries use as many threads as the task has CPUs, also in a worker that had fewer before."""
    make(cpus_per_task=1).warm(note_nothing, None)
    counts = _outcomes(make(cpus_per_task=cpus), thread_counts, np.eye(3), [0])[0].value
    assert counts
    assert set(counts.values()) == {cpus}


@every_executor
def test_an_outcome_says_where_and_when(make):
    """An outcome has its process, and times within those of the run."""
    before = time.time()
    outcome = _outcomes(make(), nap, None, [0.05])[0]
    assert before - 1 <= outcome.started < outcome.finished <= time.time() + 1
    assert outcome.finished - outcome.started >= 0.05
    assert outcome.process > 0
    assert outcome.attempts == 1


@every_executor
def test_an_outcome_says_what_processor_time_it_took(make):
    """Work that computes has taken processor time, work that sleeps next to none."""
    outcomes = _outcomes(make(), compute_for, 0.2, [True, False])
    assert outcomes[0].cpu_seconds > 0.1
    assert outcomes[1].cpu_seconds < outcomes[0].cpu_seconds / 2


@every_executor
def test_a_node_is_called_by_its_hosts_name(make):
    """Users see the name of the host, on Ray with the start of the node's id: nodes of one host are told apart."""
    node = _outcomes(make(), nap, None, [0.0])[0].node
    host, _, digits = node.partition("/")
    assert host == socket.gethostname()
    assert digits == ("" if make is InlineExecutor else ray.get_runtime_context().get_node_id()[:8])


@every_executor
def test_warming_reaches_every_worker(make, tmp_path):
    """Work that warms is done once in as many processes as run tasks at once."""
    executor = make()
    executor.warm(note_process, str(tmp_path))
    assert len(list(tmp_path.iterdir())) == executor.slots


@every_executor
def test_an_error_while_drawing_is_raised(make):
    """What goes wrong while tasks are made is the caller's own error, and ends the run."""

    def tasks():
        yield Task(0, 1)
        raise KeyError("no rows")

    with pytest.raises(KeyError, match="no rows"):
        list(make().run(scale, 2, tasks()))


@every_executor
def test_an_executor_that_is_given_is_used(make):
    """A settings object is taken as it is; a name makes one with the CPUs that a task shall have."""
    executor = make(cpus_per_task=2)
    assert make_executor(executor, 1) is executor
    name = next(name for name, known in MAKERS.items() if known is make)
    assert make_executor(name, 2) == executor


@pytest.mark.parametrize(
    "setting", [{"cpus_per_task": 0}, {"max_attempts": 0}, {"gpus_per_task": -0.5}, {"timeout": 0}, {"timeout": -1.0}]
)
def test_wrong_settings_are_refused_at_once(setting):
    """Before a cluster is asked for."""
    ((name, value),) = setting.items()
    with pytest.raises(InputError, match=rf"RayExecutor\({name}={value!r}\) is wrong\. Valid: "):
        RayExecutor(**setting)


def test_what_is_no_executor_is_refused():
    """The error lists the executors by name."""
    with pytest.raises(InputError, match="inline, ray"):
        make_executor("dask", 1)
    with pytest.raises(InputError, match="inline, ray"):
        make_executor(object(), 1)


def test_inline_stays_in_this_process_and_keeps_the_exception():
    """In process the very exception is there, for a debugger; sending work elsewhere never pays."""
    outcome = _outcomes(InlineExecutor(), scale_or_fail, 2, [-5])[0]
    assert isinstance(outcome.failure.exception, ValueError)
    assert outcome.process == os.getpid()
    assert InlineExecutor().overhead_seconds == math.inf


def test_outcomes_come_as_they_complete():
    """A slow task does not hold back the tasks after it."""
    order = [outcome.value for outcome in RayExecutor().run(nap, None, (Task(i, s) for i, s in enumerate([2.0, 0, 0])))]
    assert order[-1] == 2.0


def test_shared_work_is_unpickled_once_in_a_worker(tmp_path):
    """What all tasks share travels to each worker once, not with each task."""
    path = tmp_path / "loadings"
    path.touch()
    RayExecutor().warm(note_nothing, None)
    executor = RayExecutor()
    outcomes = _outcomes(executor, nap_with, NotesLoading(str(path)), [0.11] * 6 * executor.slots)
    workers = path.read_text().split()
    assert len(set(workers)) == len(workers) <= len({outcome.process for outcome in outcomes.values()})


def test_a_crash_is_tried_again(tmp_path):
    """A task whose worker is killed is tried again, and only that one."""
    marker = tmp_path / "died"
    outcomes = _outcomes(RayExecutor(), die_once, str(marker), [11, 12, 13])
    assert marker.exists()
    assert {index: outcome.value for index, outcome in outcomes.items()} == {0: 11, 1: 12, 2: 13}
    assert max(outcome.attempts for outcome in outcomes.values()) == 2


def test_a_value_that_cannot_come_back_fails_its_own_task():
    """A value that no pickle holds is a failure of that task, not of the tiny tasks that travelled with it."""
    outcomes = _outcomes(RayExecutor(), thread_lock, None, [index == 150 for index in range(200)])
    assert [index for index, outcome in outcomes.items() if outcome.failure is not None] == [150]
    assert "pickle" in outcomes[150].failure.message


def test_a_task_that_always_crashes_is_given_up():
    """After `max_attempts` the task is a failure with reason `crash`; the others have their values."""
    outcomes = _outcomes(RayExecutor(max_attempts=2), die_on, 1, [0, 1, 2, 3], rows=9)
    assert outcomes[1].failure.reason == "crash"
    assert (outcomes[1].attempts, outcomes[1].rows) == (2, 9)
    assert [outcomes[index].value for index in (0, 2, 3)] == [0, 2, 3]


@pytest.mark.parametrize("max_attempts", [1, 3])
def test_a_crash_does_not_blame_the_neighbours(max_attempts):
    """Tiny tasks travel together; those that shared a worker with a deadly one still have their values."""
    outcomes = _outcomes(RayExecutor(max_attempts=max_attempts), die_on, 250, range(400))
    assert [index for index, outcome in outcomes.items() if outcome.failure is not None] == [250]
    assert len(outcomes) == 400


def test_an_error_of_the_work_is_not_tried_again(tmp_path):
    """What the work itself raises would come again: one attempt is made."""
    path = tmp_path / "attempts"
    outcome = _outcomes(RayExecutor(max_attempts=3), note_and_fail, str(path), [0])[0]
    assert path.read_text() == "0\n"
    assert outcome.attempts == 1
    assert outcome.failure.reason == "error"


def test_an_abandoned_run_leaves_no_work_behind():
    """Who stops listening gets the workers back at once, though tasks were under way."""
    executor = RayExecutor()
    run = executor.run(nap, None, (Task(i, 0.0 if i == 0 else 300.0) for i in range(20)))
    next(run)
    run.close()
    started = time.monotonic()
    outcomes = _outcomes(executor, scale, 1, range(2 * executor.slots))
    assert [outcomes[index].value for index in sorted(outcomes)] == list(range(2 * executor.slots))
    assert time.monotonic() - started < 100  # a nap takes 300


@pytest.mark.parametrize(
    "ask", [lambda e: e.slots, lambda e: list(e.run(scale, 1, [Task(0, 1)]))], ids=["slots", "run"]
)
def test_more_cpus_than_a_node_has_are_refused_at_once(ask):
    """A task that no node can hold would wait for ever; the error says what there is and what to change."""
    with _within(30), pytest.raises(ClusterError, match=r"10000 CPUs (.|\n)*at most \d+ with cpus_per_member"):
        ask(RayExecutor(cpus_per_task=10_000))


@pytest.mark.timeout(90)
def test_fits_inside_ray_tasks_do_not_deadlock():
    """Tasks that hold every CPU can fit on Ray themselves, and get the members that the driver gets."""
    cpus = int(ray.cluster_resources()["CPU"])
    remote = ray.remote(num_cpus=1)(fit_on_ray)
    inside = ray.get([remote.remote(0) for _ in range(cpus)], timeout=80)
    assert inside == [fit_on_ray(0)] * cpus


@pytest.mark.timeout(120)
@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_a_parallel_grid_search_finishes(backend):
    """A search that fits on Ray from several processes or threads neither deadlocks nor differs from one at a time."""
    X, y = load_iris(return_X_y=True)
    grid = {"estimator__max_depth": [1, 3]}
    model = PartitionedClassifier(DecisionTreeClassifier(), n_partitions=2, random_state=0)
    with parallel_config(backend=backend):
        search = GridSearchCV(model, grid, n_jobs=2, cv=2, error_score="raise").fit(X, y)
    alone = GridSearchCV(model.set_params(executor="inline"), grid, cv=2).fit(X, y)
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"])


def test_a_forked_process_does_not_wait_for_its_parents_ray():
    """A child that was forked with a connection, as joblib's multiprocessing backend does, finishes on its own."""
    child = multiprocessing.get_context("fork").Process(target=_outcomes, args=(RayExecutor(), scale, 2, [1, 2]))
    child.start()
    child.join(20)
    finished = child.exitcode == 0
    child.kill()
    child.join()
    assert finished


def test_ray_that_is_initialised_is_left_alone():
    """Fit and predict use the Ray that is there: the same job, still connected, and its actors alive."""
    keeper = ray.remote(num_cpus=0)(Keeper).remote()
    job = ray.get_runtime_context().get_job_id()
    ray.get(keeper.put.remote("kept"))
    fit_on_ray(1)
    assert ray.is_initialized()
    assert ray.get_runtime_context().get_job_id() == job
    assert ray.get(keeper.get.remote()) == "kept"


_JOIN = """
import sys
import time
from partwise import RayExecutor
from partwise.errors import AddressError
started = time.monotonic()
try:
    print(RayExecutor(address=sys.argv[1]).slots)
except AddressError as error:
    print(time.monotonic() - started)
    print("AddressError:", error)
"""


@contextmanager
def _deaf_server():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def _joining(address):
    command = [sys.executable, "-c", _JOIN, address]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module", autouse=True)
def deaf():
    """An address that never answers, and a process that has tried to join it since the first of these tests."""
    with _deaf_server() as address, _joining(address) as process:
        yield address, process
        process.kill()


@pytest.mark.parametrize("kind", ["closed", "closed client", "deaf", "no port", "no host"])
def test_an_unreachable_address_is_an_error_within_30_seconds(kind, deaf):
    """Nothing there, something that is no Ray, or no address at all: an error with the address and a next step."""
    address = {
        "closed": "127.0.0.1:1",
        "closed client": "ray://127.0.0.1:1",
        "deaf": deaf[0],
        "no port": "localhost",
        "no host": "nowhere.invalid:6379",
    }[kind]
    said, complaints = (deaf[1] if kind == "deaf" else _joining(address)).communicate(timeout=60)
    seconds, _, message = said.partition("\n")
    assert message.startswith("AddressError:"), complaints
    assert float(seconds) < 30
    assert address in message
    assert "leave it out to start Ray on this machine" in message or "check that it is the head's port" in message


@pytest.mark.parametrize(
    ("kind", "next_step"),
    [("closed", "ray start --head --ray-client-server-port=1"), ("open", "pip install 'ray[client]'")],
)
def test_rays_client_has_next_steps_of_its_own(kind, next_step):
    """A closed port names the option that opens it; without Ray's client here, the package is named."""
    with _deaf_server() as open_port:
        said, complaints = _joining("ray://127.0.0.1:1" if kind == "closed" else f"ray://{open_port}").communicate(
            timeout=60
        )
    assert next_step in said, complaints


def test_what_shall_be_shipped_must_exist(tmp_path):
    """A path with nothing there is refused before Ray starts."""
    absent = str(Path(tmp_path) / "absent.py")
    script = f"from partwise import RayExecutor; RayExecutor(ship=({absent!r},)).slots"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert "InputError: There is nothing to ship" in result.stderr
    assert absent in result.stderr
