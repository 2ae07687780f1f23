"""Combiners: settings of a way to make one predictor of many members."""

from partwise.combiners.mean import Mean
from partwise.combiners.median import Median
from partwise.combiners.soft import Soft
from partwise.combiners.vote import Vote
from partwise.combiners.weighted import Weighted
from partwise.errors import InputError, unknown_choice
from partwise.protocols import Combiner

__all__ = ["COMBINERS", "Mean", "Median", "Soft", "Vote", "Weighted", "make_combiner"]

COMBINERS: dict[str, type[Combiner]] = {
    "mean": Mean,
    "median": Median,
    "soft": Soft,
    "vote": Vote,
    "weighted": Weighted,
}
"""Name to settings class; each can be made without arguments."""


def make_combiner(combine: str | Combiner, task: str) -> Combiner:
    """Return the settings object for a name, checked against the task; an object is returned as it is.

    Raises
    ------
    InputError
        If the name is unknown, the object is no combiner, or it is for the other task.
    """
    fitting = [name for name, kind in COMBINERS.items() if kind().task in {task, "any"}]
    if isinstance(combine, str):
        if combine not in COMBINERS:
            raise unknown_choice("combiner", combine, fitting)
        combine = COMBINERS[combine]()
    if not isinstance(combine, Combiner):
        raise InputError(
            f"combine={combine!r} is no combiner. Give one of {', '.join(fitting)}, "
            "or an object with `task` and `fit` (see partwise.protocols.Combiner)."
        )
    if combine.task not in {task, "any"}:
        raise InputError(f"combine={combine.name!r} is for {combine.task}, not {task}. Valid: {', '.join(fitting)}.")
    return combine
