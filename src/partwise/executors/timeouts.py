"""Calls that may take no longer than so many seconds."""

import threading
from collections.abc import Callable
from typing import TypeVar

from partwise.errors import StepTimeoutError

__all__ = ["call_with_timeout", "within"]

Value = TypeVar("Value")


def within(seconds: float | None, what: str, call: Callable[[], Value]) -> Value:
    """Return what a step of this process returns, or raise what it raises; without a limit it is just called.

    Parameters
    ----------
    what
        The step, for the message, such as ``Reading flights.parquet``.

    Raises
    ------
    StepTimeoutError
        If it takes longer than so many seconds.
    """
    if seconds is None:
        return call()
    try:
        return call_with_timeout(call, seconds, stays=False)
    except TimeoutError as error:
        raise StepTimeoutError(
            f"{what} was given up: {error} (--step-timeout {seconds:g}). Look whether the storage answers, or allow "
            "more time."
        ) from error


def call_with_timeout(call: Callable[[], Value], seconds: float, *, stays: bool = True) -> Value:
    """Return what a call returns, or raise what it raises; a call that takes longer is left behind.

    Its thread lives on where it ``stays``: Linux ends the processes that a call has started, such as Ray's, together
    with their thread.

    Raises
    ------
    TimeoutError
        If it does not return within so many seconds.
    """
    values: list[Value] = []
    errors: list[Exception] = []
    done = threading.Event()

    def run() -> None:
        try:
            values.append(call())
        except Exception as error:  # noqa: BLE001 - the waiting thread raises it
            errors.append(error)
        done.set()
        if stays:
            threading.Event().wait()

    threading.Thread(target=run, daemon=True).start()
    done.wait(seconds)
    if errors:
        raise errors[0]
    if not values:
        raise TimeoutError(f"no answer within {seconds:.0f} seconds")
    return values[0]
