"""partwise train."""

import sys

from rich.console import Console

from partwise.cli import options as o
from partwise.cli.program import app, find_modules, say, say_where


@app.command(epilog="Example: partwise train 'flights/*.parquet' --target late --partitions 64 --storage /shared/store")
def train(  # noqa: PLR0913, PLR0917 - the options are the interface
    data: o.Data,
    target: o.Target = None,
    learner: o.Learner = "hist_gradient_boosting",
    param: o.Parameters = None,
    partitions: o.NPartitions = 8,
    partitioner: o.Partitioner = None,
    combine: o.Combine = None,
    replication: o.Replication = 1,
    match_updates: o.MatchUpdates = None,
    task: o.Task = "auto",
    metric: o.Metric = None,
    test_size: o.TestSize = 0.2,
    test: o.Test = None,
    split_column: o.SplitColumn = None,
    time: o.Time = None,
    weight: o.Weight = None,
    group: o.Group = None,
    drop: o.Drop = None,
    encode: o.Encode = True,  # noqa: FBT002 - a flag
    evidence: o.Evidence = False,  # noqa: FBT002 - a flag
    address: o.Address = None,
    cpus_per_member: o.CpusPerMember = 1,
    ship: o.Ship = None,
    storage: o.Storage = None,
    tracking_uri: o.TrackingUri = None,
    experiment: o.Experiment = "partwise",
    seed: o.Seed = 0,
    output: o.Output = None,
    dry_run: o.DryRun = False,  # noqa: FBT002 - a flag
    as_json: o.Json = False,  # noqa: FBT002 - a flag
    debug: o.Debug = False,  # noqa: FBT002 - read in main
) -> None:
    """Train the ensemble alone, on a table of any size: workers read it in pieces, this process holds samples."""
    given = o.settings(locals())
    # Not at the top: --help should not wait for Ray and scikit-learn.
    from partwise.comparison.training_table import training_table  # noqa: PLC0415
    from partwise.config import TrainConfig  # noqa: PLC0415
    from partwise.experiment import plan_training  # noqa: PLC0415
    from partwise.experiment import train as run_training  # noqa: PLC0415

    config = TrainConfig.checked(**given)
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
