"""A hyperparameter search: from a configuration to a recorded search and the ensemble of the best."""

import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from partwise.comparison.dataset import Dataset
from partwise.comparison.judging import Costs, Trained, make_tuning
from partwise.comparison.records import Tuning
from partwise.config import FitConfig, TuneConfig
from partwise.credentials import without_credentials
from partwise.errors import ConfigurationError, InputError
from partwise.evaluation import Outputs, Truth, scores_of, widened
from partwise.executors.ray_tasks import RayExecutor
from partwise.experiment.compared_rows import ComparedRows
from partwise.experiment.opening import begun
from partwise.experiment.preparing import (
    Setup,
    executor_of,
    wanted_partitioner,
)
from partwise.experiment.recorded import GoesOn, RecordedRun, recorded
from partwise.experiment.recording import Recorder
from partwise.filesystems import Folder
from partwise.fitting import prepare_worker
from partwise.learners import parse_parameters
from partwise.learners.checking import with_parameters
from partwise.partitioners import make_partitioner
from partwise.progress import trial_progress
from partwise.resources import Stopwatch
from partwise.search import (
    PartitionedSearchCV,
    SearchTrial,
    Space,
    check_sampler,
    check_space,
    check_study,
    default_space,
    read_space,
)
from partwise.selection import Auto
from partwise.tables import SentRows

__all__ = ["TuningRun", "tune"]

Say = Callable[[str], None]
_OF_THE_SEARCH = frozenset({"data", "param", "evidence", "tracking_uri", "experiment", "output"})
"""Settings that the command which compares the best configuration does not have of the search, or has elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningRun(RecordedRun):
    """A finished search and where everything about it lies."""

    tuning: Tuning


def tune(
    config: TuneConfig,
    say: Say = lambda _: None,
    *,
    show_progress: bool = False,
    goes_on: GoesOn | None = None,
) -> TuningRun:
    """Search the learner's parameters on training rows, fit the ensemble of the best, or one model, and judge it once.

    Parameters and errors are those of ``compare``.

    Raises
    ------
    InputError
        If something in the configuration or the table is wrong; nothing has been fitted then.
    PartwiseError
        If the run fails; it is recorded as failed.
    """
    # 1. and 2. The table, and the setup.
    run = begun(config, say, goes_on, _check_search)
    config, setup, rows, facts = run.config, run.setup, run.rows, run.facts
    if config.fidelity == "rows":
        setup = replace(setup, match_updates=False)  # the updates of members are matched to those of one model
    # 3. Where the run is recorded; both places are tried before anything is fitted.
    with recorded(config, goes_on) as recorder:
        recorder.start(config, setup, rows.dataset.holdout.description, facts)
        tuning = _searched(config, setup, rows, facts["notes"], recorder, say, show_progress=show_progress)
    return TuningRun(tuning=tuning, **RecordedRun.places(recorder))


def _searched(
    config: TuneConfig,
    setup: Setup,
    rows: ComparedRows,
    notes: list[str],
    recorder: Recorder,
    say: Say,
    *,
    show_progress: bool,
) -> Tuning:
    clock, dataset, executor = Stopwatch(), rows.dataset, executor_of(config)
    # 4. Workers that have imported what a fit needs.
    say("Starting Ray" if config.address is None else f"Joining the cluster at {config.address}")
    with clock("startup"):
        executor.connect()
        executor.warm(prepare_worker, (setup.learner.estimator, SentRows()))  # what a fit unpickles
    # 5. Trials, each recorded as it ends, and the ensemble of the best.
    say(f"Trying {config.trials} configurations of {config.learner} on {executor.slots} workers")
    search = _make_search(config, setup, executor, recorder)
    n_told = len(recorder.told_trials())
    with clock("search"), trial_progress(config.trials, n_told, shown=show_progress) as advance:

        def observe(trial: SearchTrial) -> None:
            recorder.trial(trial)
            advance(trial.score)

        rows.fit(search, observe=observe)
    recorder.trials(search.trials_)
    model = search.best_estimator_
    recorder.members(model)
    # 6. The test rows, once.
    say(f"Predicting {len(dataset.test):,} test rows")
    with clock("predict"):
        outputs = model.predict_outputs(dataset.test)
    scores = _scores(dataset, setup, model, outputs)
    # 7. Everything that was found, on disk and in the tracker.
    say("Writing the model, the plots and the records")
    about = Trained(metric=setup.metric, task=setup.task, n_test=len(dataset.test), holdout=dataset.holdout.description)
    costs = Costs(
        startup_seconds=clock.seconds["startup"],
        predict_seconds=clock.seconds["predict"],
        slots=executor.slots,
        nodes=executor.nodes,
        address=config.address,
    )
    other = "one model" if config.fidelity == "members" else "an ensemble"
    notes = [*notes, f"Beside {other}: {_comparison(config, search.best_params_)}"]
    tuning = make_tuning(about, setup.summary(config, notes), scores, search, clock.seconds["search"], costs)
    recorder.tuning(tuning, model, search, dataset.test)
    return tuning


def _make_search(config: TuneConfig, setup: Setup, executor: RayExecutor, recorder: Recorder) -> PartitionedSearchCV:
    checkpoint = recorder.checkpoint
    return PartitionedSearchCV(
        setup.learner.estimator,
        _space(config),
        n_trials=config.trials,
        sampler=config.sampler,
        fidelity=config.fidelity,
        reduction_factor=config.reduction_factor,
        budget=config.budget,
        scoring=setup.metric.name,
        keep=config.keep,
        one_by_one=config.one_by_one,
        study=config.study or f"sqlite:///{recorder.directory.path / 'study.db'}",
        n_partitions=config.partitions,
        partitioner=setup.partitioner if config.fidelity == "members" else wanted_partitioner(config),
        combine=setup.combine if config.fidelity == "members" else None,
        encoder=setup.encoder,
        executor=executor,
        cpus_per_member=config.cpus_per_member,
        match_updates=setup.match_updates,
        random_state=config.seed,
        storage=config.storage,
        # What this run writes itself may hold code; what an earlier process left only where the user trusts it.
        checkpoint=replace(checkpoint, owned=True, trust=checkpoint.trust or not recorder.goes_on),
    )


def _check_search(config: TuneConfig, setup: Setup, n_classes: int | None) -> None:  # noqa: ARG001 - as all further checks
    """Refuse a search that cannot begin.

    Raises
    ------
    InputError
        If the sampler, the space or the cut is none for a search.
    """
    check_sampler(config.sampler)
    _check_options(config)
    if config.study is None and config.output is not None and not Folder.at(config.output).is_local:
        raise InputError(
            "The database of a search cannot lie in a bucket, where its run directory is to be. Give --study with the "
            "URL of one that is elsewhere, or a run directory on a disk."
        )
    estimator = setup.learner.estimator
    space = Space(_space(config))
    check_space(config.sampler, space)
    with_parameters(config.learner, estimator, space.example())
    if config.study is not None:
        check_study(config.study)
    if config.partitions < 2:
        raise InputError(
            f"--partitions {config.partitions} leaves no rows by which to judge a trial. Valid: 2 or more."
        )


def _check_options(config: TuneConfig) -> None:
    """Refuse options of a fit that a search has no use for, rather than pass over them.

    Raises
    ------
    ConfigurationError
        If some are given; all are listed.
    """
    mistakes = []
    if config.replication > 1:
        mistakes.append(
            f"--replication {config.replication}: a search judges and keeps members that have a partition each. Leave "
            "it out, and compare the best configuration with --replication."
        )
    if config.fidelity == "rows":
        mistakes += [
            f"{option}: with --fidelity rows the result is one model. Leave it out, or search with --fidelity members."
            for option in _of_ensembles(config)
        ]
    if config.on_failure != "raise":
        mistakes.append(
            f"--on-failure {config.on_failure}: a trial that lacks a member has failed, and the search goes on. Leave "
            "it out."
        )
    if config.evidence:
        mistakes.append(
            "--evidence: trials are judged by such evidence already, on a sample of the training rows. Leave it out."
        )
    if mistakes:
        raise ConfigurationError(mistakes)


def _of_ensembles(config: TuneConfig) -> Iterator[str]:
    """Yield the options that were given and mean nothing for one model."""
    if config.combine is not None:
        yield f"--combine {config.combine}"
    cut = config.partitioner
    if cut is not None and (cut == Auto.name or make_partitioner(cut).gives != "samples"):
        yield f"--partitioner {cut}"
    if config.match_updates:
        yield "--match-updates"


def _space(config: TuneConfig) -> Mapping[str, Any]:
    """Return where to look; what the user has fixed by --param is no part of a default space.

    Raises
    ------
    InputError
        If there is no space, or it has what is fixed.
    """
    fixed = parse_parameters(config.param)
    if config.space is None:
        space = {name: where for name, where in default_space(config.learner).items() if name not in fixed}
        if not space:
            raise InputError("Every parameter of the default search space is fixed by --param. Leave one open.")
        return space
    space = dict(read_space(config.space))
    if twice := sorted(set(space) & set(fixed)):
        raise InputError(f"{', '.join(twice)} is both fixed by --param and searched for in {config.space}. Choose one.")
    return space


def _scores(dataset: Dataset, setup: Setup, model: Any, outputs: Any) -> dict[str, float | None]:
    n_classes = None
    if dataset.labels is not None:
        n_classes, outputs = len(dataset.labels), widened(outputs, model.classes_, dataset.labels)
    truth = Truth(dataset.y_test, n_classes, dataset.test_groups)
    return scores_of(truth, Outputs.from_array(np.asarray(outputs), model.predictor_.kind), setup.metric)


def _comparison(config: TuneConfig, params: Mapping[str, Any]) -> str:
    """Return the command that compares ensemble and one model of the best configuration, on the same rows.

    What it was told of the search itself, and where it was to be recorded, is not for a comparison.
    """
    given = ["partwise", "compare", without_credentials(config.data)]
    for name, field in FitConfig.model_fields.items():
        value = getattr(config, name)
        if name not in _OF_THE_SEARCH and value != field.default:
            given += _option(name, value)
    for text in (*config.param, *(f"{name}={value}" for name, value in params.items())):
        given += ["--param", text]
    return shlex.join(given)


def _option(name: str, value: Any) -> list[str]:
    """Return an option of the command line as a user writes it."""
    option = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{option}" if value else f"--no-{option}"]
    if isinstance(value, tuple):
        return [word for each in value for word in (f"--{option}", each)]
    return [f"--{option}", without_credentials(str(value))]
