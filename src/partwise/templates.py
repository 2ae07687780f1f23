"""Make a learner ready for one fit: its seeds, its threads, and what it says about classes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

__all__ = ["configured", "member_seed", "translate_class_weights"]

_SEEDS = 2**31 - 1


def member_seed(seed: int, partition: int) -> int:
    """Return the seed of one member: a function of the run's seed and the partition alone."""
    return int(np.random.SeedSequence((seed, partition)).generate_state(1)[0] % _SEEDS)


def configured(estimator: Any, seed: int, cpus: int) -> Any:
    """Return an unfitted copy with every open ``random_state`` seeded and every ``n_jobs`` set to ``cpus``.

    Nested parameters are reached too. A ``random_state`` that the user set to a number stays as it is.
    """
    copy = clone(estimator, safe=False)
    if not hasattr(copy, "get_params"):
        return copy
    params = copy.get_params(deep=True)
    settings: dict[str, Any] = {}
    for name in sorted(params):
        last = name.rpartition("__")[2]
        if last == "random_state" and not isinstance(params[name], (int, np.integer)):
            # Each place has a seed of its own: equal streams in two steps of a Pipeline would be correlated.
            settings[name] = member_seed(seed, len(settings) + 1)
        elif last == "n_jobs":
            settings[name] = cpus
    return copy.set_params(**settings) if settings else copy


def translate_class_weights(estimator: Any, labels: NDArray[Any]) -> None:
    """Rewrite ``class_weight`` dictionaries from the user's labels to the member's class numbers."""
    if not hasattr(estimator, "get_params"):
        return
    settings = {
        name: {code: value[label] for code, label in enumerate(labels.tolist()) if label in value}
        for name, value in estimator.get_params(deep=True).items()
        if name.rpartition("__")[2] == "class_weight" and isinstance(value, Mapping)
    }
    if settings:
        estimator.set_params(**settings)
