"""What boosted trees of several libraries share: rows held back to stop early, and columns that are categories."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import _safe_indexing

from partwise.learners.held_back import held_back

__all__ = ["category_places", "known_codes", "learned_and_judged"]

_Rows = tuple[Any, Any, Any]


def learned_and_judged(
    X: Any, y: Any, weights: Any, *, rounds: int | None, fraction: float, seed: Any, by_class: bool
) -> tuple[_Rows, _Rows | None]:
    """Return features, targets and weights to learn from, and those held back to stop early; None where none are.

    Parameters
    ----------
    rounds
        After how many rounds without a better loss it is stopped; None never.
    seed
        The ``random_state`` of the learner; None counts as 0.
    """
    y = np.asarray(y)
    held = np.zeros(len(y), dtype=bool)
    if rounds is not None:
        held = held_back(y, fraction, int(seed or 0), by_class=by_class)
    if not held.any():
        return (X, y, weights), None
    return _rows(X, y, weights, ~held), _rows(X, y, weights, held)


def _rows(X: Any, y: NDArray[Any], weights: Any, chosen: NDArray[np.bool_]) -> _Rows:
    rows = np.flatnonzero(chosen)
    return _safe_indexing(X, rows), y[rows], None if weights is None else np.asarray(weights)[rows]


def category_places(categorical_features: Any) -> list[int]:
    """Return the positions of the columns that are categories, of positions or a mask; none for None and a word."""
    if categorical_features is None or isinstance(categorical_features, str):
        return []
    asked = np.asarray(categorical_features)
    return (np.flatnonzero(asked) if asked.dtype == bool else asked.astype(np.int64)).tolist()


def known_codes(X: Any, categories: list[int]) -> NDArray[Any]:
    """Return the features with NaN for codes below 0, which stand for levels that were not seen."""
    if not categories:
        return X
    features = np.array(X, copy=True)
    codes = features[:, categories]
    codes[codes < 0] = np.nan
    features[:, categories] = codes
    return features
