"""The tasks of one run on a Ray cluster: bounded in number, batched when tiny, retried and timed by the driver."""

import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

import ray
from ray import exceptions
from threadpoolctl import ThreadpoolController

from partwise.attempts import attempt, failure_of, moved_between
from partwise.executors.ray_cluster import ClusterSize, cause_of, held_cpus, largest_memory, send_files_by_value
from partwise.records import FailureReason, Task, TaskFailure, TaskOutcome

__all__ = ["Flight", "Lent", "Limits"]

_QUEUED_PER_SLOT = 2
_BATCH_SECONDS = 0.1
_LARGEST_BATCH = 64
_RETRIED: frozenset[FailureReason] = frozenset({"crash", "out_of_memory", "node_lost", "timeout"})
_LOOK_SECONDS = 2.0
"""How often the driver looks for nodes that have joined or gone, and for tasks that take too long."""
_SLOW = 2.0
"""How many times the median of its peers a task takes before a copy of it is started."""
_PEERS = 3
"""Tasks that must have finished before others are called slow."""
_ID_DIGITS = 8
_MOST_OF_A_NODE = 0.9
"""A larger share of a node's memory is not asked for: what else runs there has some of it."""

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


def _run_announced(
    work: Callable[[Any, Any], Any], shared_box: list[Any], tasks: list[Task], cpus: int
) -> Iterator[str | list[TaskOutcome]]:
    """Run tasks in a worker, and say first on which node it begins: only then does their time count."""
    yield str(ray.get_runtime_context().get_node_id())
    yield _run_batch(work, shared_box, tasks, cpus)


# Made once: each remote function is sent to the cluster, and unpickled by every worker, when it is first called.
_REMOTE_BATCH = ray.remote(max_retries=0)(_run_batch)
_REMOTE_ANNOUNCED = ray.remote(max_retries=0, num_returns="streaming")(_run_announced)


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


@dataclass(frozen=True, slots=True)
class Lent:
    """A value that lies in the object store once, for all tasks whose payloads hold this; workers share its arrays."""

    reference: Any

    @classmethod
    def of(cls, value: Any) -> "Lent":
        """Put a value into the object store."""
        return cls(ray.put(value))

    def __call__(self) -> Any:
        """Return the value, from the store of the node that asks."""
        return ray.get(self.reference)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a task may take: CPUs, GPUs, attempts, and seconds of an attempt (None without limit)."""

    cpus_per_task: int
    gpus_per_task: float
    max_attempts: int
    timeout: float | None
    speculate: bool

    @property
    def timed(self) -> bool:
        """Whether the driver must know when a task begins."""
        return self.timeout is not None or self.speculate


@dataclass(slots=True)
class _Sent:
    """A batch that was sent; when and where its work began, None before. Only if it is announced is either known."""

    tasks: list[Task]
    announced: bool
    at: float = field(default_factory=time.time)
    began: float | None = None
    node: str | None = None


@dataclass(slots=True)
class Flight:
    """The tasks of one run that are under way.

    A reference stands for one attempt: what is given up is forgotten, so that its late result is nobody's.
    """

    limits: Limits
    measure: Callable[[], ClusterSize]
    work: Callable[[Any, Any], Any]
    shared: Any
    in_flight: dict[Any, _Sent] = field(default_factory=dict)
    attempts: dict[int, int] = field(default_factory=dict)
    again: deque[Task] = field(default_factory=deque)
    finished: set[int] = field(default_factory=set)
    seconds: list[float] = field(default_factory=list)
    copied: set[int] = field(default_factory=set)
    memory: dict[int, int] = field(default_factory=dict)
    """Bytes that the next attempt at a task reserves, for those that ran out of it."""
    crowding: int = 1
    """By how much fewer tasks run at once than there are slots: doubled when one runs out of memory."""
    batch_size: int = 1

    def run(self, tasks: Iterable[Task]) -> Generator[TaskOutcome, None, None]:
        """Yield the outcomes of tasks as they complete; what is under way is cancelled when nobody wants more."""
        size, looked = self.measure(), time.monotonic()  # first: it connects, and Ray by itself would join any cluster
        inside = held_cpus() is not None
        send_files_by_value()
        shared_box = [ray.put(self.shared)]
        waiting = iter(tasks)
        try:
            while True:
                while len(self.in_flight) < self._most(size, inside=inside) and (batch := self._next(waiting)):
                    self._send(batch, shared_box, size, inside=inside)
                under_way = {task.id for sent in self.in_flight.values() for task in sent.tasks}
                if not self.again and under_way <= self.finished:
                    return  # what is left are copies of tasks that are done
                done, _ = ray.wait(list(self.in_flight), num_returns=1, timeout=_LOOK_SECONDS)
                for reference in done:
                    outcomes = self._take(reference)
                    if any(outcome.failure is not None for outcome in outcomes):
                        self.measure()  # it tells of a node that has joined with other versions: that may be to blame
                    yield from outcomes
                if time.monotonic() - looked > _LOOK_SECONDS:
                    yield from self._overdue(inside=inside)
                    before, size, looked = size, self.measure(), time.monotonic()
                    yield from self._lost(size.dead - before.dead, inside=inside)
        finally:
            for reference in self.in_flight:
                _cancel(reference, inside=inside)

    def _most(self, size: ClusterSize, *, inside: bool) -> int:
        """Return how many tasks may be sent: some more than can start, unless their time counts."""
        # Inside a Ray task one that asks for no CPU is not queued but started at once.
        queued = 1 if inside or self.limits.timed or self.crowding > 1 else _QUEUED_PER_SLOT
        return max(1, size.slots // self.crowding) * queued

    def _send(self, batch: list[Task], shared_box: list[Any], size: ClusterSize, *, inside: bool) -> None:
        announced = self.limits.timed or size.nodes > 1  # it costs 1 ms, and says which node a task is lost with
        function = _REMOTE_ANNOUNCED if announced else _REMOTE_BATCH
        remote = function.options(
            # Inside a Ray task the caller holds its CPUs while it waits: asking for more would wait for ever.
            num_cpus=0 if inside else self.limits.cpus_per_task,
            num_gpus=0 if inside else self.limits.gpus_per_task,
            # Ray still waits for workers that it asked a lost node for, and asks for no others in their place as long
            # as tasks want the same resources: a byte for each node that was lost makes them others.
            memory=None if inside else self.memory.get(batch[0].id, 0) + len(size.dead) or None,
            # Without it Ray fills one node before the next; on one node it costs some 10 ms a task.
            scheduling_strategy="SPREAD" if size.nodes > 1 else "DEFAULT",
        )
        reference = remote.remote(self.work, shared_box, batch, self.limits.cpus_per_task)
        self.in_flight[reference] = _Sent(batch, announced)

    def _next(self, waiting: Iterator[Task]) -> list[Task]:
        if self.again:
            return [self.again.popleft()]
        batch: list[Task] = []
        while len(batch) < self.batch_size and (task := next(waiting, None)) is not None:
            batch.append(task)
            if task.alone:
                break
        if not batch and self.limits.speculate:
            return self._slow()
        return batch

    def _slow(self) -> list[Task]:
        """Return a task that takes far longer than its peers, to be started once more; none where there is none."""
        if len(self.seconds) < _PEERS:
            return []
        limit = time.monotonic() - _SLOW * median(self.seconds)
        for sent in self.in_flight.values():
            task = sent.tasks[0]
            if len(sent.tasks) == 1 and sent.began is not None and sent.began < limit and task.id not in self.copied:
                self.copied.add(task.id)
                return [task]
        return []

    def _take(self, reference: Any) -> list[TaskOutcome]:
        sent = self.in_flight[reference]
        try:
            outcomes = ray.get(next(reference) if sent.announced else reference)
        except (exceptions.RayError, StopIteration) as error:
            del self.in_flight[reference]
            return self._failed(sent.tasks, failure_of(cause_of(error), _reason(error)))
        if isinstance(outcomes, str):
            sent.began, sent.node = time.monotonic(), outcomes
            return []
        del self.in_flight[reference]
        mean_seconds = sum(outcome.finished - outcome.started for outcome in outcomes) / len(outcomes)
        self.batch_size = max(1, min(_LARGEST_BATCH, int(_BATCH_SECONDS / max(mean_seconds, 1e-6))))
        self.seconds += [outcome.finished - outcome.started for outcome in outcomes]
        return [self._told(outcome, sent.at) for outcome in outcomes]

    def _told(self, outcome: TaskOutcome, sent_at: float) -> TaskOutcome:
        duplicate = outcome.id in self.finished
        self.finished.add(outcome.id)
        tried = self.attempts.get(outcome.id, 0) + 1
        return replace(moved_between(outcome, sent_at, time.time()), attempts=tried, duplicate=duplicate)

    def _overdue(self, *, inside: bool) -> Iterator[TaskOutcome]:
        """Give up what has taken longer than it may."""
        limit = self.limits.timeout
        if limit is None:
            return
        now = time.monotonic()
        late = [each for each, sent in self.in_flight.items() if sent.began is not None and now - sent.began > limit]
        for reference in late:
            sent = self.in_flight.pop(reference)
            _cancel(reference, inside=inside)
            message = f"it had not finished {now - (sent.began or now):,.0f} seconds after its start"
            failure = TaskFailure(reason="timeout", error_type="TimeoutError", message=message, traceback="")
            yield from self._failed(sent.tasks, failure)

    def _lost(self, nodes: frozenset[str], *, inside: bool) -> Iterator[TaskOutcome]:
        """Give up what was under way on nodes that are lost, and send once more what has not begun anywhere.

        Of a node whose link was cut Ray says that it is dead, but waits on for what it had sent there.
        """
        if not nodes:
            return
        for reference, sent in list(self.in_flight.items()):
            if sent.node is not None and sent.node not in nodes:
                continue
            del self.in_flight[reference]
            _cancel(reference, inside=inside)
            if sent.node is None:
                self.again.extend(task for task in sent.tasks if task.id not in self.finished)
                continue
            message = f"the node {sent.node[:_ID_DIGITS]} that it ran on was lost"
            failure = TaskFailure(reason="node_lost", error_type="NodeDiedError", message=message, traceback="")
            yield from self._failed(sent.tasks, failure)

    def _failed(self, batch: list[Task], failure: TaskFailure) -> list[TaskOutcome]:
        """Return what is given up; what is to be tried again waits."""
        self.batch_size = 1
        if len(batch) > 1:
            self.again.extend(batch)  # each by itself: the others are not to blame for one of them
            return []
        task = batch[0]
        elsewhere = any(each.id == task.id for sent in self.in_flight.values() for each in sent.tasks)
        if task.id in self.finished or elsewhere:
            return []  # a copy of it is done, or may yet be
        tried = self.attempts[task.id] = self.attempts.get(task.id, 0) + 1
        if failure.reason in _RETRIED and tried < self.limits.max_attempts:
            if failure.reason == "out_of_memory":
                share = _MOST_OF_A_NODE * (tried + 1) / self.limits.max_attempts
                self.memory[task.id] = int(largest_memory() * share)
                self.crowding *= 2
            self.again.append(task)
            return []
        self.finished.add(task.id)
        outcome = TaskOutcome(
            id=task.id,
            rows=task.rows,
            failure=failure,
            attempts=tried,
            started=0.0,
            finished=0.0,
            node="",
            process=0,
        )
        return [outcome]


def _cancel(reference: Any, *, inside: bool) -> None:
    ray.cancel(reference, force=not inside)


def _reason(error: Exception) -> FailureReason:
    if isinstance(error, exceptions.OutOfMemoryError):
        return "out_of_memory"
    if isinstance(error, (exceptions.NodeDiedError, exceptions.ObjectLostError)):
        return "node_lost"
    if isinstance(error, exceptions.WorkerCrashedError):
        return "crash"
    return "error"
