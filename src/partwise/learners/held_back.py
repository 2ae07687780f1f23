"""Rows that a learner holds back of its own, to see when it should stop."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["held_back"]


def held_back(y: NDArray[Any], fraction: float, seed: int, *, by_class: bool) -> NDArray[np.bool_]:
    """Return which rows are held back, shape (rows,): a share of each class, or of all rows.

    A class never loses its last row, so that one with a single row is learned from and not judged. Where a table is
    too small for the share, no row is held back.
    """
    order = np.random.default_rng(seed).permutation(len(y))
    held = np.zeros(len(y), dtype=bool)
    codes = np.unique(y, return_inverse=True)[1].ravel() if by_class else np.zeros(len(y), dtype=np.int64)
    for rows in np.split(order[np.argsort(codes[order], kind="stable")], np.cumsum(np.bincount(codes))[:-1]):
        held[rows[: min(round(fraction * len(rows)), len(rows) - 1)]] = True
    return held
