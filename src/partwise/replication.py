"""Each row in several partitions: more rows for each member, and members enough that never saw a row."""

from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

from partwise.errors import InputError

__all__ = ["Replicas"]

_MOST_PATTERNS = 32


@dataclass(frozen=True, slots=True)
class Replicas:
    """Which partitions each part of the rows goes to.

    The rows are cut into more parts than partitions; all parts of one pattern go to partitions at the same distances
    from their first. As each pattern begins once at each partition, partitions stay of one size.
    """

    to: NDArray[np.int64]
    """(parts, replication) partition ids."""

    @classmethod
    def of(cls, n_partitions: int, replication: int, seed: int, most_parts: int) -> "Replicas":
        """Return the replicas, with up to 32 patterns where the rows allow, so that partitions overlap evenly.

        Raises
        ------
        InputError
            If ``replication`` is not in 1..n_partitions-1.
        """
        if replication == 1:
            return cls(np.arange(n_partitions)[:, np.newaxis])
        if not 1 <= replication < n_partitions:
            raise InputError(
                f"replication={replication} for {n_partitions} partitions. Valid: 1 to {max(1, n_partitions - 1)}, so "
                "that each row has a member that never saw it."
            )
        n_patterns = max(1, min(_MOST_PATTERNS, comb(n_partitions - 1, replication - 1), most_parts // n_partitions))
        rng = np.random.default_rng((seed, replication))
        patterns = np.array(sorted(_patterns(n_partitions, replication, n_patterns, rng)), dtype=np.int64)
        first = np.arange(n_partitions)
        to = (first[np.newaxis, :, np.newaxis] + patterns[:, np.newaxis, :]) % n_partitions
        return cls(to.reshape(-1, replication))

    @property
    def n_parts(self) -> int:
        """Into how many parts the rows must be cut."""
        return len(self.to)

    def partitions_of(self, parts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the partitions of rows in these parts, (rows, 1) to (rows, replication); others stay as they are."""
        if self.to.shape[1] == 1:
            return parts
        return np.where(parts < 0, -1, self.to[parts[:, 0]])


def _patterns(n_partitions: int, replication: int, count: int, rng: np.random.Generator) -> set[tuple[int, ...]]:
    """Return so many sets of distances from the first partition, each with 0."""
    others = range(1, n_partitions)
    if comb(n_partitions - 1, replication - 1) <= 4 * _MOST_PATTERNS:
        every = list(combinations(others, replication - 1))
        return {(0, *every[i]) for i in rng.permutation(len(every))[:count]}
    drawn: set[tuple[int, ...]] = set()
    while len(drawn) < count:
        drawn.add((0, *sorted((1 + rng.permutation(n_partitions - 1)[: replication - 1]).tolist())))
    return drawn
