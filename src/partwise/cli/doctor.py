"""partwise doctor."""

import json
import sys

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from partwise.cli import options as o
from partwise.cli.program import app, say

_STYLES = {"good": "green", "warning": "yellow", "bad": "bold red"}


@app.command(epilog="Example: partwise doctor --address auto --storage /shared/store")
def doctor(
    address: o.Address = None,
    ship: o.Ship = None,
    storage: o.Storage = None,
    tracking_uri: o.TrackingUri = None,
    output: o.Output = None,
    as_json: o.Json = False,  # noqa: FBT002 - a flag
    debug: o.Debug = False,  # noqa: ARG001, FBT002 - read in main
) -> None:
    """Check the place where a run would happen: each line is good, or says the mend. Exits with 1 where one is bad."""
    # Not at the top: --help should not wait for Ray.
    from partwise.doctor import DoctorConfig, examine  # noqa: PLC0415

    config = DoctorConfig.checked(
        address=address, storage=storage, tracking_uri=tracking_uri, output=output, ship=tuple(ship or ())
    )
    checks = list(examine(config, say))
    counts = {state: sum(check.state == state for check in checks) for state in _STYLES}
    if as_json:
        sys.stdout.write(json.dumps([check.model_dump() for check in checks], indent=2) + "\n")
    else:
        table = Table("", "check", "found, and its mend")
        for check in checks:
            style, found = _STYLES[check.state], escape(check.found)
            mend = f"\n[{style}]{escape(check.mend)}[/{style}]" if check.mend else ""
            table.add_row(f"[{style}]{check.state}[/{style}]", escape(check.name), found + mend)
        Console().print(table)
        Console().print(", ".join(f"{count} {state}" for state, count in counts.items()) + ".", highlight=False)
    if counts["bad"]:
        raise typer.Exit(1)
