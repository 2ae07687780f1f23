"""XGBoost's estimators, which stop early on rows that they hold back, and take codes as categories."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier
from xgboost import XGBClassifier, XGBRegressor

from partwise.learners.boosted import category_places, known_codes, learned_and_judged

__all__ = ["XGBoostClassifier", "XGBoostRegressor"]


class _OwnSettings:
    """What both tasks have of ours; without early stopping and categories they are XGBoost's own fits.

    Parameters
    ----------
    categorical_features
        Positions, or a mask, of columns of codes to treat as categories; partwise fills in those of its encoder for
        ``from_dtype``. None: codes are numbers.
    validation_fraction
        With ``early_stopping_rounds``, the share of each class's rows, or of all, that is held back; a class never
        loses its last row.
    """

    random_state: Any
    early_stopping_rounds: int | None

    def __init__(
        self, *, categorical_features: Any = "from_dtype", validation_fraction: float = 0.1, **settings: Any
    ) -> None:
        self.categorical_features = categorical_features
        self.validation_fraction = validation_fraction
        super().__init__(**settings)

    def _wrapper_params(self) -> set[str]:
        return super()._wrapper_params() | {"categorical_features", "validation_fraction"}  # type: ignore[misc]

    def fit(self, X: Any, y: Any, *, sample_weight: Any = None, **more: Any) -> Self:
        """Fit the trees; with ``early_stopping_rounds`` and no ``eval_set`` some rows are held back."""
        rounds = None if "eval_set" in more else self.early_stopping_rounds
        self._take_categories(np.shape(X)[1])
        X = known_codes(X, category_places(self.categorical_features))
        learned, judged = learned_and_judged(
            X,
            y,
            sample_weight,
            rounds=rounds,
            fraction=self.validation_fraction,
            seed=self.random_state,
            by_class=is_classifier(self),
        )
        if judged is not None:
            more |= {"eval_set": [judged[:2]], "verbose": False}
            more |= {} if judged[2] is None else {"sample_weight_eval_set": [judged[2]]}
        asked = self.early_stopping_rounds
        try:
            if judged is None and "eval_set" not in more:
                self.early_stopping_rounds = None  # too few rows to hold any back: all rounds on all of them
            super().fit(learned[0], learned[1], sample_weight=learned[2], **more)  # type: ignore[misc]
        finally:
            self.early_stopping_rounds = asked
        return self

    def predict(self, X: Any, **more: Any) -> NDArray[Any]:
        """Return the predicted classes or values."""
        known = known_codes(X, category_places(self.categorical_features))
        return np.asarray(super().predict(known, **more))  # type: ignore[misc]

    def _take_categories(self, n_features: int) -> None:
        places = set(category_places(self.categorical_features))
        if places:
            self.enable_categorical = True
            self.feature_types = ["c" if place in places else "q" for place in range(n_features)]


class XGBoostClassifier(_OwnSettings, XGBClassifier):
    """XGBoost for classes; other settings are XGBoost's own."""

    def predict_proba(self, X: Any, **more: Any) -> NDArray[Any]:
        """Return probabilities of the classes, shape (rows, classes)."""
        return np.asarray(super().predict_proba(known_codes(X, category_places(self.categorical_features)), **more))


class XGBoostRegressor(_OwnSettings, XGBRegressor):
    """XGBoost for numbers; other settings are XGBoost's own."""
