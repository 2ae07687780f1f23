"""Means and triangular factors of rows in groups: found in blocks, merged without loss.

The scatter of rows about the means of their groups is kept as a triangle R with ``R.T @ R`` equal to it, never as a
product of sums, so that no digits are lost to large means or to nearly dependent columns. Two sets of rows merge by a
QR of their stacked triangles and of one row for each mean that moved. Sources: Chan, Golub and LeVeque, "Algorithms
for computing the sample variance", The American Statistician 37 (1983); Demmel, Grigori, Hoemmen and Langou,
"Communication-optimal parallel and sequential QR and LU factorizations", SIAM J. Sci. Comput. 34 (2012), section 4.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Factor", "about_mean", "about_origin", "blocks", "centred", "factor", "merge_factors", "merge_means"]

_BLOCK_NUMBERS = 2**17
"""A block has so many numbers: 1 MB in double precision, which stays in the cache of one core."""


@dataclass(frozen=True, slots=True)
class Factor:
    """Weighted rows in groups.

    Attributes
    ----------
    weights
        Sum of the weights of each group, shape (groups,).
    means
        Shape (groups, columns), zero for a group without rows.
    triangle
        Shape (rows, columns), with at most as many rows as columns; ``triangle.T @ triangle`` is the scatter of all
        rows about the means of their groups.
    """

    weights: NDArray[np.float64]
    means: NDArray[np.float64]
    triangle: NDArray[np.float64]


def blocks(n_rows: int, n_sums: int) -> Iterator[slice]:
    """Yield slices of rows: few enough to stay in cache, many enough to outweigh merging ``n_sums`` rows of sums."""
    size = max(4 * n_sums, _BLOCK_NUMBERS // max(n_sums, 1), 1)
    for start in range(0, n_rows, size):
        yield slice(start, min(start + size, n_rows))


def centred(
    block: NDArray[np.float64], codes: NDArray[np.int64], n_groups: int, weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Subtract from each row the mean of its group.

    A group's first row is the first guess of its mean, which is then corrected twice: the mean of a constant column
    is that constant, and that of a column far from zero has all its digits.

    Returns
    -------
    The groups' weights, shape (groups,), and means, shape (groups, columns); the centred rows, sorted by group; and
    the order in which they were taken.
    """
    order = np.argsort(codes, kind="stable")
    block, weights = block[order], weights[order]
    present, starts, sizes = np.unique(codes[order], return_index=True, return_counts=True)
    sums = np.add.reduceat(weights, starts)
    shares = (weights / np.repeat(sums, sizes))[:, None]
    guess = block[starts]
    for _ in range(2):
        guess = guess + np.add.reduceat(shares * (block - np.repeat(guess, sizes, axis=0)), starts)
    totals, means = np.zeros(n_groups), np.zeros((n_groups, block.shape[1]))
    totals[present], means[present] = sums, guess
    return totals, means, block - np.repeat(guess, sizes, axis=0), order


def factor(
    X: Any,
    codes: NDArray[np.int64],
    n_groups: int,
    weights: NDArray[np.float64],
    targets: NDArray[np.float64] | None = None,
) -> Factor:
    """Factor rows of shape (rows, columns), dense or sparse by rows, with targets as further columns.

    Rows of weight zero are left out: they change neither means nor scatter.
    """
    n_columns = X.shape[1] + (0 if targets is None else targets.shape[1])
    found = Factor(np.zeros(n_groups), np.zeros((n_groups, n_columns)), np.zeros((0, n_columns)))
    for rows in blocks(X.shape[0], n_columns + n_groups):
        heavy = weights[rows] > 0
        if not heavy.any():
            continue
        block = X[rows].toarray() if hasattr(X, "toarray") else X[rows]
        block = np.asarray(block, dtype=np.float64)
        if targets is not None:
            block = np.hstack([block, targets[rows]])
        weight = weights[rows][heavy]
        totals, means, rest, order = centred(block[heavy], codes[rows][heavy], n_groups, weight)
        rest *= np.sqrt(weight[order])[:, None]
        found = merge_factors([found, Factor(totals, means, _triangle(rest))])
    return found


def merge_means(
    weights: NDArray[np.float64], means: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the weights, shape (groups,), and means of groups that lie in parts.

    Parameters
    ----------
    weights, means
        Of shapes (parts, groups) and (parts, groups, columns).
    """
    totals = weights.sum(axis=0)
    shares = np.divide(weights, totals, out=np.zeros_like(weights), where=totals > 0)[:, :, None]
    guess = means[np.argmax(weights > 0, axis=0), np.arange(weights.shape[1])]
    for _ in range(2):
        guess = guess + (shares * (means - guess)).sum(axis=0)
    return totals, guess


def merge_factors(factors: Sequence[Factor]) -> Factor:
    """Return the factor of all rows; the same bits for the same order of factors."""
    filled = [one for one in factors if one.weights.any()]
    if len(filled) < 2:
        return filled[0] if filled else factors[0]
    weights = np.stack([one.weights for one in filled])
    means = np.stack([one.means for one in filled])
    totals, centres = merge_means(weights, means)
    moved = (np.sqrt(weights)[:, :, None] * (means - centres))[weights > 0]
    return Factor(totals, centres, _triangle(np.vstack([*(one.triangle for one in filled), moved])))


def about_mean(found: Factor, extra: NDArray[np.float64]) -> Factor:
    """Make one group of all groups.

    Parameters
    ----------
    extra
        Columns to append that are constant within groups, shape (groups, columns).
    """
    means = np.hstack([found.means, extra])
    none = np.zeros((0, means.shape[1]))
    groups = [Factor(weight[None], mean[None], none) for weight, mean in zip(found.weights, means, strict=True)]
    between = merge_factors(groups)
    within = np.pad(found.triangle, ((0, 0), (0, extra.shape[1])))
    return Factor(between.weights, between.means, _triangle(np.vstack([within, between.triangle])))


def about_origin(found: Factor) -> NDArray[np.float64]:
    """Return the triangle of the rows of one group about zero instead of their mean."""
    return _triangle(np.vstack([found.triangle, np.sqrt(found.weights)[:, None] * found.means]))


def _triangle(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return rows if len(rows) == 0 else np.asarray(np.linalg.qr(rows, mode="r"))
