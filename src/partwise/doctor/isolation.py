"""Checks in processes of their own: one that hangs can be ended."""

import signal
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, Self

from partwise.doctor.checks import Check, warning

__all__ = ["CheckProcess", "Look"]

Look = Generator[list[Check], None, None]
"""Yields its checks once, as a fixture does; what follows, such as to delete what was made, is done at its close."""
_CLOSE_SECONDS = 3.0


class CheckProcess:
    """A look in a process of its own, used with ``with``; when it is left the look is closed.

    Libraries that wait for a bucket or a file server cannot be interrupted, and would hold up the end of this process
    as well; a process of its own can be killed.

    Parameters
    ----------
    name
        The name of the check, for when there is no answer.
    look
        A top-level function.
    arguments
        What it is called with.
    """

    def __init__(self, name: str, look: Callable[..., Look], *arguments: Any) -> None:
        self._name = name
        self._has_answered = False
        context = get_context("spawn")  # a fork would inherit the locks of Ray's threads
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_answer, args=(other, name, look, arguments), daemon=True)
        self._process.start()
        other.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.close()
        self._process.join(_CLOSE_SECONDS if self._has_answered else 0.0)
        self._process.kill()
        self._process.join(_CLOSE_SECONDS)

    def checks(self, deadline: float) -> list[Check]:
        """Return what the look has found; where it fails, or is not done in time, a warning that says so.

        The deadline is one of the monotonic clock, so that several processes can share it.
        """
        if not self._pipe.poll(max(0.0, deadline - time.monotonic())):
            return [warning(self._name, "no answer in time", "See that it answers from this machine, then ask again.")]
        self._has_answered = True
        try:
            answer: list[Check] = self._pipe.recv()
        except EOFError:
            answer = [_failed(self._name, "the process that looked has died")]
        return answer


def _failed(name: str, reason: str) -> Check:
    return warning(name, f"could not be checked: {reason}", "Correct what it names, then ask again.")


def _answer(pipe: Connection, name: str, look: Callable[..., Look], arguments: tuple[Any, ...]) -> None:
    """Send the checks of a look, and close it when the other end of the pipe is closed, or its process gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the driver says when to end
    looking = look(*arguments)
    try:
        pipe.send(next(looking))
    except Exception as error:  # noqa: BLE001 - failure is a value that the driver sees
        pipe.send([_failed(name, f"{type(error).__name__}: {error}")])
    with suppress(EOFError):
        pipe.recv()
    looking.close()
