"""What a training will take of disk and memory, from what files tell without being read."""

import os

from pydantic import BaseModel, ConfigDict
from rich.table import Table

from partwise.comparison.cells import memory_cell
from partwise.config import TrainConfig
from partwise.experiment.checking import check_before_reading, check_sums, expected_rows, rows_of
from partwise.experiment.preparing import Tables, with_defaults
from partwise.protocols import Batched
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
    """Sizes in bytes; numbers of rows are None where the files do not tell them.

    Training and test rows are estimates where whole groups, or the last in time, are held out. Disk is needed for what
    the run asks for before it writes: room for all rows, as if none were held out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    uri: str
    n_pieces: int
    n_rows: int | None
    n_train: int | None
    n_test: int | None
    is_estimate: bool
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
        table = Table("", "needed", title=f"Training on {self.name}, planned", title_justify="left")
        table.add_row("rows of the table", _told(self.n_rows))
        about = "about " if self.is_estimate else ""
        table.add_row("training rows", _told(self.n_train, about))
        table.add_row("test rows", _told(self.n_test, about))
        table.add_row("features", f"{self.n_features:,}")
        table.add_row("table in memory", memory_cell(self.table_bytes))
        share = "" if self.partition_rows is None else f", {self.partition_rows:,} training rows each"
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
        If the table cannot be opened, or the training itself would refuse anything before it reads a row.
    """
    source = open_source(config.data)
    config = with_defaults(config, source)
    tables = Tables(config, source)
    check_before_reading(tables, check_sums)
    scan = tables.scan
    given = None if tables.test_source is None else rows_of(tables.test_source)
    rows = expected_rows(config, rows_of(source), given)
    pieces = source.pieces()
    table_bytes = sum(piece.n_bytes(scan.columns) for piece in pieces)
    partition_bytes = int(_training_share(config) * table_bytes) * config.replication // config.partitions
    workers = max(1, (os.cpu_count() or 1) // config.cpus_per_member)
    # A worker reads a piece or fits a partition. It holds no more than blocks of a piece, but for a packed batch.
    batch_bytes = max((piece.batch_bytes(scan.columns) for piece in pieces if isinstance(piece, Batched)), default=0)
    worker_bytes = _WORKER_BYTES + max(_COPIES * partition_bytes, batch_bytes)
    store = PartitionStore(config.storage)
    return TrainingPlan(
        name=source.name,
        uri=source.uri,
        n_pieces=len(pieces),
        n_rows=rows.n_rows,
        n_train=rows.n_train,
        n_test=rows.n_test,
        is_estimate=not rows.is_exact,
        n_features=len(scan.features),
        table_bytes=table_bytes,
        partitions=config.partitions,
        partition_rows=None if rows.n_train is None else rows.n_train * config.replication // config.partitions,
        partition_bytes=partition_bytes,
        store=store.place[1],
        store_bytes=_EXCHANGE * table_bytes * config.replication,
        free_bytes=store.free_bytes(),
        workers=workers,
        worker_bytes=worker_bytes,
        workers_bytes=workers * worker_bytes,
    )


def _training_share(config: TrainConfig) -> float:
    """Return which share of the table is to train on; all of it where only the rows themselves tell."""
    return 1.0 if config.test is not None or config.split_column is not None else 1.0 - config.test_size


def _told(count: int | None, about: str = "") -> str:
    return "known once the rows are read" if count is None else f"{about}{count:,}"
