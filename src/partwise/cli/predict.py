"""partwise predict."""

import sys
from typing import Annotated

import typer
from rich.console import Console

from partwise.cli import options as o
from partwise.cli.program import app, find_modules, say


@app.command(epilog="Example: partwise predict partwise-runs/…/model 'new/*.parquet' -o late.parquet --keep flight")
def predict(  # noqa: PLR0913, PLR0917 - the options are the interface
    model: Annotated[str, typer.Argument(help="A run directory, or the model folder in it: a path or a URI.")],
    data: o.Data,
    output: Annotated[
        str, typer.Option("--output", "-o", help="File to write, .parquet or .csv: a path, or a URI such as s3://….")
    ],
    keep: Annotated[
        list[str] | None, typer.Option(help="Column to write beside the predictions; may be repeated.")
    ] = None,
    probabilities: Annotated[bool, typer.Option(help="Also write the probability of each class.")] = False,  # noqa: FBT002 - a flag
    trust: Annotated[bool, typer.Option(help="Load a model that holds code, which may then run.")] = False,  # noqa: FBT002 - a flag
    overwrite: Annotated[bool, typer.Option(help="Replace the output if it exists.")] = False,  # noqa: FBT002 - a flag
    address: o.Address = None,
    step_timeout: o.StepTimeout = None,
    ship: o.Ship = None,
    as_json: o.Json = False,  # noqa: FBT002 - a flag
    debug: o.Debug = False,  # noqa: ARG001, FBT002 - read in main
) -> None:
    """Predict a table of any size, in parallel and in row order; started again after a stop, it goes on."""
    # Not at the top: --help should not wait for Ray and scikit-learn.
    from partwise.config import read_seconds  # noqa: PLC0415
    from partwise.experiment import PredictConfig  # noqa: PLC0415
    from partwise.experiment import predict as run_prediction  # noqa: PLC0415

    config = PredictConfig(
        model=model,
        data=data,
        output=output,
        keep=tuple(keep or ()),
        probabilities=probabilities,
        trust=trust,
        overwrite=overwrite,
        address=address,
        step_timeout=read_seconds("--step-timeout", step_timeout),
        ship=tuple(ship or ()),
    )
    find_modules(config.ship)
    done = run_prediction(config, say, show_progress=True)
    if as_json:
        sys.stdout.write(done.model_dump_json(indent=2) + "\n")
    else:
        Console().print(
            f"{done.n_rows:,} rows predicted in {done.seconds:,.1f} s ({done.n_rows / max(done.seconds, 1e-9):,.0f} a "
            f"second), {done.resumed:,} of {done.pieces:,} pieces taken over from an earlier run: {done.output}",
            soft_wrap=True,
            highlight=False,
        )
