"""Scores of rows that are never together in one place: what blocks are summed up to, and merged.

Accuracy, balanced accuracy, F1, log loss, the Brier score, RMSE, MAE and R² follow exactly from sums. The area under
the ROC curve comes from counts in bins of the score, for probabilities of their log odds: 32-bit floats without their
last twelve bits, about three digits. Rows of one bin count as ties, so that the area is wrong by half their share of
the pairs at most.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from partwise.evaluation.classification import brier, log_loss
from partwise.evaluation.records import BINARY, Outputs, Truth, class_scores
from partwise.moments import Moments

__all__ = ["ClassSums", "Sums", "ValueSums", "summed"]

_DROPPED_BITS = np.uint32(12)


@dataclass(frozen=True, slots=True)
class _Bins:
    """Rows of a class and of the others by their score, in ascending bins."""

    keys: NDArray[np.uint32]
    positive: NDArray[np.int64]
    negative: NDArray[np.int64]

    @classmethod
    def of(cls, scores: NDArray[np.floating], positive: NDArray[np.bool_]) -> "_Bins":
        keys, places = np.unique(_ordered_bits(scores) >> _DROPPED_BITS, return_inverse=True)
        total = np.bincount(places, minlength=len(keys)).astype(np.int64)
        hits = np.bincount(places[positive], minlength=len(keys)).astype(np.int64)
        return cls(keys, hits, total - hits)

    def merged(self, other: "_Bins") -> "_Bins":
        keys, places = np.unique(np.concatenate([self.keys, other.keys]), return_inverse=True)

        def added(mine: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.int64]:
            return np.bincount(places, np.concatenate([mine, others]), len(keys)).astype(np.int64)

        return _Bins(keys, added(self.positive, other.positive), added(self.negative, other.negative))

    @property
    def area(self) -> float:
        """The area under the ROC curve, ties counting half; NaN where one side has no rows."""
        pairs = float(self.positive.sum()) * float(self.negative.sum())
        lower = np.cumsum(self.negative) - self.negative
        return float(self.positive @ (lower + self.negative / 2) / pairs) if pairs else float("nan")


def _ordered_bits(scores: NDArray[np.floating]) -> NDArray[np.uint32]:
    """Return whole numbers that sort as the scores do, as 32-bit floats."""
    bits = np.ascontiguousarray(scores, dtype=np.float32).view(np.uint32)
    negative = bits >> np.uint32(31) == 1
    return np.where(negative, ~bits, bits | np.uint32(0x80000000))


@dataclass(frozen=True, slots=True)
class ClassSums:
    """What classification scores need of some rows.

    Parameters
    ----------
    confusion
        Rows by true and predicted class, shape (classes, classes).
    losses
        Sums of log losses and Brier scores; none where there are no probabilities.
    bins
        By class code, for the areas under ROC curves; none where there are no scores.
    """

    confusion: NDArray[np.int64]
    losses: Mapping[str, float] = field(default_factory=dict)
    bins: Mapping[int, _Bins] = field(default_factory=dict)

    @classmethod
    def of(cls, truth: Truth, outputs: Outputs) -> "ClassSums":
        """Return the sums of these rows."""
        n_classes = truth.n_classes or 0
        cells = truth.y * n_classes + outputs.labels
        losses = {}
        for name, prepare in (("log_loss", log_loss), ("brier", brier)):
            statistic = prepare(truth, outputs)
            if statistic is not None:
                losses[name] = statistic() * len(truth.y)
        scores = class_scores(outputs, n_classes)
        asked = [] if scores is None else [1] if n_classes == BINARY else range(n_classes)
        if scores is not None and outputs.kind == "probability":
            with np.errstate(divide="ignore"):
                scores = np.log(scores) - np.log1p(-np.minimum(scores, 1.0))  # as fine near 1 as near 0
        bins = {code: _Bins.of(scores[:, code], truth.y == code) for code in asked}  # type: ignore[index] # there are scores
        confusion = np.bincount(cells, minlength=n_classes**2).reshape(n_classes, n_classes)
        return cls(confusion.astype(np.int64), losses, bins)

    def merged(self, other: "ClassSums") -> "ClassSums":
        """Return the sums of the rows of both."""
        return ClassSums(
            self.confusion + other.confusion,
            {name: loss + other.losses[name] for name, loss in self.losses.items()},
            {code: bins.merged(other.bins[code]) for code, bins in self.bins.items()},
        )

    @property
    def n_rows(self) -> int:
        """The number of rows."""
        return int(self.confusion.sum())

    def scores(self) -> dict[str, float | None]:
        """Return the reported scores by name, None where one is not defined."""
        hits, true, predicted = self.confusion.diagonal(), self.confusion.sum(axis=1), self.confusion.sum(axis=0)
        size = true + predicted
        asked = size > 0
        if len(true) == BINARY:
            asked[0] = False
        areas = [bins.area for code, bins in self.bins.items() if len(true) == BINARY or true[code]]
        areas = [area for area in areas if not np.isnan(area)]
        losses = {name: self.losses[name] / self.n_rows if self.losses else None for name in ("log_loss", "brier")}
        return {
            "accuracy": float(hits.sum() / true.sum()),
            "balanced_accuracy": float((hits[true > 0] / true[true > 0]).mean()),
            "f1": float((2 * hits[asked] / size[asked]).mean()) if asked.any() else None,
            "roc_auc": float(np.mean(areas)) if areas else None,
            **losses,
        }


@dataclass(frozen=True, slots=True)
class ValueSums:
    """What regression scores need of some rows: the moments of the target, and sums of squared and absolute errors."""

    target: Moments
    squared: NDArray[np.float64]
    absolute: NDArray[np.float64]
    n_rows: int

    @classmethod
    def of(cls, truth: Truth, outputs: Outputs) -> "ValueSums":
        """Return the sums of these rows."""
        y = np.asarray(truth.y, dtype=np.float64).reshape(len(truth.y), -1)
        errors = y - np.asarray(outputs.labels, dtype=np.float64).reshape(y.shape)
        moments = Moments.of(y, np.ones(len(y)))
        return cls(moments, (errors**2).sum(axis=0), np.abs(errors).sum(axis=0), len(y))

    def merged(self, other: "ValueSums") -> "ValueSums":
        """Return the sums of the rows of both."""
        return ValueSums(
            self.target.merged(other.target),
            self.squared + other.squared,
            self.absolute + other.absolute,
            self.n_rows + other.n_rows,
        )

    def scores(self) -> dict[str, float | None]:
        """Return the reported scores by name, None where one is not defined."""
        means = self.squared / self.n_rows
        return {
            "r2": float(self.target.explained(self.squared).mean()) if self.n_rows > 1 else None,
            "rmse": float(np.sqrt(means).mean()),
            "mae": float((self.absolute / self.n_rows).mean()),
        }


Sums = ClassSums | ValueSums


def summed(blocks: list[Sums]) -> Sums:
    """Return the sums of all blocks, added in their order."""
    return reduce(lambda first, second: first.merged(second), blocks)  # type: ignore[arg-type] # all are of one kind
