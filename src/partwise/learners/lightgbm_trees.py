"""LightGBM's estimators, which stop early on rows that they hold back, and take codes as categories."""

from inspect import signature
from typing import Any, Self

from lightgbm import LGBMClassifier, LGBMRegressor, early_stopping
from sklearn.base import is_classifier

from partwise.learners.boosted import category_places, learned_and_judged

__all__ = ["LightGBMClassifier", "LightGBMRegressor"]

_BY_NAME = "eval_X" in signature(LGBMClassifier.fit).parameters
"""Whether this version takes the rows held back by name; ``eval_set`` is deprecated there."""
_OURS = ("categorical_features", "early_stopping_rounds", "validation_fraction")


class _OwnSettings:
    """What both tasks have of ours; without early stopping and categories they are LightGBM's own fits.

    Parameters
    ----------
    categorical_features
        Positions, or a mask, of columns of codes to treat as categories; partwise fills in those of its encoder for
        ``from_dtype``. None: codes are numbers.
    early_stopping_rounds, validation_fraction
        Stop when the loss on rows held back, this share of each class or of all, has not fallen for so many rounds. A
        class never loses its last row.
    """

    random_state: Any

    def __init__(
        self,
        *,
        categorical_features: Any = "from_dtype",
        early_stopping_rounds: int | None = None,
        validation_fraction: float = 0.1,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.categorical_features = categorical_features
        self.early_stopping_rounds = early_stopping_rounds
        self.validation_fraction = validation_fraction

    def _process_params(self, stage: str) -> dict[str, Any]:
        params: dict[str, Any] = super()._process_params(stage)  # type: ignore[misc]
        return {name: value for name, value in params.items() if name not in _OURS}

    def fit(self, X: Any, y: Any, sample_weight: Any = None, **more: Any) -> Self:
        """Fit the trees; with ``early_stopping_rounds`` and no ``eval_set`` some rows are held back."""
        learned, judged = learned_and_judged(
            X,
            y,
            sample_weight,
            rounds=None if "eval_set" in more else self.early_stopping_rounds,
            fraction=self.validation_fraction,
            seed=self.random_state,
            by_class=is_classifier(self),
        )
        if judged is not None:
            stop = early_stopping(self.early_stopping_rounds, verbose=False)
            rows = dict(zip(("eval_X", "eval_y"), judged, strict=False)) if _BY_NAME else {"eval_set": [judged[:2]]}
            more |= rows | {"eval_sample_weight": [judged[2]], "callbacks": [stop]}
        places = category_places(self.categorical_features)
        more |= {"categorical_feature": places} if places else {}
        super().fit(learned[0], learned[1], sample_weight=learned[2], **more)  # type: ignore[misc]
        return self


class LightGBMClassifier(_OwnSettings, LGBMClassifier):
    """LightGBM for classes; other settings are LightGBM's own."""


class LightGBMRegressor(_OwnSettings, LGBMRegressor):
    """LightGBM for numbers; other settings are LightGBM's own."""
