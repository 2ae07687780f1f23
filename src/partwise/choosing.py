"""The choice of a recipe, made once: one that was noted with the members of a fit is taken over, not made again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import pandas as pd

from partwise.checkpoints import Checkpoint
from partwise.fitting import FitJob
from partwise.protocols import Executor, Table
from partwise.recipes import Recipe
from partwise.selection import Auto, select

__all__ = ["Choice", "choose_recipe"]


@dataclass(frozen=True, slots=True)
class Choice:
    """A recipe, and how it was chosen: the trials, a sentence why, and the processor time that they took."""

    recipe: Recipe
    leaderboard: pd.DataFrame
    reason: str
    cpu_seconds: float

    @classmethod
    def from_note(cls, note: Mapping[str, Any], recipes: Sequence[Recipe]) -> Self:
        """Return the choice that was noted."""
        recipe = next(each for each in recipes if each.name == note["recipe"])
        return cls(recipe, pd.DataFrame(note["leaderboard"]), note["reason"], note["cpu_seconds"])

    def note(self) -> dict[str, Any]:
        """Return plain values from which the choice can be made again."""
        board = self.leaderboard.astype(object)
        return {
            "recipe": self.recipe.name,
            "leaderboard": board.where(board.notna(), None).to_dict("records"),
            "reason": self.reason,
            "cpu_seconds": self.cpu_seconds,
        }


def choose_recipe(
    recipes: Sequence[Recipe],
    auto: Auto,
    job: FitJob,
    table: Table,
    executor: Executor,
    checkpoint: Checkpoint | None,
) -> Choice:
    """Return the recipe for a table; trials are timed, so that a second choice might be another.

    Raises
    ------
    InputError
        If there are too few rows to try anything on, or not even one model can be fitted.
    """
    asked = (auto.budget, [each.name for each in recipes], table.fingerprint) if checkpoint is not None else None
    noted = None if checkpoint is None else checkpoint.recall(job, asked)
    if noted is not None:
        return Choice.from_note(noted, recipes)
    found = select(recipes, auto, job, *table.sample(), executor)
    if not table.fits_in_memory:
        found = found.without_one_model()
    choice = Choice(found.recipe, found.leaderboard(), found.reason, found.cpu_seconds)
    if checkpoint is not None:
        checkpoint.note(job, asked, choice.note())
    return choice
