"""partwise resume."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from partwise.cli import options as o
from partwise.cli.program import app, say, say_where


@app.command(epilog="Example: partwise resume partwise-runs/20260101-120000-abcdef")
def resume(  # noqa: PLR0913, PLR0917 - the options are the interface
    directory: Annotated[str, typer.Argument(help="The directory of a run that was stopped, a path or a URI.")],
    address: o.Address = None,
    tracking_uri: o.TrackingUri = None,
    trust: Annotated[bool, typer.Option(help="Take members over that hold code, which may then run.")] = False,  # noqa: FBT002 - a flag
    drop: Annotated[
        list[int] | None, typer.Option(help="Leave the member of this partition out; may be repeated.")
    ] = None,
    restore: Annotated[
        list[int] | None, typer.Option(help="Take a member that was dropped in again; may be repeated.")
    ] = None,
    add: Annotated[
        list[str] | None, typer.Option(help="Table of further training rows, for members of its own; may be repeated.")
    ] = None,
    add_partitions: Annotated[int, typer.Option(help="How many members each added table gives.")] = 1,
    quorum: Annotated[
        float | None, typer.Option(help="Share of the members that must be left, in place of the run's own.")
    ] = None,
    step_timeout: o.StepTimeout = None,
    as_json: o.Json = False,  # noqa: FBT002 - a flag
    debug: o.Debug = False,  # noqa: ARG001, FBT002 - read in main
) -> None:
    """Finish a run that was stopped, or change its members: those that it has are kept, the others are fitted."""
    # Not at the top: --help should not wait for Ray and scikit-learn.
    from partwise.comparison.table import comparison_table  # noqa: PLC0415
    from partwise.comparison.training_table import training_table  # noqa: PLC0415
    from partwise.comparison.tuning_table import tuning_table  # noqa: PLC0415
    from partwise.experiment import ComparisonRun, ResumeConfig, TuningRun  # noqa: PLC0415
    from partwise.experiment import resume as run_again  # noqa: PLC0415

    config = ResumeConfig(
        directory=directory,
        address=address,
        tracking_uri=tracking_uri,
        trust=trust,
        drop=tuple(drop or ()),
        restore=tuple(restore or ()),
        add=tuple(add or ()),
        add_partitions=add_partitions,
        quorum=quorum,
        step_timeout=step_timeout,
    )
    sys.path.insert(0, str(Path.cwd()))
    run = run_again(config, say, show_progress=True)
    if isinstance(run, ComparisonRun):
        text, table = run.comparison.to_json(), comparison_table(run.comparison)
    elif isinstance(run, TuningRun):
        text, table = run.tuning.model_dump_json(indent=2) + "\n", tuning_table(run.tuning)
    else:
        text, table = run.training.model_dump_json(indent=2) + "\n", training_table(run.training)
    if as_json:
        sys.stdout.write(text)
    else:
        Console().print(table)
    say_where(run.directory, run.tracking_uri, run.tracking_fault, run.ui_command)
