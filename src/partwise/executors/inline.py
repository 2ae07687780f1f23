"""Everything in this process, one task after another: stops in a debugger."""

import math
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Any

from partwise.attempts import run_in_process
from partwise.records import Task, TaskOutcome

__all__ = ["Here", "InlineExecutor"]


@dataclass(frozen=True, slots=True)
class Here:
    """A value that is lent to tasks of this process."""

    value: Any

    def __call__(self) -> Any:
        """Return the value."""
        return self.value


@dataclass(frozen=True, slots=True)
class InlineExecutor:
    """Run tasks in this process, with ``cpus_per_task`` threads each."""

    cpus_per_task: int = 1

    slots = 1
    nodes = 1
    overhead_seconds = math.inf

    def run(
        self,
        work: Callable[[Any, Any], Any],
        shared: Any,
        tasks: Iterable[Task],
        *,
        members: bool = False,  # noqa: ARG002 - no limits here
    ) -> Generator[TaskOutcome, None, None]:
        """Call ``work(shared, task.payload)`` for each task, in order."""
        return run_in_process(work, shared, tasks, self.cpus_per_task)

    def warm(self, work: Callable[[Any], Any], shared: Any) -> None:
        """Call ``work(shared)`` once."""
        work(shared)

    def lend(self, value: Any) -> Here:
        """Return what gives the value."""
        return Here(value)
