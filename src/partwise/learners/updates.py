"""Learners that pass over the rows again and again: as many updates on a partition as on the whole table."""

from typing import Any

from sklearn.linear_model import (
    PassiveAggressiveClassifier,
    PassiveAggressiveRegressor,
    Perceptron,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.neural_network import MLPClassifier, MLPRegressor

from partwise.errors import InputError

__all__ = ["match_updates", "passes_of"]

_KINDS = (
    MLPClassifier,
    MLPRegressor,
    PassiveAggressiveClassifier,
    PassiveAggressiveRegressor,
    Perceptron,
    SGDClassifier,
    SGDRegressor,
)
_COUNTED = ("max_iter", "n_iter_no_change")


def passes_of(estimator: Any) -> dict[str, int]:
    """Return the settings that count passes over the rows, by their nested names, with their values.

    Raises
    ------
    InputError
        If the estimator, and all that is nested in it, makes no passes.
    """
    params = estimator.get_params(deep=True) if hasattr(estimator, "get_params") else {}
    owners = {"": estimator} | {f"{name}__": value for name, value in params.items()}
    passes = {
        prefix + name: params[prefix + name]
        for prefix, owner in owners.items()
        if isinstance(owner, _KINDS) and getattr(owner, "solver", "") != "lbfgs"
        for name in _COUNTED
    }
    if not passes:
        raise InputError(
            f"match_updates=True, but {type(estimator).__name__} does not count passes over the rows. "
            f"Valid: {', '.join(kind.__name__ for kind in _KINDS)} (not with solver='lbfgs'), also in a Pipeline; "
            "or leave match_updates off."
        )
    return passes


def match_updates(estimator: Any, n_rows: int, n_all_rows: int) -> Any:
    """Return the estimator set to as many updates on ``n_rows`` rows as it would make on ``n_all_rows``.

    A pass over a partition has fewer updates than one over the table, so the number of passes grows by as much, and
    so does the number of passes without progress after which the learner stops.
    """
    factor = n_all_rows / n_rows
    return estimator.set_params(**{name: max(1, round(value * factor)) for name, value in passes_of(estimator).items()})
