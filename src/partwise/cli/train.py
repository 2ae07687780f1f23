"""partwise train."""

import sys
from typing import Any

from rich.console import Console

from partwise.cli import options as o
from partwise.cli.program import app, find_modules, say, say_where


@app.command(epilog="Example: partwise train 'flights/*.parquet' --target late --partitions 64 --storage /shared/store")
@o.of_a_fit
def train(
    *,
    evidence: o.Evidence = False,
    dry_run: o.DryRun = False,
    as_json: o.Json = False,
    **options: Any,
) -> None:
    """Train the ensemble alone, on a table of any size: workers read it in pieces, this process holds samples."""
    given = o.settings({**options, "evidence": evidence})
    # Not at the top: --help should not wait for Ray and scikit-learn.
    from partwise.comparison.training_table import training_table  # noqa: PLC0415
    from partwise.config import TrainConfig  # noqa: PLC0415
    from partwise.experiment import configured, plan_training  # noqa: PLC0415
    from partwise.experiment import train as run_training  # noqa: PLC0415

    config = configured(TrainConfig, given)
    find_modules(config.ship)
    if dry_run:
        plan = plan_training(config)
        if as_json:
            sys.stdout.write(plan.model_dump_json(indent=2) + "\n")
        else:
            Console().print(plan.table())
        return
    run = run_training(config, say, show_progress=True)
    if as_json:
        sys.stdout.write(run.training.model_dump_json(indent=2) + "\n")
    else:
        Console().print(training_table(run.training))
    say_where(run.directory, run.tracking_uri, run.tracking_fault, run.ui_command)
