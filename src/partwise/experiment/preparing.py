"""From a configuration to a dataset and a recipe; every mistake is found before anything is fitted."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, TypeVar

from partwise.comparison.dataset import Dataset, Roles, check_columns, listed, make_dataset
from partwise.comparison.judging import Summary
from partwise.config import FitConfig
from partwise.credentials import without_credentials
from partwise.cutting import cut, row_keys
from partwise.encoders import TableEncoder
from partwise.errors import InputError, Mistakes
from partwise.evaluation import Metric, resolve_metric
from partwise.executors.ray_cluster import is_connected, most_cpus
from partwise.executors.ray_tasks import RayExecutor
from partwise.executors.timeouts import within
from partwise.learners import make_learner, parse_parameters
from partwise.learners.updates import passes_of
from partwise.naming import label
from partwise.partitioners import make_partitioner
from partwise.protocols import Encoder, Source
from partwise.provenance import data_digest, digest_of
from partwise.recipes import Recipe, make_recipe
from partwise.records import Learner
from partwise.selection import Auto, asked_for
from partwise.sources import FlightsSource, Scan, open_source, read_table
from partwise.tables import as_known, kinds_of_schema
from partwise.validation import check_estimator, check_takes_weights, read_weights

__all__ = [
    "Setup",
    "Tables",
    "TaskName",
    "check_before_paying",
    "executor_of",
    "facts_of",
    "make_setup",
    "opened",
    "read_dataset",
    "scan_of",
    "wanted_partitioner",
    "with_defaults",
]

Settings = TypeVar("Settings", bound=FitConfig)
TaskName = Literal["classification", "regression"]

_UPDATES_MATCHED = ("mlp", "sgd")
"""Learners by name whose members make as many updates as one model, unless the user says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What is fitted: the learner, its encoder, and the settings of cut and combination; and how it is judged.

    ``partitioner`` and ``combine`` are names; where the data shall choose, they are as the user wrote them, and there
    is no ``recipe`` yet.
    ``evidence`` says whether training rows are predicted by members that never saw them, which judges samples alone.
    """

    task: TaskName
    learner: Learner
    encoder: Encoder | None
    recipe: Recipe | None
    partitioner: str | None
    combine: str | None
    replication: int
    match_updates: bool
    evidence: bool
    metric: Metric

    def summary(self, config: FitConfig, notes: list[str]) -> Summary:
        """Return the names under which the recipe is reported."""
        notes = [*notes, *self._notes(config)]
        return Summary(
            learner=self.learner.name,
            notes=notes,
        )

    def _notes(self, config: FitConfig) -> Iterator[str]:
        if config.weight is not None:
            yield "Weights count in the fits, not in the scores."
        if self.match_updates:
            yield (
                "Members of partitions make up to as many updates as one model on all rows, not as many passes: each "
                "may cost as much as that model (--no-match-updates)."
            )
        if asked_for(self.partitioner, self.combine) is not None and self.metric.name not in {"accuracy", "r2"}:
            yield f"The recipe was chosen by accuracy or R², not by {self.metric.name}."
        if self.replication > 1:
            yield f"Each row went to {self.replication} partitions."


@dataclass(frozen=True)
class Tables:
    """The table of a run, and that of test rows where there is one; each is opened and measured once, when needed.

    The configuration is one with what the source says of its columns.
    """

    config: FitConfig
    source: Source

    @cached_property
    def scan(self) -> Scan:
        """The table, in which columns play the parts that the configuration gives them.

        Raises
        ------
        ConfigurationError
            If columns do not exist; all of them are listed.
        """
        return scan_of(self.source, self.config)

    @cached_property
    def test_source(self) -> Source | None:
        """The table of test rows; what is text in the other table is read as text, also from files of digits."""
        if self.config.test is None:
            return None
        schema, test = self.source.schema(), str(self.config.test)
        place, limit = without_credentials(test), self.config.step_timeout
        source = within(limit, f"Opening {place}", lambda: open_source(test))
        return as_known(source, schema.names, kinds_of_schema(schema))

    @cached_property
    def test(self) -> Scan | None:
        """The table of test rows, in the features of the other.

        Raises
        ------
        ConfigurationError
            If columns do not exist; all of them are listed.
        """
        if self.test_source is None:
            return None
        return replace(scan_of(self.test_source, self.config, "the test table"), features=self.scan.features)


def opened(config: FitConfig) -> Source:
    """Return the source of the table.

    Raises
    ------
    InputError
        If it cannot be opened.
    StepTimeoutError
        If that takes longer than a step may.
    """
    place = without_credentials(config.data)
    return within(config.step_timeout, f"Opening {place}", lambda: open_source(config.data))


def read_dataset(tables: Tables) -> tuple[Dataset, dict[str, Any]]:
    """Return the rows that the configuration asks for, and facts about the table.

    Raises
    ------
    InputError
        If the table cannot be read, or lacks what the configuration names.
    """
    config, source = tables.config, tables.source
    table = read_table(source)
    test_table = None if tables.test_source is None else read_table(tables.test_source)
    dataset = make_dataset(
        table, _roles(config), config.task, test_table=test_table, test_size=config.test_size, seed=config.seed
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
        "in_memory": True,
    }
    return dataset, facts


def with_defaults(config: Settings, source: Source) -> Settings:
    """Return the configuration with what the source itself says of its columns.

    Raises
    ------
    InputError
        If it names no target.
    """
    if isinstance(source, FlightsSource):
        chosen_test = config.test or config.split_column or config.time
        defaults = {"target": config.target or source.target, "time": config.time if chosen_test else source.time}
        config = config.model_copy(update=defaults)
    if config.target is None:
        raise InputError(f"--target COLUMN is required: the column to predict. Valid: {listed(source.schema().names)}.")
    return config


def scan_of(source: Source, config: FitConfig, where: str = "the table") -> Scan:
    """Return the scan of a source in which columns play the parts that the configuration gives them.

    Parameters
    ----------
    where
        What messages call the source.

    Raises
    ------
    ConfigurationError
        If columns do not exist; all of them are listed.
    """
    roles = _roles(config)
    names = source.schema().names
    check_columns(names, roles, where)
    dropped = [*roles.drop, *([roles.split] if roles.split is not None else [])]
    return Scan.of(source, roles.target, weight=roles.weight, group=roles.group, time=roles.time, drop=dropped)


def facts_of(tables: Tables, n_rows: int, notes: list[str]) -> dict[str, Any]:
    """Return what is recorded of tables that were not read as a whole: their digest is of the files' fingerprints."""
    source, schema = tables.source, tables.source.schema()
    sources = [source] if tables.test_source is None else [source, tables.test_source]
    return {
        "name": source.name,
        "notes": notes,
        "source": source.uri,
        "digest": digest_of(piece.fingerprint for each in sources for piece in each.pieces()),
        "n_rows": n_rows,
        "n_columns": len(schema.names),
        "target": tables.config.target,
        "schema": {each.name: str(each.type) for each in schema},
        "in_memory": False,
    }


def executor_of(config: FitConfig) -> RayExecutor:
    """Return where members are fitted; nothing is started yet."""
    return RayExecutor(
        address=config.address,
        cpus_per_task=config.cpus_per_member,
        gpus_per_task=config.gpus_per_member,
        max_attempts=config.max_attempts,
        timeout=config.member_timeout,
        step_timeout=config.step_timeout,
        speculate=config.speculate,
        ship=config.ship,
    )


def _roles(config: FitConfig) -> Roles:
    assert config.target is not None  # noqa: S101 - `with_defaults` has seen to it
    return Roles(
        target=config.target,
        time=config.time,
        group=config.group,
        weight=config.weight,
        split=config.split_column,
        drop=config.drop,
    )


def make_setup(config: FitConfig, task: TaskName, n_classes: int | None, n_train: int | None) -> Setup:
    """Return what is fitted and how it is judged; ``n_train`` is None while that is not known.

    Raises
    ------
    ConfigurationError
        If settings are wrong or do not fit the task; every mistake is listed.
    """
    found = Mistakes()
    metric = found.attempt(lambda: resolve_metric(config.metric, n_classes))
    learner = found.attempt(lambda: make_learner(config.learner, task, parse_parameters(config.param)))
    found.attempt(lambda: _check_partitions(config, task, n_train))
    found.attempt(lambda: _check_cpus(config))
    recipe: Recipe | None = None
    if learner is not None:
        estimator = learner.estimator
        found.attempt(lambda: check_estimator(estimator, task))
        if config.weight is not None:
            found.attempt(lambda: check_takes_weights(estimator))
        recipe = found.attempt(lambda: _recipe(config, task, estimator))
    found.tell()
    assert metric is not None  # noqa: S101 - else it was told
    assert learner is not None  # noqa: S101 - else it was told
    return Setup(
        task=task,
        learner=learner,
        encoder=TableEncoder(learner.needs) if config.encode else None,
        recipe=recipe,
        partitioner=wanted_partitioner(config) if recipe is None else label(recipe.partitioner),
        combine=config.combine if recipe is None else label(recipe.combiner),
        replication=config.replication,
        match_updates=_matches_updates(config, learner, recipe),
        evidence=config.evidence and (recipe is None or recipe.judged_out_of_partition),
        metric=metric,
    )


def _matches_updates(config: FitConfig, learner: Learner, recipe: Recipe | None) -> bool:
    if config.match_updates is not None:
        if config.match_updates:
            passes_of(learner.estimator)
        return config.match_updates
    if learner.name not in _UPDATES_MATCHED or (recipe is not None and recipe.merge is not None):
        return False
    try:
        passes_of(learner.estimator)
    except InputError:  # settings with which it makes no passes
        return False
    return True


def _recipe(config: FitConfig, task: str, estimator: Any) -> Recipe | None:
    """Return what is asked for, checked, None where the data shall choose."""
    partitioner = wanted_partitioner(config)
    if asked_for(partitioner, config.combine) is not None:
        return None
    recipe = make_recipe(
        None if partitioner == Auto.name else partitioner,
        config.combine,
        task,
        estimator,
        n_partitions=config.partitions,
        replication=config.replication,
    )
    recipe.check(out_of_partition=False)
    return recipe


def check_before_paying(config: FitConfig, dataset: Dataset, setup: Setup) -> None:
    """Do what is cheap of a fit, so that its complaints come before the single model is fitted.

    Raises
    ------
    InputError
        If the weights are wrong, or the rows cannot be cut as asked for.
    """
    try:
        read_weights(dataset.weights, dataset.train, setup.learner.estimator)
    except InputError as error:
        raise InputError(f"--weight {config.weight!r}: {error}") from error
    if setup.recipe is not None and "features" not in setup.recipe.partitioner.needs:
        stratum = None if dataset.labels is None else dataset.y_train
        keys = row_keys(len(dataset.train), stratum=stratum, groups=dataset.groups, time=dataset.times)
        cut(setup.recipe.partitioner, keys, config.partitions, config.seed, config.replication)


def wanted_partitioner(config: FitConfig) -> str | None:
    """Return how rows are to be cut: a column of groups asks for groups that are never cut; None is open."""
    return "grouped" if config.partitioner is None and config.group is not None else config.partitioner


def _check_cpus(config: FitConfig) -> None:
    if config.address is not None:
        return  # what its nodes have is told when the cluster is reached
    cores, where = most_cpus(), "any node has" if is_connected() else "this machine has"
    if config.cpus_per_member > cores:
        raise InputError(f"--cpus-per-member {config.cpus_per_member} is more than {where}. Valid: 1 to {cores}.")


def _check_partitions(config: FitConfig, task: str, n_train: int | None) -> None:
    wanted = wanted_partitioner(config)
    if wanted not in {None, Auto.name} and "stratum" in make_partitioner(wanted).needs and task == "regression":
        raise InputError(
            f"--partitioner {wanted!r} needs classes, and the target is a number. Valid: shuffled, ordered, clustered."
        )
    if n_train == 0:
        raise InputError("No row is left to train on. Give a table with more rows, or a smaller --test-size.")
    if n_train is not None and config.partitions > n_train:
        raise InputError(
            f"--partitions {config.partitions} for {n_train:,} training rows. "
            f"Valid: 1 to {n_train:,}; a member should see some thousand rows."
        )
