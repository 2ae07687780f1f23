"""The nouns of a search: what is asked for, and what became of each trial."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from partwise.records import Fidelity
from partwise.search.spaces import Space

__all__ = ["SearchPlan", "SearchTrial", "TrialState"]

TrialState = Literal["finished", "pruned", "stopped", "failed", "timed_out"]
"""``stopped``: the budget was at its end; a larger one takes the trial up. ``failed``: by an error, a crash, or scores
that are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPlan:
    """What is searched, and how far.

    Parameters
    ----------
    first
        Parameters with which the first trial is made, as the sampler would have chosen them; it chooses the others.
    fidelity
        What grows with the partitions of a trial: the members of an ensemble, or the rows of one model.
    places
        By the number of partitions at which a trial is judged, ascending, whose members judge it there: the partitions
        of the cut.
    budget
        Seconds after which no further unit is begun; None is no limit.
    keep
        How many configurations the result may have: more than one are chosen by what finished trials said.
    one_by_one
        Whether trials wait for each other: with one seed they then are the same each time.
    """

    space: Space
    sampler: str
    n_trials: int
    fidelity: Fidelity
    places: Mapping[int, tuple[int, ...]]
    seed: int
    first: Mapping[str, Any] = field(default_factory=dict)
    budget: float | None = None
    keep: int = 1
    one_by_one: bool = False

    @property
    def rungs(self) -> tuple[int, ...]:
        """The numbers of partitions at which a trial is judged, ascending."""
        return tuple(self.places)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchTrial:
    """What became of one trial.

    Parameters
    ----------
    params
        Parameters of the learner.
    scores
        The metric after so many partitions, in the metric's own units: each row by members that never saw it.
    cpu_seconds
        Processor seconds of its fits, and of asking its members about the judged rows, in the process that ended it.
    n_fits
        Members that the process that ended it fitted for it: others were there.
    started
        When it was begun by the process that ended it, in seconds since the epoch.
    """

    number: int
    params: Mapping[str, Any]
    state: TrialState
    scores: Mapping[int, float] = field(default_factory=dict)
    cpu_seconds: float = 0.0
    n_fits: int = 0
    started: float = 0.0
    reason: str = ""

    @property
    def n_partitions(self) -> int:
        """On how many partitions it was judged last."""
        return max(self.scores, default=0)

    @property
    def score(self) -> float | None:
        """The score on most partitions, None where there is none."""
        return self.scores[self.n_partitions] if self.scores else None

    @property
    def is_judged(self) -> bool:
        """Whether its score counts: one that failed has none, whatever it scored on fewer partitions."""
        return bool(self.scores) and self.state not in {"failed", "timed_out"}
