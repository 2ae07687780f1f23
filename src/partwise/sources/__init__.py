"""Sources: where rows come from, piece by piece."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from partwise.protocols import Source
from partwise.sources.arrow import ArrowSource, as_arrow
from partwise.sources.files import FileSource
from partwise.sources.nycflights13 import FlightsSource
from partwise.sources.reading import read_blocks, read_table
from partwise.sources.scanned import Scan

__all__ = ["ArrowSource", "FileSource", "FlightsSource", "Scan", "open_source", "read_blocks", "read_table", "scan"]


def open_source(data: str) -> Source:
    """Return the source for a path, folder, glob or URI, or for ``nycflights13``, the table of the demonstration."""
    if data == FlightsSource.name and not Path(data).exists():
        return FlightsSource()
    return FileSource(data)


def scan(
    data: Any,
    target: str | None = None,
    *,
    weight: str | None = None,
    group: str | None = None,
    time: str | None = None,
    columns: Sequence[str] | None = None,
    drop: Sequence[str] = (),
) -> Scan:
    """Name a table and what its columns are, to fit on or to predict without reading it into memory.

    Parameters
    ----------
    data
        A path, a folder, a glob such as ``"flights/*.parquet"``, or a URI that pyarrow or fsspec can open; Parquet,
        Feather or CSV. Also an Arrow table, a DataFrame of pandas or polars, or a ``ray.data.Dataset``.
    target
        The column to predict; None where the scan is only predicted.
    weight, group, time
        Columns that say something about rows; they are no features.
    columns, drop
        The columns to take as features (all), and those to leave out.

    Returns
    -------
    What ``fit`` takes in place of X and y, and ``predict`` in place of X.

    Raises
    ------
    InputError
        If the table cannot be opened, or lacks a column.

    Examples
    --------
    >>> import pyarrow as pa
    >>> scan(pa.table({"x": [1.0, 2.0], "y": ["a", "b"]}), target="y").features
    ('x',)
    """
    return Scan.of(_source_of(data), target, weight=weight, group=group, time=time, columns=columns, drop=drop)


def _source_of(data: Any) -> Source:
    if isinstance(data, (str, Path)):
        return open_source(str(data))
    if type(data).__module__.startswith("ray.data."):
        # Not at the top: loading partwise must not load ray.
        return cast("Source", import_module("partwise.sources.ray_dataset").RayDatasetSource(data))
    return ArrowSource(as_arrow(data))
