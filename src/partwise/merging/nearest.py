"""The nearest rows of all partitions, those at equal distance in the order of rows."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.neighbors import NearestNeighbors

__all__ = ["BLOCK", "nearest"]

BLOCK = 2**21
"""Candidates under way at once: a hundred megabytes with their distances and their order."""


def nearest(
    parts: Sequence[NearestNeighbors], places: Sequence[NDArray[np.int64]], X: Any, k: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return distances and places of each query's ``k`` nearest rows, by distance and then by place."""
    # One more than needed shows whether rows at equal distance were left out.
    found = [part.kneighbors(X, min(k + 1, len(own))) for part, own in zip(parts, places, strict=True)]
    limits = np.partition(np.concatenate([distances for distances, _ in found], axis=1), k - 1, axis=1)[:, k - 1]
    for part, own, (distances, rows) in zip(parts, places, found, strict=True):
        if distances.shape[1] < len(own):
            hidden = np.flatnonzero(distances[:, -1] <= limits)
            if len(hidden):
                first, back = _distinct(X[hidden])
                asked = hidden[first]
                near, lowest = _first_of_equals(part, len(own), X[asked], k, limits[asked])
                distances[hidden, :k], rows[hidden, :k] = near[back], lowest[back]
                # What is beyond the k of a part is not asked for.
                distances[hidden, k] = np.inf
    distances = np.concatenate([distances for distances, _ in found], axis=1)
    candidates = np.concatenate([own[rows] for own, (_, rows) in zip(places, found, strict=True)], axis=1)
    return _first(distances, candidates, k)


def _distinct(X: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where each distinct query is first, and which of them each query is.

    Rows at equal distance come from tables of few distinct values, and so do the queries then.
    """
    if sparse.issparse(X):
        return np.arange(X.shape[0]), np.arange(X.shape[0])
    _, first, back = np.unique(X, axis=0, return_index=True, return_inverse=True)
    return first, back.reshape(-1)


def _first_of_equals(
    part: NearestNeighbors, n_rows: int, X: Any, k: int, limits: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return ``k`` neighbours in one part, having seen all of its rows within each query's limit."""
    distances, rows = np.empty((len(limits), k)), np.empty((len(limits), k), dtype=np.int64)
    todo, width = np.arange(len(limits)), k + 1
    while len(todo):
        width = min(4 * width, n_rows)
        size = max(1, BLOCK // width)
        still = []
        for start in range(0, len(todo), size):
            block = todo[start : start + size]
            near, own = part.kneighbors(X[block], width)
            distances[block], rows[block] = near[:, :k], _lowest(near, own, k, n_rows)
            still.append(block[near[:, -1] <= limits[block]])
        todo = np.concatenate(still) if width < n_rows else todo[:0]
    return distances, rows


def _lowest(near: NDArray[np.float64], rows: NDArray[np.int64], k: int, n_rows: int) -> NDArray[np.int64]:
    """Return the ``k`` nearest rows of each query, those at the last distance being the lowest of all at it.

    Far cheaper than to sort hundreds of rows at one distance for the sake of a few.
    """
    last = near[:, k - 1 : k]
    # No row is as high as n_rows, so that rows at other distances come last.
    equal = np.partition(np.where(near == last, rows, n_rows), k - 1, axis=1)[:, :k]
    equal.sort(axis=1)
    below = near[:, :k] < last
    turn = np.arange(k) - below.sum(axis=1, keepdims=True)
    return np.where(below, rows[:, :k], np.take_along_axis(equal, np.maximum(turn, 0), axis=1))


def _first(
    distances: NDArray[np.float64], places: NDArray[np.int64], k: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the ``k`` smallest of each row, by distance and then by place."""
    order = np.lexsort((places, distances), axis=-1)[:, :k]
    return np.take_along_axis(distances, order, axis=1), np.take_along_axis(places, order, axis=1)
