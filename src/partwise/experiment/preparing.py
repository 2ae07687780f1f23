"""From a configuration to a dataset and a recipe; every mistake is found before anything is fitted."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from partwise.combiners import make_combiner
from partwise.comparison.dataset import Dataset, Roles, make_dataset
from partwise.comparison.judging import Summary
from partwise.config import CompareConfig
from partwise.cutting import cut, row_keys
from partwise.encoders import TableEncoder
from partwise.errors import ConfigurationError, InputError
from partwise.evaluation import Metric, resolve_metric
from partwise.learners import make_learner, parse_parameters
from partwise.partitioners import make_partitioner
from partwise.protocols import Encoder
from partwise.provenance import data_digest
from partwise.records import Learner
from partwise.sources import FlightsSource, open_source, read_table
from partwise.validation import check_estimator, read_weights

__all__ = ["Recipe", "make_recipe", "read_dataset"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What is fitted: the learner, its encoder, and the settings of cut and combination; and how it is judged."""

    learner: Learner
    encoder: Encoder | None
    partitioner: str
    combine: str
    metric: Metric

    def summary(self, config: CompareConfig, notes: list[str]) -> Summary:
        """Return the names under which the recipe is reported."""
        return Summary(
            learner=self.learner.name,
            partitions=config.partitions,
            partitioner=self.partitioner,
            combine=self.combine,
            notes=notes if config.weight is None else [*notes, "Weights count in the fits, not in the scores."],
        )


def read_dataset(config: CompareConfig) -> tuple[CompareConfig, Dataset, dict[str, Any]]:
    """Return the configuration with the source's own defaults, the rows it asks for, and facts about the table.

    Raises
    ------
    InputError
        If the table cannot be read, or lacks what the configuration names.
    """
    source = open_source(config.data)
    if isinstance(source, FlightsSource):
        chosen_test = config.test or config.split_column or config.time
        defaults = {"target": config.target or source.target, "time": config.time if chosen_test else source.time}
        config = config.model_copy(update=defaults)
    if config.target is None:
        raise InputError("--target COLUMN is required: the column to predict.")
    table = read_table(source)
    roles = Roles(
        target=config.target,
        time=config.time,
        group=config.group,
        weight=config.weight,
        split=config.split_column,
        drop=config.drop,
    )
    test_table = None if config.test is None else read_table(open_source(str(config.test)))
    dataset = make_dataset(
        table, roles, config.task, test_table=test_table, test_size=config.test_size, seed=config.seed
    )
    facts = {
        "name": source.name,
        "notes": list(source.notes),
        "source": source.uri,
        "digest": data_digest(table) if test_table is None else data_digest(table, test_table),
        "n_rows": len(table) + (0 if test_table is None else len(test_table)),
        "n_columns": table.shape[1],
        "target": config.target,
        "schema": {str(name): str(dtype) for name, dtype in table.dtypes.items()},
        "n_train": len(dataset.train),
        "n_test": len(dataset.test),
    }
    return config, dataset, facts


def make_recipe(config: CompareConfig, dataset: Dataset) -> Recipe:
    """Return what is fitted and how it is judged.

    Raises
    ------
    ConfigurationError
        If settings are wrong or do not fit the task; every mistake is listed.
    """
    mistakes: list[str] = []

    def attempt(make: Callable[[], Any]) -> Any:
        try:
            return make()
        except InputError as error:
            mistakes.append(str(error))
            return None

    n_classes = None if dataset.labels is None else len(dataset.labels)
    metric = attempt(lambda: resolve_metric(config.metric, n_classes))
    learner = attempt(lambda: make_learner(config.learner, dataset.task, parse_parameters(config.param)))
    combine = config.combine or ("mean" if dataset.labels is None else "soft")
    attempt(lambda: make_combiner(combine, dataset.task))
    partitioner = config.partitioner or _default_partitioner(config, dataset)
    attempt(lambda: _check_partitioner(partitioner, config, dataset))
    if mistakes:
        raise ConfigurationError(mistakes)
    _check_before_paying(config, dataset, learner, partitioner)
    encoder = TableEncoder(learner.needs) if config.encode else None
    return Recipe(learner=learner, encoder=encoder, partitioner=partitioner, combine=combine, metric=metric)


def _check_before_paying(config: CompareConfig, dataset: Dataset, learner: Learner, partitioner: str) -> None:
    """Do what is cheap of a fit, so that its complaints come before the single model is fitted."""
    check_estimator(learner.estimator, dataset.task)
    read_weights(dataset.weights, dataset.train, learner.estimator)
    stratum = None if dataset.labels is None else dataset.y_train
    keys = row_keys(len(dataset.train), stratum=stratum, groups=dataset.groups, time=dataset.times)
    cut(make_partitioner(partitioner), keys, config.partitions, config.seed)
    cores = os.cpu_count() or 1
    if config.address is None and config.cpus_per_member > cores:
        raise InputError(
            f"--cpus-per-member {config.cpus_per_member} is more than this machine has. Valid: 1 to {cores}."
        )


def _default_partitioner(config: CompareConfig, dataset: Dataset) -> str:
    if config.group is not None:
        return "grouped"
    return "shuffled" if dataset.labels is None else "stratified"


def _check_partitioner(name: str, config: CompareConfig, dataset: Dataset) -> None:
    if "stratum" in make_partitioner(name).needs and dataset.labels is None:
        raise InputError(f"--partitioner {name!r} needs classes, and the target is a number. Valid: shuffled, ordered.")
    if config.partitions > len(dataset.train):
        raise InputError(
            f"--partitions {config.partitions} for {len(dataset.train):,} training rows. "
            f"Valid: 1 to {len(dataset.train):,}; a member should see some thousand rows."
        )
