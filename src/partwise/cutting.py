"""Cut a table in memory: row keys and statistics, from them an Assignment, from it the Partitions."""

import warnings
from collections.abc import Collection
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from partwise.errors import InputError
from partwise.protocols import Partitioner
from partwise.records import Partitions, RowKeys, TableStatistics
from partwise.replication import Replicas

__all__ = [
    "check_cut",
    "check_sizes",
    "cut",
    "most_parts",
    "rank_within",
    "read_groups",
    "read_times",
    "row_keys",
    "table_statistics",
]


def rank_within(stratum: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each row how many earlier rows have its class."""
    order = np.argsort(stratum, kind="stable")
    counts = np.bincount(stratum)
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    ranks = np.empty(len(stratum), dtype=np.int64)
    ranks[order] = np.arange(len(stratum)) - starts
    return ranks


def row_keys(
    n_rows: int,
    *,
    stratum: NDArray[np.int64] | None = None,
    groups: Any = None,
    time: Any = None,
    features: Any = None,
) -> RowKeys:
    """Return the keys of all rows of a table in memory; ``features`` are the encoded ones.

    Raises
    ------
    InputError
        If groups or times have another length, or missing values.
    """
    return RowKeys(
        positions=np.arange(n_rows, dtype=np.int64),
        stratum=stratum,
        rank=None if stratum is None else rank_within(stratum),
        group=None if groups is None else read_groups(_column("groups", groups, n_rows)),
        time=None if time is None else read_times(_column("time", time, n_rows)),
        features=features,
    )


def _column(name: str, values: Any, n_rows: int) -> "pd.Series[Any]":
    column = pd.Series(np.asarray(values)) if not isinstance(values, pd.Series) else values.reset_index(drop=True)
    if len(column) != n_rows:
        raise InputError(f"{name} has {len(column):,} values for {n_rows:,} rows. Give one for each row.")
    missing = int(column.isna().sum())
    if missing:
        raise InputError(f"{name} has {missing:,} missing values. Drop those rows, or fill them in.")
    return column


def read_groups(column: "pd.Series[Any]") -> NDArray[Any]:
    """Return groups as sortable keys: numbers as they are, times as microseconds, everything else as text."""
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy()
    if pd.api.types.is_datetime64_any_dtype(column):
        return read_times(column)  # as text, midnight looks otherwise among midnights than among other times
    return column.astype(str).to_numpy(dtype=np.str_)


def read_times(column: "pd.Series[Any]", *, whole: bool = True) -> NDArray[Any]:
    """Return times as numbers that sort as time does: dates and texts of dates in microseconds, numbers as they are.

    Parameters
    ----------
    whole
        Whether the column is that of a whole table. In a part of one, only texts as of ISO 8601 are dates: what
        another format is would be guessed from the first value, and so from where the table was divided.

    Raises
    ------
    InputError
        If the values are neither numbers nor dates.
    """
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy()
    try:
        return _microseconds(pd.to_datetime(column, utc=True, format="ISO8601"))
    except (ValueError, TypeError) as error:
        if not whole:
            raise InputError(
                f"The times in {str(column.name)!r} are neither numbers, nor dates, nor texts such as "
                f"2026-01-31T12:00, but for instance {column.iloc[0]!r}. Give one of these: other formats are "
                "understood only in tables that are read as a whole."
            ) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # several formats in one column are no fault
            return _microseconds(pd.to_datetime(column, utc=True))
    except (ValueError, TypeError) as error:
        named = "" if column.name is None else f" in {str(column.name)!r}"
        raise InputError(
            f"The times{named} are neither numbers nor dates, such as {column.iloc[0]!r}: {str(error).splitlines()[0]} "
            "Give numbers, dates, or text such as 2026-01-31T12:00."
        ) from error


def _microseconds(times: "pd.Series[Any]") -> NDArray[np.int64]:
    return times.to_numpy(dtype="datetime64[us]").astype(np.int64)


def table_statistics(keys: RowKeys) -> TableStatistics:
    """Return the counts of a table whose keys are all in memory."""
    groups, group_counts = (None, None) if keys.group is None else np.unique(keys.group, return_counts=True)
    return TableStatistics(
        n_rows=len(keys.positions),
        stratum_counts=None if keys.stratum is None else np.bincount(keys.stratum).astype(np.int64),
        groups=groups,
        group_counts=group_counts,
    )


_NEEDED = {
    "stratum": "classes; for regression take 'shuffled'",
    "group": "groups; give them as groups=… (--group COLUMN)",
    "time": "times; give them as time=… (--time COLUMN)",
    "features": "encoded features",
}


def check_cut(partitioner: Partitioner, known: Collection[str], n_rows: int, n_partitions: int) -> None:
    """Refuse a cut into more partitions than rows, and one that needs what is not known of the rows.

    Raises
    ------
    InputError
        If the number of partitions is not in 1..rows, or the partitioner lacks what it needs.
    """
    if not 1 <= n_partitions <= n_rows:
        raise InputError(
            f"n_partitions={n_partitions} for {n_rows:,} training rows (n_samples = {n_rows}). "
            f"Valid: 1 to {n_rows:,}; a member should see some thousand rows."
        )
    for need in sorted(partitioner.needs):
        if need not in known:
            raise InputError(f"partitioner={partitioner.name!r} needs {_NEEDED[need]}.")


def check_sizes(partitioner: Partitioner, sizes: NDArray[np.int64]) -> None:
    """Refuse empty partitions.

    Raises
    ------
    InputError
        If there are some.
    """
    n_empty = int((sizes == 0).sum())
    if n_empty:
        raise InputError(
            f"partitioner={partitioner.name!r} leaves {n_empty} of {len(sizes)} partitions without rows. "
            f"Ask for at most {len(sizes) - n_empty}."
        )


def cut(partitioner: Partitioner, keys: RowKeys, n_partitions: int, seed: int, replication: int = 1) -> Partitions:
    """Return the partitions of a table in memory.

    Parameters
    ----------
    replication
        To how many partitions each row goes.

    Raises
    ------
    InputError
        If the number of partitions is not in 1..rows, the partitioner lacks what it needs, or a partition would be
        empty.
    """
    known = [name for name in _NEEDED if getattr(keys, name) is not None]
    check_cut(partitioner, known, len(keys.positions), n_partitions)
    statistics = table_statistics(keys)
    replicas = Replicas.of(n_partitions, replication, seed, most_parts(partitioner, statistics))
    assignment = partitioner.fit(statistics, keys, replicas.n_parts, seed)
    if partitioner.gives == "copies":
        home, rows = None, (keys.positions,) * n_partitions
    else:
        parts = replicas.partitions_of(assignment.parts(keys))
        home, rows = parts[:, 0], _rows_of(parts, n_partitions)
    sizes = np.array([len(members) for members in rows], dtype=np.int64)
    check_sizes(partitioner, sizes)
    counts = None
    if keys.stratum is not None:
        n_classes = len(statistics.stratum_counts)  # type: ignore[arg-type] # there is a stratum
        counts = np.stack([np.bincount(keys.stratum[members], minlength=n_classes) for members in rows])
    router = getattr(assignment, "router", None)
    return Partitions(method=partitioner.name, sizes=sizes, rows=rows, class_counts=counts, home=home, router=router)


def most_parts(partitioner: Partitioner, statistics: TableStatistics) -> int:
    """Return into how many parts the rows can be cut at most."""
    if "group" in partitioner.needs and statistics.groups is not None:
        return len(statistics.groups)
    return statistics.n_rows


def _rows_of(parts: NDArray[np.int64], n_partitions: int) -> tuple[NDArray[np.int64], ...]:
    """Return the sorted rows of each partition; ``parts`` has shape (rows, r), -1 for none."""
    order = np.argsort(parts, axis=None, kind="stable")
    ends = np.searchsorted(parts.ravel()[order], np.arange(-1, n_partitions), side="right")
    return tuple(order[start:end] // parts.shape[1] for start, end in pairwise(ends))
