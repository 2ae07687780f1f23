"""A metalearner on what members say about rows that they never saw."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from partwise.naming import whole_number
from partwise.permutation import KeyedPermutation
from partwise.pool import MemberPool
from partwise.protocols import FitContext
from partwise.records import MemberEvidence, OutputKind
from partwise.shrinkage import Link, Shrunken, Softmax, SquaredError, principal_axes, temperature
from partwise.stacking import StackedPredictor, base_scores, descriptions, standardised

__all__ = ["Stack"]

Floats = NDArray[np.float64]

_PENALTIES = tuple(10.0 ** (power / 2) for power in range(4, -11, -1))
"""From 100, which leaves the soft vote nearly as it is, to 0.00001."""
_FIRST = _PENALTIES.index(0.01)
_AXES = 256
"""Most principal axes: bounds the time where members times classes are many."""
_FOLDS = 4
_FLOOR = 0.25
"""Of the usual spread: an output that hardly ever varies is not blown up to the size of the others."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Learn weights for what each member says about each class or target, on rows that the member never saw.

    Stacked generalisation (Wolpert, Neural Networks 1992): in classification a multinomial logistic regression on
    the members' log-odds (Ting and Witten, JAIR 1999), in regression a linear one on their values (Breiman, Machine
    Learning 1996), both with a ridge penalty towards the plain mean. The penalty is chosen on folds of partitions, so
    that no group is on both sides. The stack is taken if its loss on those folds is lower than the mean's by two
    standard errors and its errors are no more; else the mean stays, with one factor of its log-probabilities that sets
    how sure it is and never which class is first.

    A row's own member is silent; what the others say stands in its place, in units of its own spread.

    Parameters
    ----------
    max_rows
        Most rows to learn from; of more, a sample that depends on their number alone is taken.
    """

    max_rows: int = 20_000

    name = "stack"
    task = "any"
    takes = frozenset({"samples"})
    probabilities = "makes"
    needs_evidence = True
    merges = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "max_rows", whole_number("Stack", "max_rows", self.max_rows))

    def fit(self, context: FitContext) -> StackedPredictor:
        """Ask for evidence, and return the predictor."""
        return self.learn(context.pool, context.evidence())

    def learn(self, pool: MemberPool, evidence: MemberEvidence) -> StackedPredictor:
        """Return the predictor that this evidence teaches."""
        evidence = _sample(evidence, self.max_rows)
        n_outputs = evidence.outputs.shape[2]
        described = descriptions(evidence.outputs, pool.kind)
        weights = np.ones(len(evidence.y)) if evidence.weights is None else evidence.weights
        centres, scales = _moments(described, weights, pool.kind)
        plain = StackedPredictor(
            pool=pool,
            slopes=np.ones(n_outputs),
            intercepts=np.zeros(n_outputs),
            centres=centres,
            scales=scales,
            weights=np.zeros(len(centres) * n_outputs),
        )
        if not len(evidence.y):
            return plain
        base = base_scores(evidence.outputs, pool.kind)
        link: Link = SquaredError()
        y = evidence.y.reshape(len(evidence.y), -1)
        if pool.n_classes is not None:
            link, y = Softmax(), evidence.y
            plain = replace(plain, slopes=np.full(n_outputs, temperature(base, y, weights)))
        features = standardised(described, centres, scales).T
        axes, spreads = principal_axes(features, weights, _AXES)
        problem = Shrunken(features=features @ axes, spreads=spreads, base=plain.slopes * base, y=y, weights=weights)
        penalty = _best_penalty(link, problem, _folds(evidence.folds))
        if penalty is None:
            return plain
        found = link.solve(problem, penalty, None)
        return replace(plain, slopes=plain.slopes * found[0], intercepts=found[1], weights=(axes @ found[2:]).ravel())


def _sample(evidence: MemberEvidence, most: int) -> MemberEvidence:
    """Return the rows that count, at most so many of them."""
    if evidence.weights is not None:
        evidence = evidence.where(evidence.weights > 0)
    n_rows = len(evidence.y)
    if n_rows <= most:
        return evidence
    return evidence.where(KeyedPermutation(n_rows, (most,))(np.arange(n_rows)) < most)


def _moments(described: Floats, weights: Floats, kind: OutputKind) -> tuple[Floats, Floats]:
    """Return mean and spread of what each member says about each output, each of shape (members * outputs,)."""
    spoken = ~np.isnan(described)
    shares = spoken * weights[:, np.newaxis]
    shares = shares / np.maximum(shares.sum(axis=1, keepdims=True), 1e-300)
    known = np.where(spoken, described, 0.0)
    centres = (shares * known).sum(axis=1)
    squares = (shares * (known - centres[:, np.newaxis]) ** 2).sum(axis=1)
    usual = squares.mean(axis=0 if kind == "value" else None)
    scales = np.sqrt(np.maximum(squares, _FLOOR**2 * usual))
    return centres.ravel(), np.where(scales > 0, scales, 1.0).ravel()


def _folds(partitions: NDArray[np.int64]) -> list[NDArray[np.bool_]]:
    """Return which rows are held out in each fold: whole partitions, so that groups stay together."""
    _, order = np.unique(partitions, return_inverse=True)
    return [held for fold in range(_FOLDS) if (held := order % _FOLDS == fold).any()]


def _best_penalty(link: Link, problem: Shrunken, folds: list[NDArray[np.bool_]]) -> float | None:
    """Return the penalty of the lowest loss on rows held out; None where the base answer is no worse."""
    if len(folds) < 2:
        return None
    shares = problem.weights / problem.weights.sum()
    starts: dict[int, Floats] = {}

    def held_out(penalty: float) -> Floats:
        scores = np.empty(problem.base.shape)
        for place, held in enumerate(folds):
            starts[place] = link.solve(problem.where(~held), penalty, starts.get(place))
            scores[held] = problem.where(held).scores(starts[place])
        return scores

    best, scores = _FIRST, held_out(_PENALTIES[_FIRST])
    for direction in (1, -1):
        moved = False
        while 0 <= best + direction < len(_PENALTIES):
            other = held_out(_PENALTIES[best + direction])
            if shares @ link.losses(other, problem.y) >= shares @ link.losses(scores, problem.y):
                break
            best, scores, moved = best + direction, other, True
        if moved:
            break
    gains = link.losses(problem.base, problem.y) - link.losses(scores, problem.y)
    gain = float(shares @ gains)
    error = float(np.sqrt(shares**2 @ (gains - gain) ** 2))
    fewer = float(shares @ (link.errors(problem.base, problem.y) - link.errors(scores, problem.y)))
    return _PENALTIES[best] if gain > 2.0 * error and fewer >= 0 else None
