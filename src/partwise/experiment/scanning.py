"""Compare on a table that is larger than memory: the ensemble on all rows, one model on those that it can hold."""

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from partwise.comparison.dataset import Dataset
from partwise.comparison.holdout import Holdout
from partwise.config import FitConfig
from partwise.executors import InlineExecutor
from partwise.executors.ray_tasks import RayExecutor
from partwise.experiment.preparing import TaskName, facts_of, scan_of
from partwise.protocols import Executor, Source
from partwise.resources import available_memory
from partwise.sources import Scan, open_source
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


def is_too_large(source: Source) -> bool:
    """Return whether a table would take over a quarter of the free memory; False where that is not known."""
    free = available_memory()
    return free is not None and sum(piece.n_bytes() for piece in source.pieces()) > _SHARE * free


def divided_scan(config: FitConfig, source: Source, executor: Executor) -> tuple[TaskName, Divided]:
    """Return the task, and training and test rows as the configuration asks for them.

    Raises
    ------
    InputError
        If columns do not exist, values are missing, or no rows are left on one side.
    """
    scan = scan_of(source, config)
    task = cast("TaskName", task_of(scan, executor) if config.task == "auto" else config.task)
    test = None
    if config.test is not None:
        test = replace(scan_of(open_source(str(config.test)), config, "the test table"), features=scan.features)
    share, split = config.test_size, config.split_column
    return task, divide(scan, task, executor, share=share, seed=config.seed, test=test, split=split)


def scanned_dataset(config: FitConfig, source: Source) -> Scanned:
    """Return the rows of a comparison: counted in place, and sampled where they are needed in memory.

    On this machine it is done in this process, as Ray must not be there when one model is timed.

    Raises
    ------
    InputError
        If columns do not exist, values are missing, or no rows are left on one side.
    """
    local = config.address is None
    executor: Executor = InlineExecutor() if local else RayExecutor(address=config.address, ship=config.ship)
    task, divided = divided_scan(config, source, executor)
    assert divided.test is not None  # noqa: S101 - a comparison has test rows
    labels, seed = divided.labels, config.seed
    test = take(divided.test, task, labels, _MOST_TEST_ROWS, seed, executor, one_class=True)
    train = take(divided.train, task, labels, _held_rows(source, divided.n_train), seed, executor)
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


def _held_rows(source: Source, n_rows: int) -> int:
    """Return how many rows one model can have, by what a row takes and the memory that is free; at least 1,000."""
    free = available_memory()
    if free is None:
        return n_rows
    row_bytes = max(1.0, sum(piece.n_bytes() for piece in source.pieces()) / n_rows)
    return min(n_rows, max(1_000, int(free / (_COPIES * row_bytes))))
