"""partwise resume."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from partwise.cli import options as o
from partwise.cli.program import app, say, say_where


@app.command(epilog="Example: partwise resume partwise-runs/20260101-120000-abcdef")
def resume(
    directory: Annotated[Path, typer.Argument(help="The directory of a run that was stopped.")],
    address: o.Address = None,
    tracking_uri: o.TrackingUri = None,
    trust: Annotated[bool, typer.Option(help="Take members over that hold code, which may then run.")] = False,  # noqa: FBT002 - a flag
    as_json: o.Json = False,  # noqa: FBT002 - a flag
    debug: o.Debug = False,  # noqa: ARG001, FBT002 - read in main
) -> None:
    """Finish a run that was stopped: members that it has are kept, the others are fitted."""
    # Not at the top: --help should not wait for Ray and scikit-learn.
    from partwise.comparison.table import comparison_table  # noqa: PLC0415
    from partwise.comparison.training_table import training_table  # noqa: PLC0415
    from partwise.comparison.tuning_table import tuning_table  # noqa: PLC0415
    from partwise.experiment import ComparisonRun, ResumeConfig, TuningRun  # noqa: PLC0415
    from partwise.experiment import resume as run_again  # noqa: PLC0415

    config = ResumeConfig(directory=directory, address=address, tracking_uri=tracking_uri, trust=trust)
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
