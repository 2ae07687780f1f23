"""What a training will take of disk and memory, from what files tell without being read."""

import os

from pydantic import BaseModel, ConfigDict
from rich.table import Table

from partwise.comparison.cells import memory_cell
from partwise.config import TrainConfig
from partwise.errors import InputError
from partwise.experiment.preparing import scan_of, with_defaults
from partwise.sources import open_source
from partwise.stores import PartitionStore

__all__ = ["TrainingPlan", "plan_training"]

_EXCHANGE = 2
"""While partitions are made their rows are on the disk twice: sorted piece by piece, and partition by partition."""
_WORKER_BYTES = 250 * 2**20
"""What a worker holds before it has any rows: Python and the libraries of a learner."""
_COPIES = 3
"""How often a fit holds its partition at its peak: as read, as the encoder made it, and what the learner makes."""


class TrainingPlan(BaseModel):
    """Sizes in bytes; ``n_rows`` is None where the files do not tell it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    uri: str
    n_pieces: int
    n_rows: int | None
    n_features: int
    table_bytes: int
    partitions: int
    partition_rows: int | None
    partition_bytes: int
    store: str
    store_bytes: int
    free_bytes: int | None
    workers: int
    worker_bytes: int
    workers_bytes: int

    @property
    def lacks_disk(self) -> bool:
        """Whether the store has too little space, as far as is known."""
        return self.free_bytes is not None and self.free_bytes < self.store_bytes

    def table(self) -> Table:
        """Return the plan for the terminal."""
        rows = "not told by the files" if self.n_rows is None else f"{self.n_rows:,}"
        table = Table("", "needed", title=f"Training on {self.name}, planned", title_justify="left")
        table.add_row("rows", rows)
        table.add_row("features", f"{self.n_features:,}")
        table.add_row("table in memory", memory_cell(self.table_bytes))
        share = "" if self.partition_rows is None else f", {self.partition_rows:,} rows each"
        table.add_row("partitions", f"{self.partitions:,}{share}, {memory_cell(self.partition_bytes)} each")
        free = "" if self.free_bytes is None else f" of {memory_cell(self.free_bytes)} free"
        lacking = "; too little: make room, or give another --storage" if self.lacks_disk else ""
        need = f"{memory_cell(self.store_bytes)}{free}, half of it only while storing{lacking}"
        table.add_row(f"disk, {self.store}", need)
        table.add_row("memory of a worker", memory_cell(self.worker_bytes))
        table.add_row(f"memory of {self.workers} workers", memory_cell(self.workers_bytes))
        return table


def plan_training(config: TrainConfig) -> TrainingPlan:
    """Return what a training would take, on this machine; nothing is read, started or written.

    Raises
    ------
    InputError
        If the table cannot be opened, lacks a column, or has fewer rows than partitions.
    """
    source = open_source(config.data)
    config = with_defaults(config, source)
    scan = scan_of(source, config)
    pieces = source.pieces()
    counts = [piece.n_rows for piece in pieces]
    n_rows = None if any(count is None for count in counts) else sum(count or 0 for count in counts)
    if n_rows is not None and n_rows < config.partitions:
        raise InputError(f"--partitions {config.partitions} for {n_rows:,} rows. Valid: 1 to {n_rows:,}.")
    table_bytes = sum(piece.n_bytes(scan.columns) for piece in pieces)
    partition_bytes = table_bytes * config.replication // config.partitions
    workers = max(1, (os.cpu_count() or 1) // config.cpus_per_member)
    worker_bytes = _WORKER_BYTES + _COPIES * partition_bytes
    store = PartitionStore(config.storage)
    return TrainingPlan(
        name=source.name,
        uri=source.uri,
        n_pieces=len(pieces),
        n_rows=n_rows,
        n_features=len(scan.features),
        table_bytes=table_bytes,
        partitions=config.partitions,
        partition_rows=None if n_rows is None else n_rows * config.replication // config.partitions,
        partition_bytes=partition_bytes,
        store=store.place[1],
        store_bytes=_EXCHANGE * table_bytes * config.replication,
        free_bytes=store.free_bytes(),
        workers=workers,
        worker_bytes=worker_bytes,
        workers_bytes=workers * worker_bytes,
    )
