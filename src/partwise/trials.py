"""Recipes side by side: what each scored on rows held back, which is chosen, and the leaderboard. Only arithmetic."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm

from partwise.errors import InputError
from partwise.recipes import Recipe

__all__ = ["Judges", "Selection", "Trial", "beside", "choose"]

_LEVEL = 0.95
_TOLERATED = 0.005
"""Half a point: an ensemble may be so much worse than one model, at most, and still be called as good."""
_ALIKE = 0.0005
"""Differences below this do not decide; the cheaper recipe does."""


@dataclass(frozen=True, slots=True)
class Judges:
    """The rows held back: how much each counts, shape (rows,), and which of them go together (groups)."""

    weights: NDArray[np.float64]
    groups: NDArray[np.int64]

    def mean(self, values: NDArray[np.float64]) -> float:
        """Return the weighted mean of a value for each row."""
        return float(np.average(values, weights=self.weights))

    def mean_and_error(self, values: NDArray[np.float64]) -> tuple[float, float]:
        """Return the weighted mean and its standard error, in which rows of one group count as one observation."""
        mean = self.mean(values)
        shares = self.weights / self.weights.sum()
        sums = np.bincount(self.groups, weights=shares * (values - mean))
        n_groups = len(np.unique(self.groups))
        return mean, float(np.sqrt((sums**2).sum() * n_groups / max(n_groups - 1, 1)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What became of a recipe on a sample.

    Parameters
    ----------
    losses
        One for each judged row: errors (0 or 1), or squared errors over the variance of the target. Empty where the
        trial failed.
    seconds, predict_seconds
        Processor seconds of the fit, and of predicting the judged rows.
    gain, error
        How much higher the score is than that of one model on the same rows, and the standard error of that.
    """

    recipe: Recipe
    n_rows: int
    losses: NDArray[np.float64]
    seconds: float
    predict_seconds: float
    score: float = float("nan")
    gain: float = float("nan")
    error: float = float("nan")
    failure: str | None = None


def beside(trials: Sequence[Trial], judges: Judges) -> list[Trial]:
    """Return the trials with their scores and their differences to the first of them, which is one model.

    The score is one minus the mean loss: accuracy, or R².
    """
    compared = []
    for trial in trials:
        if trial.failure is None:
            gain, error = judges.mean_and_error(trials[0].losses - trial.losses)
            trial = replace(trial, score=1.0 - judges.mean(trial.losses), gain=gain, error=error)  # noqa: PLW2901 - same trial
        compared.append(trial)
    return compared


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The recipe that was chosen, why, and for each recipe the last trial in which it took part.

    ``cpu_seconds`` is what all trials of all rounds took.
    """

    recipe: Recipe
    reason: str
    trials: tuple[Trial, ...]
    cpu_seconds: float

    def without_one_model(self) -> "Selection":
        """Return the best ensemble of the trials in place of one model, which cannot be had.

        Raises
        ------
        InputError
            If every ensemble failed.
        """
        if self.recipe.n_partitions > 1:
            return self
        judged = [trial for trial in self.trials if trial.failure is None and trial.recipe.n_partitions > 1]
        if not judged:
            raise InputError("Every ensemble failed in the trials, and memory does not hold one model on all rows.")
        best = max(judged, key=lambda trial: (trial.n_rows, *_merit(trial)))
        reason = f"{self.reason} Memory does not hold one model on all rows, so '{best.recipe.name}' is taken."
        return replace(self, recipe=best.recipe, reason=reason)

    def leaderboard(self) -> pd.DataFrame:
        """Return one row a recipe, best first: score, difference to one model with its 95 % interval, and cost."""
        width = float(norm.ppf(0.5 + _LEVEL / 2))
        board = pd.DataFrame(
            {
                "recipe": trial.recipe.name,
                "score": trial.score,
                "difference": trial.gain,
                "low": trial.gain - width * trial.error,
                "high": trial.gain + width * trial.error,
                "rows": trial.n_rows,
                "fit_seconds": trial.seconds,
                "predict_seconds": trial.predict_seconds,
                "chosen": trial.recipe == self.recipe,
                "failure": trial.failure,
            }
            for trial in self.trials
        )
        return board.sort_values(["rows", "score"], ascending=False, kind="stable", ignore_index=True)


def choose(trials: Sequence[Trial], exact: Sequence[Recipe]) -> tuple[Recipe, str]:
    """Return the recipe to take, and why.

    A recipe that is better than one model beyond doubt is taken: the best of m counts as better only where one model
    lies outside the interval that holds for all m at once (Bonferroni). Otherwise an exact merge is taken. Without
    one, an ensemble that is at most half a point worse, by its estimate less one standard error. Else one model.

    Parameters
    ----------
    trials
        Those of the last round, one model first.
    exact
        Recipes that give the model of a single fit.
    """
    single, rows = trials[0], f"on {trials[0].n_rows:,} rows"
    judged = [trial for trial in trials[1:] if trial.failure is None]
    width = float(norm.ppf(0.5 + (1 - (1 - _LEVEL) / max(len(judged), 1)) / 2))
    best = max(judged, key=_merit, default=None)
    if best is not None and best.gain > width * best.error:
        return best.recipe, f"'{best.recipe.name}' scored {_signed(best, width)} {rows}."
    if exact:
        why = "nothing did better" if judged else "nothing else was tried"
        return exact[0], f"'{exact[0].name}' gives the model of a single fit, and {why} {rows}."
    if best is None:
        why = "every ensemble failed" if len(trials) > 1 else "nothing else was tried"
        return single.recipe, f"One model, not distributed: {why} {rows}."
    if best.gain - best.error >= -_TOLERATED:
        return best.recipe, f"'{best.recipe.name}' scored {_signed(best, width)} {rows}: not worse by half a point."
    found = f"the best ensemble, '{best.recipe.name}', scored {_signed(best, width)} {rows}"
    return single.recipe, f"One model, not distributed: {found}."


def _merit(trial: Trial) -> tuple[float, float]:
    return round(trial.gain / _ALIKE), -trial.seconds


def _signed(trial: Trial, width: float) -> str:
    low, high = trial.gain - width * trial.error, trial.gain + width * trial.error
    return f"{trial.gain:+.4f} against one model (95 % interval {low:+.4f} to {high:+.4f})"
