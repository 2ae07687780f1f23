"""The counting pass: what must be known of a table before it can be cut, from the columns that tell it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from partwise.cutting import read_groups
from partwise.errors import ConfigurationError, InputError
from partwise.moments import Moments
from partwise.protocols import Executor, Piece
from partwise.records import TableStatistics
from partwise.sources import Scan
from partwise.tables.frames import FrameRules
from partwise.tables.work import in_order, tasks_of
from partwise.targets import (
    as_numbers,
    check_classes,
    check_number_of_classes,
    check_target_type,
    target_values,
)
from partwise.validation import wrong_weights

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PieceCounts", "Survey", "survey"]


@dataclass(frozen=True, slots=True)
class _Question:
    """What every worker is told."""

    scan: Scan
    task: str
    categorical: tuple[str, ...]


@dataclass(slots=True)
class PieceCounts:
    """What one piece tells; arrays that belong together have one length."""

    n_rows: int = 0
    labels: NDArray[Any] | None = None
    label_counts: NDArray[np.int64] | None = None
    groups: NDArray[Any] | None = None
    group_counts: NDArray[np.int64] | None = None
    target: Moments | None = None
    n_counting: int = 0
    nulls: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    """How many values are wrong, by a sentence that says what is wrong with them."""
    levels: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    """The levels of categorical columns, in the order in which they came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What is known of a table that was not read into memory.

    Parameters
    ----------
    labels
        The class labels, sorted; None in regression.
    starts
        The position of the first row of each piece, shape (pieces,).
    label_starts
        How many rows of each class come before each piece, shape (pieces, classes); None in regression.
    target
        The moments of the target, in regression.
    n_counting
        The number of rows that do not have weight zero.
    """

    statistics: TableStatistics
    labels: NDArray[Any] | None
    starts: NDArray[np.int64]
    label_starts: NDArray[np.int64] | None
    target: Moments | None
    n_counting: int
    rules: FrameRules

    @property
    def n_rows(self) -> int:
        """The number of rows."""
        return self.statistics.n_rows


def survey(scan: Scan, pieces: Sequence[Piece], task: str, executor: Executor, *, one_class: bool = False) -> Survey:
    """Count rows, classes and groups, and check targets and weights, piece by piece on the executor.

    Parameters
    ----------
    task
        ``classification`` or ``regression``.
    one_class
        Whether all rows may be of one class, as those to judge by may.

    Raises
    ------
    InputError
        If there are no rows, the target does not fit the task, or values are missing where they must not be; all that
        is wrong is listed.
    """
    schema = scan.source.schema()
    if scan.target is not None:
        check_target_type(scan.target, schema.field(scan.target).type)
    categorical = tuple(name for name in scan.features if pa.types.is_dictionary(schema.field(name).type))
    question = _Question(scan, task, categorical)
    counts: list[PieceCounts] = in_order(executor.run(_count, question, tasks_of(pieces)))
    n_rows = np.array([each.n_rows for each in counts], dtype=np.int64)
    if not n_rows.sum():
        raise InputError(f"{scan.source.name!r} has no rows. Give a table with some.")
    _check(counts, int(n_rows.sum()), scan)
    labels = label_starts = label_counts = None
    if task == "classification":
        labels = np.unique(np.concatenate([each.labels for each in counts if each.labels is not None]))
        check_number_of_classes(str(scan.target), len(labels))
        if not one_class:
            check_classes(labels, str(scan.target))
        per_piece = np.zeros((len(counts), len(labels)), dtype=np.int64)
        for index, each in enumerate(counts):
            if each.labels is not None and each.label_counts is not None:
                per_piece[index, np.searchsorted(labels, each.labels)] = each.label_counts
        label_starts, label_counts = np.cumsum(per_piece, axis=0) - per_piece, per_piece.sum(axis=0)
    groups, group_counts = _merged_groups(counts)
    nulls: Counter[str] = sum((each.nulls for each in counts), Counter())
    return Survey(
        statistics=TableStatistics(
            n_rows=int(n_rows.sum()), stratum_counts=label_counts, groups=groups, group_counts=group_counts
        ),
        labels=labels,
        starts=np.cumsum(n_rows) - n_rows,
        label_starts=label_starts,
        target=reduce(Moments.merged, (each.target for each in counts if each.target is not None))
        if task == "regression"
        else None,
        n_counting=sum(each.n_counting for each in counts),
        rules=FrameRules(
            features=scan.features,
            with_gaps=frozenset(name for name, count in nulls.items() if count),
            categories={
                name: (_union(each.levels.get(name, ()) for each in counts), schema.field(name).type.ordered)
                for name in categorical
            },
        ),
    )


def _check(counts: Sequence[PieceCounts], n_rows: int, scan: Scan) -> None:
    broken: Counter[str] = sum((each.broken for each in counts), Counter())
    mistakes = [f"{count:,} of {n_rows:,} rows: {what}" for what, count in broken.items()]
    if scan.weight is not None and not mistakes and not any(each.n_counting for each in counts):
        mistakes.append(f"{scan.weight!r} is zero on every row: no row would count. Give some rows a weight.")
    if mistakes:
        raise ConfigurationError(mistakes)


def _merged_groups(counts: Sequence[PieceCounts]) -> tuple[NDArray[Any] | None, NDArray[np.int64] | None]:
    found = [each for each in counts if each.groups is not None]
    if not found:
        return None, None
    groups, places = np.unique(np.concatenate([each.groups for each in found]), return_inverse=True)
    sizes = np.concatenate([each.group_counts for each in found])
    return groups, np.bincount(places, weights=sizes, minlength=len(groups)).astype(np.int64)


def _union(levels: Iterable[tuple[Any, ...]]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(level for some in levels for level in some))


def _count(question: _Question, piece: Piece) -> PieceCounts:
    """Return what a piece tells; where its file tells the number of rows, only the columns that matter are read."""
    scan, counts = question.scan, PieceCounts()
    wanted = {scan.target, scan.weight, scan.group, scan.time, *question.categorical} - {None}
    if piece.nulls is None:
        wanted |= set(scan.features)
    else:
        counts.nulls.update({name: count for name, count in piece.nulls.items() if name in set(scan.features)})
    if not wanted and piece.n_rows is not None:
        counts.n_rows = counts.n_counting = piece.n_rows
        return counts
    names = [name for name in scan.columns if name in wanted]
    levels: dict[str, dict[Any, None]] = {name: {} for name in question.categorical}
    last: dict[str, pa.Array] = {}
    for block in piece.blocks(names):
        counts.n_rows += block.num_rows
        if piece.nulls is None:
            counts.nulls.update({name: block.column(name).null_count for name in scan.features})
        for name in question.categorical:
            for chunk in block.column(name).chunks:
                if name not in last or not last[name].equals(chunk.dictionary):
                    last[name] = chunk.dictionary
                    levels[name].update(dict.fromkeys(chunk.dictionary.to_pylist()))
        _count_target(counts, question, block)
        _count_weights(counts, scan, block)
        if scan.group is not None and (values := _whole(counts, block, scan.group, "group")) is not None:
            counts.groups, counts.group_counts = _added(counts.groups, counts.group_counts, read_groups(values))
        if scan.time is not None:
            _whole(counts, block, scan.time, "time")
    counts.levels = {name: tuple(found) for name, found in levels.items()}
    return counts


def _whole(counts: PieceCounts, block: pa.Table, name: str, role: str) -> "pd.Series[Any] | None":
    """Return a column that must not have gaps, None where it has; the gaps are counted."""
    missing = block.column(name).null_count
    column = block.column(name).to_pandas()
    missing = max(missing, int(column.isna().sum()))
    if missing:
        counts.broken[f"the {role} {name!r} is missing (NaN). Drop those rows, or fill them in."] += missing
        return None
    return column


def _count_target(counts: PieceCounts, question: _Question, block: pa.Table) -> None:
    name = question.scan.target
    if name is None or not block.num_rows or _whole(counts, block, name, "target") is None:
        return
    found = target_values(block.column(name), name)
    if question.task == "classification":
        counts.labels, counts.label_counts = _added(counts.labels, counts.label_counts, found)
        check_number_of_classes(name, len(counts.labels))
        return
    values = as_numbers(found, name)
    if infinite := int((~np.isfinite(values)).sum()):
        counts.broken[f"the target {name!r} is infinite. Drop those rows."] += infinite
        return
    moments = Moments.of(values[:, np.newaxis], np.ones(len(values)))
    counts.target = moments if counts.target is None else counts.target.merged(moments)


def _count_weights(counts: PieceCounts, scan: Scan, block: pa.Table) -> None:
    if scan.weight is None:
        counts.n_counting += block.num_rows
        return
    column = block.column(scan.weight)
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise InputError(f"The weight {scan.weight!r} is of type {column.type}. Weights are numbers.")
    values = column.cast(pa.float64()).to_numpy()
    for what, count in wrong_weights(values).items():
        counts.broken[f"the weight {scan.weight!r} is {what}. Weights are zero or more."] += count
    counts.n_counting += int((values > 0).sum())


def _added(
    known: NDArray[Any] | None, counts: NDArray[np.int64] | None, values: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the distinct values, sorted, with how often they came."""
    found, often = np.unique(values, return_counts=True)
    if known is None or counts is None:
        return found, often.astype(np.int64)
    merged, places = np.unique(np.concatenate([known, found]), return_inverse=True)
    return merged, np.bincount(places, weights=np.concatenate([counts, often])).astype(np.int64)
