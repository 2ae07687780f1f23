"""Tasks whose outcomes are wanted in order, and all of them or none."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from typing import Any

from partwise.attempts import input_error_of, timeout_error_of
from partwise.errors import TableError
from partwise.protocols import Piece
from partwise.records import Task, TaskFailure, TaskOutcome

__all__ = ["as_they_come", "in_order", "one_by_one", "tasks_of"]


def tasks_of(pieces: Sequence[Piece]) -> Iterator[Task]:
    """Yield a task for each piece, in their order."""
    return (Task(index, piece, piece.n_rows or 0) for index, piece in enumerate(pieces))


def in_order(outcomes: Generator[TaskOutcome, None, None]) -> list[Any]:
    """Return the values of tasks in the order of their ids; the first failure ends the other tasks.

    Raises
    ------
    InputError
        If a worker found that something that was given is wrong.
    TableError
        If a task failed otherwise.
    """
    done = dict(as_they_come(outcomes))
    return [done[index] for index in sorted(done)]


def as_they_come(outcomes: Generator[TaskOutcome, None, None]) -> Iterator[tuple[int, Any]]:
    """Yield the ids and values of tasks as soon as they are there; the first failure ends the other tasks.

    Raises
    ------
    InputError
        If a worker found that something that was given is wrong.
    TableError
        If a task failed otherwise.
    """
    with closing(outcomes):
        for outcome in outcomes:
            yield outcome.id, _value(outcome)


def one_by_one(outcomes: Generator[TaskOutcome, None, None]) -> Iterator[Any]:
    """Yield the values of tasks 0, 1, 2, … in this order, each as soon as it can be; the early ones wait.

    Raises
    ------
    InputError
        If a worker found that something that was given is wrong.
    TableError
        If a task failed otherwise.
    """
    early: dict[int, Any] = {}
    following = 0
    for index, value in as_they_come(outcomes):
        early[index] = value
        while following in early:
            yield early.pop(following)
            following += 1


def _value(outcome: TaskOutcome) -> Any:
    failure = outcome.failure
    if failure is None:
        return outcome.value
    raise (input_error_of(failure) or timeout_error_of(outcome) or _table_error(failure)) from failure.exception


def _table_error(failure: TaskFailure) -> TableError:
    return TableError(
        f"A part of the table could not be worked on [{failure.reason}]: {failure.error_type}: {failure.message}"
    )
