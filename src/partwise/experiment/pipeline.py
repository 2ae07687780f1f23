"""The composition root: from a configuration to a comparison, in numbered steps."""

import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from partwise.checkpoints import Checkpoint
from partwise.comparison.dataset import Dataset
from partwise.comparison.judging import Costs, Judged, Summary, make_comparison
from partwise.comparison.records import Comparison
from partwise.comparison.single_process import SingleJob, SingleResult, fit_in_fresh_process
from partwise.comparison.verdict import seconds
from partwise.config import CompareConfig, FitConfig
from partwise.ensemble import PartitionedClassifier, PartitionedRegressor
from partwise.errors import PartwiseError
from partwise.evaluation import Outputs, Truth, widened
from partwise.executors.ray_tasks import RayExecutor
from partwise.experiment.alternatives import check_alternatives, fit_alternative, wanted_alternatives
from partwise.experiment.changing import RunChanges
from partwise.experiment.compared_rows import ComparedRows
from partwise.experiment.opening import begun
from partwise.experiment.preparing import (
    Setup,
    executor_of,
)
from partwise.experiment.recorded import GoesOn, RecordedRun, recorded
from partwise.experiment.recording import Recorder
from partwise.fitting import FitJob, prepare_worker
from partwise.resources import Stopwatch
from partwise.tables import SentRows

__all__ = ["ComparisonRun", "compare", "make_ensemble"]

Say = Callable[[str], None]
Model = PartitionedClassifier | PartitionedRegressor


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonRun(RecordedRun):
    """A finished comparison and where everything about it lies."""

    comparison: Comparison


def compare(
    config: CompareConfig,
    say: Say = lambda _: None,
    *,
    show_progress: bool = False,
    goes_on: GoesOn | None = None,
) -> ComparisonRun:
    """Fit the single model and the ensemble on the same rows, judge both, and record everything.

    Parameters
    ----------
    say
        Called with a short sentence as each step begins.
    show_progress
        Whether members done, rows per second and time left are shown on stderr.
    goes_on
        The run that was stopped and goes on; None begins a new one.

    Raises
    ------
    InputError
        If something in the configuration or the table is wrong; nothing has been fitted then.
    PartwiseError
        If the run fails; it is recorded as failed.
    """
    # 1. and 2. The table, and the setup.
    run = begun(config, say, goes_on, _check_alternatives)
    config, setup, rows, facts = run.config, run.setup, run.rows, run.facts
    changes = RunChanges() if goes_on is None else goes_on.changes
    changes.check(setup.recipe, config.quorum)
    # 3. Where the run is recorded; both places are tried before anything is fitted.
    with recorded(config, goes_on) as recorder:
        recorder.start(config, setup, rows.dataset.holdout.description, facts)
        summary = setup.summary(config, [*facts["notes"], *changes.notes(config, rows.dataset.test)])
        comparison = _measure(config, rows, setup, summary, recorder, say, show_progress=show_progress)
    return ComparisonRun(comparison=comparison, **RecordedRun.places(recorder))


def _check_alternatives(config: CompareConfig, setup: Setup, _n_classes: int | None) -> None:
    check_alternatives(config, setup)


def _measure(
    config: CompareConfig,
    rows: ComparedRows,
    setup: Setup,
    summary: Summary,
    recorder: Recorder,
    say: Say,
    *,
    show_progress: bool,
) -> Comparison:
    clock, dataset = Stopwatch(), rows.dataset
    executor = executor_of(config)
    if config.address is not None or config.gpus_per_member > 0:
        # A wrong address, or GPUs that are not there, must be known before the single model is paid for. Else a local
        # Ray is started after it: even an idle one takes some of its processor time.
        with clock("startup"):
            executor.connect()
            where = "Started Ray" if config.address is None else f"Joined the cluster at {config.address}"
            say(f"{where}: {executor.slots} members at once")
    # 4. One model on all rows, alone on this machine.
    single = _single(config, dataset, setup, recorder, say)
    # 5. Workers that have imported what a fit needs.
    say("Starting Ray" if config.address is None else f"Preparing the workers of {config.address}")
    with clock("startup"):
        executor.warm(prepare_worker, (setup.learner.estimator, SentRows()))  # what a fit unpickles
    # 6. One member per partition, and their combination.
    say(f"Fitting {config.partitions} members on {executor.slots} workers")
    model = make_ensemble(config, setup, executor, recorder.checkpoint, show_progress=show_progress)
    rows.fit(model, added=recorder.changes.additions, dropped=recorder.changes.dropped)
    recorder.members(model)
    # 7. Both on the test rows.
    say(f"Predicting {len(dataset.test):,} test rows")
    with clock("predict"):
        outputs = model.predict_outputs(dataset.test)
    say("Comparing")
    judged = _judge(config, dataset, setup, single, model, outputs)
    costs = Costs(
        startup_seconds=clock.seconds["startup"],
        predict_seconds=clock.seconds["predict"],
        slots=executor.slots,
        nodes=executor.nodes,
        address=config.address,
    )
    # 8. What the user could have instead.
    alternatives = {}
    n_rows = model.n_rows_ - model.n_added_rows_
    for name in wanted_alternatives(config, setup, n_rows=single.n_rows, n_all_rows=n_rows):
        say(f"Fitting one model on {n_rows:,} rows: {name}")
        try:
            alternatives[name] = fit_alternative(name, config, setup, rows, model, executor)
        except PartwiseError as error:  # it is beside the point of the run, which has its result
            summary.notes.append(str(error))
    comparison = make_comparison(dataset, summary, judged, single, model, costs, alternatives)
    # 9. Everything that was found, on disk and in the tracker.
    say("Writing the model, the plots and the records")
    recorder.results(comparison, model, dataset, judged, executor)
    return comparison


def _single(config: CompareConfig, dataset: Dataset, setup: Setup, recorder: Recorder, say: Say) -> SingleResult:
    """Return what one model says; that of a run which goes on is there already."""
    kept = recorder.kept_single()
    if kept is not None:
        return kept
    cores = os.cpu_count() or 1
    within = "" if config.baseline_budget is None else f", within {seconds(config.baseline_budget)}"
    say(f"Fitting one model on {len(dataset.train):,} rows in a fresh process ({cores} cores){within}")
    single = fit_in_fresh_process(_single_job(config, dataset, setup, cores), config.step_timeout)
    recorder.keep_single(single)
    return single


def _single_job(config: CompareConfig, dataset: Dataset, setup: Setup, cores: int) -> SingleJob:
    return SingleJob(
        job=FitJob(template=setup.learner.estimator, seed=config.seed, cpus=cores, labels=dataset.labels),
        encoder=setup.encoder,
        train=dataset.train,
        y=dataset.y_train,
        weights=dataset.weights,
        test=dataset.test,
        budget_seconds=config.baseline_budget,
    )


def _judge(
    config: CompareConfig,
    dataset: Dataset,
    setup: Setup,
    single: SingleResult,
    model: Model,
    outputs: NDArray[np.float64],
) -> Judged:
    n_classes = None
    if dataset.labels is not None:
        n_classes, outputs = len(dataset.labels), widened(outputs, model.classes_, dataset.labels)
    return Judged(
        metric=setup.metric,
        truth=Truth(dataset.y_test, n_classes, dataset.test_groups),
        single=Outputs.from_array(single.outputs, single.kind),
        ensemble=Outputs.from_array(outputs, model.predictor_.kind),
        seed=config.seed,
    )


def make_ensemble(
    config: FitConfig, setup: Setup, executor: RayExecutor, checkpoint: Checkpoint, *, show_progress: bool
) -> Model:
    """Return the estimator that is to be fitted."""
    kind = PartitionedRegressor if setup.task == "regression" else PartitionedClassifier
    return kind(
        setup.learner.estimator,
        n_partitions=config.partitions,
        partitioner=setup.partitioner,
        combine=setup.combine,
        encoder=setup.encoder,
        executor=executor,
        cpus_per_member=config.cpus_per_member,
        out_of_partition=setup.evidence,
        replication=setup.replication,
        match_updates=setup.match_updates,
        random_state=config.seed,
        storage=config.storage,
        checkpoint=checkpoint,
        on_failure=config.on_failure,
        quorum=config.quorum,
        verbose=int(show_progress),
    )
