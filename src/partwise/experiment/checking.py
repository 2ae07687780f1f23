"""What can be told of a run before any row is read: settings, columns and places, and all mistakes at once."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Any, TypeVar

import pyarrow as pa

from partwise.comparison.dataset import nearest
from partwise.config import FitConfig
from partwise.errors import ConfigurationError, InputError, Mistakes, several_values
from partwise.evaluation import reported_metrics
from partwise.experiment.preparing import Setup, Tables, TaskName, make_setup, scan_of, with_defaults
from partwise.learners import learner_names
from partwise.protocols import Source
from partwise.runs import RunDirectory
from partwise.sources import Scan, open_source
from partwise.stores import PartitionStore
from partwise.tables import holds, kinds_of_schema
from partwise.targets import check_target_type, is_number_type

__all__ = ["ExpectedRows", "check_before_reading", "check_sums", "configured", "expected_rows", "rows_of"]

Settings = TypeVar("Settings", bound=FitConfig)
Further = Callable[[Setup, int | None], None]
"""What a command checks besides, of a setup and the number of classes; None in regression."""
_TASKS: Mapping[TaskName, tuple[int | None, ...]] = {"classification": (2, 3), "regression": (None,)}
"""The numbers of classes that settings are tried with while rows are not counted: two, and more than two."""


def configured(kind: type[Settings], given: Mapping[str, Any]) -> Settings:
    """Return the configuration of a command; mistakes in settings and in columns are told together.

    Raises
    ------
    ConfigurationError
        If settings are wrong; what is wrong with columns is then listed too.
    """
    try:
        return kind.checked(**given)
    except ConfigurationError as error:
        found = Mistakes()
        found.found += error.mistakes
        unchecked = kind.model_construct(**given)
        found.attempt(lambda: _check_columns(_opened(unchecked)))
        raise ConfigurationError(list(dict.fromkeys(found.found))) from error


def check_before_reading(
    tables: Tables, further: Further = lambda _setup, _n_classes: None, *, is_new: bool = True
) -> None:
    """Refuse a run that could not be finished, as far as that can be told without reading a row.

    Parameters
    ----------
    further
        What the command checks besides.
    is_new
        Whether the run is to have a directory of its own, not one of a run that goes on.

    Raises
    ------
    ConfigurationError
        If settings, columns or places are wrong; all mistakes are listed.
    """
    config, found = tables.config, Mistakes()
    found.attempt(lambda: _check_columns(tables))
    found.attempt(lambda: _check_setup(config, tables.source, further))
    output = config.output
    if is_new and output is not None:
        found.attempt(lambda: RunDirectory.check_new(output))
    found.attempt(lambda: PartitionStore(config.storage).place)
    found.tell()


def check_sums(setup: Setup, n_classes: int | None) -> None:
    """Refuse a metric that does not follow from sums over blocks of test rows.

    Raises
    ------
    InputError
        If it is one.
    """
    valid = [metric.name for metric in reported_metrics(n_classes)]
    if setup.metric.name not in valid:
        raise InputError(
            f"Metric {setup.metric.name!r} takes all test rows at once, and train adds up what it needs of blocks. "
            f"Valid: {', '.join(sorted(valid))}. Take one of these, or compare, which has the rows."
        )


@dataclass(frozen=True, slots=True)
class ExpectedRows:
    """How many rows a run will have, as files tell without being read; None where they do not.

    Parameters
    ----------
    is_exact
        Whether training and test rows are told apart row by row, not by groups or times of any size.
    """

    n_rows: int | None
    n_train: int | None
    n_test: int | None
    is_exact: bool

    @property
    def most_to_train(self) -> int | None:
        """The largest number of training rows that there can be; classes of one row, never tested, are not known."""
        return self.n_train if self.is_exact else self.n_rows


def expected_rows(config: FitConfig, n_rows: int | None, n_given: int | None = None) -> ExpectedRows:
    """Return how many training and test rows a run will have.

    Parameters
    ----------
    n_rows, n_given
        The rows of the table, and of the table of test rows.
    """
    if config.test is not None:
        return ExpectedRows(n_rows, n_rows, n_given, is_exact=True)
    if config.split_column is not None or n_rows is None:
        return ExpectedRows(n_rows, None, None, is_exact=False)
    n_test = ceil(config.test_size * n_rows - 1e-9)
    apart = config.test_size == 0 or (config.time is None and config.group is None)
    return ExpectedRows(n_rows, n_rows - n_test, n_test, is_exact=apart)


def rows_of(source: Source) -> int | None:
    """Return the number of rows of a source, None where its files do not tell it."""
    counts = [piece.n_rows for piece in source.pieces()]
    return None if any(count is None for count in counts) else sum(count or 0 for count in counts)


def _opened(config: FitConfig) -> Tables:
    source = open_source(config.data)
    return Tables(with_defaults(config, source), source)


def _check_columns(tables: Tables) -> None:
    """Refuse columns that do not exist, or are of a type that does not go with their part, in both tables."""
    found = Mistakes()
    scan = found.attempt(lambda: tables.scan)
    if scan is not None:
        found.found += [*_wrong_types(tables.config, scan), *_wrong_features(scan)]
    found.attempt(lambda: _check_test_table(tables, scan))
    found.tell()


def _check_test_table(tables: Tables, train: Scan | None) -> None:
    """Refuse a test table that lacks columns, or has other values in them; ``train`` is None where it is unknown."""
    found, source = Mistakes(), tables.test_source
    if source is None:
        return
    found.attempt(lambda: scan_of(source, tables.config, "the test table"))
    if train is not None:
        found.found += _unlike(train, kinds_of_schema(source.schema()))
    found.tell()


def _unlike(train: Scan, test: Mapping[str, str]) -> Iterator[str]:
    known = kinds_of_schema(train.source.schema())
    for name in (*train.features, str(train.target)):
        if name not in test:
            if name != train.target:
                hint = nearest(name, list(test))
                yield f"The test table lacks the feature {name!r}.{hint} It must have those of the table."
            continue
        if not holds(known[name], test[name]):
            otherwise = "." if name == train.target else ", or leave the column out with --drop."
            both = f"{name!r} holds {known[name]} in the table and {test[name]} in the test table"
            yield f"{both}. Bring both to one type{otherwise}"


def _kind(kind: pa.DataType) -> str | None:
    """Return what a column holds, in words; None where it has no values."""
    if pa.types.is_dictionary(kind):
        return _kind(kind.value_type)
    if pa.types.is_null(kind):
        return None
    if is_number_type(kind) or pa.types.is_boolean(kind):
        return "numbers"
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return "dates"
    return "text" if _is_text(kind) else str(kind)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _wrong_types(config: FitConfig, scan: Scan) -> Iterator[str]:
    """Yield what is wrong with the types of columns that play a part."""
    schema, found = scan.source.schema(), Mistakes()
    kind = schema.field(scan.target).type
    found.attempt(lambda: check_target_type(str(scan.target), kind))
    yield from found.found
    if config.task == "regression" and _kind(kind) in {"dates", "text"}:
        yield (
            f"--target {scan.target!r} holds {_kind(kind)}, no numbers to regress on. Take --task classification, or "
            "another target."
        )
    if scan.weight is not None:
        kind = schema.field(scan.weight).type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind)):
            yield f"--weight {scan.weight!r} is of type {kind}. Weights are numbers. Take another column."
    if scan.time is not None:
        kind = schema.field(scan.time).type
        if _kind(kind) not in {"numbers", "dates", "text", None} or pa.types.is_decimal(kind):
            yield f"--time {scan.time!r} is of type {kind}. Valid: integers, floats, dates, text such as 2026-01-31."


def _wrong_features(scan: Scan) -> Iterator[str]:
    """Yield which features hold several values in a row."""
    schema = scan.source.schema()
    for name in scan.features:
        kind = schema.field(name).type
        if pa.types.is_nested(kind) and not pa.types.is_struct(kind):
            yield several_values(name, kind)


def _check_setup(config: FitConfig, source: Source, further: Further) -> None:
    """Refuse settings that do not go with any task that the target may turn out to be for."""
    n_rows = rows_of(source)
    if n_rows == 0:
        raise InputError(f"{source.name!r} has no rows. Give a table with some.")
    most = expected_rows(config, n_rows).most_to_train
    complaints: list[list[str]] = []
    for task in _possible_tasks(config, source):
        for n_classes in _TASKS[task]:
            found = Mistakes()
            setup = found.attempt(partial(make_setup, config, task, n_classes, most))
            if setup is not None:
                found.attempt(partial(further, setup, n_classes))
            if not found.found:
                return
            complaints.append(found.found)
    raise ConfigurationError(min(complaints, key=len))


def _possible_tasks(config: FitConfig, source: Source) -> list[TaskName]:
    """Return the tasks that the target's type allows, of these those that the learner can do, if any."""
    if config.task != "auto":
        return [config.task]
    schema = source.schema()
    known = config.target in schema.names
    if known and not is_number_type(schema.field(config.target).type):
        return ["classification"]
    able = [task for task in _TASKS if ":" in config.learner or config.learner in learner_names(task)]
    return able or list(_TASKS)
