"""Routing: each row is answered by the experts of its own region."""

from dataclasses import dataclass

import numpy as np

from partwise.naming import whole_number
from partwise.protocols import FitContext
from partwise.routed import RoutedPredictor

__all__ = ["Route"]


@dataclass(frozen=True, slots=True)
class Route:
    """Send each row to the member of the cell that it lies in (Hsieh, Si, Dhillon, ICML 2014: early prediction).

    Parameters
    ----------
    neighbours
        How many of the nearest cells answer together, the nearer the more; 1 asks one member alone.
    """

    neighbours: int = 1

    name = "route"
    task = "any"
    takes = frozenset({"cells"})
    probabilities = "keeps"
    needs_evidence = False
    merges = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "neighbours", whole_number("Route", "neighbours", self.neighbours))

    def fit(self, context: FitContext) -> RoutedPredictor:
        """Return the predictor; cells whose partition gave no member go to the nearest that has one."""
        router = context.partitions.router
        assert router is not None, "the caller checks `takes`"  # noqa: S101 - narrows the type
        cells = np.array([member.partition for member in context.pool.members])
        return RoutedPredictor(context.pool, router.only(cells), min(self.neighbours, len(cells)))
