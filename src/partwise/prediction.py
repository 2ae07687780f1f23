"""Predictions and out-of-partition evidence in blocks of rows, in parallel where that pays."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import _safe_indexing

from partwise.buffers import call_writable
from partwise.errors import InputError, PredictionError
from partwise.pool import MemberPool
from partwise.protocols import Executor, Predictor
from partwise.records import Evidence, Member, Partitions, Task, TaskOutcome

__all__ = ["collect_evidence", "member_outputs", "predict_outputs", "take_rows"]

_BLOCK_ROWS = 8192
"""Most rows of a block: bounds the memory for the outputs of all members."""
_BLOCKS_PER_SLOT = 4
"""Fewest blocks for each slot where rows allow: an uneven last round then costs little."""
_PROBE_ROWS = 256


def take_rows(X: Any, rows: NDArray[np.int64] | slice) -> Any:
    """Return these rows of an array, a sparse matrix or a DataFrame."""
    return _safe_indexing(X, rows)


def predict_outputs(predictor: Predictor, X: Any, executor: Executor) -> NDArray[np.float64]:
    """Return the predictor's outputs, shape (rows, outputs).

    A few rows are predicted here first; the rest goes to the executor where their time, shared among its slots,
    saves more than sending costs.
    """
    n_rows = int(X.shape[0])
    started = time.perf_counter()
    first = predictor.outputs(take_rows(X, slice(0, min(_PROBE_ROWS, n_rows))))
    if n_rows <= _PROBE_ROWS:
        return first
    seconds = (time.perf_counter() - started) * (n_rows / _PROBE_ROWS - 1)
    if seconds < 2 * executor.overhead_seconds or (slots := executor.slots) < 2:
        blocks = _blocks(n_rows, _BLOCK_ROWS, start=_PROBE_ROWS)
        return np.concatenate([first, *(predictor.outputs(take_rows(X, block)) for block in blocks)])
    size = min(_BLOCK_ROWS, max(_PROBE_ROWS, -(-n_rows // (_BLOCKS_PER_SLOT * slots))))
    blocks = _blocks(n_rows, size, start=_PROBE_ROWS)
    tasks = (Task(index, take_rows(X, block)) for index, block in enumerate(blocks))
    done = {outcome.id: _value(outcome) for outcome in executor.run(_outputs, predictor, tasks)}
    return np.concatenate([first, *(done[index] for index in sorted(done))])


def _blocks(n_rows: int, size: int, *, start: int = 0) -> Iterator[slice]:
    return (slice(place, min(place + size, n_rows)) for place in range(start, n_rows, size))


def _outputs(predictor: Predictor, X: Any) -> NDArray[np.float64]:
    return call_writable(predictor.outputs, X)


def _value(outcome: TaskOutcome) -> Any:
    failure = outcome.failure
    if failure is not None:
        raise PredictionError(
            f"A block of {outcome.rows:,} rows could not be predicted: {failure.error_type}: {failure.message}"
        ) from failure.exception
    return outcome.value


def member_outputs(pool: MemberPool, X: Any, executor: Executor) -> NDArray[np.float64]:
    """Return the aligned outputs of every member, shape (members, rows, outputs), one member a task."""
    tasks = (Task(index, member, int(X.shape[0])) for index, member in enumerate(pool.members))
    done = {outcome.id: _value(outcome) for outcome in executor.run(_one_member, (replace(pool, members=()), X), tasks)}
    return np.stack([done[index] for index in sorted(done)])


def _one_member(shared: tuple[MemberPool, Any], member: Member) -> NDArray[np.float64]:
    pool, X = shared
    return call_writable(partial(pool.member_outputs, member), X)


@dataclass(frozen=True, slots=True)
class _Unseen:
    """A block of training rows of one partition."""

    partition: int
    rows: NDArray[np.int64]
    X: Any
    y: NDArray[Any]


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the members that never saw a block say about it; ``losses`` are sums over the rows, one a member."""

    rows: NDArray[np.int64]
    outputs: NDArray[np.float64]
    members: NDArray[np.int64]
    losses: NDArray[np.float64]


def collect_evidence(
    predictor: Predictor, X: Any, y: NDArray[Any], partitions: Partitions, executor: Executor
) -> Evidence:
    """Return outputs on training rows by the members that never saw them, and each member's own score.

    Every row is unseen by all members but that of its partition, so the outputs are those of an ensemble with one
    member less. Where partitions are ordered in time, most of those members saw the row's future.

    Parameters
    ----------
    predictor
        Combines the members; the rule and the weights stay as they are, without the member that saw the row.
    y
        Class codes, shape (rows,), or values, shape (rows,) or (rows, targets).
    """
    pool = predictor.pool
    if len(pool.members) < 2:
        raise InputError("Out-of-partition evidence takes two members or more; there is one. Ask for more partitions.")
    places = {member.partition: index for index, member in enumerate(pool.members)}

    def tasks() -> Iterator[Task]:
        for partition, rows in enumerate(partitions.rows):
            for block in _blocks(len(rows), _BLOCK_ROWS):
                chosen = rows[block]
                yield Task(int(chosen[0]), _Unseen(partition, chosen, take_rows(X, chosen), y[chosen]), len(chosen))

    outputs: NDArray[np.float64] | None = None
    # Summed in the order of blocks, not of completion: floating-point sums depend on their order.
    seen = sorted((_value(outcome) for outcome in executor.run(_describe_unseen, predictor, tasks())), key=_first_row)
    losses, counts = np.zeros(len(places)), np.zeros(len(places))
    for block in seen:
        if outputs is None:
            outputs = np.empty((len(y), block.outputs.shape[1]))
        outputs[block.rows] = block.outputs
        columns = [places[partition] for partition in block.members.tolist()]
        losses[columns] += block.losses
        counts[columns] += len(block.rows)
    assert outputs is not None  # noqa: S101 - there is at least one row
    mean_losses = np.divide(losses, counts, out=np.full(len(places), np.nan), where=counts > 0)
    scores = 1.0 - mean_losses if pool.n_classes is not None else 1.0 - mean_losses / max(_variance(y), 1e-300)
    return Evidence(outputs=outputs, member_scores=scores)


def _first_row(block: _Seen) -> int:
    return int(block.rows[0])


def _variance(y: NDArray[Any]) -> float:
    return float(np.asarray(y, dtype=np.float64).reshape(len(y), -1).var(axis=0).mean())


def _describe_unseen(predictor: Predictor, block: _Unseen) -> _Seen:
    others = predictor.without(block.partition)
    each = call_writable(others.pool.outputs, block.X)
    if predictor.pool.n_classes is None:
        losses = ((each - block.y.reshape(len(block.y), -1)) ** 2).mean(axis=2).sum(axis=1)
    else:
        losses = (each.argmax(axis=2) != block.y).sum(axis=1).astype(np.float64)
    members = np.array([member.partition for member in others.pool.members])
    return _Seen(rows=block.rows, outputs=others.combine(each), members=members, losses=losses)
