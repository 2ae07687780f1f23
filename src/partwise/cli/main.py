"""Run a command and turn what becomes of it into an exit code."""

import sys
import traceback

import typer
from rich.console import Console
from rich.markup import escape

from partwise.cli.program import app
from partwise.errors import InputError, MissingExtraError, PartwiseError

__all__ = ["main"]

_WRONG_INPUT, _FAILED, _INTERRUPTED = 2, 1, 130


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 good, 1 the run failed, 2 the input is wrong, 130 interrupted."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        code = app(given, standalone_mode=False)
    except KeyboardInterrupt:
        code = _complain("Interrupted.", _INTERRUPTED)
    except typer.Exit as stop:
        code = stop.exit_code
    except PartwiseError as error:
        code = _complain(str(error), _WRONG_INPUT if isinstance(error, (InputError, MissingExtraError)) else _FAILED)
        _trace(given)
    except Exception as error:  # noqa: BLE001 - a traceback is for --debug alone
        if hasattr(error, "show") and hasattr(error, "exit_code"):  # wrong usage, found by the parser
            error.show()
            code = error.exit_code
        else:
            code = _complain(f"{type(error).__name__}: {error} (--debug shows where)", _FAILED)
            _trace(given)
    sys.exit(code or 0)


def _complain(message: str, code: int) -> int:
    Console(stderr=True).print(f"[bold red]Error[/bold red] {escape(message)}", soft_wrap=True, highlight=False)
    return code


def _trace(arguments: list[str]) -> None:
    if "--debug" in arguments:
        traceback.print_exc()
