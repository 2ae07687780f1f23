"""What a user could have beside one model and an ensemble, measured on the same rows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from partwise.allreduce import allreduce_for
from partwise.comparison.judging import Alternative
from partwise.config import CompareConfig
from partwise.ensemble import PartitionedClassifier, PartitionedRegressor
from partwise.errors import InputError
from partwise.evaluation import Outputs, widened
from partwise.executors.ray_tasks import RayExecutor
from partwise.experiment.compared_rows import ComparedRows
from partwise.experiment.preparing import Setup
from partwise.fitting import FitJob, FittedPart, lone_predictor, prepare_worker
from partwise.incremental import fit_incrementally, learns_incrementally
from partwise.partitioners import Shuffled
from partwise.prediction import predict_outputs
from partwise.protocols import CutTable
from partwise.recipes import Recipe
from partwise.resources import Stopwatch
from partwise.templates import with_categories

__all__ = ["check_alternatives", "fit_alternative", "wanted_alternatives"]

Model = PartitionedClassifier | PartitionedRegressor

_START_SECONDS = 180.0
_TIMES_THE_MEMBERS = 10.0
"""A model by all-reduce may take so long to start, and then so many times as long as all members one after another."""


@dataclass(frozen=True, slots=True)
class _Lone:
    """One model on all rows, before it is asked about the test rows."""

    fitted: FittedPart
    where: str
    exactness: str
    startup_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class _Given:
    """What a fit of one model on the partitions needs."""

    config: CompareConfig
    setup: Setup
    model: Model
    executor: RayExecutor
    job: FitJob
    cut: CutTable


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
    if "allreduce" in config.also:
        allreduce_for(setup.learner.name, setup.learner.estimator)


def wanted_alternatives(config: CompareConfig, setup: Setup, *, n_rows: int, n_all_rows: int) -> tuple[str, ...]:
    """Return the alternatives to fit: those asked for, and a model that learns bit by bit where one lacks rows."""
    unasked = n_rows < n_all_rows and learns_incrementally(setup.learner.estimator)
    return tuple(dict.fromkeys([*config.also, *(["incremental"] if unasked else [])]))


def fit_alternative(
    name: str, config: CompareConfig, setup: Setup, rows: ComparedRows, model: Model, executor: RayExecutor
) -> Alternative:
    """Return a model on all training rows, fitted from the partitions of the ensemble, and what it says.

    Where those are no random samples of the rows, or share rows, it gets partitions of its own. Counting, the encoder
    and the cut are the ensemble's, and their times count for both.

    Raises
    ------
    InputError
        If the learner refuses the rows.
    IncrementalFitError, AllReduceError
        If the fit fails otherwise.
    """
    clock, dataset = Stopwatch(), rows.dataset
    table = rows.table(model, config, executor)
    recipe, labels = model.recipe_, table.labels
    own = not _is_mixed(recipe)
    with clock("partition"):
        cut = table.cut(
            Shuffled() if own else recipe.partitioner,
            config.partitions if own else recipe.n_partitions,
            config.seed,
            replication=1,
        )
    template = with_categories(setup.learner.estimator, getattr(model.encoder_, "category_levels_", {}))
    job = FitJob(template=template, seed=config.seed, cpus=config.cpus_per_member, labels=labels)
    lone = _FITS[name](_Given(config, setup, model, executor, job, cut))
    predictor, encoder, usage = lone_predictor(lone.fitted, labels), model.encoder_, lone.fitted.usage
    with clock("predict"):
        outputs = predict_outputs(
            predictor, dataset.test if encoder is None else encoder.transform(dataset.test), executor
        )
    if labels is not None and dataset.labels is not None:
        outputs = widened(outputs, labels, dataset.labels)
    encoding = model.timings_["encode"]
    partitioning = clock.seconds["partition"] if own else model.timings_["partition"]
    return Alternative(
        outputs=Outputs.from_array(outputs, predictor.kind),
        encode_seconds=encoding,
        fit_seconds=encoding + partitioning + usage.seconds,
        startup_seconds=lone.startup_seconds,
        predict_seconds=clock.seconds["predict"],
        cpu_seconds=usage.cpu_seconds,
        peak_memory_bytes=usage.peak_memory_bytes,
        where=lone.where,
        exactness=lone.exactness,
        n_rows=int(np.sum(cut.partitions.sizes)),
    )


def _incremental(given: _Given) -> _Lone:
    """Return one model that goes once over all partitions, one after another."""
    fitted = fit_incrementally(given.job, given.cut, given.executor)
    return _Lone(fitted, "one worker, one partition after another", "approximate")


def _allreduce(given: _Given) -> _Lone:
    """Return one model that ranks of Ray Train fit together, each with some of the partitions."""
    from partwise.allreduce.fitting import fit_by_allreduce  # noqa: PLC0415 - loading Ray Train takes a second
    from partwise.executors.ray_train import Gang  # noqa: PLC0415 - as above

    learner = given.setup.learner
    family = allreduce_for(learner.name, learner.estimator)
    gang = Gang(
        ranks=given.executor.slots,
        cpus=given.config.cpus_per_member,
        gpus=given.config.gpus_per_member,
        deadline=_START_SECONDS + _TIMES_THE_MEMBERS * sum(member.fit_seconds for member in given.model.members_),
    )
    found, clock = fit_by_allreduce(family, given.job, given.cut, gang), Stopwatch()
    with clock("workers"):  # the ranks took the place of those that are to predict
        given.executor.warm(prepare_worker, learner.estimator)
    startup = found.startup_seconds + clock.seconds["workers"]
    where = f"Ray Train, ranks: {found.ranks}, CPUs of each: {gang.cpus}"
    return _Lone(found.fitted, where, family.exactness(learner.estimator), startup)


_FITS: Mapping[str, Callable[[_Given], _Lone]] = {"incremental": _incremental, "allreduce": _allreduce}


def _is_mixed(recipe: Recipe) -> bool:
    """Return whether partitions are random samples that share no row."""
    return (
        recipe.partitioner.gives == "samples"
        and recipe.replication == 1
        and recipe.n_partitions > 1
        and recipe.partitioner.needs <= {"stratum"}
    )
