"""Tasks on a Ray cluster."""

import multiprocessing
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from functools import partial
from time import sleep
from typing import Any

from partwise.attempts import run_in_process
from partwise.errors import ClusterError, InputError
from partwise.executors.inline import Here
from partwise.executors.node_versions import check_joined_nodes, check_node_versions
from partwise.executors.ray_cluster import ClusterSize, cluster_size, connect, disconnect, is_connected
from partwise.executors.ray_flight import Flight, Lent, Limits
from partwise.naming import whole_number
from partwise.records import Task, TaskOutcome

__all__ = ["RayExecutor"]

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
    gpus_per_task
        GPUs that the fit of a member reserves; a share below 1 lets several fits use one together.
    max_attempts
        How often a task is tried whose worker crashed, ran out of memory, was lost with its node, or took too long.
        An error that the work itself raises is never tried again.
    timeout
        Seconds that one attempt at the fit of a member may take from its start in a worker; None without limit.
    step_timeout
        Seconds that one attempt at any other task may take, such as reading a piece of a table; None without limit.
    speculate
        Whether a member whose fit takes far longer than its peers' is started a second time when nothing else waits;
        the first to finish counts.
    ship
        Files or directories of the user's own modules that the nodes shall be able to import.
    """

    address: str | None = None
    cpus_per_task: int = 1
    gpus_per_task: float = 0.0
    max_attempts: int = 3
    timeout: float | None = None
    step_timeout: float | None = None
    speculate: bool = False
    ship: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("cpus_per_task", "max_attempts"):
            whole_number("RayExecutor", name, getattr(self, name))
        if not self.gpus_per_task >= 0:
            raise InputError(f"RayExecutor(gpus_per_task={self.gpus_per_task!r}) is wrong. Valid: a number, 0 or more.")
        for name in ("timeout", "step_timeout"):
            if (limit := getattr(self, name)) is not None and not limit > 0:
                raise InputError(f"RayExecutor({name}={limit!r}) is wrong. Valid: seconds above 0, or None.")

    def connect(self) -> None:
        """Reach the cluster now rather than with the first task.

        Raises
        ------
        ClusterError
            If it cannot be reached or started, its nodes run other versions, or none has the CPUs and GPUs of a task.
        """
        self._size(self.gpus_per_task)

    @property
    def slots(self) -> int:
        """How many tasks run at the same time."""
        return self._size(self.gpus_per_task).slots

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

    def _size(self, gpus_per_task: float = 0.0) -> ClusterSize:
        if self._alone:
            return ClusterSize(slots=1, nodes=1)
        if connect(self.address, self.ship):
            try:
                check_node_versions()
            except ClusterError:
                disconnect()  # another attempt shall be told as well
                raise
        size = cluster_size(self.cpus_per_task, gpus_per_task)
        check_joined_nodes(size.alive)
        return size

    def run(
        self, work: Callable[[Any, Any], Any], shared: Any, tasks: Iterable[Task], *, members: bool = False
    ) -> Generator[TaskOutcome, None, None]:
        """Call ``work(shared, task.payload)`` for each task on the cluster; yield outcomes as they complete.

        ``members`` says that the tasks are fits of members, for which GPUs, ``timeout`` and ``speculate`` are meant: a
        slow one may be started twice, and the later outcome is marked ``duplicate``.
        """
        if self._alone:
            yield from run_in_process(work, shared, tasks, self.cpus_per_task)
            return
        yield from self._flight(work, shared, members=members).run(tasks)

    def _flight(self, work: Callable[[Any, Any], Any], shared: Any, *, members: bool = False) -> Flight:
        limits = Limits(
            cpus_per_task=self.cpus_per_task,
            gpus_per_task=self.gpus_per_task if members else 0.0,
            max_attempts=self.max_attempts,
            timeout=self.timeout if members else self.step_timeout,
            speculate=members and self.speculate,
        )
        return Flight(limits, partial(self._size, limits.gpus_per_task), work, shared)

    def warm(self, work: Callable[[Any], Any], shared: Any) -> None:
        """Call ``work(shared)`` once in every worker, all at the same time."""
        size = self._size()
        tasks = [Task(index, None) for index in range(size.slots)]
        for outcome in self._flight(_warm_one, (work, shared)).run(tasks):
            if outcome.failure is not None:
                raise ClusterError(
                    f"A worker cannot load what a fit needs: {outcome.failure.error_type}: {outcome.failure.message} "
                    "Next: install it on every node, or send it there with --ship PATH."
                )

    def lend(self, value: Any) -> Callable[[], Any]:
        """Return what gives the value wherever a task runs: it lies in the object store, once."""
        if self._alone:
            return Here(value)
        self._size()  # it connects, and Ray by itself would join any cluster
        return Lent.of(value)


def _warm_one(shared: tuple[Callable[[Any], Any], Any], _payload: None) -> None:
    work, argument = shared
    work(argument)
    sleep(0.25)  # long enough that the next of these tasks needs a worker of its own
