"""Tasks on a Ray cluster: bounded in flight, batched when tiny, retried by the driver."""

import multiprocessing
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field, replace
from time import sleep
from typing import Any

import ray
from ray import exceptions
from threadpoolctl import ThreadpoolController

from partwise.attempts import attempt, failure_of, run_in_process
from partwise.errors import ClusterError
from partwise.executors.ray_cluster import ClusterSize, cluster_size, connect, held_cpus, is_connected
from partwise.records import FailureReason, Task, TaskFailure, TaskOutcome

__all__ = ["RayExecutor"]

_QUEUED_PER_SLOT = 2
_BATCH_SECONDS = 0.1
_LARGEST_BATCH = 64
_RETRIED: frozenset[FailureReason] = frozenset({"crash", "out_of_memory", "node_lost"})
_START_SECONDS = 8.0
_SHIP_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class RayExecutor:
    """Run tasks on Ray.

    Parameters
    ----------
    address
        Where the cluster is; None uses the Ray that is initialised, else starts one on this machine.
    cpus_per_task
        CPUs that a task reserves, and the number of its threads.
    max_attempts
        How often a task is tried whose worker crashed, ran out of memory or was lost with its node. An error that
        the work itself raises is never tried again.
    ship
        Files or directories of the user's own modules that the nodes shall be able to import.
    """

    address: str | None = None
    cpus_per_task: int = 1
    max_attempts: int = 3
    ship: tuple[str, ...] = ()

    def connect(self) -> None:
        """Reach the cluster now rather than with the first task.

        Raises
        ------
        ClusterError
            If it cannot be reached or started.
        """
        connect(self.address, self.ship)

    @property
    def slots(self) -> int:
        """How many tasks run at the same time."""
        return self._size().slots

    @property
    def nodes(self) -> int:
        """How many nodes can run a task."""
        return self._size().nodes

    @property
    def overhead_seconds(self) -> float:
        """What a first task costs beyond its work: little on a running cluster, a start otherwise."""
        return _SHIP_SECONDS if is_connected() else _START_SECONDS

    @property
    def _alone(self) -> bool:
        """Whether to stay in this process, because it is a worker of joblib or multiprocessing."""
        # Such a worker has its share of the cores; a Ray cluster in each would take all of them several times over.
        return self.address is None and multiprocessing.parent_process() is not None and not is_connected()

    def _size(self) -> ClusterSize:
        if self._alone:
            return ClusterSize(slots=1, nodes=1)
        connect(self.address, self.ship)
        return cluster_size(self.cpus_per_task)

    def run(
        self, work: Callable[[Any, Any], Any], shared: Any, tasks: Iterable[Task]
    ) -> Generator[TaskOutcome, None, None]:
        """Call ``work(shared, task.payload)`` for each task on the cluster; yield outcomes as they complete."""
        if self._alone:
            yield from run_in_process(work, shared, tasks, self.cpus_per_task)
            return
        yield from _Flight(self, self._size(), work, shared).run(tasks)

    def warm(self, work: Callable[[Any], Any], shared: Any) -> None:
        """Call ``work(shared)`` once in every worker, all at the same time."""
        size = self._size()
        tasks = [Task(index, None) for index in range(size.slots)]
        for outcome in _Flight(self, size, _warm_one, (work, shared)).run(tasks):
            if outcome.failure is not None:
                raise ClusterError(
                    f"A worker cannot load what a fit needs: {outcome.failure.error_type}: {outcome.failure.message} "
                    "Next: install it on every node, or send it there with --ship PATH."
                )


def _warm_one(shared: tuple[Callable[[Any], Any], Any], _payload: None) -> None:
    work, argument = shared
    work(argument)
    sleep(0.25)  # long enough that the next of these tasks needs a worker of its own


_SHARED: dict[str, Any] = {}
_CONTROLLER: dict[int, ThreadpoolController] = {}


def _run_batch(
    work: Callable[[Any, Any], Any], shared_box: list[Any], tasks: list[Task], cpus: int
) -> list[TaskOutcome]:
    """Run tasks in a worker, on as many threads as the task has CPUs."""
    (reference,) = shared_box
    key = reference.hex()
    if key not in _SHARED:
        # One entry: the worker keeps the members between the blocks that it predicts, and no more than those.
        _SHARED.clear()
        _SHARED[key] = ray.get(reference)
    shared = _SHARED[key]
    node = ray.get_runtime_context().get_node_id()
    with _thread_controller().limit(limits=cpus):
        outcomes = [attempt(work, shared, task, node) for task in tasks]
    return [_portable(outcome) for outcome in outcomes]


# Made once: each remote function is sent to the cluster, and unpickled by every worker, when it is first called.
_REMOTE_BATCH = ray.remote(max_retries=0)(_run_batch)


def _thread_controller() -> ThreadpoolController:
    """Return the control of the loaded libraries' threads; listing them takes 7 ms, so only after imports."""
    imported = len(sys.modules)
    if imported not in _CONTROLLER:
        _CONTROLLER.clear()
        _CONTROLLER[imported] = ThreadpoolController()
    return _CONTROLLER[imported]


def _portable(outcome: TaskOutcome) -> TaskOutcome:
    if outcome.failure is None:
        return outcome
    return replace(outcome, failure=replace(outcome.failure, exception=None))


@dataclass(slots=True)
class _Flight:
    """The tasks of one run that are under way."""

    executor: RayExecutor
    size: ClusterSize
    work: Callable[[Any, Any], Any]
    shared: Any
    in_flight: dict[Any, list[Task]] = field(default_factory=dict)
    attempts: dict[int, int] = field(default_factory=dict)
    again: deque[Task] = field(default_factory=deque)
    batch_size: int = 1

    def run(self, tasks: Iterable[Task]) -> Generator[TaskOutcome, None, None]:

        # Inside a Ray task the caller holds its CPUs while it waits: asking for more would wait for ever.
        inside = held_cpus() is not None
        remote = _REMOTE_BATCH.options(
            num_cpus=0 if inside else self.executor.cpus_per_task,
            # Without it Ray fills one node before the next; on one node it costs some 10 ms a task.
            scheduling_strategy="SPREAD" if self.size.nodes > 1 else "DEFAULT",
        )
        # There a task that asks for no CPU is not queued but started at once.
        most = self.size.slots * (1 if inside else _QUEUED_PER_SLOT)
        shared_box = [ray.put(self.shared)]
        waiting = iter(tasks)
        try:
            while True:
                while len(self.in_flight) < most and (batch := self._next(waiting)):
                    reference = remote.remote(self.work, shared_box, batch, self.executor.cpus_per_task)
                    self.in_flight[reference] = batch
                if not self.in_flight:
                    return
                done, _ = ray.wait(list(self.in_flight), num_returns=1)
                for reference in done:
                    yield from self._take(reference)
        finally:
            for reference in self.in_flight:
                ray.cancel(reference, force=not inside)

    def _next(self, waiting: Iterator[Task]) -> list[Task]:
        if self.again:
            return [self.again.popleft()]
        batch: list[Task] = []
        while len(batch) < self.batch_size and (task := next(waiting, None)) is not None:
            batch.append(task)
        return batch

    def _take(self, reference: Any) -> list[TaskOutcome]:

        batch = self.in_flight.pop(reference)
        try:
            outcomes: list[TaskOutcome] = ray.get(reference)
        except exceptions.RayError as error:
            self.batch_size = 1
            if len(batch) > 1:
                self.again.extend(batch)  # each by itself: the others are not to blame for one of them
                return []
            # What Ray wraps around a worker's own error is a page of text; the cause says it in a line.
            cause = getattr(error, "cause", None) or error
            return list(self._retry(batch[0], failure_of(cause, _reason(error))))
        mean_seconds = sum(outcome.finished - outcome.started for outcome in outcomes) / len(outcomes)
        self.batch_size = max(1, min(_LARGEST_BATCH, int(_BATCH_SECONDS / max(mean_seconds, 1e-6))))
        return [replace(outcome, attempts=self.attempts.get(outcome.id, 0) + 1) for outcome in outcomes]

    def _retry(self, task: Task, failure: TaskFailure) -> Generator[TaskOutcome, None, None]:
        self.attempts[task.id] = self.attempts.get(task.id, 0) + 1
        if failure.reason in _RETRIED and self.attempts[task.id] < self.executor.max_attempts:
            self.again.append(task)
            return
        yield TaskOutcome(
            id=task.id,
            rows=task.rows,
            failure=failure,
            attempts=self.attempts[task.id],
            started=0.0,
            finished=0.0,
            node="",
            process=0,
        )


def _reason(error: Exception) -> FailureReason:
    if isinstance(error, exceptions.OutOfMemoryError):
        return "out_of_memory"
    if isinstance(error, (exceptions.NodeDiedError, exceptions.ObjectLostError)):
        return "node_lost"
    if isinstance(error, exceptions.WorkerCrashedError):
        return "crash"
    return "error"
