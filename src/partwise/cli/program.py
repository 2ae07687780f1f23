"""The program that the commands belong to, and what all of them do before and after their work."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperGroup

from partwise import __version__

__all__ = ["Interrupted", "app", "find_modules", "say", "say_where"]


class Interrupted(Exception):  # noqa: N818 - it is none of the user's errors
    """A signal has stopped a command; the text says what to do next."""


class _Program(TyperGroup):
    """Lets an interrupt out as an exception of its own: typer would turn it into a bare exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            raise Interrupted(" ".join(["Interrupted.", *getattr(stop, "__notes__", [])])) from stop


app = typer.Typer(
    cls=_Program,
    name="partwise",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - the parser calls it so
    if wanted:
        typer.echo(f"partwise {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[bool, typer.Option("--version", callback=_show_version, help="Show the version.")] = False,  # noqa: FBT002 - its callback has done the work
) -> None:
    """Train one model per partition of a table, in parallel on Ray, and compare them with one model on all of it."""


def find_modules(shipped: Iterable[str]) -> None:
    """Let modules of the user's own be imported from the working directory, as `python -m` does, and shipped ones."""
    sys.path[:0] = [str(Path.cwd()), *(str(Path(path).resolve().parent) for path in shipped)]


def say(step: str) -> None:
    """Tell on stderr what begins."""
    Console(stderr=True).print(f"[dim]{escape(step)} …[/dim]", highlight=False)


def say_where(directory: Path | str, uri: str | None, fault: str | None, ui_command: str | None) -> None:
    """Tell on stderr where a run's records are."""
    stderr = Console(stderr=True)
    stderr.print(f"Run directory: {directory}", soft_wrap=True, highlight=False)
    if fault is not None:
        stderr.print(f"[bold red]Not tracked to the end[/bold red]: {escape(fault)}", soft_wrap=True)
    elif ui_command is not None:
        stderr.print(f"Tracked in {uri}; look with:\n  {ui_command}", soft_wrap=True, highlight=False)
