"""From what a user writes to the space that is searched, and from there to parameters of the learner."""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from math import prod
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from partwise.errors import ConfigurationError, InputError, unknown_choice
from partwise.learners.plugins import foreign_space
from partwise.learners.spaces import SPACES, Choice, Dimension, Range

__all__ = ["Space", "default_space", "read_space"]

_GRID_POINTS = 5
"""Values that a grid takes of a range."""
_KEYS = ("low", "high", "log", "integer", "values")


class Space:
    """A search space: parameters of the learner by name, and where each is looked for.

    Parameters
    ----------
    dimensions
        For each parameter a ``Range``, a ``Choice``, a list of values, or a distribution of Optuna.

    Raises
    ------
    ConfigurationError
        If something is none of these; all are listed.
    """

    def __init__(self, dimensions: Mapping[str, Any]) -> None:
        if not dimensions:
            raise InputError("The search space is empty. Name at least one parameter and where to look for it.")
        self._choices: dict[str, tuple[Any, ...]] = {}
        self.distributions: dict[str, BaseDistribution] = {}
        mistakes = []
        for name, dimension in dimensions.items():
            try:
                self.distributions[name] = self._distribution(name, dimension)
            except InputError as error:
                mistakes.append(f"Parameter {name!r} of the search space: {error}")
        if mistakes:
            raise ConfigurationError(mistakes)

    def _distribution(self, name: str, dimension: Any) -> BaseDistribution:
        if isinstance(dimension, BaseDistribution):
            return dimension
        if isinstance(dimension, Range):
            if dimension.integer:
                return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log)
            return FloatDistribution(dimension.low, dimension.high, log=dimension.log)
        values = dimension.values if isinstance(dimension, Choice) else dimension
        if isinstance(values, (str, bytes)) or not isinstance(values, Sequence | np.ndarray):
            raise InputError(
                f"{dimension!r} is no place to look in. Valid: a Range, a Choice, a list of values, or a distribution "
                "of Optuna, such as FloatDistribution(0.01, 1, log=True)."
            )
        values = Choice(tuple(values)).values
        if all(value is None or isinstance(value, (bool, int, float, str)) for value in values):
            if twice := [value for place, value in enumerate(values) if value in values[:place]]:
                raise InputError(f"{twice[0]!r} is there twice, or equals another value. Give each value once.")
            return CategoricalDistribution(values)
        # What a database holds are plain values: others are told by their text.
        texts = [str(value) for value in values]
        if len(set(texts)) < len(texts):
            alike = next(text for text in texts if texts.count(text) > 1)
            raise InputError(
                f"two of the values read {alike!r}, and the study could not tell them apart. Give values of different "
                "texts, or a parameter for each thing in which they differ."
            )
        self._choices[name] = values
        return CategoricalDistribution(texts)

    def parameters(self, chosen: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a sampler chose as parameters of the learner."""
        return {name: self._value(name, value) for name, value in chosen.items()}

    def example(self) -> dict[str, Any]:
        """Return some parameters of the space."""
        return self.parameters({name: _points(each)[0] for name, each in self.distributions.items()})

    def chosen(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return parameters as a sampler would have chosen them: a number outside of its range at the nearest end.

        What the space has no place for, such as a text where it has numbers, is left out; so is what stands for no
        number, such as ``max_depth=-1`` for no limit.
        """
        found = {}
        for name, distribution in self.distributions.items():
            value = parameters.get(name)
            if name in self._choices:
                value = str(value)
            elif isinstance(distribution, IntDistribution) and not isinstance(value, Integral):
                continue  # a share of something, say, where the space has their number
            elif isinstance(distribution, FloatDistribution | IntDistribution) and isinstance(value, Real):
                if _stands_for_something_else(value, distribution):
                    continue
                value = min(max(value, distribution.low), distribution.high)
            try:
                internal = distribution.to_internal_repr(value)
            except (ValueError, TypeError):
                continue
            if distribution._contains(internal):  # noqa: SLF001 - no public way
                found[name] = distribution.to_external_repr(internal)  # plain: no database holds NumPy's numbers
        return found

    def _value(self, name: str, value: Any) -> Any:
        if name not in self._choices:
            return value
        return next(each for each in self._choices[name] if str(each) == value)

    def grid(self, places: Iterable[int] | None = None) -> list[dict[str, Any]]:
        """Return combinations as a sampler would choose them; of a range some values, evenly spread.

        Parameters
        ----------
        places
            Which of them, as numbers below ``grid_size``; None returns all.
        """
        axes = {name: _points(distribution) for name, distribution in self.distributions.items()}
        shape = tuple(map(len, axes.values()))
        return [
            {name: values[at] for (name, values), at in zip(axes.items(), np.unravel_index(place, shape), strict=True)}
            for place in (range(self.grid_size) if places is None else places)
        ]

    @property
    def is_endless(self) -> bool:
        """Whether a sampler hardly ever draws the same parameters twice."""
        floats = (each for each in self.distributions.values() if isinstance(each, FloatDistribution))
        return any(each.step is None and not each.single() for each in floats)

    @property
    def grid_size(self) -> int:
        """The number of combinations of the grid."""
        return prod(len(_points(distribution)) for distribution in self.distributions.values())


def _stands_for_something_else(value: Any, distribution: FloatDistribution | IntDistribution) -> bool:
    """Whether it is a word for something else, as the range has none of its kind: 0 of many, or below 0."""
    is_none_of_many = isinstance(distribution, IntDistribution) and value == 0 < distribution.low
    return bool(is_none_of_many or value < 0 <= distribution.low)


def _points(distribution: BaseDistribution) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    if not isinstance(distribution, (FloatDistribution, IntDistribution)):
        raise InputError(f"A grid cannot be made of {distribution!r}.")
    if distribution.step is not None and not distribution.log and distribution.high > distribution.low:
        n_steps = round((distribution.high - distribution.low) / distribution.step)
        steps = np.unique(np.linspace(0, n_steps, _GRID_POINTS).round().astype(int)).tolist()
        return [distribution.low + step * distribution.step for step in steps]
    spread = np.geomspace if distribution.log else np.linspace
    points = spread(distribution.low, distribution.high, _GRID_POINTS)
    if isinstance(distribution, IntDistribution):
        return sorted({round(point) for point in points})
    return sorted({float(np.clip(point, distribution.low, distribution.high)) for point in points})


def default_space(learner: str) -> Mapping[str, Dimension]:
    """Return where the parameters of a named learner are looked for by default, as partwise or its package says.

    Raises
    ------
    InputError
        If there is no default for it.
    """
    found = SPACES.get(learner) or foreign_space(learner)
    if not found:
        valid = ", ".join(name for name, space in SPACES.items() if space)
        raise InputError(
            f"There is no default search space for the learner {learner!r}. Give one: --space FILE.toml. Learners "
            f"that have one: {valid}."
        )
    return found


def read_space(path: Path) -> dict[str, Dimension]:
    """Read a search space from a TOML file, a table for each parameter.

    ``[C]`` with ``low = 0.01``, ``high = 100``, ``log = true`` is a range; ends that are whole numbers make a range of
    whole numbers, unless ``integer = false``. ``[kernel]`` with ``values = ["rbf", "poly"]`` is a choice; ``"none"``
    stands for None.

    Raises
    ------
    InputError
        If the file cannot be read.
    ConfigurationError
        If it does not describe a space; all mistakes are listed.
    """
    try:
        read = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"The search space {str(path)!r} cannot be read: {error}. Give a TOML file.") from error
    dimensions: dict[str, Dimension] = {}
    mistakes = []
    for name, table in read.items():
        try:
            dimensions[name] = _dimension(table)
        except InputError as error:
            mistakes.append(f"[{name}] in {path}: {error}")
    if mistakes:
        raise ConfigurationError(mistakes)
    return dimensions


def _dimension(table: Any) -> Dimension:
    example = "Valid: low and high with numbers (and log, integer), or values with a list."
    if not isinstance(table, dict):
        raise InputError(f"{table!r} is no table. {example}")
    for key in table:
        if key not in _KEYS:
            raise unknown_choice("key", key, _KEYS)
    if "values" in table:
        if len(table) > 1 or not isinstance(table["values"], list):
            raise InputError(f"`values` stands alone and is a list. {example}")
        return Choice(tuple(_plain(value) for value in table["values"]))
    ends = [table.get("low"), table.get("high")]
    if not all(isinstance(end, (int, float)) and not isinstance(end, bool) for end in ends):
        raise InputError(f"low = {ends[0]!r} and high = {ends[1]!r} are not two numbers. {example}")
    flags = {"log": False, "integer": all(isinstance(end, int) for end in ends)} | table
    for name in ("log", "integer"):
        if not isinstance(flags[name], bool):
            raise InputError(f"{name} = {flags[name]!r} is neither true nor false. {example}")
    return Range(ends[0], ends[1], log=flags["log"], integer=flags["integer"])  # type: ignore[arg-type]


def _plain(value: Any) -> Any:
    """Return a value of TOML, which has no null, and lists in place of tuples."""
    if isinstance(value, list):
        return tuple(value)
    return None if value == "none" else value
