"""What is known of the learners without importing any; and the parameters of one, which imports it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from partwise.errors import InputError
from partwise.learners.catalogue import CATALOGUE, Entry
from partwise.learners.making import check_learner_name, make_learner
from partwise.learners.plugins import foreign_entry, foreign_learners, package_of
from partwise.learners.spaces import SPACES, Dimension

__all__ = ["Described", "described", "listed", "parameters_of"]

TASKS: tuple[Literal["classification"], Literal["regression"]] = ("classification", "regression")


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A learner as a table shows it.

    What another package's learner can do is known when the package is imported: None until then.

    Parameters
    ----------
    missing, categories, sparse, weights
        Whether it takes missing values, codes of categories as such, sparse matrices and weights of rows.
    rungs
        The combinations that suit it, the best first; ``soft`` is ``mean`` in regression.
    exact
        Whether its members can be merged into the model of a single fit.
    extra
        The extra of partwise, or the package, that brings it.
    space
        What a search varies by default: the parameter, and its range as a text.
    """

    name: str
    tasks: tuple[str, ...]
    missing: bool | None = None
    categories: bool | None = None
    sparse: bool | None = None
    weights: bool | None = None
    rungs: tuple[str, ...] = ()
    exact: bool | None = None
    extra: str | None = None
    space: Mapping[str, str] = field(default_factory=dict)


def listed() -> Iterator[Described]:
    """Yield all learners, those of other packages last; nothing of theirs is imported."""
    for entry in CATALOGUE.values():
        yield _of_entry(entry, entry.extra, SPACES[entry.name])
    for name, point in sorted(foreign_learners().items()):
        yield Described(name=name, tasks=(), extra=package_of(point))


def described(name: str) -> Described:
    """Return one learner; that of another package is imported.

    Raises
    ------
    InputError
        If there is none of this name, or it cannot be imported.
    """
    check_learner_name(name)
    if name in CATALOGUE:
        return _of_entry(CATALOGUE[name], CATALOGUE[name].extra, SPACES[name])
    point = foreign_learners().get(name)
    entry = None if point is None else foreign_entry(point)
    if entry is not None and point is not None:
        return _of_entry(entry, package_of(point), entry.space)
    tasks = tuple(parameters_of(name))
    return Described(name=name, tasks=tasks, extra=None if point is None else package_of(point))


def parameters_of(name: str) -> dict[str, dict[str, Any]]:
    """Return the parameters of a learner with their defaults, by task; its library is imported.

    Raises
    ------
    InputError
        If it can be made for no task; what each task said is told.
    MissingExtraError
        If its library is not installed.
    """
    found: dict[str, dict[str, Any]] = {}
    mistakes = []
    for task in TASKS:
        try:
            found[task] = dict(sorted(make_learner(name, task).estimator.get_params(deep=True).items()))
        except InputError as error:
            mistakes.append(f"{task}: {error}")
    if not found:
        raise InputError(" ".join(mistakes))
    return found


def _of_entry(entry: Entry, source: str | None, space: Mapping[str, Dimension]) -> Described:
    paths = zip(TASKS, (entry.classifier, entry.regressor), strict=True)
    return Described(
        name=entry.name,
        tasks=tuple(task for task, path in paths if path is not None),
        missing=not entry.needs.impute,
        categories=entry.categories,
        sparse=entry.sparse,
        weights=entry.weights,
        rungs=entry.rungs,
        exact="pool" in entry.rungs,
        extra=source,
        space={parameter: str(where) for parameter, where in space.items()},
    )
