"""The training rows by which trials are judged, and what a trial scores on them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from partwise.ensemble.elsewhere import NoRows
from partwise.evaluation import Metric, Outputs, Truth, check_outputs
from partwise.permutation import KeyedChoice, KeyedPermutation
from partwise.pool import MemberPool
from partwise.prediction import value_of
from partwise.protocols import Aggregate, Combiner, CutTable, Executor, PartReader
from partwise.records import Member, OutputKind, Unseen
from partwise.rows import stack_rows, take_rows

__all__ = ["Judge", "JudgedRows", "gather_rows", "kind_of"]

_FEWEST_ROWS, _MOST_ROWS, _MANY_ROWS = 2_000, 10_000, 50_000


@dataclass(frozen=True, slots=True)
class JudgedRows:
    """Rows by which trials are judged.

    Parameters
    ----------
    X, y
        Their features as the learner takes them, and class codes or values.
    weights
        Their weights, shape (rows,); None where all are alike.
    holds
        Which partitions have which row, shape (partitions, rows): their members are not asked about it.
    folds
        The home of each row, shape (rows,): what is learned is judged on folds that it was not learned on.
    is_first
        Which rows judge a trial before its last rung, shape (rows,).
    """

    X: Any
    y: NDArray[Any]
    weights: NDArray[np.float64] | None
    holds: NDArray[np.bool_]
    folds: NDArray[np.int64]
    is_first: NDArray[np.bool_]

    def unseen(self, partition: int, *, first: bool) -> NDArray[np.int64]:
        """Return the places of the rows that a partition does not have; of the first alone, or of all."""
        return np.flatnonzero(~self.holds[partition] & self.is_first if first else ~self.holds[partition])


def gather_rows(
    cut: CutTable, n_partitions: int, seed: int, executor: Executor, *, many: bool
) -> tuple[JudgedRows, JudgedRows | None]:
    """Return rows that judge trials, and some that judge none, by which the best of them is scored at the end.

    They are about as many as one of the partitions has, so that to judge costs no more than to fit: at least 2,000 rows
    and at most 10,000, and as many others. Where the table has less than twice as many, there are no others (None). Of
    a wide table each are fewer, but 2,000, where they would have more values than this process may hold.

    Parameters
    ----------
    many
        Whether the last rung is judged by all rows but the others, at most 50,000. The others are a fifth at most then,
        and there are none below 10,000 rows.
    """
    size = int(np.clip(cut.n_rows / n_partitions, _FEWEST_ROWS, _MOST_ROWS))
    order = KeyedPermutation(cut.n_rows, (seed, size))
    n_others = min(size, cut.n_rows // 5) if many else size
    spare = n_others >= _FEWEST_ROWS and cut.n_rows >= 2 * n_others
    n_judging = min(_MANY_ROWS, cut.n_rows - n_others * spare) if many else size
    chosen = None if cut.n_rows <= n_judging else KeyedChoice(order, n_judging + n_others * spare)
    shares = _Shares(order, n_judging, cut.largest_evidence)
    blocks: list[Unseen] = []
    for outcome in executor.run(_read, (cut.reader, shares), cut.blocks(chosen)):
        blocks += value_of(outcome)
    blocks.sort(key=lambda block: int(block.rows[0]))
    first = KeyedChoice(order, min(size, shares.most(blocks[0].X)))
    n_holders = len(cut.partitions.sizes)
    if not spare:
        return _joined(blocks, first, n_holders), None
    judging = [shares.judging(block.rows) for block in blocks]
    judged, others = (
        [_some(block, rows == judges) for block, rows in zip(blocks, judging, strict=True) if (rows == judges).any()]
        for judges in (True, False)
    )
    return _joined(judged, first, n_holders), _joined(others, KeyedChoice(order, cut.n_rows), n_holders)


@dataclass(frozen=True, slots=True)
class _Shares:
    """Which rows judge, the first in a random order, and which do not, those after them.

    Parameters
    ----------
    largest
        Most values that either may have.
    """

    order: KeyedPermutation
    n_judging: int
    largest: int

    def most(self, X: Any) -> int:
        """Return how many rows either may have: a worker knows how wide they are, and sends no more."""
        if sparse.issparse(X):  # of how many columns whatsoever, it holds few values a row
            return self.order.size
        return max(_FEWEST_ROWS, self.largest // max(1, X.shape[1]))

    def judging(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which rows are among those that judge."""
        return KeyedChoice(self.order, self.n_judging)(rows)

    def within(self, block: Unseen) -> NDArray[np.bool_]:
        """Return which rows of a block are not too many."""
        places = self.order(block.rows)
        return np.where(places < self.n_judging, places, places - self.n_judging) < self.most(block.X)


def _some(block: Unseen, wanted: NDArray[np.bool_]) -> Unseen:
    """Return these rows of a block."""
    weights = None if block.weights is None else block.weights[wanted]
    X = take_rows(block.X, np.flatnonzero(wanted))
    return replace(block, rows=block.rows[wanted], X=X, y=block.y[wanted], weights=weights)


def _joined(blocks: Sequence[Unseen], first: KeyedChoice, n_partitions: int) -> JudgedRows:
    holds = np.zeros((n_partitions, sum(len(block.rows) for block in blocks)), dtype=bool)
    place = 0
    for block in blocks:
        holds[[holder for holder in block.holders if holder >= 0], place : place + len(block.rows)] = True
        place += len(block.rows)
    weights = [block.weights for block in blocks if block.weights is not None]
    return JudgedRows(
        X=stack_rows([block.X for block in blocks]),
        y=np.concatenate([block.y for block in blocks]),
        weights=np.concatenate(weights) if weights else None,
        holds=holds,
        folds=np.repeat([block.holders[0] for block in blocks], [len(block.rows) for block in blocks]),
        is_first=first(np.concatenate([block.rows for block in blocks])),
    )


def _read(shared: tuple[PartReader, _Shares], payload: Any) -> list[Unseen]:
    reader, shares = shared
    wanted = ((block, shares.within(block)) for block in reader.unseen(payload))
    return [block if rows.all() else _some(block, rows) for block, rows in wanted if rows.any()]


def kind_of(template: Any, n_classes: int | None) -> OutputKind:
    """Return what members of this learner say: the rule of a pool, before there are any members."""
    if n_classes is None:
        return "value"
    if hasattr(template, "predict_proba"):
        return "probability"
    return "decision" if hasattr(template, "decision_function") else "vote"


@dataclass(frozen=True, slots=True)
class Judge:
    """Combines what members say about the judged rows, and scores it.

    ``combiner`` is one that learns nothing from evidence.
    """

    rows: JudgedRows
    combiner: Combiner
    metric: Metric
    n_classes: int | None

    def combined(
        self, members: Mapping[int, Member], said: Mapping[int, NDArray[np.float64]], kind: OutputKind
    ) -> NDArray[np.float64]:
        """Return the outputs of members, by partition, combined; NaN for rows that all of them saw.

        Parameters
        ----------
        said
            For each partition what its member says about the judged rows, shape (rows, outputs); NaN where it was not
            asked.

        Returns
        -------
        Shape (rows, outputs): each row by the members that never saw it.
        """
        places = sorted(members)
        pool = MemberPool(tuple(members[place] for place in places), self.n_classes, kind)
        predictor = self.combiner.fit(NoRows(pool))
        assert isinstance(predictor, Aggregate)  # noqa: S101 - a combiner of samples that needs no evidence
        each = np.stack([said[place] for place in places])
        each[self.rows.holds[places]] = np.nan
        outputs = np.full(each.shape[1:], np.nan)
        spoken = ~np.isnan(each[:, :, 0]).all(axis=0)
        outputs[spoken] = predictor.combine(each[:, spoken])
        return outputs

    def kind_of_combined(self, kind: OutputKind) -> OutputKind:
        """Return what the combined outputs mean of members that say this: some combiners make votes of it."""
        return "vote" if kind != "value" and self.combiner.probabilities == "loses" else kind

    def score(self, outputs: NDArray[np.float64], kind: OutputKind) -> float:
        """Return the metric on the rows that have outputs, NaN where it is not defined."""
        return self.statistic(outputs, kind)(np.ones(len(outputs)))

    def statistic(self, outputs: NDArray[np.float64], kind: OutputKind) -> Callable[[NDArray[np.float64]], float]:
        """Return the metric as a function of how often each row counts, shape (rows,); NaN where it is not defined.

        Parameters
        ----------
        kind
            What members say.
        """
        rows = np.flatnonzero(~np.isnan(outputs[:, 0]))
        said = Outputs.from_array(outputs[rows], self.kind_of_combined(kind))
        truth = Truth(self.rows.y[rows], self.n_classes)
        check_outputs(truth, said)
        statistic = self.metric.prepare(truth, said)
        weights = np.ones(len(rows)) if self.rows.weights is None else self.rows.weights[rows]

        def value(counts: NDArray[np.float64]) -> float:
            counted = weights * counts[rows]
            return float(statistic(counted)) if statistic is not None and counted.any() else float("nan")

        return value
