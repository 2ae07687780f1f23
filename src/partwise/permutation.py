"""A keyed permutation of the first n integers, computed position by position.

Nothing is shuffled in memory, so the place of a row depends on the seed, on n and on its own position alone:
a block that streams past gets the same answer as the whole table.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["SAMPLED_ROWS", "KeyedChoice", "KeyedPermutation", "drawn_sample", "keyed_sample", "mix", "rows_for_cut"]

SAMPLED_ROWS = 200_000
"""Rows from which a cut learns at least, where the table has so many, and they are not wide."""

_PER_PARTITION = 200
_CUT_VALUES = 20_000_000
_FEWEST_ROWS = 2_000

_ROUNDS = 6
_HALF = np.uint64(32)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scramble 64-bit words with the finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014, figure 17)."""
    words = values + _GOLDEN
    words = (words ^ (words >> np.uint64(30))) * _FIRST
    words = (words ^ (words >> np.uint64(27))) * _SECOND
    return words ^ (words >> np.uint64(31))


@dataclass(frozen=True, slots=True)
class KeyedPermutation:
    """A bijection of 0..size-1 onto itself that is chosen by ``key``.

    A Feistel network (Luby and Rackoff, SIAM J. Comput. 1988) over pairs of digits to the base of the root of size,
    rounded up, and cycle walking back into the range (Black and Rogaway, CT-RSA 2002): at most about two positions
    in the root of size walk.
    """

    size: int
    key: tuple[int, ...]

    def __call__(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the image of each position.

        Raises
        ------
        ValueError
            If a position is not in 0..size-1.
        """
        values = np.asarray(positions, dtype=np.int64)
        if values.size and (values.min() < 0 or values.max() >= self.size):
            raise ValueError(f"Positions must lie in 0..{self.size - 1}; got {values.min()}..{values.max()}.")
        images = self._feistel(values.astype(np.uint64))
        outside = images >= self.size
        while outside.any():
            images[outside] = self._feistel(images[outside])
            outside = images >= self.size
        return images.astype(np.int64)

    def _feistel(self, values: NDArray[np.uint64]) -> NDArray[np.uint64]:
        base = np.uint64(math.isqrt(max(self.size, 1) - 1) + 1)
        left, right = np.divmod(values, base)
        for round_key in np.random.SeedSequence(self.key).generate_state(_ROUNDS, dtype=np.uint64):
            # The high half of the word, scaled to 0..base-1: a remainder would take longer.
            left, right = right, left + (((mix(right ^ round_key) >> _HALF) * base) >> _HALF)
            right -= base * (right >= base)
        return left * base + right


def drawn_sample(n_rows: int, size: int, seed: int) -> NDArray[np.int64]:
    """Return positions of a random sample of the rows, as they are drawn: the first of them are a smaller sample."""
    return KeyedPermutation(n_rows, (seed,))(np.arange(min(n_rows, size)))


@dataclass(frozen=True, slots=True)
class KeyedChoice:
    """A keyed sample of so many rows, told row by row."""

    permutation: KeyedPermutation
    size: int

    def __call__(self, positions: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return whether the rows at these positions are in the sample."""
        return self.permutation(positions) < self.size


def keyed_sample(n_rows: int, size: int, seed: int) -> NDArray[np.int64]:
    """Return sorted positions of a random sample of the rows; a smaller sample of the seed is part of a larger one."""
    return np.sort(drawn_sample(n_rows, size, seed))


def rows_for_cut(n_partitions: int, n_values: float) -> int:
    """Return from how many rows a cut may learn: 200,000 or 200 a partition, and no more than 20 million values.

    Parameters
    ----------
    n_values
        Of a row; 2,000 rows there are in any case.
    """
    wanted = max(SAMPLED_ROWS, _PER_PARTITION * n_partitions)
    return min(wanted, max(_FEWEST_ROWS, int(_CUT_VALUES / max(n_values, 1.0))))
