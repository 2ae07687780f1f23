"""Members that are local experts: each row is answered by the members of the cells that it lies in."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from partwise.aggregation import one_hot
from partwise.pool import MemberPool, bounded
from partwise.records import OutputKind
from partwise.routing import Router
from partwise.rows import take_rows

__all__ = ["RoutedPredictor"]


@dataclass(frozen=True, slots=True)
class RoutedPredictor:
    """Members, and the router to them; cell i of the router is the cell of member i.

    With ``neighbours`` above one the nearest cells answer together, weighted by how near they are; members without
    probabilities then vote, as decision values far from a member's own cell have no bound. Nor have the numbers that
    a regression gives there: each member keeps to the range of the targets that it was fitted on, as the rules of
    Cubist do (Quinlan, Machine Learning Proceedings 1993).
    """

    pool: MemberPool
    router: Router
    neighbours: int

    exactness = "approximate"
    block_rows = 65_536

    def __post_init__(self) -> None:
        if self.router.n_cells != len(self.pool.members):
            raise ValueError(f"{self.router.n_cells} cells for {len(self.pool.members)} members")
        if not 1 <= self.neighbours <= self.router.n_cells:
            raise ValueError(f"{self.neighbours} neighbours of {self.router.n_cells} cells")

    @property
    def kind(self) -> OutputKind:
        """What the outputs mean: what the pool gives, or votes where several members without probabilities answer."""
        return "vote" if self.neighbours > 1 and self.pool.kind == "decision" else self.pool.kind

    def outputs(self, X: Any) -> NDArray[np.float64]:
        """Return the outputs of the rows' own members, shape (rows, outputs)."""
        cells, gaps = self.router.nearest(X, self.neighbours)
        shares = self.router.shares(gaps)
        total: NDArray[np.float64] | None = None
        for place, member in enumerate(self.pool.members):
            rows, column = np.nonzero(cells == place)
            if len(rows) == 0:
                continue
            said = self.pool.member_outputs(member, take_rows(X, rows))
            said = one_hot(said) if self.kind == "vote" else bounded(said, member)
            if total is None:
                total = np.zeros((len(cells), said.shape[1]))
            total[rows] += shares[rows, column][:, np.newaxis] * said
        return np.zeros((0, self.pool.n_classes or 1)) if total is None else total
