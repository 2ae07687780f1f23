"""What a user could have beside one model and an ensemble, measured on the same rows."""

import numpy as np

from partwise.comparison.judging import Alternative
from partwise.config import CompareConfig
from partwise.ensemble import PartitionedClassifier, PartitionedRegressor
from partwise.errors import InputError
from partwise.evaluation import Outputs, widened
from partwise.executors.ray_tasks import RayExecutor
from partwise.experiment.compared_rows import ComparedRows
from partwise.experiment.preparing import Setup
from partwise.fitting import FitJob, lone_predictor
from partwise.incremental import fit_incrementally, learns_incrementally
from partwise.partitioners import Shuffled
from partwise.prediction import predict_outputs
from partwise.recipes import Recipe
from partwise.resources import Stopwatch

__all__ = ["check_alternatives", "incremental_model", "wants_incremental"]


def check_alternatives(config: CompareConfig, setup: Setup) -> None:
    """Refuse alternatives that the learner cannot give.

    Raises
    ------
    InputError
        If there is one.
    """
    if "incremental" in config.also and not learns_incrementally(setup.learner.estimator):
        raise InputError(
            f"--also incremental needs a learner with partial_fit, and {setup.learner.name!r} has none. Choose one "
            "that has, such as sgd, mlp or naive_bayes, or leave the option out."
        )


def wants_incremental(config: CompareConfig, setup: Setup, *, n_rows: int, n_all_rows: int) -> bool:
    """Return whether a model that learns bit by bit is wanted: asked for, or because one model lacks rows."""
    return "incremental" in config.also or (n_rows < n_all_rows and learns_incrementally(setup.learner.estimator))


def incremental_model(
    config: CompareConfig,
    setup: Setup,
    rows: ComparedRows,
    model: PartitionedClassifier | PartitionedRegressor,
    executor: RayExecutor,
) -> Alternative:
    """Return one model that goes once over all training rows, as they come from the partitions of the ensemble.

    Where those are no random samples of the rows, or share rows, it gets partitions of its own. Counting, the encoder
    and the cut are the ensemble's, and their times count for both.

    Raises
    ------
    InputError
        If the learner refuses the rows.
    IncrementalFitError
        If the fit fails otherwise.
    """
    clock, recipe, dataset = Stopwatch(), model.recipe_, rows.dataset
    table = rows.table(model, config, executor)
    labels = table.labels
    own = not _is_mixed(recipe)
    with clock("partition"):
        partitioner = Shuffled() if own else recipe.partitioner
        cut = table.cut(partitioner, recipe.n_partitions, config.seed, replication=1)
    job = FitJob(template=setup.learner.estimator, seed=config.seed, cpus=config.cpus_per_member, labels=labels)
    fitted = fit_incrementally(job, cut, executor)
    predictor = lone_predictor(fitted, labels)
    encoder = model.encoder_
    with clock("predict"):
        outputs = predict_outputs(
            predictor, dataset.test if encoder is None else encoder.transform(dataset.test), executor
        )
    if labels is not None and dataset.labels is not None:
        outputs = widened(outputs, labels, dataset.labels)
    encoding, partitioning = model.timings_["encode"], clock.seconds["partition"]
    if not own:
        partitioning = model.timings_["partition"]
    return Alternative(
        outputs=Outputs.from_array(outputs, predictor.kind),
        encode_seconds=encoding,
        fit_seconds=encoding + partitioning + fitted.usage.seconds,
        predict_seconds=clock.seconds["predict"],
        cpu_seconds=fitted.usage.cpu_seconds,
        peak_memory_bytes=fitted.usage.peak_memory_bytes,
        where="one worker, one partition after another",
        n_rows=int(np.sum(cut.partitions.sizes)),
    )


def _is_mixed(recipe: Recipe) -> bool:
    """Return whether partitions are random samples that share no row."""
    return recipe.partitioner.gives == "samples" and recipe.replication == 1 and recipe.partitioner.needs <= {"stratum"}
