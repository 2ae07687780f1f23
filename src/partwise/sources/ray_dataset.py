"""A dataset of Ray Data: its blocks, wherever they are in the cluster."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import ray

from partwise.errors import InputError
from partwise.sources.measuring import block_rows, row_bytes_of
from partwise.sources.schemas import unified, without_views

__all__ = ["RayDatasetSource"]


@dataclass(frozen=True, slots=True)
class _Look:
    """What a block tells: schema, number of rows, missing values by column, bytes of a row by column."""

    schema: pa.Schema
    n_rows: int
    nulls: Mapping[str, int]
    row_bytes: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class RayBlock:
    """A block in the object store, which a worker gets by its reference."""

    reference: Any
    schema: pa.Schema
    look: _Look

    @property
    def n_rows(self) -> int:
        """The number of rows."""
        return self.look.n_rows

    @property
    def nulls(self) -> Mapping[str, int]:
        """The number of missing values by column."""
        return self.look.nulls

    def n_bytes(self, columns: Sequence[str] | None = None) -> int:
        """About how much memory the rows take, in the columns asked for."""
        names = self.schema.names if columns is None else columns
        return int(self.n_rows * sum(self.look.row_bytes[name] for name in names))

    @property
    def fingerprint(self) -> str:
        """What changes when the rows do: the object, which no other run has."""
        return str(self.reference.hex())

    def blocks(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield the rows, in slices of bounded size."""
        names = self.schema.names if columns is None else list(columns)
        schema = pa.schema([self.schema.field(name) for name in names], metadata=self.schema.metadata)
        table = ray.get(self.reference).select(names).cast(schema)
        size = block_rows(table.nbytes / max(1, table.num_rows))
        for start in range(0, table.num_rows, size):
            yield table.slice(start, size)


class RayDatasetSource:
    """A ``ray.data.Dataset``, executed once; its blocks stay in the object store, which spills to disk.

    The order of the rows is that of the blocks. Where they shall come in one order each time, and so give the same
    partitions, set ``ray.data.DataContext.get_current().execution_options.preserve_order``.
    """

    name = "dataset"
    uri = "ray://dataset"
    notes = ()

    def __init__(self, dataset: Any) -> None:
        # Executed once: what is lazy would be read again, and shuffled otherwise, by each pass.
        self._dataset = dataset.materialize()
        references = self._dataset.to_arrow_refs()
        looks = ray.get([_look.remote(reference) for reference in references])
        # What a filter has emptied need not know the columns.
        full = [(reference, look) for reference, look in zip(references, looks, strict=True) if look.n_rows]
        if not full:
            raise InputError("The dataset has no rows. Give one with some.")
        self._schema = unified({f"block {index}": without_views(look.schema) for index, (_, look) in enumerate(full)})
        self._blocks = [RayBlock(reference, self._schema, look) for reference, look in full]

    def __getstate__(self) -> tuple[Any, ...]:
        """Travel without the dataset: what a worker reads is sent with its task."""
        return (self._schema,)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        (self._schema,) = state
        self._dataset, self._blocks = None, []

    def schema(self) -> pa.Schema:
        """Return the names and types of the columns."""
        return self._schema

    def pieces(self) -> list[RayBlock]:
        """Return the blocks, in order."""
        return self._blocks


@ray.remote(num_cpus=0)
def _look(table: pa.Table) -> _Look:
    """Look at a block where it is."""
    nulls = {name: table.column(name).null_count for name in table.column_names}
    return _Look(table.schema, table.num_rows, nulls, row_bytes_of(table.to_batches()))
