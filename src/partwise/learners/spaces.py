"""Where to look for good parameters of the named learners, as data."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from numbers import Real
from typing import Any

from partwise.errors import InputError

__all__ = ["SPACES", "Choice", "Dimension", "Range"]


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from ``low`` to ``high``, both included; ``log`` where steps are ratios, ``integer`` for whole ones.

    Raises
    ------
    InputError
        If no number lies in it, or steps are ratios of what is not above zero.
    """

    low: float
    high: float
    log: bool = False
    integer: bool = False

    def __str__(self) -> str:
        kind = [name for name, holds in (("log", self.log), ("whole", self.integer)) if holds]
        return f"{self.low:g} to {self.high:g}" + (f" ({', '.join(kind)})" if kind else "")

    def __post_init__(self) -> None:
        for end in (self.low, self.high):
            if not isinstance(end, Real) or isinstance(end, bool) or not isfinite(end):
                raise InputError(f"A range has two ends that are numbers; got {self.low!r} and {self.high!r}.")
        if not self.low <= self.high:
            raise InputError(f"The range from {self.low!r} to {self.high!r} is empty. Give `low` and `high` in order.")
        if self.log and not self.low > 0:
            raise InputError(f"A range with `log` is above zero; `low` is {self.low!r}. Raise it, or leave `log` out.")
        if self.integer and not (float(self.low).is_integer() and float(self.high).is_integer()):
            raise InputError(f"A range of whole numbers has whole ends; got {self.low!r} and {self.high!r}.")


@dataclass(frozen=True, slots=True)
class Choice:
    """One of these values, which have no order.

    Raises
    ------
    InputError
        If there is none.
    """

    values: tuple[Any, ...]

    def __str__(self) -> str:
        return " | ".join(map(str, self.values))

    def __post_init__(self) -> None:
        if not self.values:
            raise InputError("A choice among no values is none. Give at least one.")


Dimension = Range | Choice

_FORESTS: Mapping[str, Dimension] = {
    "min_samples_leaf": Range(1, 50, log=True, integer=True),
    "max_features": Range(0.1, 1.0),
    "max_depth": Choice((None, 8, 16, 24)),
}
_LIBSVM: Mapping[str, Dimension] = {"C": Range(1e-2, 1e3, log=True), "gamma": Range(1e-3, 1e1, log=True)}

SPACES: Mapping[str, Mapping[str, Dimension]] = {
    "logistic": {"C": Range(1e-4, 1e3, log=True)},
    "ridge": {"alpha": Range(1e-4, 1e4, log=True)},
    "linear_svc": {"C": Range(1e-4, 1e3, log=True)},
    "svc": _LIBSVM,
    "svr": {**_LIBSVM, "epsilon": Range(1e-3, 1.0, log=True)},
    "nystroem": {
        "nystroem__gamma": Range(1e-3, 1e1, log=True),
        "nystroem__n_components": Range(100, 1000, log=True, integer=True),
    },
    "random_features": {
        "features__gamma": Range(1e-3, 1e1, log=True),
        "features__n_components": Range(300, 3000, log=True, integer=True),
    },
    "sgd": {"alpha": Range(1e-7, 1e-1, log=True), "penalty": Choice(("l2", "l1", "elasticnet"))},
    "knn": {"n_neighbors": Range(1, 50, log=True, integer=True), "weights": Choice(("uniform", "distance"))},
    "naive_bayes": {"var_smoothing": Range(1e-12, 1e-1, log=True)},
    "lda": {"solver": Choice(("lsqr",)), "shrinkage": Range(0.0, 1.0)},
    "tree": {
        "max_depth": Range(2, 30, integer=True),
        "min_samples_leaf": Range(1, 100, log=True, integer=True),
        "ccp_alpha": Range(1e-7, 1e-2, log=True),
    },
    "random_forest": _FORESTS,
    "extra_trees": _FORESTS,
    "gradient_boosting": {
        "learning_rate": Range(0.01, 0.5, log=True),
        "n_estimators": Range(50, 300, log=True, integer=True),
        "max_depth": Range(2, 8, integer=True),
        "subsample": Range(0.4, 1.0),
    },
    "hist_gradient_boosting": {
        "learning_rate": Range(0.01, 0.5, log=True),
        "max_iter": Range(50, 500, log=True, integer=True),
        "max_leaf_nodes": Range(7, 255, log=True, integer=True),
        "min_samples_leaf": Range(1, 100, log=True, integer=True),
        "l2_regularization": Range(1e-8, 10.0, log=True),
        "early_stopping": Choice((True,)),  # "auto" would tune members by another rule than one model of all rows
    },
    "mlp": {
        "alpha": Range(1e-6, 1e-1, log=True),
        "learning_rate_init": Range(1e-4, 3e-2, log=True),
        "hidden_layer_sizes": Choice(((50,), (100,), (200,), (100, 100), (200, 100))),
    },
    "gaussian_process": {},
    "xgboost": {
        "learning_rate": Range(0.01, 0.5, log=True),
        "n_estimators": Range(50, 500, log=True, integer=True),
        "max_depth": Range(2, 12, integer=True),
        "min_child_weight": Range(0.5, 50.0, log=True),
        "subsample": Range(0.4, 1.0),
        "colsample_bytree": Range(0.3, 1.0),
        "reg_lambda": Range(1e-3, 100.0, log=True),
    },
    "lightgbm": {
        "learning_rate": Range(0.01, 0.5, log=True),
        "n_estimators": Range(50, 500, log=True, integer=True),
        "num_leaves": Range(7, 255, log=True, integer=True),
        "min_child_samples": Range(1, 100, log=True, integer=True),
        "colsample_bytree": Range(0.3, 1.0),
        "reg_lambda": Range(1e-3, 100.0, log=True),
    },
    "catboost": {
        "learning_rate": Range(0.01, 0.5, log=True),
        "iterations": Range(50, 500, log=True, integer=True),
        "depth": Range(3, 10, integer=True),
        "l2_leaf_reg": Range(0.1, 30.0, log=True),
    },
    "torch_mlp": {
        "learning_rate_init": Range(1e-4, 1e-2, log=True),
        "weight_decay": Range(1e-7, 1e-2, log=True),
        "dropout": Range(0.0, 0.5),
        "batch_size": Choice((64, 128, 256, 512)),
        "hidden_layer_sizes": Choice(((64,), (128, 64), (256, 128), (256, 256), (512, 256, 128))),
    },
}
"""For each learner where its parameters are looked for by default; empty where there is nothing to look for.

Ranges span what the learners' own documentation and the spaces of published benchmarks (Grinsztajn, Oyallon,
Varoquaux, NeurIPS 2022, appendix A) call reasonable; those of support vector machines are for features of unit scale.
"""
