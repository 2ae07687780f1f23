"""Compare on a table that is larger than memory: the ensemble on all rows, one model on those that it can hold."""

import sys
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from partwise.comparison.dataset import Dataset
from partwise.comparison.holdout import Holdout
from partwise.executors import InlineExecutor
from partwise.executors.ray_tasks import RayExecutor
from partwise.experiment.preparing import Tables, TaskName, facts_of
from partwise.protocols import Executor
from partwise.resources import available_memory
from partwise.sources import Scan
from partwise.tables import Divided, divide, take, task_of

__all__ = ["Scanned", "divided_scan", "is_too_large", "scanned_dataset"]

_SHARE = 1 / 4
"""A table that would take more than this share of the free memory is not read into it."""
_COPIES = 8
"""How often one model's rows are held at its peak: here, on their way, there as frame and matrix, by the learner."""
_MOST_TEST_ROWS = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    """The rows of a comparison in which the ensemble is fitted from files.

    Parameters
    ----------
    dataset
        The training rows of one model, which may be a sample, and the test rows that both are judged on.
    train
        The training rows of the ensemble.
    facts
        What is recorded of the table.
    """

    dataset: Dataset
    train: Scan
    facts: dict[str, Any]


def is_too_large(tables: Tables) -> bool:
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


def scanned_dataset(tables: Tables) -> Scanned:
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
    facts = facts_of(config, source, divided.n_train + divided.n_test, notes)
    return Scanned(dataset=dataset, train=divided.train, facts=facts)


def _table_bytes(scan: Scan) -> int:
    """Return about how much memory the columns of a table take that are read."""
    return sum(piece.n_bytes(scan.columns) for piece in scan.source.pieces())


def _held_rows(row_bytes: float) -> int:
    """Return how many rows one model can have, by what a row takes and the memory that is free; at least 1,000."""
    free = available_memory()
    return sys.maxsize if free is None else max(1_000, int(free / (_COPIES * max(1.0, row_bytes))))
