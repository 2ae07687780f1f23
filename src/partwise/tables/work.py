"""Tasks whose outcomes are wanted all together, in order, or not at all."""

from collections.abc import Iterable
from typing import Any

from partwise.attempts import input_error_of
from partwise.errors import TableError
from partwise.records import TaskOutcome

__all__ = ["in_order"]


def in_order(outcomes: Iterable[TaskOutcome]) -> list[Any]:
    """Return the values of tasks in the order of their ids.

    Raises
    ------
    InputError
        If a worker found that something that was given is wrong.
    TableError
        If a task failed otherwise.
    """
    done = {}
    for outcome in outcomes:
        failure = outcome.failure
        if failure is not None:
            raise input_error_of(failure) or TableError(
                f"A part of the table could not be worked on [{failure.reason}]: {failure.error_type}: "
                f"{failure.message}"
            ) from failure.exception
        done[outcome.id] = outcome.value
    return [done[index] for index in sorted(done)]
