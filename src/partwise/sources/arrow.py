"""Tables that are in memory already: Arrow, pandas, polars."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import narwhals.stable.v2 as nw
import pandas as pd
import pyarrow as pa

from partwise.errors import InputError
from partwise.provenance import data_digest
from partwise.sources.measuring import block_rows
from partwise.sources.schemas import without_views

__all__ = ["ArrowSource", "as_arrow"]


def as_arrow(table: Any) -> pa.Table:
    """Return an Arrow table for a DataFrame of pandas or polars; an Arrow table is returned as it is.

    Raises
    ------
    InputError
        If it is neither, two columns have one name, or a column cannot be held by Arrow.
    """
    names = table.column_names if isinstance(table, pa.Table) else getattr(table, "columns", ())
    twice = sorted(name for name, count in Counter(map(str, names)).items() if count > 1)
    if twice:
        raise InputError(f"The table has duplicate columns: {', '.join(twice)}. Rename them.")
    try:
        if isinstance(table, pd.DataFrame):
            return pa.Table.from_pandas(table, preserve_index=False)
        found = table if isinstance(table, pa.Table) else nw.from_native(table, eager_only=True).to_arrow()
        return found.cast(without_views(found.schema))
    except (TypeError, pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise InputError(
            f"{type(table).__name__} is no table to scan: {error}. Give a path, a glob, a URI, an Arrow table or a "
            "DataFrame."
        ) from error


@dataclass(frozen=True, slots=True)
class ArrowSource:
    """A table in memory, in pieces of bounded size."""

    table: pa.Table

    name = "table"
    uri = "memory://table"
    notes = ()

    def schema(self) -> pa.Schema:
        """Return the names and types of the columns."""
        return self.table.schema

    def pieces(self) -> "list[ArrowPiece]":
        """Return slices, in the order of the rows."""
        n_rows = self.table.num_rows
        size = block_rows(self.table.nbytes / max(1, n_rows))
        return [ArrowPiece(self.table.slice(start, size), start) for start in range(0, n_rows, size)]


@dataclass(frozen=True, slots=True)
class ArrowPiece:
    """A slice of a table in memory."""

    table: pa.Table
    start: int

    @property
    def n_rows(self) -> int:
        """The number of rows."""
        return int(self.table.num_rows)

    @property
    def nulls(self) -> dict[str, int]:
        """The number of missing values by column."""
        return {name: self.table.column(name).null_count for name in self.table.column_names}

    def n_bytes(self, columns: Sequence[str] | None = None) -> int:
        """How much memory the rows take, in the columns asked for."""
        return int((self.table if columns is None else self.table.select(list(columns))).nbytes)

    @property
    def fingerprint(self) -> str:
        """What changes when the rows do: a digest of their values."""
        return f"{self.start} {data_digest(self.table.to_pandas())}"

    def blocks(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield the rows, as one block."""
        yield self.table if columns is None else self.table.select(list(columns))
