"""Calls that may take no longer than so many seconds."""

import threading
from collections.abc import Callable
from typing import TypeVar

__all__ = ["call_with_timeout"]

Value = TypeVar("Value")


def call_with_timeout(call: Callable[[], Value], seconds: float) -> Value:
    """Return what a call returns, or raise what it raises; a call that takes longer is left behind.

    Its thread lives on: Linux ends the processes that a call has started, such as Ray's, together with their thread.

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
        threading.Event().wait()

    threading.Thread(target=run, daemon=True).start()
    done.wait(seconds)
    if errors:
        raise errors[0]
    if not values:
        raise TimeoutError(f"no answer within {seconds:.0f} seconds")
    return values[0]
