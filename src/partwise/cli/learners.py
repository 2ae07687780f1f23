"""partwise learners."""

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from partwise.cli import options as o
from partwise.cli.program import app, find_modules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from partwise.learners.listing import Described

_TASKS = {"classification": "classes", "regression": "numbers"}
_ACCEPTS = ("missing", "categories", "sparse", "weights")
_Name = Annotated[str | None, typer.Argument(help="A learner, to see its parameters; absent: the list.")]


@app.command(epilog="Example: partwise learners xgboost")
def learners(
    name: _Name = None,
    as_json: o.Json = False,  # noqa: FBT002 - a flag
    debug: o.Debug = False,  # noqa: ARG001, FBT002 - read in main
) -> None:
    """List the learners that have a name, and what they take; or the parameters of one."""
    # Not at the top: --help should not wait for scikit-learn.
    from partwise.learners.listing import described, listed, parameters_of  # noqa: PLC0415

    if name is None:
        rows = list(listed())
        if as_json:
            _write([asdict(row) for row in rows])
            return
        Console().print(_list_of(rows))
        Console().print("Any other: package.module:Class, or file.py:name. Parameters: partwise learners NAME.")
        return
    find_modules(())
    row = described(name)
    if as_json:
        _write(asdict(row) | {"parameters": parameters_of(name)})
        return
    Console().print(_list_of([row]))
    if row.space:
        searched = Table("parameter", "values", title=f"{escape(name)}: what `partwise tune` searches by default")
        for key, value in row.space.items():
            searched.add_row(escape(key), escape(value))
        Console().print(searched)
    for task, values in parameters_of(name).items():  # last: where its library is not installed, the rest was told
        table = Table("parameter", "default", title=f"{escape(name)}, {task}")
        for key, value in values.items():
            table.add_row(escape(key), escape(repr(value)))
        Console().print(table)


def _list_of(rows: "Sequence[Described]") -> Table:
    table = Table(Column("learner", no_wrap=True), "for", "accepts", "combines by", "extra", "tunes", padding=(0, 1))
    for row in rows:
        tasks = " ".join(_TASKS[task] for task in row.tasks) or "?"
        cells = [
            row.name,
            tasks,
            _accepts(row),
            _rungs(row),
            row.extra or "",
            str(len(row.space) or ""),
        ]
        table.add_row(*map(escape, cells))
    return table


def _accepts(row: "Described") -> str:
    return ", ".join(name for name in _ACCEPTS if getattr(row, name)) or ("" if row.tasks else "?")


def _rungs(row: "Described") -> str:
    return ", ".join(f"{rung} (exact)" if rung == "pool" else rung for rung in row.rungs)


def _write(plain: object) -> None:
    sys.stdout.write(json.dumps(plain, indent=2, default=repr) + "\n")
