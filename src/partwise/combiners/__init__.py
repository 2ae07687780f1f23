"""Combiners: settings of a way to make one predictor of many members."""

from partwise.combiners.average_weights import AverageWeights
from partwise.combiners.greedy import Greedy
from partwise.combiners.mean import Mean
from partwise.combiners.median import Median
from partwise.combiners.pool import Pool
from partwise.combiners.route import Route
from partwise.combiners.soft import Soft
from partwise.combiners.stack import Stack
from partwise.combiners.vote import Vote
from partwise.combiners.weighted import Weighted
from partwise.errors import InputError
from partwise.naming import named
from partwise.protocols import Combiner

__all__ = [
    "COMBINERS",
    "AverageWeights",
    "Greedy",
    "Mean",
    "Median",
    "Pool",
    "Route",
    "Soft",
    "Stack",
    "Vote",
    "Weighted",
    "make_combiner",
]

COMBINERS: dict[str, type[Combiner]] = {
    "average_weights": AverageWeights,
    "greedy": Greedy,
    "mean": Mean,
    "median": Median,
    "pool": Pool,
    "route": Route,
    "soft": Soft,
    "stack": Stack,
    "vote": Vote,
    "weighted": Weighted,
}
"""Name to settings class; each can be made without arguments, or with the text after ``name:``."""


def make_combiner(combine: str | Combiner, task: str | None = None) -> Combiner:
    """Return the settings object for ``name`` or ``name:argument``; an object is returned as it is.

    Parameters
    ----------
    combine
        A name, such as ``weighted``; a name with the argument of its settings, such as ``weighted:score``; or a
        settings object.
    task
        The task that it shall be for; None takes any.

    Raises
    ------
    InputError
        If the name or its argument is unknown, the object is no combiner, or it is for the other task.
    """
    fitting = [name for name, kind in COMBINERS.items() if task is None or kind().task in {task, "any"}]
    if isinstance(combine, str):
        combine = named("combine", combine, COMBINERS, fitting)
    if not isinstance(combine, Combiner):
        raise InputError(
            f"combine={combine!r} is no combiner. Give one of {', '.join(fitting)}, "
            "or an object with `task`, `takes`, `fit` and more (see partwise.protocols.Combiner)."
        )
    if task is not None and combine.task not in {task, "any"}:
        raise InputError(f"combine={combine.name!r} is for {combine.task}, not {task}. Valid: {', '.join(fitting)}.")
    return combine
