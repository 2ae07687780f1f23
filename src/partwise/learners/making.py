"""Make a learner from its name."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

from partwise.errors import InputError, MissingExtraError, unknown_choice
from partwise.learners.catalogue import CATALOGUE, Entry
from partwise.learners.checking import with_parameters
from partwise.learners.importing import found_estimator, load, needs_of
from partwise.learners.plugins import foreign_entry, foreign_learners, package_of
from partwise.records import Learner, LearnerNeeds

__all__ = ["check_learner_name", "learner_names", "make_learner"]

_TASKS = ("classification", "regression")


def learner_names(task: Literal["classification", "regression"] | None = None) -> tuple[str, ...]:
    """Return the names of partwise's learners, of one task or of both, without importing any of them."""
    if task is None:
        return tuple(CATALOGUE)
    return tuple(name for name, entry in CATALOGUE.items() if _path(entry, task))


def make_learner(
    name: str,
    task: Literal["classification", "regression"],
    params: Mapping[str, Any] = MappingProxyType({}),
) -> Learner:
    """Make the learner of this name for a task, with these parameters.

    Parameters
    ----------
    name
        One of ``learner_names()``; a name that another package declares under the entry point ``partwise.learners``;
        or ``package.module:Name``, or ``file.py:name``, of a scikit-learn-compatible estimator class, an estimator, or
        a function without arguments that returns one.
    task
        ``classification`` or ``regression``.
    params
        Parameters of the estimator; ``step__name`` reaches into a pipeline.

    Raises
    ------
    InputError
        When the name is unknown, or has no estimator for this task.
    ConfigurationError
        When parameters are unknown or have invalid values; it lists every one.
    MissingExtraError
        When the learner's package is not installed.

    Examples
    --------
    >>> make_learner("ridge", "regression", {"alpha": 2.0}).estimator
    Ridge(alpha=2.0)
    """
    if task not in _TASKS:
        raise unknown_choice("task", task, _TASKS)
    if ":" in name:
        estimator = found_estimator(name, task)
        needs = needs_of(estimator)
    elif name in CATALOGUE:
        estimator, needs = _named(CATALOGUE[name], task), CATALOGUE[name].needs
    else:
        estimator, needs = _foreign(name, task)
    return Learner(name=name, estimator=with_parameters(name, estimator, params), needs=needs)


def check_learner_name(name: str) -> None:
    """Refuse a name that is no learner of any task; paths, and other packages, are looked into when it is made.

    Raises
    ------
    InputError
        If it is none; the nearest and all valid ones are named.
    """
    if ":" in name or name in CATALOGUE:
        return
    foreign = foreign_learners()
    if name not in foreign:
        raise unknown_choice(
            "learner",
            name,
            [*CATALOGUE, *foreign],
            hint="Any other estimator is named by its path, package.module:Class or file.py:name.",
        )


def _named(entry: Entry, task: str) -> Any:
    path = _path(entry, task)
    if path is None:
        valid = ", ".join(sorted(other for other in CATALOGUE if _path(CATALOGUE[other], task)))
        instead = f" Use {entry.instead!r} instead." if entry.instead else ""
        raise InputError(f"Learner {entry.name!r} is not for {task}.{instead} Valid: {valid}.")
    return _loaded(entry, path)(**entry.defaults)


def _foreign(name: str, task: str) -> tuple[Any, LearnerNeeds]:
    """Return the estimator of another package, and its needs; errors name the package."""
    check_learner_name(name)
    point = foreign_learners()[name]
    entry = foreign_entry(point)
    try:
        if entry is not None:
            return _named(entry, task), entry.needs
        estimator = found_estimator(point.value, task)
    except (ImportError, InputError, AttributeError, TypeError) as error:
        raise InputError(f"Learner {name!r} of the package {package_of(point)!r} cannot be made: {error}") from error
    return estimator, needs_of(estimator)


def _path(entry: Entry, task: str) -> str | None:
    return {"classification": entry.classifier, "regression": entry.regressor}[task]


def _loaded(entry: Entry, path: str) -> Any:
    try:
        return load(path)
    except ImportError as error:
        if entry.extra is None:
            raise
        package = (error.name or path.partition(":")[0]).partition(".")[0]
        raise MissingExtraError(
            f"Learner {entry.name!r} needs {package}, which cannot be imported ({error}). Install it with: "
            f'pip install "partwise[{entry.extra}]"'
        ) from error
