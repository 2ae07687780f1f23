"""Run a command and turn what becomes of it into an exit code."""

import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from partwise.cli.program import Interrupted, app
from partwise.errors import InputError, MissingExtraError, PartwiseError, StepTimeoutError

__all__ = ["main"]

_WRONG_INPUT, _FAILED, _INTERRUPTED = 2, 1, 130


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 good, 1 the run failed, 2 the input is wrong, 130 interrupted."""
    given = sys.argv[1:] if arguments is None else arguments
    with _stopping_on_signals():
        code = _run(given)
    sys.exit(code or 0)


def _run(given: list[str]) -> int | None:
    """Return the exit code of a command."""
    try:
        done: int | None = app(given, standalone_mode=False)
    except Interrupted as stop:
        return _complain(str(stop), _INTERRUPTED)
    except typer.Exit as stop:
        return stop.exit_code
    except PartwiseError as error:
        code = _complain(str(error), _WRONG_INPUT if isinstance(error, (InputError, MissingExtraError)) else _FAILED)
        _trace(given)
        if isinstance(error, StepTimeoutError):
            _leave(code)
        return code
    except Exception as error:  # noqa: BLE001 - a traceback is for --debug alone
        if hasattr(error, "show") and hasattr(error, "exit_code"):  # wrong usage, found by the parser
            error.show()
            return int(error.exit_code)
        code = _complain(f"{type(error).__name__}: {error} (--debug shows where)", _FAILED)
        _trace(given)
        return code
    return done


@contextmanager
def _stopping_on_signals() -> Iterator[None]:
    """Let the first SIGINT or SIGTERM stop the run, which saves what it has; a second ends the process at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    stopped = False

    def stop(_number: int, _frame: object) -> None:
        nonlocal stopped
        if stopped:
            os._exit(_INTERRUPTED)
        stopped = True
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _complain(message: str, code: int) -> int:
    Console(stderr=True).print(f"[bold red]Error[/bold red] {escape(message)}", soft_wrap=True, highlight=False)
    return code


def _leave(code: int) -> NoReturn:
    """End this process now: at its exit it would wait for what was given up, such as a request that nobody answers."""
    cluster = sys.modules.get("partwise.executors.ray_cluster")
    if cluster is not None and cluster.is_connected():
        cluster.disconnect()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _trace(arguments: list[str]) -> None:
    if "--debug" in arguments:
        traceback.print_exc()
