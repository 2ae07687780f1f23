"""How many rows one model can be fitted on within a time, found out by fits on few of them."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["Affordable", "affordable_rows"]

_FEWEST = 1_000
_PROBED = 1 / 20
"""Fits on few rows stop when they have taken this share of the time that is allowed."""
_MARGIN = 0.8
"""The share of the time that a fit is planned to take: estimates are of another machine state, and of fewer rows."""


@dataclass(frozen=True, slots=True)
class Affordable:
    """The rows that can be had, and about how long a fit on all of them would take."""

    n_rows: int
    whole_seconds: float


def affordable_rows(
    fit: Callable[[int], object],
    n_rows: int,
    budget: float,
    clock: Callable[[], float] = time.perf_counter,
) -> Affordable:
    """Return how many of the rows a fit can have that takes at most ``budget`` seconds.

    Fits on 1,000 rows, then twice as many, and so on, are timed; the power law through the last two says how the time
    grows, at least in proportion to the rows.

    Parameters
    ----------
    fit
        Fits on so many rows.
    """
    size, spent = min(_FEWEST, n_rows), 0.0
    sizes: list[int] = []
    times: list[float] = []
    while True:
        started = clock()
        fit(size)
        sizes.append(size)
        times.append(max(clock() - started, 1e-6))
        spent += times[-1]
        if size == n_rows or spent > _PROBED * budget:
            break
        size = min(2 * size, n_rows)
    growth = 1.0
    if len(sizes) > 1:
        growth = max(growth, float(np.log(times[-1] / times[-2]) / np.log(sizes[-1] / sizes[-2])))
    whole = times[-1] * (n_rows / sizes[-1]) ** growth
    if whole <= _MARGIN * budget:
        return Affordable(n_rows, whole)
    affordable = int(sizes[-1] * (_MARGIN * budget / times[-1]) ** (1 / growth))
    return Affordable(int(np.clip(affordable, min(_FEWEST, n_rows), n_rows)), whole)
