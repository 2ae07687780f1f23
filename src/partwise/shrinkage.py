"""Regressions that shrink towards an answer one has already: pure arithmetic on arrays, no models.

Features are given along their principal axes, where the ridge penalty acts on each axis by itself: the few axes of
large spread are learned first, and the many along which members merely disagree by chance hardly at all (Merz and
Pazzani, Machine Learning 1999).
"""

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar

__all__ = ["Shrunken", "Softmax", "SquaredError", "log_softmax", "principal_axes", "temperature"]

Floats = NDArray[np.float64]

_INTERCEPT_PENALTY = 1e-4
"""Keeps the intercept of a class that no row has finite."""
_ROUNDS = 15
"""Of the quasi-Newton search; scaled as it is, they come within 0.5 % of the optimal loss."""
_NEGLIGIBLE = 1e-6
"""Axes with less than this share of the largest spread are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shrunken:
    """A regression on features that starts from a base: scores = slopes * base + intercepts + features @ weights.

    Parameters
    ----------
    features
        Shape (rows, axes), along the principal axes.
    spreads
        The mean square of each axis, shape (axes,).
    base
        The answer that a large penalty leaves as it is, shape (rows, outputs).
    y
        Class codes, shape (rows,), or values, shape (rows, outputs).
    weights
        Of the rows, shape (rows,).
    """

    features: Floats
    spreads: Floats
    base: Floats
    y: NDArray[Any]
    weights: Floats

    def where(self, chosen: NDArray[np.bool_]) -> "Shrunken":
        """Return the regression on the chosen rows."""
        return replace(
            self,
            features=self.features[chosen],
            base=self.base[chosen],
            y=self.y[chosen],
            weights=self.weights[chosen],
        )

    def scores(self, found: Floats) -> Floats:
        """Return the scores, shape (rows, outputs), of what ``solve`` found: slopes, intercepts, weights of axes."""
        return found[0] * self.base + found[1] + self.features @ found[2:]


class Link(Protocol):
    """What the scores mean, and which weights of the features fit best."""

    def losses(self, scores: Floats, y: NDArray[Any]) -> Floats:
        """Return the loss of each row, shape (rows,)."""

    def errors(self, scores: Floats, y: NDArray[Any]) -> Floats:
        """Return what users count, row by row: misses of the class, squared errors of values."""

    def solve(self, problem: Shrunken, penalty: float, start: Floats | None) -> Floats:
        """Return slopes, intercepts and weights, stacked, shape (2 + axes, outputs); ``start`` is a near solution."""


@dataclass(frozen=True, slots=True)
class Softmax:
    """Multinomial logistic regression with a ridge penalty; scores are log-probabilities up to a constant."""

    def losses(self, scores: Floats, y: NDArray[Any]) -> Floats:
        """Return minus the log-probability of each row's class."""
        return -log_softmax(scores)[np.arange(len(y)), y]

    def errors(self, scores: Floats, y: NDArray[Any]) -> Floats:
        """Return one where another class has the largest score."""
        return (scores.argmax(axis=1) != y).astype(np.float64)

    def solve(self, problem: Shrunken, penalty: float, start: Floats | None) -> Floats:
        """Return slopes (all one), intercepts and weights by L-BFGS.

        Along principal axes the Hessian is nearly diagonal: spread times p(1 - p) plus the penalty. Steps are scaled
        by it, so that a few rounds suffice however alike the members are.
        """
        rows, n_outputs = np.arange(len(problem.y)), problem.base.shape[1]
        # Single precision here and nowhere else: twice as fast, and the optimum is blunt.
        features = np.column_stack([np.ones(len(rows)), problem.features]).astype(np.float32)
        base = problem.base.astype(np.float32)
        shares = problem.weights / problem.weights.sum()
        guessed = np.exp(log_softmax(problem.base))
        doubt = shares @ (guessed * (1.0 - guessed)) + 1e-6
        penalties = np.r_[_INTERCEPT_PENALTY, np.full(len(problem.spreads), penalty)][:, np.newaxis]
        steps = 1.0 / np.sqrt(np.outer(np.r_[1.0, problem.spreads], doubt) + penalties)

        def loss_and_gradient(flat: Floats) -> tuple[float, Floats]:
            found = flat.reshape(steps.shape) * steps
            scores = base + features @ found.astype(np.float32)
            scores -= scores.max(axis=1, keepdims=True)
            chances = np.exp(scores)
            totals = chances.sum(axis=1)
            logs = scores[rows, problem.y] - np.log(totals)
            chances /= totals[:, np.newaxis]
            chances[rows, problem.y] -= 1.0
            chances *= shares.astype(np.float32)[:, np.newaxis]
            gradient = (features.T @ chances).astype(np.float64) + penalties * found
            loss = -float(shares @ logs) + 0.5 * float((penalties * found**2).sum())
            return loss, (gradient * steps).ravel()

        first = np.zeros(steps.shape) if start is None else start[1:] / steps
        options = {"maxiter": _ROUNDS, "maxcor": _ROUNDS, "ftol": 1e-7, "gtol": 1e-5}
        best = minimize(loss_and_gradient, first.ravel(), jac=True, method="L-BFGS-B", options=options).x
        return np.vstack([np.ones(n_outputs), best.reshape(steps.shape) * steps])


@dataclass(frozen=True, slots=True)
class SquaredError:
    """Ridge regression; slopes and intercepts go without penalty."""

    def losses(self, scores: Floats, y: NDArray[Any]) -> Floats:
        """Return the mean squared error over a row's targets."""
        return ((scores - y) ** 2).mean(axis=1)

    def errors(self, scores: Floats, y: NDArray[Any]) -> Floats:
        """Return the same as the losses."""
        return self.losses(scores, y)

    def solve(self, problem: Shrunken, penalty: float, start: Floats | None) -> Floats:  # noqa: ARG002 - as Link
        """Return slopes, intercepts and weights in closed form; the start does not matter."""
        shares = problem.weights / problem.weights.sum()
        penalties = np.diag(np.r_[1e-12, 1e-12, np.full(len(problem.spreads), penalty)])
        found = np.empty((len(penalties), problem.base.shape[1]))
        for target in range(problem.base.shape[1]):
            base = problem.base[:, target]
            features = np.column_stack([base, np.ones(len(base)), problem.features])
            weighted = features * shares[:, np.newaxis]
            # From slope one, so that a base that never varies keeps it.
            change = np.linalg.solve(weighted.T @ features + penalties, weighted.T @ (problem.y[:, target] - base))
            found[:, target] = change
        found[0] += 1.0
        return found


def log_softmax(scores: Floats) -> Floats:
    """Return log-probabilities, shape (rows, classes)."""
    centred = scores - scores.max(axis=1, keepdims=True)
    return centred - np.log(np.exp(centred).sum(axis=1, keepdims=True))


def temperature(scores: Floats, codes: NDArray[np.int64], weights: Floats) -> float:
    """Return the factor of the scores with the best log loss (Guo, Pleiss, Sun, Weinberger, ICML 2017); above zero."""
    rows = np.arange(len(codes))

    def loss(exponent: float) -> float:
        return -float(weights @ log_softmax(np.exp(exponent) * scores)[rows, codes])

    return float(np.exp(minimize_scalar(loss, bounds=(-8.0, 8.0), method="bounded", options={"xatol": 1e-3}).x))


def principal_axes(features: Floats, weights: Floats, most: int) -> tuple[Floats, Floats]:
    """Return at most ``most`` axes of largest spread, shape (features, axes), and their mean squares, shape (axes,)."""
    shares = weights / weights.sum()
    squares, directions = np.linalg.eigh(features.T @ (features * shares[:, np.newaxis]))
    largest = np.flatnonzero(squares > _NEGLIGIBLE * squares[-1])[::-1][:most]
    return directions[:, largest], squares[largest]
