"""Which rows are the test: pure rules that tell it row by row, the same for a table in memory and in a stream."""

from dataclasses import dataclass
from math import ceil
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from partwise.errors import InputError
from partwise.permutation import KeyedPermutation, mix
from partwise.records import RowKeys

__all__ = ["GroupSplit", "RandomSplit", "SplitRule", "TimeSplit", "WordSplit"]

_KEY = 0x7E57
"""Part of the keys, so that the test rows are not those that the same seed puts into one partition."""


class SplitRule(Protocol):
    """Whether a row is a test row: frozen and pure, from the same keys as an Assignment."""

    def is_test(self, keys: RowKeys) -> NDArray[np.bool_]:
        """Return a mask of the test rows, shape (rows,)."""


@dataclass(frozen=True, slots=True)
class RandomSplit:
    """A random share of each class: ``n_test`` of ``counts`` rows, shape (classes,) both. In regression one class."""

    seed: int
    counts: NDArray[np.int64]
    n_test: NDArray[np.int64]

    @classmethod
    def of(cls, counts: NDArray[np.int64], share: float, seed: int, *, keep_single: bool) -> "RandomSplit":
        """Return the split of classes with so many rows; in all, the share is rounded up.

        Parameters
        ----------
        keep_single
            Whether the only row of a class is always one to train on.
        """
        divided = np.where(counts == 1, 0, counts) if keep_single else counts
        total = ceil(share * int(divided.sum()) - 1e-9)
        quotas = share * divided
        n_test = np.floor(quotas + 1e-9).astype(np.int64)
        # The largest remainders get the rows that are left; a tie is decided by the seed.
        turns = KeyedPermutation(len(counts), (seed, _KEY))(np.arange(len(counts)))
        order = np.lexsort((turns, -np.round(quotas - n_test, 9)))
        n_test[[place for place in order if n_test[place] < divided[place]][: max(0, total - int(n_test.sum()))]] += 1
        return cls(seed, counts, n_test)

    def is_test(self, keys: RowKeys) -> NDArray[np.bool_]:
        """Return a mask of the test rows, from class codes and ranks in the class, or from positions."""
        rank = keys.positions if keys.rank is None else keys.rank
        stratum = np.zeros(len(rank), dtype=np.int64) if keys.stratum is None else keys.stratum
        test = np.zeros(len(rank), dtype=bool)
        for code in np.unique(stratum):
            rows = stratum == code
            places = KeyedPermutation(int(self.counts[code]), (self.seed, int(code), _KEY))(rank[rows])
            test[rows] = places < self.n_test[code]
        return test


@dataclass(frozen=True, slots=True)
class GroupSplit:
    """Whole groups: those whose digest is among the smallest, up to ``last``.

    However many groups there are, the rule is two numbers, and goes with every task.
    """

    seed: int
    last: int

    @classmethod
    def of(cls, groups: NDArray[Any], share: float, seed: int) -> "GroupSplit":
        """Return the split that holds a random share of the groups out, rounded up; groups are distinct."""
        digests = np.sort(_digests(groups, seed))
        return cls(seed, int(digests[ceil(share * len(groups) - 1e-9) - 1]))

    def is_test(self, keys: RowKeys) -> NDArray[np.bool_]:
        """Return a mask of the test rows, from their groups."""
        assert keys.group is not None  # noqa: S101 - the rule is of groups
        return _digests(keys.group, self.seed) <= np.uint64(self.last)


def _digests(groups: NDArray[Any], seed: int) -> NDArray[np.uint64]:
    """Return a word for each group that depends on its value and the seed alone."""
    values: NDArray[Any]
    if groups.dtype.kind in "iub":
        values = groups.astype(np.int64)
    elif groups.dtype.kind == "f":
        values = groups.astype(np.float64) + 0.0  # minus zero is zero
    else:
        values = groups.astype(object)
    key = np.random.SeedSequence((seed, _KEY)).generate_state(1, dtype=np.uint64)
    return mix(pd.util.hash_array(values) ^ key)


@dataclass(frozen=True, slots=True)
class WordSplit:
    """Rows of which a column says that they are the test; ``test`` are the words that say so."""

    test: tuple[Any, ...]

    @classmethod
    def of(cls, words: NDArray[Any], column: str) -> "WordSplit":
        """Return the split by the words of a column: ``test`` is held out, in any case of letters.

        Raises
        ------
        InputError
            If there are other words than ``train`` and ``test``.
        """
        lower = np.char.lower(words.astype(str))
        others = sorted(set(lower.tolist()) - {"train", "test"})
        if others:
            raise InputError(f"--split-column {column!r} has the values {', '.join(others[:5])}. Valid: train, test.")
        return cls(tuple(words[lower == "test"].tolist()))

    def is_test(self, keys: RowKeys) -> NDArray[np.bool_]:
        """Return a mask of the test rows, from their words."""
        return np.isin(keys.group, self.test)  # type: ignore[arg-type] # there are words


@dataclass(frozen=True, slots=True)
class TimeSplit:
    """What is not earlier than a time."""

    first: Any

    def is_test(self, keys: RowKeys) -> NDArray[np.bool_]:
        """Return a mask of the test rows, from their times."""
        return np.asarray(keys.time >= self.first)
