"""A dataset of Ray Data: its blocks, wherever they are in the cluster."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import ray

from partwise.sources.pieces import BLOCK_ROWS

__all__ = ["RayDatasetSource"]


@dataclass(frozen=True, slots=True)
class RayBlock:
    """A block in the object store, which a worker gets by its reference."""

    reference: Any

    n_rows = None
    nulls = None

    @property
    def n_bytes(self) -> int:
        """About how much memory the rows take: what Ray Data aims at."""
        return int(ray.data.DataContext.get_current().target_max_block_size or 0)

    @property
    def fingerprint(self) -> str:
        """What changes when the rows do: the object, which no other run has."""
        return str(self.reference.hex())

    def blocks(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield the rows, in slices of bounded size."""
        table = ray.get(self.reference)
        table = table if columns is None else table.select(list(columns))
        for start in range(0, table.num_rows, BLOCK_ROWS):
            yield table.slice(start, BLOCK_ROWS)


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
        self._references = tuple(self._dataset.to_arrow_refs())
        self._schema = self._dataset.schema().base_schema

    def __getstate__(self) -> tuple[Any, ...]:
        """Travel without the dataset: what a worker reads is sent with its task."""
        return (self._schema,)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        (self._schema,) = state
        self._dataset, self._references = None, ()

    def schema(self) -> pa.Schema:
        """Return the names and types of the columns."""
        return self._schema

    def pieces(self) -> list[RayBlock]:
        """Return the blocks, in order."""
        return [RayBlock(reference) for reference in self._references]
