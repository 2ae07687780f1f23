"""Out-of-partition evidence: what members say about training rows that they never saw."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from partwise.buffers import call_writable
from partwise.errors import InputError
from partwise.permutation import KeyedPermutation
from partwise.pool import MemberPool, member_losses, scores_of_losses
from partwise.prediction import blocks_of, value_of
from partwise.protocols import Aggregate, Executor, LearningCombiner
from partwise.records import Evidence, MemberEvidence, Partitions, Task
from partwise.resources import ran_here
from partwise.rows import take_rows

__all__ = ["collect_evidence", "collect_member_evidence", "cross_fitted"]

_FOLDS = 5

_BLOCK_ROWS = 8_192
_LARGEST_EVIDENCE = 2**27
"""Most numbers that the outputs of all members on training rows may hold at once: 1 GiB."""


@dataclass(frozen=True, slots=True)
class _Unseen:
    """A block of training rows, and which members saw them, shape (members,)."""

    rows: NDArray[np.int64]
    seen: NDArray[np.bool_]
    X: Any
    y: NDArray[Any]
    weights: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Described:
    """What a predictor without the members that saw a block says about it; ``losses`` are weighted sums."""

    rows: NDArray[np.int64]
    outputs: NDArray[np.float64]
    seen: NDArray[np.bool_]
    losses: NDArray[np.float64]
    weight: float


def collect_evidence(
    predictor: Aggregate,
    X: Any,
    y: NDArray[Any],
    weights: NDArray[np.float64] | None,
    partitions: Partitions,
    executor: Executor,
) -> Evidence:
    """Return outputs on training rows by the members that never saw them, and each member's own score.

    In disjoint partitions every row is unseen by all members but that of its own, so the outputs are those of an
    ensemble with one member less. Where partitions are ordered in time, most of those members saw the row's future.

    Parameters
    ----------
    predictor
        Combines the members; the rule and the weights stay as they are, without the members that saw the row.
    y
        Class codes, shape (rows,), or values, shape (rows,) or (rows, targets).
    """
    pool = predictor.pool
    weights = np.ones(len(y)) if weights is None else weights
    tasks = _tasks(pool, X, y, weights, partitions, np.ones(len(y), dtype=bool))
    described = [value_of(outcome) for outcome in executor.run(_describe, predictor, tasks)]
    outputs = np.empty((len(y), described[0].outputs.shape[1]))
    losses, totals = np.zeros(len(pool.members)), np.zeros(len(pool.members))
    # Summed in the order of blocks, not of completion: floating-point sums depend on their order.
    for block in sorted(described, key=_first_row):
        outputs[block.rows] = block.outputs
        losses += block.losses
        totals += ~block.seen * block.weight
    return Evidence(outputs=outputs, member_scores=scores_of_losses(losses, totals, y, weights, pool.n_classes))


def collect_member_evidence(
    pool: MemberPool,
    X: Any,
    y: NDArray[Any],
    weights: NDArray[np.float64] | None,
    partitions: Partitions,
    executor: Executor,
) -> MemberEvidence:
    """Return what each member says about training rows that it never saw: all rows, or as many as fit in 1 GiB."""
    n_rows = len(y)
    most = max(1, _LARGEST_EVIDENCE // (len(pool.members) * (pool.n_classes or _n_targets(y))))
    chosen = (
        np.ones(n_rows, dtype=bool) if n_rows <= most else KeyedPermutation(n_rows, (most,))(np.arange(n_rows)) < most
    )
    places = np.cumsum(chosen) - 1
    outputs: NDArray[np.float64] | None = None
    cpu_seconds = 0.0
    tasks = _tasks(pool, X, y, np.ones(n_rows), partitions, chosen)
    for outcome in executor.run(_describe_each, pool, tasks):
        rows, each = value_of(outcome)
        cpu_seconds += 0.0 if ran_here(outcome.node, outcome.process) else outcome.cpu_seconds
        if outputs is None:
            outputs = np.empty((len(pool.members), int(chosen.sum()), each.shape[2]))
        outputs[:, places[rows]] = each
    assert outputs is not None  # noqa: S101 - there is at least one row
    assert partitions.home is not None  # noqa: S101 - copies have no evidence
    return MemberEvidence(
        rows=np.flatnonzero(chosen),
        outputs=outputs,
        y=y[chosen],
        weights=None if weights is None else weights[chosen],
        folds=partitions.home[chosen],
        worker_cpu_seconds=cpu_seconds,
    )


def cross_fitted(combiner: LearningCombiner, pool: MemberPool, evidence: MemberEvidence) -> NDArray[np.float64]:
    """Return outputs for the rows of the evidence, each by what was learned from other folds; (rows, outputs)."""
    folds = evidence.folds % _FOLDS
    outputs: NDArray[np.float64] | None = None
    for fold in np.unique(folds):
        held = folds == fold
        said = combiner.learn(pool, evidence.where(~held)).combine(evidence.outputs[:, held])
        outputs = np.empty((len(folds), said.shape[1])) if outputs is None else outputs
        outputs[held] = said
    assert outputs is not None  # noqa: S101 - there is at least one row
    return outputs


def _tasks(
    pool: MemberPool,
    X: Any,
    y: NDArray[Any],
    weights: NDArray[np.float64],
    partitions: Partitions,
    chosen: NDArray[np.bool_],
) -> Iterator[Task]:
    """Yield blocks of the chosen rows that were seen by the same members."""
    if len(pool.members) < 2:
        raise InputError("Out-of-partition evidence takes two members or more; there is one. Ask for more partitions.")
    seen = np.zeros((len(y), len(pool.members)), dtype=bool)
    for place, member in enumerate(pool.members):
        seen[partitions.rows[member.partition], place] = True
    if bool(seen.all(axis=1).any()):
        raise InputError("There are rows that every member saw, so there is no out-of-partition evidence on them.")
    packed = np.packbits(seen, axis=1)
    _, kind = np.unique(packed, axis=0, return_inverse=True)
    kind = np.where(chosen, kind.ravel(), -1)
    order = np.argsort(kind, kind="stable")
    ends = np.searchsorted(kind[order], np.arange(-1, kind.max() + 1), side="right")
    for start, end in pairwise(ends):
        for block in blocks_of(end - start, _BLOCK_ROWS):
            rows = order[start:end][block]
            unseen = _Unseen(rows, seen[rows[0]], take_rows(X, rows), y[rows], weights[rows])
            yield Task(int(rows[0]), unseen, len(rows))


def _first_row(block: _Described) -> int:
    return int(block.rows[0])


def _n_targets(y: NDArray[Any]) -> int:
    return 1 if y.ndim == 1 else int(y.shape[1])


def _each(pool: MemberPool, block: _Unseen) -> NDArray[np.float64]:
    """Return the outputs of every member, shape (members, rows, outputs), NaN for those that saw the block."""
    said = {
        place: call_writable(pool.member_outputs, member, block.X)
        for place, member in enumerate(pool.members)
        if not block.seen[place]
    }
    outputs = np.full((len(pool.members), *next(iter(said.values())).shape), np.nan)
    for place, each in said.items():
        outputs[place] = each
    return outputs


def _describe_each(pool: MemberPool, block: _Unseen) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    return block.rows, _each(pool, block)


def _describe(predictor: Aggregate, block: _Unseen) -> _Described:
    each = _each(predictor.pool, block)
    losses = member_losses(each, block.y, predictor.pool.n_classes) @ block.weights
    losses[block.seen] = 0.0
    return _Described(
        rows=block.rows,
        outputs=predictor.combine(each),
        seen=block.seen,
        losses=losses,
        weight=float(block.weights.sum()),
    )
