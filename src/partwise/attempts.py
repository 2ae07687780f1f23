"""One attempt at a task, in whatever process: its value or its failure, with where and when it ran."""

import os
import socket
import time
import traceback
from collections.abc import Callable, Generator, Iterable
from dataclasses import replace
from typing import Any

from threadpoolctl import threadpool_limits

from partwise.errors import ConfigurationError, InputError, StepTimeoutError, UnwritableError
from partwise.records import FailureReason, Task, TaskFailure, TaskOutcome

__all__ = ["attempt", "failure_of", "input_error_of", "moved_between", "run_in_process", "timeout_error_of"]

_ID_DIGITS = 8


def failure_of(error: BaseException, reason: FailureReason = "error") -> TaskFailure:
    """Return the record of an exception, as text and as itself."""
    return TaskFailure(
        reason=reason,
        error_type=type(error).__name__,
        message=str(error),
        traceback="".join(traceback.format_exception(error)),
        exception=error,
    )


def input_error_of(failure: TaskFailure) -> InputError | None:
    """Return the error where a worker found that something that was given is wrong, None for any other failure."""
    if failure.error_type == UnwritableError.__name__:
        return UnwritableError(failure.message)
    if failure.error_type in {InputError.__name__, ConfigurationError.__name__}:
        return InputError(failure.message)
    return None


def timeout_error_of(outcome: TaskOutcome) -> StepTimeoutError | None:
    """Return the error where a task took longer than it may, None for any other failure."""
    failure = outcome.failure
    if failure is None or failure.reason != "timeout":
        return None
    tried = f"{outcome.attempts} attempts" if outcome.attempts > 1 else "1 attempt"
    return StepTimeoutError(
        f"A part of the work ({outcome.rows:,} rows) was given up after {tried}: {failure.message}. Look whether "
        "storage and nodes answer (partwise doctor), or allow more time (--step-timeout)."
    )


def attempt(work: Callable[[Any, Any], Any], shared: Any, task: Task, node_id: str = "") -> TaskOutcome:
    """Call ``work(shared, task.payload)``; an error becomes part of the outcome.

    The outcome's node is the host's name, with the start of the id that a cluster gave the node: one host may have
    several.
    """
    host = socket.gethostname()
    started, cpu_started = time.time(), time.process_time()
    value, failure = None, None
    try:
        value = work(shared, task.payload)
    except Exception as error:  # noqa: BLE001 - failure is a value that the caller sees
        failure = failure_of(error)
    return TaskOutcome(
        id=task.id,
        rows=task.rows,
        value=value,
        failure=failure,
        started=started,
        finished=time.time(),
        node=f"{host}/{node_id[:_ID_DIGITS]}" if node_id else host,
        process=os.getpid(),
        cpu_seconds=time.process_time() - cpu_started,
    )


def moved_between(outcome: TaskOutcome, sent: float, received: float) -> TaskOutcome:
    """Return the outcome with times by the clock of who sent it: that of where it ran may be wrong."""
    shift = max(0.0, sent - outcome.started) or min(0.0, received - outcome.finished)
    return replace(outcome, started=outcome.started + shift, finished=outcome.finished + shift, clock_shift=shift)


def run_in_process(
    work: Callable[[Any, Any], Any], shared: Any, tasks: Iterable[Task], cpus: int
) -> Generator[TaskOutcome, None, None]:
    """Attempt each task in this process, in order, on so many threads."""
    for task in tasks:
        with threadpool_limits(cpus):
            outcome = attempt(work, shared, task)
        yield outcome
