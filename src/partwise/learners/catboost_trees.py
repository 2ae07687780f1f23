"""CatBoost as scikit-learn's estimators: all settings are told, rows are held back, codes are categories."""

from inspect import signature
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from catboost import CatBoostClassifier, CatBoostRegressor, Pool
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, is_classifier
from sklearn.utils.validation import check_is_fitted

from partwise.learners.boosted import category_places, learned_and_judged

__all__ = ["CatBoostTreesClassifier", "CatBoostTreesRegressor"]

_OURS = {"thread_count", "random_seed", "random_state", "cat_features", "early_stopping_rounds", "od_wait", "self"}
"""Settings of CatBoost that ours, or scikit-learn's names, stand for."""
_OF_THE_FIT = ("model_guid", "train_finish_time")
"""What CatBoost writes into a model that it did not learn from the rows."""


class _CatBoostTrees(BaseEstimator):
    """What both tasks share. CatBoost's own estimators tell only those settings that were given.

    Parameters
    ----------
    categorical_features
        Positions, or a mask, of columns of codes to treat as categories; partwise fills in those of its encoder for
        ``from_dtype``. None: codes are numbers.
    early_stopping_rounds, validation_fraction
        Stop when the loss on rows held back, this share of each class or of all, has not fallen for so many rounds. A
        class never loses its last row.
    n_jobs, random_state
        Threads, and seed.
    settings
        CatBoost's own.
    """

    _library: ClassVar[type]

    def __init__(
        self,
        *,
        categorical_features: Any = "from_dtype",
        early_stopping_rounds: int | None = None,
        validation_fraction: float = 0.1,
        n_jobs: int | None = None,
        random_state: int | None = None,
        **settings: Any,
    ) -> None:
        self.categorical_features = categorical_features
        self.early_stopping_rounds = early_stopping_rounds
        self.validation_fraction = validation_fraction
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.settings = settings

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: FBT001, FBT002 - scikit-learn's signature
        """Return our settings and CatBoost's."""
        theirs = {name: each.default for name, each in signature(self._library).parameters.items()}
        theirs = {name: value for name, value in theirs.items() if name not in _OURS}
        return theirs | super().get_params(deep) | self.settings

    def set_params(self, **params: Any) -> Self:
        """Set ours and CatBoost's; names are checked where learners are made."""
        ours = super().get_params(deep=False)
        for name in params.keys() & ours.keys():
            setattr(self, name, params[name])
        self.settings = self.settings | {name: value for name, value in params.items() if name not in ours}
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the trees."""
        self.categories_, self.n_features_in_ = category_places(self.categorical_features), np.shape(X)[1]
        learned, judged = learned_and_judged(
            self._features(X),
            y,
            sample_weight,
            rounds=self.early_stopping_rounds,
            fraction=self.validation_fraction,
            seed=self.random_state,
            by_class=is_classifier(self),
        )
        model = self._model()
        stop: dict[str, Any] = {}
        if judged is not None:
            stop = {"eval_set": self._judged(judged), "early_stopping_rounds": self.early_stopping_rounds}
        model.fit(learned[0], learned[1], sample_weight=learned[2], **stop)
        for name in _OF_THE_FIT:
            model.get_metadata()[name] = ""
        self.model_ = model
        if is_classifier(self):
            self.classes_ = np.asarray(model.classes_)
        return self

    def _model(self) -> Any:
        """Return CatBoost's unfitted estimator, which writes neither files nor, unless asked to, to the terminal."""
        given = {"thread_count": self.n_jobs, "random_seed": self.random_state} | self.settings
        given = {name: value for name, value in given.items() if value is not None}
        if not {"verbose", "silent", "logging_level"} & given.keys():
            given["logging_level"] = "Silent"
        return self._library(**{"allow_writing_files": False} | given, cat_features=self.categories_ or None)

    def _judged(self, judged: tuple[Any, Any, Any]) -> Any:
        """Return the rows held back, with their weights."""
        return Pool(judged[0], judged[1], weight=judged[2], cat_features=self.categories_ or None)

    def _features(self, X: Any) -> Any:
        """Return the features; CatBoost wants categories as whole numbers, which take a frame beside floats."""
        if not self.categories_:
            return np.asarray(X, dtype=np.float32)
        places = set(self.categories_)
        matrix = np.asarray(X)
        return pd.DataFrame(
            {
                place: np.nan_to_num(matrix[:, place], nan=-2).astype(np.int32) if place in places else matrix[:, place]
                for place in range(matrix.shape[1])
            }
        )

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the predicted classes or values."""
        check_is_fitted(self, "model_")
        predicted = np.asarray(self.model_.predict(self._features(X)))
        return predicted.reshape(len(predicted)) if predicted.size == len(predicted) else predicted


class CatBoostTreesClassifier(ClassifierMixin, _CatBoostTrees):
    """CatBoost for classes; other settings are CatBoost's own."""

    _library = CatBoostClassifier

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return probabilities of the classes, shape (rows, classes)."""
        check_is_fitted(self, "model_")
        return np.asarray(self.model_.predict_proba(self._features(X)))


class CatBoostTreesRegressor(RegressorMixin, _CatBoostTrees):
    """CatBoost for numbers; other settings are CatBoost's own."""

    _library = CatBoostRegressor
