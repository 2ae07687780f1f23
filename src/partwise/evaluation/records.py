"""The nouns of evaluation: the truth about test rows, what a model said about them, and what follows."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from partwise.errors import InputError
from partwise.records import OutputKind

__all__ = ["Difference", "Growth", "Interval", "Outputs", "Truth", "widened"]

BINARY = 2


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What is known about the test rows.

    Parameters
    ----------
    y
        Class codes 0..n_classes-1 of shape (rows,), or regression targets of shape (rows,) or (rows, targets).
    n_classes
        The size of the label space, which may hold classes that no test row has; None in regression.
    groups
        The group of each row, shape (rows,), where rows of one group are not independent of each other.
    """

    y: NDArray[Any]
    n_classes: int | None = None
    groups: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        if len(self.y) == 0:
            raise InputError("There are no test rows, so nothing can be evaluated: enlarge the test share.")
        if self.groups is not None and len(self.groups) != len(self.y):
            raise InputError(f"There are {len(self.groups)} group values for {len(self.y)} test rows; give one a row.")
        if self.n_classes is not None:
            _check_codes(self.y, self.n_classes, "The test rows have")


@dataclass(frozen=True, slots=True, eq=False)
class Outputs:
    """What a model said about the test rows.

    Parameters
    ----------
    labels
        Predicted class codes of shape (rows,), or regression values of shape (rows,) or (rows, targets).
    scores
        One column per class, shape (rows, classes): probabilities, decision values or shares of votes; None
        where the model has none. Fewer columns than classes mean that no training row had the last classes:
        they count as columns of zeros. One column of decision values for two classes is the second class's.
    kind
        What the scores mean.
    """

    labels: NDArray[Any]
    scores: NDArray[np.floating[Any]] | None
    kind: OutputKind

    @classmethod
    def from_array(cls, outputs: NDArray[Any], kind: OutputKind) -> "Outputs":
        """Return the outputs of a predictor, shape (rows, outputs), with the labels that follow from them.

        The label is the class with the highest score, the first of them where several are equal.
        """
        if kind == "value":
            return cls(outputs[:, 0] if outputs.ndim == BINARY and outputs.shape[1] == 1 else outputs, None, kind)
        columns = outputs[:, None] if outputs.ndim == 1 else outputs
        if kind == "decision" and columns.shape[1] == 1:
            return cls((columns[:, 0] > 0).astype(np.int64), columns, kind)
        return cls(columns.argmax(axis=1), columns, kind)


def widened(outputs: NDArray[np.float64], known: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.float64]:
    """Return outputs with a column for every label: those that no training row had get the row's smallest value.

    Parameters
    ----------
    known
        The labels of the columns of ``outputs``.
    labels
        All labels, sorted.
    """
    if outputs.shape[1] == len(labels):
        return outputs
    wider = np.repeat(np.minimum(outputs.min(axis=1, keepdims=True), 0.0), len(labels), axis=1)
    wider[:, np.isin(labels, known)] = outputs
    return wider


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A value and where it may lie; ``low`` and ``high`` are None where the test rows cannot tell."""

    estimate: float
    low: float | None
    high: float | None
    level: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Ensemble minus single model in the metric's own units, with its interval and test.

    ``n_resamples`` counts the bootstrap resamples in which the metric was defined. ``low``, ``high`` and
    ``p_value`` are None where the test rows cannot tell.
    """

    estimate: float
    low: float | None
    high: float | None
    level: float
    p_value: float | None
    test: str
    n_resamples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """The metric as members are added: ``together[k]`` after members 0..k, ``alone[k]`` of member k by itself.

    ``single`` is that of the single model on the same rows, of which there are ``n_rows``.
    """

    together: tuple[float | None, ...]
    alone: tuple[float | None, ...]
    single: float | None = None
    n_rows: int


def check_outputs(truth: Truth, outputs: Outputs) -> None:
    """Raise InputError where the outputs cannot be about these test rows."""
    if len(outputs.labels) != len(truth.y):
        raise InputError(f"The model gave {len(outputs.labels)} outputs for {len(truth.y)} test rows.")
    if truth.n_classes is None:
        if np.shape(outputs.labels) != np.shape(truth.y):
            raise InputError(f"Predicted values have shape {outputs.labels.shape}, the targets {truth.y.shape}.")
        return
    _check_codes(outputs.labels, truth.n_classes, "The model predicted")
    if outputs.scores is not None:
        n_rows, n_columns = np.shape(outputs.scores)
        if n_rows != len(truth.y) or n_columns > truth.n_classes:
            raise InputError(
                f"Scores have shape ({n_rows}, {n_columns}) for {len(truth.y)} test rows of {truth.n_classes} classes."
            )


def class_scores(outputs: Outputs, n_classes: int) -> NDArray[np.float64] | None:
    """Return the scores with one column for each of the classes, shape (rows, n_classes)."""
    if outputs.scores is None:
        return None
    scores = np.asarray(outputs.scores, dtype=np.float64)
    if outputs.kind == "decision" and n_classes == BINARY and scores.shape[1] == 1:
        return np.hstack([-scores, scores])
    missing = n_classes - scores.shape[1]
    return np.pad(scores, ((0, 0), (0, missing))) if missing else scores


def _check_codes(codes: NDArray[Any], n_classes: int, subject: str) -> None:
    values = np.asarray(codes)
    if values.ndim != 1 or values.dtype.kind not in "iu":
        raise InputError(f"{subject} labels of type {values.dtype}, shape {values.shape}; expected codes, one a row.")
    if values.min() < 0 or values.max() >= n_classes:
        raise InputError(f"{subject} class codes {values.min()}..{values.max()}; expected 0..{n_classes - 1}.")
