"""Out-of-partition evidence: what members say about training rows that they never saw."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from partwise.buffers import call_writable
from partwise.errors import InputError
from partwise.moments import Moments
from partwise.permutation import KeyedChoice, KeyedPermutation
from partwise.pool import MemberPool, member_losses, scores_of_losses
from partwise.prediction import value_of
from partwise.protocols import Aggregate, CutTable, Executor, LearningCombiner, PartReader
from partwise.records import Evidence, MemberEvidence, Unseen
from partwise.resources import ran_here

__all__ = ["collect_evidence", "collect_member_evidence", "cross_fitted"]

_FOLDS = 5


@dataclass(frozen=True, slots=True)
class _Described:
    """What a predictor without the members that saw a block says about it.

    Parameters
    ----------
    first
        The first of the block's rows.
    rows, outputs
        None where they are not to be kept.
    seen
        Which members saw the block, shape (members,).
    losses, combined
        Weighted sums of the members' losses, shape (members,), and of those of the predictor, shape (targets,).
    target
        The moments of the target.
    """

    first: int
    rows: NDArray[np.int64] | None
    outputs: NDArray[np.float64] | None
    seen: NDArray[np.bool_]
    losses: NDArray[np.float64]
    combined: NDArray[np.float64]
    target: Moments


def collect_evidence(predictor: Aggregate, cut: CutTable, executor: Executor) -> Evidence:
    """Return outputs on training rows by the members that never saw them, their score, and each member's own.

    In disjoint partitions every row is unseen by all members but that of its own, so the outputs are those of an
    ensemble with one member less. Where partitions are ordered in time, most of those members saw the row's future.

    Parameters
    ----------
    predictor
        Combines the members; the rule and the weights stay as they are, without the members that saw the row.
    """
    pool = predictor.pool
    _check(pool)
    keeps = cut.partitions.rows is not None
    described: list[_Described] = []
    for outcome in executor.run(_describe, (predictor, cut.reader, keeps), cut.blocks()):
        described += value_of(outcome)
    # Summed in the order of blocks, not of completion: floating-point sums depend on their order.
    described.sort(key=_first_row)
    losses, totals = np.zeros(len(pool.members)), np.zeros(len(pool.members))
    combined = np.zeros(len(described[0].combined))
    for block in described:
        losses += block.losses
        totals += ~block.seen * block.target.weight
        combined += block.combined
    target = reduce(Moments.merged, (block.target for block in described))
    outputs = None
    if keeps:
        width = described[0].outputs.shape[1]  # type: ignore[union-attr] # they are kept
        outputs = np.empty((cut.n_rows, width))
        for block in described:
            outputs[block.rows] = block.outputs
    scores = target.explained(combined) if pool.n_classes is None else 1.0 - combined / target.weight
    return Evidence(
        outputs=outputs,
        score=float(scores.mean()),
        member_scores=scores_of_losses(losses, totals, None if pool.n_classes is not None else target),
    )


def collect_member_evidence(pool: MemberPool, cut: CutTable, executor: Executor) -> MemberEvidence:
    """Return what each member says about training rows that it never saw: all rows, or as many as may be held."""
    _check(pool)
    most = max(1, cut.largest_evidence // (len(pool.members) * (pool.n_classes or 1)))
    chosen = None if cut.n_rows <= most else KeyedChoice(KeyedPermutation(cut.n_rows, (most,)), most)
    gathered: list[_Each] = []
    cpu_seconds = 0.0
    for outcome in executor.run(_describe_each, (pool, cut.reader), cut.blocks(chosen)):
        gathered += value_of(outcome)
        cpu_seconds += 0.0 if ran_here(outcome.node, outcome.process) else outcome.cpu_seconds
    rows = np.concatenate([each.unseen.rows for each in gathered])
    order = np.argsort(rows)
    weights = [each.unseen.weights for each in gathered if each.unseen.weights is not None]
    return MemberEvidence(
        rows=rows[order],
        outputs=np.concatenate([each.outputs for each in gathered], axis=1)[:, order],
        y=np.concatenate([each.unseen.y for each in gathered])[order],
        weights=np.concatenate(weights)[order] if weights else None,
        folds=np.concatenate([np.full(len(each.unseen.rows), each.unseen.holders[0]) for each in gathered])[order],
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


def _check(pool: MemberPool) -> None:
    if len(pool.members) < 2:
        raise InputError("Out-of-partition evidence takes two members or more; there is one. Ask for more partitions.")


def _first_row(block: _Described) -> int:
    return block.first


def _seen(pool: MemberPool, block: Unseen) -> NDArray[np.bool_]:
    seen = np.array([member.partition in block.holders for member in pool.members])
    if seen.all():
        raise InputError("There are rows that every member saw, so there is no out-of-partition evidence on them.")
    return seen


def _each(pool: MemberPool, block: Unseen, seen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the outputs of every member, shape (members, rows, outputs), NaN for those that saw the block."""
    said = {
        place: call_writable(pool.member_outputs, member, block.X)
        for place, member in enumerate(pool.members)
        if not seen[place]
    }
    outputs = np.full((len(pool.members), *next(iter(said.values())).shape), np.nan)
    for place, each in said.items():
        outputs[place] = each
    return outputs


@dataclass(frozen=True, slots=True)
class _Each:
    """The outputs of every member on a block; the block comes without its features."""

    unseen: Unseen
    outputs: NDArray[np.float64]


def _describe_each(shared: tuple[MemberPool, PartReader], payload: Any) -> list[_Each]:
    pool, reader = shared
    described = []
    for block in reader.unseen(payload):
        bare = Unseen(rows=block.rows, holders=block.holders, X=None, y=block.y, weights=block.weights)
        described.append(_Each(bare, _each(pool, block, _seen(pool, block))))
    return described


def _describe(shared: tuple[Aggregate, PartReader, bool], payload: Any) -> list[_Described]:
    predictor, reader, keeps = shared
    return list(_descriptions(predictor, reader.unseen(payload), keeps=keeps))


def _descriptions(predictor: Aggregate, blocks: Iterator[Unseen], *, keeps: bool) -> Iterator[_Described]:
    pool = predictor.pool
    for block in blocks:
        seen = _seen(pool, block)
        each = _each(pool, block, seen)
        weights = np.ones(len(block.y)) if block.weights is None else block.weights
        losses = member_losses(each, block.y, pool.n_classes) @ weights
        losses[seen] = 0.0
        outputs = predictor.combine(each)
        if pool.n_classes is None:
            values = np.asarray(block.y, dtype=np.float64).reshape(len(block.y), -1)
            combined = weights @ (outputs - values) ** 2
        else:
            values = np.zeros((len(block.y), 1))
            combined = np.array([weights @ (outputs.argmax(axis=1) != block.y)])
        yield _Described(
            first=int(block.rows[0]),
            rows=block.rows if keeps else None,
            outputs=outputs if keeps else None,
            seen=seen,
            losses=losses,
            combined=combined,
            target=Moments.of(values, weights),
        )
