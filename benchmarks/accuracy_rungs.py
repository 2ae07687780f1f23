"""The nouns of `accuracy.py`: a work, its rungs, and the records of what was measured."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from accuracy_tables import Table

__all__ = ["ONE", "Record", "Records", "Rung", "Work", "speedup"]

ONE = "one model"
"""The name of the rung that the others of its work are compared with."""

Record = Mapping[str, Any]
"""What was measured of one rung; see `accuracy_measure.measure`."""

Records = Mapping[str, Record]
"""The records of one work and seed, by rung."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One way to fit.

    Parameters
    ----------
    estimator
        Makes the unfitted learner.
    settings
        Of ``PartitionedClassifier`` or ``PartitionedRegressor``; None for one model.
    cores
        Threads of one model; None for all.
    after
        Name of the rung whose record decides how this one is fitted.
    plan
        From the records of the work so far to the learner's ``params`` and further ``settings``; None where there
        is nothing to measure.
    is_rival
        Whether it is one model that is cheaper for another reason, and stands beside the ensembles in the plot.
    """

    name: str
    estimator: Callable[[], Any]
    settings: Mapping[str, Any] | None = None
    cores: int | None = None
    after: str | None = None
    plan: Callable[[Records], dict[str, Any] | None] = lambda _: {}
    is_rival: bool = False

    @property
    def phase(self) -> int:
        """When it is measured: one model before Ray is started, ensembles, and what follows from them without Ray."""
        return 2 if self.settings is not None else 1 if self.after is None else 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A row of the benchmark.

    Parameters
    ----------
    load
        From the folder of the tables, the seed and a limit of rows to the table.
    target
        What must be reached, in words.
    reached
        From a rung's name and the work's records to whether that rung reached it; None where it is not asked to.
    published
        Figures of others that stand for one model that takes too long to fit: source, score, seconds.
    """

    name: str
    load: Callable[[Path, int, int | None], Table]
    rungs: tuple[Rung, ...]
    target: str = ""
    reached: Callable[[str, Records], bool | None] = lambda _name, _records: None
    task: Literal["classification", "regression"] = "classification"
    seeded: bool = False
    published: tuple[tuple[str, float, float], ...] = field(default=())

    @property
    def metric(self) -> str:
        """The name of the score."""
        return "accuracy" if self.task == "classification" else "R²"

    def rung(self, name: str) -> Rung:
        """Return the rung of this name."""
        return next(rung for rung in self.rungs if rung.name == name)


def speedup(record: Record, reference: Record, step: str = "fit_seconds") -> float:
    """Return how many times faster than the reference."""
    return reference[step] / max(record[step], 1e-9)
