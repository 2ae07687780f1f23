"""Learners of other packages, which name them under the entry point group ``partwise.learners``."""

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points

from partwise.errors import InputError
from partwise.learners.catalogue import CATALOGUE, Entry
from partwise.learners.spaces import Dimension

__all__ = ["GROUP", "foreign_entry", "foreign_learners", "foreign_space", "package_of"]

GROUP = "partwise.learners"


def foreign_learners() -> Mapping[str, EntryPoint]:
    """Return the entry points by name; none of their packages is imported. partwise's own names cannot be taken."""
    return {point.name: point for point in entry_points(group=GROUP) if point.name not in CATALOGUE}


def foreign_entry(point: EntryPoint) -> Entry | None:
    """Return the entry that a package declares; None where the entry point is the path of an estimator itself.

    Raises
    ------
    InputError
        If it cannot be imported; the package is named.
    """
    try:
        found = point.load()
    except Exception as error:
        raise InputError(
            f"Learner {point.name!r} of the package {package_of(point)!r} cannot be imported from {point.value!r}: "
            f"{type(error).__name__}: {error}. Valid: package.module:Name of a partwise Entry, an estimator class, an "
            "estimator, or a function without arguments. Repair or remove that package."
        ) from error
    return found if isinstance(found, Entry) else None


def foreign_space(name: str) -> Mapping[str, Dimension]:
    """Return where the package of a learner says that a search looks by default; empty where it does not, or is none.

    Raises
    ------
    InputError
        If it cannot be imported.
    """
    point = foreign_learners().get(name)
    entry = None if point is None else foreign_entry(point)
    return {} if entry is None else entry.space


def package_of(point: EntryPoint) -> str:
    """Return the name of the package that declares an entry point."""
    return point.dist.name if point.dist is not None else point.module
