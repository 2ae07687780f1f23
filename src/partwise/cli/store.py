"""partwise store: what the partition store holds."""

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from partwise.cli import options as o
from partwise.cli.program import app

store = typer.Typer(no_args_is_help=True, help="Partitions that are stored: list them, or delete them.")
app.add_typer(store, name="store")

_SHOWN = 8
"""Characters of a key that tell tables apart."""


@store.command("list", epilog="Example: partwise store list --storage /shared/store")
def list_tables(
    storage: o.Storage = None,
    as_json: o.Json = False,  # noqa: FBT002 - a flag
    debug: o.Debug = False,  # noqa: ARG001, FBT002 - read in main
) -> None:
    """List the tables that are stored, and what runs left that did not finish."""
    import json  # noqa: PLC0415

    from partwise.stores import PartitionStore  # noqa: PLC0415

    entries = list(PartitionStore(storage).entries())
    if as_json:
        told = [
            {
                "key": entry.key,
                "n_bytes": entry.n_bytes,
                "manifest": None if entry.manifest is None else entry.manifest.model_dump(mode="json"),
            }
            for entry in entries
        ]
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
        return
    table = Table("key", "table", "rows", "parts", "cut", "size", "created")
    for entry in entries:
        size, manifest = f"{entry.n_bytes / 1e6:,.1f} MB", entry.manifest
        if manifest is None:
            table.add_row(entry.key[:_SHOWN], "[dim]not finished[/dim]", "", "", "", size, "")
        else:
            n_parts = f"{len(manifest.parts):,}"
            row = (manifest.name, f"{manifest.n_rows:,}", n_parts, manifest.method, size, manifest.created)
            table.add_row(entry.key[:_SHOWN], *row)
    Console().print(table if entries else "The store is empty.")


@store.command("clean", epilog="Example: partwise store clean --all")
def clean(
    storage: o.Storage = None,
    key: Annotated[
        list[str] | None, typer.Option(help="Table to delete, by the start of its key; may be repeated.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Delete all tables.")] = False,  # noqa: FBT002 - a flag
    debug: o.Debug = False,  # noqa: ARG001, FBT002 - read in main
) -> None:
    """Delete what runs left that did not finish; with --key or --all also tables that are complete.

    Nothing may be storing a table there meanwhile.
    """
    from partwise.errors import InputError, unknown_choice  # noqa: PLC0415
    from partwise.stores import PartitionStore  # noqa: PLC0415

    place = PartitionStore(storage)
    entries = {entry.key: entry for entry in place.entries()}
    if key and not entries:
        raise InputError(f"--key {key[0]!r}: the store {place.place[1]!r} is empty. See --storage.")
    named = set()
    for start in key or ():
        found = [each for each in entries if each.startswith(start)]
        if len(found) != 1:
            raise unknown_choice("key", start, [each[:_SHOWN] for each in entries], hint="One table must start so.")
        named |= set(found)
    doomed = [entry for entry in entries.values() if everything or entry.manifest is None or entry.key in named]
    for entry in doomed:
        place.delete(entry.key)
    for entry in entries.values():
        if entry not in doomed:
            place.sweep(entry)
    freed = sum(entry.n_bytes for entry in doomed)
    Console().print(f"{len(doomed)} of {len(entries)} tables deleted, {freed / 1e6:,.1f} MB freed.")
