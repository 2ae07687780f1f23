"""The ensemble alone, on a table that is never read into memory: from a configuration to a recorded model."""

from collections.abc import Callable
from dataclasses import dataclass

from partwise.comparison.judging import Costs, Trained, make_training
from partwise.comparison.records import Training
from partwise.config import TrainConfig
from partwise.credentials import without_credentials
from partwise.executors import with_one_cpu
from partwise.executors.ray_tasks import RayExecutor
from partwise.executors.timeouts import within
from partwise.experiment.changing import RunChanges
from partwise.experiment.checking import check_before_reading, check_sums
from partwise.experiment.pipeline import make_ensemble
from partwise.experiment.preparing import Setup, Tables, executor_of, facts_of, make_setup, opened, with_defaults
from partwise.experiment.recorded import GoesOn, RecordedRun, recorded
from partwise.experiment.recording import Recorder
from partwise.experiment.scanning import divided_scan
from partwise.fitting import prepare_worker
from partwise.resources import Stopwatch
from partwise.stores import PartitionStore
from partwise.tables import Divided, SentRows, head, judge_scan

__all__ = ["TrainingRun", "train"]

Say = Callable[[str], None]
_EXAMPLE_ROWS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRun(RecordedRun):
    """A finished training and where everything about it lies."""

    training: Training


def train(
    config: TrainConfig,
    say: Say = lambda _: None,
    *,
    show_progress: bool = False,
    goes_on: GoesOn | None = None,
) -> TrainingRun:
    """Fit the ensemble on a table that workers read in pieces, judge it on test rows, and record everything.

    No row passes through this process but those of samples. Parameters and errors are those of ``compare``.

    Raises
    ------
    InputError
        If something in the configuration or the table is wrong; nothing has been fitted then.
    PartwiseError
        If the run fails; it is recorded as failed.
    """
    # 1. The table: nothing is read yet but its schema.
    say(f"Opening {without_credentials(config.data)}")
    source = opened(config)
    config = with_defaults(config, source)
    tables = Tables(config, source)
    check_before_reading(tables, check_sums, is_new=goes_on is None)
    within(config.step_timeout, "Writing to the partition store", PartitionStore(config.storage).check_usable)
    # 2. Workers that have imported what a fit needs.
    clock = Stopwatch()
    executor = executor_of(config)
    with clock("startup"):
        say("Starting Ray" if config.address is None else f"Joining the cluster at {config.address}")
        executor.connect()
    # 3. A counting pass: classes, groups, what is missing; and which rows are the test.
    say(f"Counting the rows of {source.name}")
    task, divided = divided_scan(tables, with_one_cpu(executor))
    # 4. The setup, checked against the task; all mistakes at once.
    labels = divided.labels
    setup = make_setup(config, task, None if labels is None else len(labels), divided.n_train)
    check_sums(setup, None if labels is None else len(labels))
    changes = RunChanges() if goes_on is None else goes_on.changes
    changes.check(setup.recipe, config.quorum)
    # 5. Where the run is recorded; both places are tried before anything is fitted.
    with recorded(config, goes_on) as recorder:
        facts = facts_of(tables, divided.n_train + divided.n_test, list(source.notes))
        recorder.start(config, setup, divided.description, facts)
        training = _fitted(config, setup, divided, executor, recorder, say, clock, show_progress=show_progress)
    return TrainingRun(training=training, **RecordedRun.places(recorder))


def _fitted(
    config: TrainConfig,
    setup: Setup,
    divided: Divided,
    executor: RayExecutor,
    recorder: Recorder,
    say: Say,
    clock: Stopwatch,
    *,
    show_progress: bool,
) -> Training:
    with clock("startup"):
        executor.warm(prepare_worker, (setup.learner.estimator, SentRows()))  # what a fit unpickles
    # 6. Partitions in the store, one member each, and their combination.
    say(f"Storing {config.partitions} partitions and fitting their members on {executor.slots} workers")
    model = make_ensemble(config, setup, executor, recorder.checkpoint, show_progress=show_progress)
    model.fit(divided.train, added=recorder.changes.additions, dropped=recorder.changes.dropped)
    recorder.members(model)
    # 7. The test rows, predicted and judged by the workers that read them.
    scores: dict[str, float | None] = {}
    n_test = 0
    if divided.test is not None:
        say("Judging the test rows")
        with clock("predict"):
            sums = judge_scan(model.stored(), divided.test, divided.labels, with_one_cpu(executor))
        if sums is not None:
            scores, n_test = sums.scores(), sums.n_rows
    # 8. Everything that was found, on disk and in the tracker.
    say("Writing the model and the records")
    about = Trained(metric=setup.metric, task=setup.task, n_test=n_test, holdout=divided.description)
    costs = Costs(
        startup_seconds=clock.seconds["startup"],
        predict_seconds=clock.seconds.get("predict", 0.0),
        slots=executor.slots,
        nodes=executor.nodes,
        address=config.address,
    )
    notes = [*divided.train.source.notes, *recorder.changes.notes(config)]
    training = make_training(about, setup.summary(config, notes), scores, model, costs)
    recorder.training(training, model, head(divided.train, _EXAMPLE_ROWS, with_one_cpu(executor)))
    return training
