"""Predictions in blocks of rows, in parallel where that pays."""

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from partwise.attempts import input_error_of, timeout_error_of
from partwise.buffers import call_writable
from partwise.errors import PredictionError
from partwise.pool import MemberPool
from partwise.protocols import Executor, Predictor
from partwise.records import Member, Task, TaskOutcome
from partwise.rows import take_rows

__all__ = ["blocks_of", "member_outputs", "predict_outputs", "value_of"]

_BLOCKS_PER_SLOT = 4
"""Blocks for each slot where rows allow: a slot that is slower then takes fewer."""
_FIRST_ROWS = 32
_PROBE_ROWS = 256
"""Rows that are predicted here at most, before others are sent; the first of them may tell enough."""


def predict_outputs(predictor: Predictor, X: Any, executor: Executor) -> NDArray[np.float64]:
    """Return the predictor's outputs, shape (rows, outputs).

    A few rows are predicted here first; the rest goes to the executor where their time, shared among its slots,
    saves more than sending costs.
    """
    n_rows, worth_it = int(X.shape[0]), 2 * executor.overhead_seconds
    if n_rows <= _PROBE_ROWS:
        return predictor.outputs(X)
    first: list[NDArray[np.float64]] = []
    start, began = 0, time.perf_counter()
    for stop in (_FIRST_ROWS, _PROBE_ROWS) if math.isfinite(worth_it) else ():
        first.append(predictor.outputs(take_rows(X, slice(start, stop))))
        start, seconds = stop, time.perf_counter() - began
        # What all of the probe's rows take at least; a call may cost much whatever its rows.
        if seconds / _PROBE_ROWS * (n_rows - start) >= worth_it and executor.slots >= 2:
            return np.concatenate([*first, *_sent(predictor, X, executor, start)])
    blocks = blocks_of(n_rows, predictor.block_rows, start=start)
    return np.concatenate([*first, *(predictor.outputs(take_rows(X, block)) for block in blocks)])


def _sent(predictor: Predictor, X: Any, executor: Executor, start: int) -> list[NDArray[np.float64]]:
    """Return the outputs of the rows from one on, by block; as many blocks for each slot, and all of one size."""
    left, slots = int(X.shape[0]) - start, executor.slots
    rounds = min(_BLOCKS_PER_SLOT, max(1, left // (_PROBE_ROWS * slots)))
    size = min(predictor.block_rows, max(_FIRST_ROWS, -(-left // (rounds * slots))))
    blocks = blocks_of(int(X.shape[0]), size, start=start)
    tasks = (Task(index, take_rows(X, block)) for index, block in enumerate(blocks))
    done = {outcome.id: value_of(outcome) for outcome in executor.run(_outputs, predictor, tasks)}
    return [done[index] for index in sorted(done)]


def blocks_of(n_rows: int, size: int, *, start: int = 0) -> Iterator[slice]:
    """Return consecutive slices of at most ``size`` rows."""
    return (slice(place, min(place + size, n_rows)) for place in range(start, n_rows, size))


def _outputs(predictor: Predictor, X: Any) -> NDArray[np.float64]:
    return call_writable(predictor.outputs, X)


def value_of(outcome: TaskOutcome) -> Any:
    """Return what a block gave.

    Raises
    ------
    InputError
        If the worker found that something that was given is wrong.
    PredictionError
        If the block failed otherwise.
    """
    failure = outcome.failure
    if failure is not None:
        raise (
            input_error_of(failure)
            or timeout_error_of(outcome)
            or PredictionError(
                f"A block of {outcome.rows:,} rows could not be predicted: {failure.error_type}: {failure.message}"
            )
        ) from failure.exception
    return outcome.value


def member_outputs(pool: MemberPool, X: Any, executor: Executor) -> NDArray[np.float64]:
    """Return the aligned outputs of every member, shape (members, rows, outputs), one member a task."""
    tasks = (Task(index, member, int(X.shape[0])) for index, member in enumerate(pool.members))
    done = {
        outcome.id: value_of(outcome) for outcome in executor.run(_one_member, (replace(pool, members=()), X), tasks)
    }
    return np.stack([done[index] for index in sorted(done)])


def _one_member(shared: tuple[MemberPool, Any], member: Member) -> NDArray[np.float64]:
    pool, X = shared
    return call_writable(partial(pool.member_outputs, member), X)
