"""partwise sync."""

from typing import Annotated

import typer
from rich.console import Console

from partwise.cli import options as o
from partwise.cli.program import app


@app.command(epilog="Example: partwise sync partwise-runs/20260101-120000-abcdef")
def sync(
    directory: Annotated[str, typer.Argument(help="The directory of a run, a path or a URI.")],
    tracking_uri: o.TrackingUri = None,
    debug: o.Debug = False,  # noqa: ARG001, FBT002 - read in main
) -> None:
    """Send what the tracking server lacks of a run; what it has is not sent twice."""
    # Not at the top: --help should not wait for MLflow.
    from partwise.experiment import sync as run_sync  # noqa: PLC0415

    done = run_sync(directory, tracking_uri)
    console = Console()
    console.print(f"{done.n_events:,} events are in {done.tracking_uri}", soft_wrap=True, highlight=False)
    if done.ui_command is not None:
        console.print(f"Look with:\n  {done.ui_command}", soft_wrap=True, highlight=False)
