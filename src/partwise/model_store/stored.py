"""A model as it is used after the run: raw rows in, labels or values out; needs no executor."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from partwise.errors import InputError
from partwise.protocols import Encoder, Predictor
from partwise.sources.memory import as_features

__all__ = ["StoredModel"]

_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredModel:
    """A predictor with what it takes to use it on raw rows.

    Parameters
    ----------
    task
        ``classification`` or ``regression``.
    classes
        The class labels, in the order of the predictor's outputs; None in regression.
    encoder
        A fitted encoder, None where the members take the columns as they are.
    predictor
        The members and what the combiner learned.
    feature_names
        The raw input columns, None where the model was fitted on an array without names.
    """

    task: str
    classes: NDArray[Any] | None
    encoder: Encoder | None
    predictor: Predictor
    feature_names: tuple[str, ...] | None
    feature_kinds: Mapping[str, str] | None = None
    """What these columns held at fit (``numbers``, ``texts``, ``times``, …), as far as it is known."""
    missing: tuple[str, ...] = ()
    """What the ensemble lacks: a sentence for each partition that should have a member and has none."""

    def outputs(self, table: Any) -> NDArray[np.float64]:
        """Return the combined outputs for a table or a matrix, shape (rows, outputs).

        Columns of a table are matched by name: their order does not matter, and further columns are ignored.

        Raises
        ------
        InputError
            If a column is missing, or an array has another number of columns.
        """
        features = self._features(as_features(table))
        return self.predictor.outputs(features if self.encoder is None else self.encoder.transform(_frame(features)))

    def predict(self, table: Any) -> NDArray[Any]:
        """Return class labels, or values, for a table or a matrix, shape (rows,), or (rows, targets)."""
        return self.decide(self.outputs(table))

    def decide(self, outputs: NDArray[np.float64]) -> NDArray[Any]:
        """Return the labels or values that outputs stand for, shape (rows,), or (rows, targets)."""
        if self.classes is not None:
            return self.classes[outputs.argmax(axis=1)]
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    def _features(self, table: Any) -> Any:
        names = self.feature_names
        if isinstance(table, pd.DataFrame):
            return table if names is None else _columns(table, names)
        matrix = table if hasattr(table, "shape") else np.asarray(table)
        if names is None:
            return matrix
        if len(matrix.shape) != 2 or matrix.shape[1] != len(names):
            raise InputError(
                f"The array has shape {matrix.shape}, the model takes {len(names)} columns: {_shown(names)}. "
                "Give (rows, columns) in that order, or a DataFrame with those names."
            )
        return pd.DataFrame(matrix, columns=list(names)) if isinstance(matrix, np.ndarray) else matrix


def _columns(table: pd.DataFrame, names: tuple[str, ...]) -> pd.DataFrame:
    missing = [name for name in names if name not in table.columns]
    if missing:
        raise InputError(
            f"The table lacks {len(missing)} of the model's {len(names)} columns: {_shown(missing)}. "
            f"It has: {_shown(table.columns)}. Add them, or rename the columns as in the training table."
        )
    return table[list(names)]


def _frame(features: Any) -> pd.DataFrame:
    if isinstance(features, pd.DataFrame):
        return features
    return pd.DataFrame(features, columns=[f"x{i}" for i in range(features.shape[1])])


def _shown(names: Any) -> str:
    texts = [str(name) for name in names]
    return ", ".join(texts[:_SHOWN]) + (f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else "")
