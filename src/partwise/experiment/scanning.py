"""Compare on a table that is larger than memory: the ensemble on all rows, one model on those that it can hold."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from partwise.comparison.dataset import Dataset
from partwise.comparison.holdout import Holdout
from partwise.credentials import without_credentials
from partwise.executors import InlineExecutor
from partwise.executors.ray_tasks import RayExecutor
from partwise.executors.timeouts import within
from partwise.experiment.preparing import Tables, TaskName, facts_of, read_dataset
from partwise.protocols import Executor
from partwise.resources import available_memory
from partwise.sources import Scan
from partwise.stores import PartitionStore
from partwise.tables import Divided, divide, take, task_of

__all__ = ["Scanned", "divided_scan", "read_or_scanned"]

_SHARE = 1 / 4
"""A table that would take more than this share of the free memory is not read into it."""
_COPIES = 8
"""How often one model's rows are held at its peak: here, on their way, there as frame and matrix, by the learner."""
_MOST_TEST_ROWS = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    """The rows of a comparison.

    Parameters
    ----------
    dataset
        The training rows of one model, which may be a sample, and the test rows that both are judged on.
    train
        The training rows of the ensemble where it is fitted from files, None where ``dataset`` has them.
    facts
        What is recorded of the table.
    """

    dataset: Dataset
    train: Scan | None
    facts: dict[str, Any]


def read_or_scanned(tables: Tables, say: Callable[[str], None], *, in_memory: bool | None = None) -> Scanned:
    """Return the rows of a comparison: read, or counted and sampled where they are many, or are to be stored.

    Parameters
    ----------
    in_memory
        What was done when the run began, which goes on in the same way however much memory is free now; None where
        it begins, and the free memory decides.

    Raises
    ------
    InputError
        If the table lacks what the configuration names, rows are wrong, or the store cannot be written to.
    StepTimeoutError
        If it takes longer than a step may.
    """
    config, place = tables.config, without_credentials(tables.config.data)
    limit = config.step_timeout
    if in_memory is None:
        in_memory = config.storage is None and not within(limit, f"Looking at {place}", lambda: _is_too_large(tables))
    if in_memory:
        say(f"Reading {place}")
        dataset, facts = within(limit, f"Reading {place}", lambda: read_dataset(tables))
        return Scanned(dataset=dataset, train=None, facts=facts)
    say(f"Counting and sampling {place}, which is not read as a whole")
    within(limit, "Writing to the partition store", PartitionStore(config.storage).check_usable)
    # A cluster's workers keep to the limit piece by piece; here it is one step.
    return within(limit if config.address is None else None, "Counting the rows", lambda: _scanned(tables))


def _is_too_large(tables: Tables) -> bool:
    """Return whether the tables would take over a quarter of the free memory; False where that is not known."""
    free = available_memory()
    scans = [each for each in (tables.scan, tables.test) if each is not None]
    return free is not None and sum(map(_table_bytes, scans)) > _SHARE * free


def divided_scan(tables: Tables, executor: Executor) -> tuple[TaskName, Divided]:
    """Return the task, and training and test rows as the configuration asks for them.

    Raises
    ------
    InputError
        If columns do not exist, values are missing, or no rows are left on one side.
    """
    config, scan, test = tables.config, tables.scan, tables.test
    task = cast("TaskName", task_of(scan, executor) if config.task == "auto" else config.task)
    share, split = config.test_size, config.split_column
    return task, divide(scan, task, executor, share=share, seed=config.seed, test=test, split=split)


def _scanned(tables: Tables) -> Scanned:
    """Return the rows of a comparison: counted in place, and sampled where they are needed in memory.

    On this machine it is done in this process, as Ray must not be there when one model is timed.

    Raises
    ------
    InputError
        If columns do not exist, values are missing, or no rows are left on one side.
    """
    config, source = tables.config, tables.source
    local = config.address is None
    executor: Executor = (
        InlineExecutor()
        if local
        else RayExecutor(address=config.address, step_timeout=config.step_timeout, ship=config.ship)
    )
    task, divided = divided_scan(tables, executor)
    assert divided.test is not None  # noqa: S101 - a comparison has test rows
    labels, seed = divided.labels, config.seed
    n_rows = divided.n_train + (divided.n_test if tables.test is None else 0)
    held = _held_rows(_table_bytes(tables.scan) / n_rows)
    test = take(divided.test, task, labels, min(_MOST_TEST_ROWS, held), seed, executor, one_class=True)
    train = take(divided.train, task, labels, held, seed, executor)
    notes = list(source.notes)
    if len(test.targets) < test.n_rows:
        notes.append(f"Both are judged on {len(test.targets):,} of {test.n_rows:,} test rows, a random sample.")
    dataset = Dataset(
        train=train.features,
        test=test.features,
        y_train=train.targets,
        y_test=test.targets,
        labels=labels,
        holdout=Holdout(np.arange(len(train.targets)), np.arange(len(test.targets)), divided.description),
        weights=train.weights,
        test_groups=test.groups,
    )
    facts = facts_of(tables, divided.n_train + divided.n_test, notes)
    return Scanned(dataset=dataset, train=divided.train, facts=facts)


def _table_bytes(scan: Scan) -> int:
    """Return about how much memory the columns of a table take that are read."""
    return sum(piece.n_bytes(scan.columns) for piece in scan.source.pieces())


def _held_rows(row_bytes: float) -> int:
    """Return how many rows one model can have, by what a row takes and the memory that is free; at least 1,000."""
    free = available_memory()
    return sys.maxsize if free is None else max(1_000, int(free / (_COPIES * max(1.0, row_bytes))))
