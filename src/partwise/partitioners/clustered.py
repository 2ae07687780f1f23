"""Regions of the feature space to partitions."""

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from partwise.errors import InputError
from partwise.permutation import SAMPLED_ROWS, keyed_sample, rows_for_cut
from partwise.records import RowKeys, TableStatistics
from partwise.routing import Router, Scaling, power_distances
from partwise.rows import take_rows

__all__ = ["Clustered"]

_FEWEST_SAMPLED = 20_000
_SAMPLED_PER_CELL = 200
_LARGEST, _SMALLEST = 1.5, 0.3
"""Sizes over the mean size, between which cells of the sample are brought; those of the table may reach twice it."""
_STRAY_ROWS, _STRAY_OF_CELL, _STRAY_OF_TABLE = 20, 1 / 400, 1 / 4
_FEWEST_CLASSES = 3
_ROUNDS = 40
_SPLITS = 30


@dataclass(frozen=True, slots=True)
class Clustered:
    """Cut the feature space into cells of like size, one partition each: members become local experts.

    Centres come from mini-batch k-means (Sculley, WWW 2010) on a sample of the rows; offsets then move the borders
    until no cell holds more than 1.5 times the mean of the sample. Where that is not enough, as with long tails, the
    largest cells are split and the smallest given up. The cut and ``Route`` together are the early
    prediction of DC-SVM (Hsieh, Si, Dhillon, ICML 2014, section 4), for any learner.

    Of three classes or more, one can be a stray in a cell: fewer than 20 rows, less than 1/400 of the cell, less than a
    quarter of its share of the table. Its rows there go to the nearest cell where it is none. They would teach little
    where they are, and cost much: a handful of rows of a class makes multiclass boosting diverge. A cell keeps its
    strays if one class alone would be left.

    Parameters
    ----------
    overlap
        Share of the rows, those nearest to a border, that the cell on the other side of it is trained on too.
    """

    overlap: float = 0.0

    name = "clustered"
    needs = frozenset({"features"})
    gives = "cells"
    replicable = False
    learns_from = "rows"

    def __post_init__(self) -> None:
        wrong = f"Clustered(overlap={self.overlap!r}) is wrong. Valid: 0 to 1, the share of shared rows."
        try:
            object.__setattr__(self, "overlap", float(self.overlap))
        except (TypeError, ValueError) as error:
            raise InputError(wrong) from error
        if not 0.0 <= self.overlap <= 1.0:
            raise InputError(wrong)

    def fit(self, statistics: TableStatistics, sample: RowKeys, n_partitions: int, seed: int) -> "ClusteredAssignment":
        """Return the assignment to cells that are learned from a keyed sample of the rows."""
        # A wide table has fewer rows: what one of read in pieces hands over fits into memory.
        n_known = min(len(sample.positions), rows_for_cut(n_partitions, sample.features.size / len(sample.positions)))
        n_sampled = min(n_known, max(_FEWEST_SAMPLED, _SAMPLED_PER_CELL * n_partitions))
        chosen = keyed_sample(statistics.n_rows, n_sampled, seed)
        features = take_rows(sample.features, np.searchsorted(sample.positions, chosen))
        scaling = Scaling.of(features)
        scaled = scaling(features)
        means = MiniBatchKMeans(n_partitions, random_state=seed % 2**32, n_init=1, batch_size=4096)
        with threadpool_limits(1, user_api="openmp"):  # batches are small: threads would wait for each other
            found = np.asarray(means.fit(scaled).cluster_centers_, dtype=np.float32)
            centres, offsets = _balanced(scaled, found)
        distances = np.sort(power_distances(scaled, centres, offsets), axis=1)
        gaps = distances[:, 1] - distances[:, 0] if n_partitions > 1 else np.zeros(n_sampled)
        router = Router(scaling, centres, offsets, width=max(float(np.median(gaps)), 1e-6))
        border = float(np.quantile(gaps, self.overlap)) if self.overlap > 0 else -1.0
        plain = ClusteredAssignment(n_partitions, router, border)
        if statistics.stratum_counts is None or len(statistics.stratum_counts) < _FEWEST_CLASSES:
            return plain
        counted = keyed_sample(statistics.n_rows, min(n_known, SAMPLED_ROWS), seed)
        return replace(plain, homes=_homes(plain, sample, np.searchsorted(sample.positions, counted), statistics))


def _homes(
    plain: "ClusteredAssignment", sample: RowKeys, counted: NDArray[np.int64], statistics: TableStatistics
) -> NDArray[np.bool_]:
    """Return whether a class is at home in a cell, shape (classes, cells); a stray everywhere is at home everywhere.

    Only what counts can tell is a stray: by its share of the table, 20 rows of the class would have been counted there.
    """
    assert sample.stratum is not None  # noqa: S101 - narrows the type
    assert statistics.stratum_counts is not None  # noqa: S101 - as above
    features = sample.features if len(counted) == len(sample.positions) else take_rows(sample.features, counted)
    cells = plain.parts(RowKeys(positions=sample.positions[counted], features=features))
    stratum = sample.stratum[counted]
    counts = np.zeros((len(statistics.stratum_counts), plain.n_partitions))
    for column in cells.T:
        np.add.at(counts, (stratum[column >= 0], column[column >= 0]), 1)
    of_cell = counts / np.maximum(counts.sum(axis=0), 1)
    of_table = counts.sum(axis=1, keepdims=True) / counts.sum()
    stray = (counts * (statistics.n_rows / len(counted)) < _STRAY_ROWS) & (of_cell < _STRAY_OF_CELL)
    stray &= (of_cell < _STRAY_OF_TABLE * of_table) & (of_table * counts.sum(axis=0) >= _STRAY_ROWS)
    stray &= ((counts > 0) & ~stray).sum(axis=0) > 1  # one class alone is no cell to learn in
    return ~stray | stray.all(axis=1, keepdims=True)


def _balanced(scaled: Any, centres: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return centres and offsets with which the cells of these rows are of like size, or as like as was ever seen."""
    offsets = np.zeros(len(centres), dtype=np.float32)
    best, least = (centres, offsets), np.inf
    for _ in range(_SPLITS):
        base = power_distances(scaled, centres, np.zeros_like(offsets))
        offsets = _balancing_offsets(base, offsets)
        cells = (base + offsets).argmin(axis=1)
        shares = _shares(cells, len(centres))
        if (excess := _excess(shares)) < least:
            best, least = (centres, offsets), excess
        if excess <= 1.0:
            break
        split = _split_largest(scaled, cells, shares, centres, offsets)
        if split is None:
            break
        centres, offsets = split
    return best


def _balancing_offsets(base: NDArray[np.float32], offsets: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the most balancing offsets of a search from these; ``base`` are distances without offsets.

    A cell's step grows while its size stays on one side of the mean and is halved when it changes sides (Riedmiller
    and Braun, ICNN 1993), as cells in dense regions need far smaller steps than others.
    """
    steps = np.full(len(offsets), 0.05 * max(float(np.ptp(base, axis=1).mean()), 1e-6), dtype=np.float32)
    best, least, last = offsets, np.inf, np.zeros(len(offsets))
    for _ in range(_ROUNDS):
        shares = _shares((base + offsets).argmin(axis=1), len(offsets))
        if (excess := _excess(shares)) < least:
            best, least = offsets, excess
        if excess <= 1.0:
            break
        wrong = np.clip(shares - 1.0, -1.0, 1.0)
        steps *= np.where(wrong * last < 0, 0.5, np.where(wrong * last > 0, 1.2, 1.0)).astype(np.float32)
        offsets, last = offsets + steps * wrong.astype(np.float32), wrong
    return best


def _split_largest(
    scaled: Any,
    cells: NDArray[np.int64],
    shares: NDArray[np.float64],
    centres: NDArray[np.float32],
    offsets: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """Return centres and offsets with the largest cells split in two, for which the smallest give up theirs.

    None where the largest cell cannot be split, as its rows are equal.
    """
    order = np.argsort(shares, kind="stable")
    count = min(max(1, int((shares > _LARGEST).sum())), len(order) // 2)
    centres, offsets, done = centres.copy(), offsets.copy(), False
    for small, large in zip(order[:count], order[::-1][:count], strict=True):
        rows = np.flatnonzero(cells == large)
        if len(rows) < 2:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # equal rows
            halves = KMeans(2, n_init=1, random_state=0).fit(take_rows(scaled, rows)).cluster_centers_
        if np.array_equal(halves[0], halves[1]):
            continue
        centres[[large, small]] = halves
        offsets[small] = offsets[large]
        done = True
    return (centres, offsets) if done else None


def _shares(cells: NDArray[np.int64], n_cells: int) -> NDArray[np.float64]:
    """Return sizes over the mean size."""
    return np.bincount(cells, minlength=n_cells) * n_cells / len(cells)


def _excess(shares: NDArray[np.float64]) -> float:
    """Return by what factor sizes are out of bounds; 1 or less where they are not."""
    return max(float(shares.max()) / _LARGEST, _SMALLEST / max(float(shares.min()), 1e-3))


@dataclass(frozen=True, slots=True)
class ClusteredAssignment:
    """A row goes to its cell, near a border to the cell beyond it too; a stray to the nearest home of its class.

    ``homes`` has shape (classes, cells), None where there are no classes.
    """

    n_partitions: int
    router: Router
    border: float
    homes: NDArray[np.bool_] | None = None

    def parts(self, keys: RowKeys) -> NDArray[np.int64]:
        """Return the cells of the rows, shape (rows, 1), or (rows, 2) with -1 for rows that are not shared."""
        cells, gaps = self.router.nearest(keys.features, 1 if self.border < 0 else 2)
        parts = np.where(gaps > self.border, -1, cells) if self.border >= 0 else cells
        if self.homes is None or keys.stratum is None:
            return parts
        at_home = self.homes[keys.stratum[:, np.newaxis], cells]
        parts = np.where(at_home, parts, -1)
        strays = np.flatnonzero(~at_home[:, 0])
        if len(strays):
            nearest, _ = self.router.nearest(take_rows(keys.features, strays), self.router.n_cells)
            welcome = self.homes[keys.stratum[strays, np.newaxis], nearest]
            parts[strays] = -1
            parts[strays, 0] = nearest[np.arange(len(strays)), welcome.argmax(axis=1)]
        return parts
