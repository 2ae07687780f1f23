"""Weights by selecting members one after another, again and again."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from partwise.naming import whole_number
from partwise.permutation import KeyedPermutation
from partwise.pool import AggregatedPredictor, MemberPool
from partwise.protocols import FitContext
from partwise.records import MemberEvidence, OutputKind

__all__ = ["Greedy"]

Floats = NDArray[np.float64]

_FOLDS = 4
_LARGEST = 2**23
"""Most numbers that are compared in one round."""
_RARE = 1e-4
"""The least probability of the true class that a logarithm is taken of."""


@dataclass(frozen=True, slots=True)
class Greedy:
    """Average outputs with weights found by ensemble selection with replacement, on rows that the members never saw.

    Caruana, Niculescu-Mizil, Crew and Ksikes, ICML 2004: begin with the best members, as many as improve their mean,
    then add in each round the member that improves it most; how often a member was chosen is its weight. Probabilities
    are judged by log loss, which is smooth where accuracy moves in steps and picks by luck; votes and values by
    squared error, decision values, which have no scale of their own, by accuracy.

    Against over-fitting the selection is made on folds of partitions, so that no group is on both sides: the number
    of rounds is the one that is best on the rows held out, and weights are averaged over the folds, as the paper's
    bags are. They are taken if their loss on held-out rows is lower than that of equal weights by two standard
    errors; else weights are equal.

    Parameters
    ----------
    rounds
        Most members that are added after the first.
    max_rows
        Most rows to select on; of more, a sample that depends on their number alone is taken.
    """

    rounds: int = 50
    max_rows: int = 20_000

    name = "greedy"
    task = "any"
    takes = frozenset({"samples"})
    probabilities = "keeps"
    needs_evidence = True
    merges = False

    def __post_init__(self) -> None:
        for name, value in (("rounds", self.rounds), ("max_rows", self.max_rows)):
            object.__setattr__(self, name, whole_number("Greedy", name, value))

    def fit(self, context: FitContext) -> AggregatedPredictor:
        """Ask for evidence, and return the predictor."""
        return self.learn(context.pool, context.evidence())

    def learn(self, pool: MemberPool, evidence: MemberEvidence) -> AggregatedPredictor:
        """Return the predictor that this evidence teaches."""
        n_members = len(pool.members)
        width = 1 if pool.kind == "probability" else evidence.outputs.shape[2]
        selection = _Selection.of(_sample(evidence, min(self.max_rows, _LARGEST // (n_members * width))), pool.kind)
        weights = _selected(selection, self.rounds) if len(np.unique(selection.folds)) > 1 else None
        return AggregatedPredictor(pool, "mean", np.ones(n_members) if weights is None else weights)


def _sample(evidence: MemberEvidence, most: int) -> MemberEvidence:
    """Return the rows that count, at most so many of them."""
    if evidence.weights is not None:
        evidence = evidence.where(evidence.weights > 0)
    n_rows = len(evidence.y)
    if n_rows <= most:
        return evidence
    return evidence.where(KeyedPermutation(n_rows, (most,))(np.arange(n_rows)) < most)


def _log_loss(means: Floats, truth: Floats) -> Floats:  # noqa: ARG001 - only the true class is kept of what was said
    return -np.log(np.maximum(means[:, 0], _RARE))


def _miss(means: Floats, truth: Floats) -> Floats:
    return (means.argmax(axis=1) != truth.argmax(axis=1)).astype(np.float64)


def _squared_error(means: Floats, truth: Floats) -> Floats:
    return ((means - truth) ** 2).mean(axis=1)


_LOSSES = {"probability": _log_loss, "decision": _miss, "vote": _squared_error, "value": _squared_error}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Selection:
    """Rows to select on: what members say about them, zero where they are silent, and what is true.

    Parameters
    ----------
    said
        Shape (members, rows, numbers): of probabilities only that of the true class.
    spoken
        Shape (members, rows).
    truth
        Shape (rows, outputs), one-hot in classification.
    """

    said: Floats
    spoken: NDArray[np.bool_]
    truth: Floats
    weights: Floats
    folds: NDArray[np.int64]
    kind: OutputKind

    @classmethod
    def of(cls, evidence: MemberEvidence, kind: OutputKind) -> "_Selection":
        """Return the rows of the evidence, in folds of whole partitions."""
        spoken = ~np.isnan(evidence.outputs[:, :, 0])
        said = np.where(spoken[:, :, np.newaxis], evidence.outputs, 0.0)
        if kind == "value":
            truth = np.asarray(evidence.y, dtype=np.float64).reshape(said.shape[1:])
            spread = np.sqrt(truth.var(axis=0)) if len(truth) else np.ones(said.shape[2])
            scale = np.where(spread > 0, spread, 1.0)  # so that targets count alike, whatever their units
            said, truth = said / scale, truth / scale
        else:
            truth = np.eye(said.shape[2])[evidence.y]
        if kind == "probability":
            said = np.ascontiguousarray(said[:, np.arange(len(truth)), evidence.y])[:, :, np.newaxis]
        return cls(
            said=said,
            spoken=spoken,
            truth=truth,
            weights=np.ones(len(truth)) if evidence.weights is None else evidence.weights,
            folds=np.unique(evidence.folds, return_inverse=True)[1] % _FOLDS,
            kind=kind,
        )

    def where(self, chosen: NDArray[np.bool_]) -> "_Selection":
        """Return the chosen rows."""
        return _Selection(
            said=self.said[:, chosen],
            spoken=self.spoken[:, chosen],
            truth=self.truth[chosen],
            weights=self.weights[chosen],
            folds=self.folds[chosen],
            kind=self.kind,
        )

    def sums(self, counts: Floats) -> tuple[Floats, Floats]:
        """Return sums over members, each counted so often, and how many speak: shapes (rows, numbers), (rows,)."""
        total, count = np.zeros(self.said.shape[1:]), np.zeros(self.said.shape[1])
        for place in np.flatnonzero(counts):
            total += counts[place] * self.said[place]
            count += counts[place] * self.spoken[place]
        return total, count

    def losses(self, total: Floats, count: Floats) -> Floats:
        """Return the losses of the means, shape (rows,); where none of the chosen speaks, of the mean of all who do."""
        silent = count == 0
        if silent.any():
            total, count = total.copy(), count.copy()
            total[silent] = self.said[:, silent].sum(axis=0)
            count[silent] = np.maximum(self.spoken[:, silent].sum(axis=0), 1)
        return _LOSSES[self.kind](total / count[:, np.newaxis], self.truth)

    def with_each(self, total: Floats, count: Floats) -> Floats:
        """Return the loss of these sums with one member more, for each member, shape (members,)."""
        pairs = zip(self.said, self.spoken, strict=True)
        return np.array([self.weights @ self.losses(total + said, count + spoken) for said, spoken in pairs])


def _path(selection: _Selection, rounds: int) -> Floats:
    """Return how often each member was chosen after each round, shape (rounds + 1, members)."""
    n_members = len(selection.said)
    order = np.argsort(selection.with_each(*selection.sums(np.zeros(n_members))), kind="stable")
    starts = np.zeros((n_members, n_members))
    starts[:, order] = np.tril(np.ones((n_members, n_members)))  # the best one, the best two, ...
    path = [starts[int(np.argmin([selection.weights @ selection.losses(*selection.sums(each)) for each in starts]))]]
    total, count = selection.sums(path[0])
    for _ in range(rounds):
        best = int(np.argmin(selection.with_each(total, count)))
        total, count = total + selection.said[best], count + selection.spoken[best]
        path.append(path[-1] + (np.arange(n_members) == best))
    return np.array(path)


def _selected(selection: _Selection, rounds: int) -> Floats | None:
    """Return the weights; None where equal ones are no worse on rows held out."""
    held_out = np.empty((rounds + 1, len(selection.folds)))
    paths = []
    for fold in np.unique(selection.folds):
        held = selection.folds == fold
        path = _path(selection.where(~held), rounds)
        judge = selection.where(held)
        held_out[:, held] = [judge.losses(*judge.sums(counts)) for counts in path]
        paths.append(path / path.sum(axis=1, keepdims=True))
    shares = selection.weights / selection.weights.sum()
    best = int(np.argmin(held_out @ shares))
    gains = selection.losses(*selection.sums(np.ones(len(selection.said)))) - held_out[best]
    gain = float(shares @ gains)
    error = float(np.sqrt(shares**2 @ (gains - gain) ** 2))
    return np.mean([path[best] for path in paths], axis=0) if gain > 2.0 * error else None
