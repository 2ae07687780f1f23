"""Cells of a feature space: centres, offsets that keep the cells of like size, and the way of a row to its cells."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from partwise.errors import InputError
from partwise.rows import take_rows

__all__ = ["Router", "Scaling", "power_distances"]

_BLOCK_ROWS = 32_768
_SPANNED = 0.5
"""How much of the range from 0 to 1 a feature spans in a sample, at least, that was scaled to it."""
_LIMIT = 3.0
"""Standardised values are cut off here: a rare category, or a row far out, is at most so far from the mean."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """Features on one scale, so that distances mean something: standardised and cut off at three deviations.

    Features that all span the range from 0 to 1 are on one scale already, as someone has put them there: they keep
    it. Missing values go to the mean. Sparse features are only divided, and so stay sparse; ``shift`` is then zero.
    """

    shift: NDArray[np.float32]
    scale: NDArray[np.float32]

    @classmethod
    def of(cls, X: Any) -> "Scaling":
        """Return the scaling of these rows, shape (rows, features)."""
        if sparse.issparse(X):
            largest = np.asarray(abs(X).max(axis=0).todense()).ravel()
            return cls(np.zeros(X.shape[1], dtype=np.float32), _divisors(largest))
        values = numbers(X)
        known = np.ma.masked_invalid(values)
        spread = np.ones(values.shape[1]) if _spans_unit(known) else known.std(axis=0).filled(0.0)
        return cls(known.mean(axis=0).filled(0.0).astype(np.float32), _divisors(spread))

    def __call__(self, X: Any) -> Any:
        """Return the scaled rows, float32 and as sparse as they came."""
        if sparse.issparse(X):
            return sparse.csr_matrix(X.multiply(1.0 / self.scale), dtype=np.float32)
        scaled = (numbers(X) - self.shift) / self.scale
        return np.clip(np.nan_to_num(scaled, nan=0.0), -_LIMIT, _LIMIT)


def _spans_unit(known: "np.ma.MaskedArray[Any, Any]") -> bool:
    """Whether all features that vary are marks of 0 and 1, or were scaled to that range."""
    low, high = known.min(axis=0).filled(0.0), known.max(axis=0).filled(0.0)
    varying = high > low
    return bool(varying.any() and low.min() >= 0 and high.max() <= 1 and (high - low)[varying].min() >= _SPANNED)


def _divisors(spread: NDArray[Any]) -> NDArray[np.float32]:
    return np.where(spread > 0, spread, 1.0).astype(np.float32)


def numbers(X: Any) -> NDArray[np.float32]:
    """Return the rows as float32.

    Raises
    ------
    InputError
        If a column holds no numbers.
    """
    try:
        with np.errstate(over="ignore"):  # beyond the range is far out, and cut off
            if hasattr(X, "to_numpy"):  # a frame, whose missing values need not be floats
                return np.asarray(X.to_numpy(dtype=np.float32, na_value=np.nan))
            return np.asarray(X, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"Cells of the feature space need numbers: {error}. Set encoder='table', or encode the columns first."
        ) from error


@dataclass(frozen=True, slots=True)
class Router:
    """Row to cells: the cell whose centre is nearest, by squared distance plus the cell's offset (a power diagram).

    Parameters
    ----------
    centres
        Shape (cells, features), scaled.
    offsets
        Shape (cells,); a large offset makes a cell small (Aurenhammer, Hoffmann, Aronov, Algorithmica 1998).
    width
        What counts as a small difference of distances where a row is shared among cells.
    """

    scaling: Scaling
    centres: NDArray[np.float32]
    offsets: NDArray[np.float32]
    width: float

    def __post_init__(self) -> None:
        n_features = self.centres.shape[1] if self.centres.ndim == 2 else -1
        if not isinstance(self.scaling, Scaling) or self.scaling.shift.shape != (n_features,):
            raise ValueError(f"centres of shape {self.centres.shape} do not fit the scaling")
        if self.scaling.scale.shape != (n_features,) or self.offsets.shape != (len(self.centres),):
            raise ValueError(f"{self.offsets.shape} offsets for {len(self.centres)} cells")
        kinds = {each.dtype.kind for each in (self.scaling.shift, self.scaling.scale, self.centres, self.offsets)}
        if kinds != {"f"}:
            raise ValueError(f"scaling, centres and offsets must be floats; they are of kind {kinds}")
        if not (np.isfinite(self.centres).all() and np.isfinite(self.offsets).all() and self.width > 0):
            raise ValueError("centres and offsets must be finite, and the width above zero")

    def only(self, cells: NDArray[np.int64]) -> "Router":
        """Return the router to these cells alone, in this order."""
        return replace(self, centres=self.centres[cells], offsets=self.offsets[cells])

    @property
    def n_cells(self) -> int:
        """The number of cells."""
        return len(self.centres)

    def distances(self, X: Any) -> NDArray[np.float32]:
        """Return squared distances plus offsets, less what is the same for all cells; shape (rows, cells)."""
        return power_distances(self.scaling(X), self.centres, self.offsets)

    def nearest(self, X: Any, count: int = 1) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the nearest cells of each row, nearest first, and how much farther they are than the first.

        Both have shape (rows, count).
        """
        count = min(count, self.n_cells)
        cells = np.empty((X.shape[0], count), dtype=np.int64)
        gaps = np.zeros((X.shape[0], count), dtype=np.float32)
        for start in range(0, X.shape[0], _BLOCK_ROWS):
            block = slice(start, start + _BLOCK_ROWS)
            distances = self.distances(take_rows(X, block))
            cells[block] = chosen = _smallest(distances, count)
            ordered = np.take_along_axis(distances, chosen, axis=1)
            gaps[block] = ordered - ordered[:, :1]
        return cells, gaps

    def shares(self, gaps: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return weights of cells that sum to one for each row, and fall off exponentially with the gap."""
        weights = np.exp(-gaps.astype(np.float64) / self.width)
        return weights / weights.sum(axis=1, keepdims=True)


def power_distances(scaled: Any, centres: NDArray[np.float32], offsets: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return squared distances of scaled rows to centres plus offsets, without the rows' own squared norms."""
    products = scaled @ centres.T
    return np.asarray((centres**2).sum(axis=1) + offsets - 2.0 * products, dtype=np.float32)


def _smallest(distances: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    if count == 1:
        return distances.argmin(axis=1)[:, np.newaxis]
    return np.argsort(distances, axis=1, kind="stable")[:, :count]
