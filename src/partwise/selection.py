"""Choose a recipe from the data: candidates are tried on samples of the training rows, within a budget."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from time import process_time
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from partwise.assembling import assemble
from partwise.buffers import call_writable
from partwise.cutting import rank_within
from partwise.errors import InputError, PartwiseError
from partwise.executors import make_executor
from partwise.fitting import FitJob, Part
from partwise.naming import label, named
from partwise.permutation import KeyedPermutation
from partwise.protocols import Executor
from partwise.recipes import Recipe
from partwise.records import RowKeys, Task, TaskFailure
from partwise.resources import Stopwatch
from partwise.rows import take_rows

__all__ = ["Auto", "Selection", "Trial", "asked_for", "select"]

_FIRST_SHARE, _LAST_SHARE = 1 / 4, 3 / 4
_CHEAP_SECONDS = 60.0
"""Trials that take no more processor time than this are not worth saving: half a minute on two cores."""
_FEWEST_ROWS = 2_000
_MOST_JUDGED = 10_000
_GROWTH = 1.3
"""How the time of a fit grows with the rows until two sizes have been seen: time is rows to this power."""
_DROPPED = 0.05
_TOLERATED = 0.0025
_Z = 1.96


@dataclass(frozen=True, slots=True)
class Auto:
    """Let the data choose among the recipes that suit the learner.

    Recipes are fitted on a sample of the training rows and judged on training rows that were held back, the same for
    all; the rows that judge are never the test set. The sample grows from a quarter of the rows to three quarters,
    as long as the next round fits into the budget. One model on all rows is a recipe too.

    Parameters
    ----------
    budget
        Processor time for trials, as a share of what one fit on all rows is estimated to take. The first round is
        always paid for, and so are rounds of a few seconds.
    """

    budget: float = 3.0

    name = "auto"

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "budget", float(self.budget))
        except (TypeError, ValueError) as error:
            raise InputError(f"Auto(budget={self.budget!r}) is wrong. Valid: a number, 0 or more.") from error
        if not self.budget >= 0:
            raise InputError(f"Auto(budget={self.budget!r}) is wrong. Valid: a number, 0 or more.")


def asked_for(partitioner: Any, combine: Any) -> Auto | None:
    """Return the settings where the data shall choose: ``combine`` is auto, or is open and ``partitioner`` is auto.

    Raises
    ------
    InputError
        If ``auto:`` is followed by no number.
    """
    if isinstance(combine, Auto):
        return combine
    if isinstance(combine, str) and combine.partition(":")[0] == Auto.name:
        auto: Auto = named("combine", combine, {Auto.name: Auto}, [Auto.name])
        return auto
    return Auto() if combine is None and partitioner == Auto.name else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What became of a recipe on a sample.

    ``losses`` are one a judged row: errors (0 or 1), or squared errors over the variance of the target. The score is
    one minus their mean: accuracy, or R². ``seconds`` are processor seconds of the fit, ``predict_seconds`` those of
    the judged rows.
    """

    recipe: Recipe
    n_rows: int
    losses: NDArray[np.float64]
    seconds: float
    predict_seconds: float
    failure: str | None = None

    @property
    def score(self) -> float:
        """Accuracy, or R², on the rows that were held back; NaN where the trial failed."""
        return float(1.0 - self.losses.mean()) if len(self.losses) else float("nan")

    def less(self, other: "Trial") -> tuple[float, float]:
        """Return how much higher this score is than another's on the same rows, and the standard error of that."""
        gains = other.losses - self.losses
        return float(gains.mean()), float(gains.std(ddof=1) / np.sqrt(len(gains)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The recipe that was chosen, why, and the trials of the last round in which each took part."""

    recipe: Recipe
    reason: str
    trials: tuple[Trial, ...]
    cpu_seconds: float
    """What all trials of all rounds took."""

    def leaderboard(self) -> pd.DataFrame:
        """Return one row a recipe, best first: score, difference to one model with its 95 % interval, and cost."""
        reference = {trial.n_rows: trial for trial in self.trials if trial.recipe.n_partitions == 1}
        rows = []
        for trial in self.trials:
            one = reference.get(trial.n_rows)
            gain, error = (np.nan, np.nan) if one is None or not len(trial.losses) else trial.less(one)
            rows.append(
                {
                    "recipe": trial.recipe.name,
                    "score": trial.score,
                    "difference": gain,
                    "low": gain - _Z * error,
                    "high": gain + _Z * error,
                    "rows": trial.n_rows,
                    "fit_seconds": trial.seconds,
                    "predict_seconds": trial.predict_seconds,
                    "chosen": trial.recipe == self.recipe,
                    "failure": trial.failure,
                }
            )
        board = pd.DataFrame(rows)
        return board.sort_values(["rows", "score"], ascending=False, kind="stable", ignore_index=True)


@dataclass(frozen=True, slots=True)
class _Round:
    """The rows of one round: to fit on, and to judge on."""

    job: FitJob
    fitted: Part
    keys: RowKeys
    X: object
    y: NDArray[np.float64]
    cpus: int


def select(
    recipes: Sequence[Recipe], auto: Auto, job: FitJob, table: Part, keys: RowKeys, executor: Executor
) -> Selection:
    """Try the recipes and return the choice.

    Parameters
    ----------
    recipes
        The first is one model on all rows. Exact merges are not tried: their score is that of one model.

    Raises
    ------
    PartwiseError
        If not even one model can be fitted on the sample.
    """
    one, *others = recipes
    exact = [recipe for recipe in others if recipe.is_exact]
    running = [one, *(recipe for recipe in others if not recipe.is_exact)]
    order = _order(keys, job.seed)
    latest: dict[int, Trial] = {}
    spent, known = 0.0, {}
    size = _first_size(len(order))
    while True:
        trials = _try(running, _round(job, table, keys, order, size), executor)
        for trial in trials:
            latest[recipes.index(trial.recipe)] = trial
        single = trials[0]
        if single.failure is not None:
            raise PartwiseError(f"One model could not be fitted on {size:,} rows: {single.failure}")
        known[size] = max(single.seconds, 1e-6)
        spent += sum(trial.seconds + trial.predict_seconds for trial in trials)
        running = [trial.recipe for trial in trials if trial is single or _promises(trial, single)]
        following = min(2 * size, round(_LAST_SHARE * len(order)))
        growth = (following / size) ** _GROWTH
        expected = growth * sum(trial.seconds for trial in trials if trial.recipe in running)
        allowed = max(_CHEAP_SECONDS, auto.budget * _full_fit(known, len(order)))
        if following <= size or len(running) < 2 or spent + expected > allowed:
            break
        size = following
    recipe, reason = _choice(trials, exact, single)
    for merged in exact:
        latest[recipes.index(merged)] = replace(single, recipe=merged)
    return Selection(
        recipe=recipe, reason=reason, trials=tuple(latest[index] for index in sorted(latest)), cpu_seconds=spent
    )


def _first_size(n_rows: int) -> int:
    return max(min(_FEWEST_ROWS, round(_LAST_SHARE * n_rows)), round(_FIRST_SHARE * n_rows))


def _full_fit(known: dict[int, float], n_rows: int) -> float:
    """Return what one fit on all rows is estimated to take, from the fits seen so far."""
    sizes = sorted(known)
    power = _GROWTH
    if len(sizes) > 1:
        (small, large) = sizes[-2:]
        power = float(np.clip(np.log(known[large] / known[small]) / np.log(large / small), 0.5, 3.0))
    return known[sizes[-1]] * (n_rows / sizes[-1]) ** power


def _order(keys: RowKeys, seed: int) -> NDArray[np.int64]:
    """Return the rows in a random order that keeps groups together."""
    n_rows = len(keys.positions)
    if keys.group is None:
        return np.argsort(KeyedPermutation(n_rows, (seed, n_rows))(np.arange(n_rows)))
    groups, code = np.unique(keys.group, return_inverse=True)
    return np.argsort(KeyedPermutation(len(groups), (seed, n_rows))(code), kind="stable")


def _round(job: FitJob, table: Part, keys: RowKeys, order: NDArray[np.int64], size: int) -> _Round:
    end = size
    while keys.group is not None and end < len(order) and keys.group[order[end]] == keys.group[order[end - 1]]:
        end += 1
    rows, judges = np.sort(order[:end]), np.sort(order[end : end + _MOST_JUDGED])
    stratum = None if keys.stratum is None else keys.stratum[rows]
    weights = None if table.weights is None else table.weights[rows]
    features = take_rows(table.X, rows)
    return _Round(
        job=job,
        fitted=Part(0, features, table.y[rows], weights),
        keys=RowKeys(
            positions=np.arange(len(rows)),
            stratum=stratum,
            rank=None if stratum is None else rank_within(stratum),
            group=None if keys.group is None else keys.group[rows],
            time=None if keys.time is None else keys.time[rows],
            features=features,
        ),
        X=take_rows(table.X, judges),
        y=table.y[judges],
        cpus=job.cpus,
    )


def _try(recipes: Sequence[Recipe], rows: _Round, executor: Executor) -> list[Trial]:
    families = [list(family) for _, family in groupby(recipes, key=_members_of)]
    tasks = (Task(index, family, len(rows.fitted.y)) for index, family in enumerate(families))
    outcomes = sorted(executor.run(_measure, rows, tasks), key=lambda outcome: outcome.id)
    return [
        trial
        for family, outcome in zip(families, outcomes, strict=True)
        for trial in (_failed(family, rows, outcome.failure) if outcome.failure is not None else outcome.value)
    ]


def _members_of(recipe: Recipe) -> tuple[str, int, int, bool]:
    """Return what the members depend on: recipes that agree in it differ only in how they combine them."""
    return (label(recipe.partitioner), recipe.n_partitions, recipe.replication, recipe.match_updates)


def _failed(family: Sequence[Recipe], rows: _Round, failure: TaskFailure) -> list[Trial]:
    return [
        Trial(
            recipe=recipe,
            n_rows=len(rows.fitted.y),
            losses=np.empty(0),
            seconds=0.0,
            predict_seconds=0.0,
            failure=f"{failure.error_type}: {failure.message}",
        )
        for recipe in family
    ]


def _measure(rows: _Round, family: Sequence[Recipe]) -> list[Trial]:
    """Fit the members in this process, combine them in each way, and judge on the rows that were held back."""
    inline = make_executor("inline", rows.cpus)
    started = process_time()
    first = assemble(family[0], rows.job, rows.fitted, rows.keys, inline, Stopwatch())
    shared = process_time() - started
    trials = []
    for recipe in family:
        started = process_time()
        predictor = first.predictor if recipe == family[0] else recipe.combiner.fit(first.context)
        combined = process_time()
        outputs = call_writable(predictor.outputs, rows.X)
        trials.append(
            Trial(
                recipe=recipe,
                n_rows=len(rows.fitted.y),
                losses=_losses(outputs, rows),
                seconds=shared + combined - started,
                predict_seconds=process_time() - combined,
            )
        )
    return trials


def _losses(outputs: NDArray[np.float64], rows: _Round) -> NDArray[np.float64]:
    if rows.job.labels is not None:
        return (outputs.argmax(axis=1) != rows.y).astype(np.float64)
    y = rows.y.reshape(len(rows.y), -1)
    return ((outputs - y) ** 2).mean(axis=1) / max(float(y.var(axis=0).mean()), 1e-300)


def _promises(trial: Trial, single: Trial) -> bool:
    """Return whether another round may still show it to be as good as one model."""
    if trial.failure is not None:
        return False
    gain, error = trial.less(single)
    return gain + _Z * error > -_DROPPED


def _choice(trials: Sequence[Trial], exact: Sequence[Recipe], single: Trial) -> tuple[Recipe, str]:
    rows = f"on {single.n_rows:,} rows"
    judged = [(trial, *trial.less(single)) for trial in trials[1:] if trial.failure is None]
    # Half a standard error is the price of not being one model itself: the best of several is partly luck.
    best = max(judged, key=lambda entry: entry[1] - entry[2] / 2, default=None)
    if best is not None and best[1] - best[2] / 2 > 0:
        trial, gain, error = best
        return trial.recipe, f"'{trial.recipe.name}' scored {_signed(gain, error)} {rows}, the best of {len(trials)}."
    if exact:
        why = "no other recipe did better" if judged else "nothing else was tried"
        return exact[0], f"'{exact[0].name}' gives the very model of a single fit, and {why} {rows}."
    if best is not None and best[1] >= -_TOLERATED:
        trial, gain, error = best
        return trial.recipe, f"'{trial.recipe.name}' scored {_signed(gain, error)} {rows}: as good as one model."
    if best is None:
        return single.recipe, f"One model, not distributed: every other recipe failed {rows}."
    trial, gain, error = best
    found = f"the best ensemble, '{trial.recipe.name}', scored {_signed(gain, error)} {rows}"
    return single.recipe, f"One model, not distributed: {found}."


def _signed(gain: float, error: float) -> str:
    return f"{gain:+.4f} against one model (95 % interval {gain - _Z * error:+.4f} to {gain + _Z * error:+.4f})"
