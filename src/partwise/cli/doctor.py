"""partwise doctor."""

import json
import sys

import typer
from rich.console import Console
from rich.table import Table

from partwise.cli import options as o
from partwise.cli.program import app, say

_STYLES = {"good": "green", "warning": "yellow", "bad": "bold red"}


@app.command(epilog="Example: partwise doctor --address auto --storage /shared/store")
def doctor(
    address: o.Address = None,
    storage: o.Storage = None,
    tracking_uri: o.TrackingUri = None,
    output: o.Output = None,
    as_json: o.Json = False,  # noqa: FBT002 - a flag
    debug: o.Debug = False,  # noqa: ARG001, FBT002 - read in main
) -> None:
    """Check the place where a run would happen: each line is good, or says the mend. Exits with 1 where one is bad."""
    # Not at the top: --help should not wait for Ray.
    from partwise.doctor import DoctorConfig, examine  # noqa: PLC0415

    config = DoctorConfig(address=address, storage=storage, tracking_uri=tracking_uri, output=output)
    checks = list(examine(config, say))
    if as_json:
        sys.stdout.write(json.dumps([check.model_dump() for check in checks], indent=2) + "\n")
    else:
        table = Table("", "check", "found")
        for check in checks:
            style = _STYLES[check.state]
            found = f"{check.found}\n[{style}]{check.mend}[/{style}]" if check.mend else check.found
            table.add_row(f"[{style}]{check.state}[/{style}]", check.name, found)
        Console().print(table)
    if any(check.state == "bad" for check in checks):
        raise typer.Exit(1)
