"""Make a learner ready for one fit: its seeds, its threads, and what it says about classes."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

__all__ = ["configured", "member_seed", "seeded_globals", "translate_class_weights", "with_categories"]

_SEEDS = 2**31 - 1

_CLASS_WEIGHTS = {"class_weight", "class_weights"}
"""Scikit-learn's name, and CatBoost's."""


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


@contextmanager
def seeded_globals(seed: int, cpus: int) -> Iterator[None]:
    """Seed the generator that PyTorch has for the whole process, and limit its threads, for a block.

    Networks such as skorch's have no ``random_state`` to be seeded by. Where no network was imported nothing is done.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    threads = torch.get_num_threads()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.set_num_threads(cpus)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def translate_class_weights(estimator: Any, labels: NDArray[Any]) -> None:
    """Rewrite dictionaries of class weights from the user's labels to the member's class numbers."""
    if not hasattr(estimator, "get_params"):
        return
    settings = {
        name: {code: value[label] for code, label in enumerate(labels.tolist()) if label in value}
        for name, value in estimator.get_params(deep=True).items()
        if name.rpartition("__")[2] in _CLASS_WEIGHTS and isinstance(value, Mapping)
    }
    if settings:
        estimator.set_params(**settings)


def with_categories(estimator: Any, levels: Mapping[int, int]) -> Any:
    """Return an unfitted copy that is told which features are codes of categories, where it leaves that open.

    It does where its ``categorical_features`` is ``from_dtype``, by scikit-learn's convention the categorical columns
    of a frame, which a matrix cannot mark. Those with more levels than its ``max_bins`` stay numbers. What is nested in
    a Pipeline may see other features, and is told nothing.

    Parameters
    ----------
    levels
        The number of levels of each such feature, by position.
    """
    params = estimator.get_params(deep=False) if hasattr(estimator, "get_params") else {}
    asked = params.get("categorical_features")
    if not levels or not isinstance(asked, str) or asked != "from_dtype":
        return estimator
    taken = {place: count for place, count in levels.items() if count <= params.get("max_bins", count)}
    settings: dict[str, Any] = {"categorical_features": list(taken)} if taken else {}
    if taken and "n_levels" in params:
        settings["n_levels"] = list(taken.values())
    return clone(estimator).set_params(**settings)
