"""How the next parameters are chosen, and which trials go on: Optuna's samplers, and successive halving."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.pruners import BasePruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, CmaEsSampler, RandomSampler, TPESampler
from optuna.storages import RDBStorage

from partwise.credentials import without_credentials
from partwise.errors import InputError, SearchError, unknown_choice
from partwise.search.spaces import Space

__all__ = [
    "SAMPLERS",
    "check_sampler",
    "check_space",
    "check_study",
    "make_pruner",
    "make_sampler",
    "open_study",
    "opening",
    "rungs_of",
    "silent",
    "storing",
]

SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "tpe": lambda seed: TPESampler(seed=seed, multivariate=True),
    "random": lambda seed: RandomSampler(seed=seed),
    "grid": lambda seed: RandomSampler(seed=seed),  # its points are enqueued, in random order
    "cmaes": lambda seed: CmaEsSampler(seed=seed, consider_pruned_trials=True, warn_independent_sampling=False),
}
"""Name to a function of the seed: the tree-structured Parzen estimator (Bergstra, Bardenet, Bengio, Kegl, NIPS 2011),
random search, a grid, CMA-ES (Hansen 2016; it moves numbers, and draws choices at random)."""

_FEWEST_NUMBERS = {"cmaes": 2}
"""Parameters that are numbers which a sampler must have; it would draw at random without a word."""
_LARGEST_GRID = 2**53
_LOCKED_SECONDS = 90.0
"""How long a database in a file may be locked by others, such as a dashboard or a copy that is made of it."""
_STUDY = "partwise"
_OF = "search"
"""The attribute of a study that says which search it is of."""


def check_sampler(name: str) -> None:
    """Refuse a name that is no sampler.

    Raises
    ------
    InputError
        If it is none.
    """
    if name not in SAMPLERS:
        raise unknown_choice("sampler", name, SAMPLERS)


def check_space(name: str, space: Space) -> None:
    """Refuse a sampler that cannot move in this space.

    Raises
    ------
    InputError
        If the space has too few parameters that are numbers, or the grid more points than can be counted.
    """
    n_numbers = sum(not isinstance(each, CategoricalDistribution) for each in space.distributions.values())
    if n_numbers < _FEWEST_NUMBERS.get(name, 0):
        raise InputError(
            f"sampler={name!r} needs {_FEWEST_NUMBERS[name]} or more parameters that are ranges, and the space has "
            f"{n_numbers}. Valid here: {', '.join(each for each in SAMPLERS if each not in _FEWEST_NUMBERS)}."
        )
    if name == "grid" and space.grid_size > _LARGEST_GRID:
        raise InputError(
            f"The grid of {len(space.distributions)} parameters has {space.grid_size:.1e} points. Give "
            "sampler='random', or fewer parameters."
        )


def make_sampler(name: str, seed: int, n_before: int) -> BaseSampler:
    """Return the sampler of this name for one trial, seeded by the search's seed and the number of trials before it.

    A search that was stopped thus goes on with the trials that it would have made, and repeats none.

    Raises
    ------
    InputError
        If there is none.
    """
    check_sampler(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return SAMPLERS[name](int(np.random.SeedSequence((seed, n_before)).generate_state(1)[0]))


def make_pruner(reduction_factor: int) -> BasePruner:
    """Return the pruner: asynchronous successive halving (Li et al., MLSys 2020), a trial's partitions its resource.

    With a factor of 1 no trial is pruned.
    """
    if reduction_factor == 1:
        return NopPruner()
    return SuccessiveHalvingPruner(min_resource=1, reduction_factor=reduction_factor)


def rungs_of(n_partitions: int, reduction_factor: int) -> list[int]:
    """Return the numbers of partitions at which a trial is judged: 1, f, f² and so on, and all of them.

    With a factor of 1 a trial is judged on all alone.
    """
    rungs, rung = [], 1
    while reduction_factor > 1 and rung < n_partitions:
        rungs.append(rung)
        rung *= reduction_factor
    return [*rungs, n_partitions]


def open_study(storage: str | None, pruner: BasePruner, search: str, *, maximize: bool) -> optuna.Study:
    """Return the study in a database, made where there is none; None keeps it in memory.

    ``search`` is a digest of all that makes scores comparable.

    Raises
    ------
    InputError
        If the database cannot be used, or holds another search.
    """
    place = None if storage is None else without_credentials(storage)
    with opening(storage):
        study = optuna.create_study(
            storage=None if storage is None else _opened(storage),
            pruner=pruner,
            study_name=_STUDY,
            direction="maximize" if maximize else "minimize",
            load_if_exists=True,
        )
    if study.user_attrs.setdefault(_OF, search) != search:
        raise InputError(
            f"The study in {place!r} is another search: of other rows, random_state, partitions, fidelity, learner, "
            "search space, metric or versions, so that its scores cannot be compared with new ones. Give a new "
            "database, or the same settings (a number for random_state)."
        )
    study.set_user_attr(_OF, search)
    return study


def check_study(storage: str) -> None:
    """Refuse a database that cannot be used; in one that can, Optuna makes its tables.

    Raises
    ------
    InputError
        If its driver is not installed, it does not answer, or cannot be written to.
    """
    with opening(storage):
        _opened(storage)


@contextmanager
def opening(storage: str | None) -> Iterator[None]:
    """Explain a database that cannot be opened.

    Raises
    ------
    InputError
        If it cannot, with what is to be done.
    """
    try:
        with silent():
            yield
    except Exception as error:
        if isinstance(error, ImportError):
            missing = getattr(error.__cause__ or error.__context__, "name", None) or "its driver"
            reason = f"Python cannot import {missing}"
            remedy = 'Install it (for postgresql: pip install "partwise[postgresql]")'
        else:
            reason = f"{type(error).__name__}: {_first_line(error)}"
            remedy = "Give the address of a database that can be written to, such as sqlite:///study.db or "
            remedy += "postgresql://host/name"
        place = without_credentials(str(storage))
        raise InputError(f"The study cannot be kept in {place!r}: {reason}. {remedy}.") from error


def _opened(url: str) -> RDBStorage:
    waiting = {"connect_args": {"timeout": _LOCKED_SECONDS}} if url.startswith("sqlite") else None
    return RDBStorage(url, engine_kwargs=waiting)


def _first_line(error: BaseException) -> str:
    return without_credentials(next(iter(str(error).splitlines()), ""))


@contextmanager
def storing() -> Iterator[None]:
    """Explain a study that can no longer be written to, or read.

    Raises
    ------
    SearchError
        If its database fails.
    """
    try:
        yield
    except StorageInternalError as error:
        raise SearchError(
            f"The study can no longer be kept: {_first_line(error.__cause__ or error)}. Look whether its database "
            "answers and its disk has space, then go on with the same study (partwise resume): trials that ended stay."
        ) from error


@contextmanager
def silent() -> Iterator[None]:
    """Keep Optuna from writing to the terminal: progress and results are told by partwise."""
    logger = logging.getLogger("optuna")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="optuna")
            yield
    finally:
        logger.setLevel(before)
