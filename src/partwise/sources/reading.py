"""Read a source from its first row to its last."""

from collections.abc import Iterator, Sequence

import pandas as pd
import pyarrow as pa

from partwise.errors import InputError, unknown_choice
from partwise.protocols import Source

__all__ = ["read_blocks", "read_table"]


def read_blocks(source: Source, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Yield the rows block by block, in the order of the table; ``columns`` None means all.

    Raises
    ------
    InputError
        If a column is unknown, or a file cannot be read.
    """
    names = source.schema().names
    for name in columns or ():
        if name not in names:
            raise unknown_choice("column", name, names)
    for piece in source.pieces():
        if piece.n_rows != 0:
            yield from piece.blocks(columns)


def read_table(source: Source, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Return all rows of a source as a DataFrame.

    Raises
    ------
    InputError
        If there are no rows, or two columns have one name.
    """
    blocks = list(read_blocks(source, columns))
    table = pa.concat_tables(blocks) if blocks else pa.table({})
    if table.num_rows == 0:
        raise InputError(f"{source.name!r} has no rows. Give a table with some.")
    twice = sorted({name for name in table.column_names if table.column_names.count(name) > 1})
    if twice:
        raise InputError(f"{source.name!r} has duplicate columns: {', '.join(twice)}. Rename them.")
    return table.to_pandas()
