"""Choose a recipe from the data: candidates are tried on samples of the training rows, within a budget."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from partwise.assembling import assemble
from partwise.buffers import call_writable
from partwise.errors import InputError
from partwise.executors import make_executor
from partwise.fitting import FitJob
from partwise.naming import label, named
from partwise.permutation import KeyedPermutation
from partwise.protocols import Executor
from partwise.recipes import Recipe
from partwise.records import Part, RowKeys, Task
from partwise.resources import Stopwatch
from partwise.rows import take_rows
from partwise.tables import MemoryTable
from partwise.trials import Judges, Selection, Trial, beside, choose

__all__ = ["Auto", "asked_for", "check_choice", "select"]

_FIRST_SHARE, _LAST_SHARE = 1 / 4, 3 / 4
_CHEAP_SECONDS = 60.0
"""Trials that take no more processor time than this are not worth saving: half a minute on two cores."""
_FEWEST_ROWS = 2_000
_MOST_JUDGED = 10_000
_GROWTH = 1.3
"""How the time of a fit grows with the rows until two sizes have been seen: time is rows to this power."""
_FEWEST_JUDGED = 20
_DROPPED = 0.05


@dataclass(frozen=True, slots=True)
class Auto:
    """Let the data choose among the recipes that suit the learner.

    Recipes are fitted on a sample of the training rows and judged on training rows that were held back, the same for
    all; the rows that judge are never the test set. The sample grows from a quarter of the rows to three quarters,
    as long as the next round fits into the budget. One model on all rows is a recipe too.

    Parameters
    ----------
    budget
        Processor time for trials, as a share of what one fit on all rows is estimated to take; at least a minute. The
        first round is always paid for. As times are measured, how far trials go may differ from machine to machine.
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


def check_choice(n_partitions: int, replication: int) -> None:
    """Refuse settings that leave nothing to choose.

    Raises
    ------
    InputError
        If there is one partition, or rows go to several.
    """
    if n_partitions < 2 or replication > 1:
        raise InputError(
            f"auto with {n_partitions} partition(s) and replication {replication} has nothing to choose. "
            "Valid: 2 partitions or more, and replication 1."
        )


@dataclass(frozen=True, slots=True)
class _Round:
    """The rows of one round: to fit on, and to judge on."""

    job: FitJob
    fitted: MemoryTable
    X: Any
    y: NDArray[Any]
    judges: Judges

    @property
    def n_rows(self) -> int:
        """The number of rows to fit on."""
        return len(self.fitted.rows.y)


def select(
    recipes: Sequence[Recipe], auto: Auto, job: FitJob, table: Part, keys: RowKeys, executor: Executor
) -> Selection:
    """Try the recipes and return the choice.

    Rows of weight zero take no part. Groups are held back whole where a recipe keeps them whole; where there are
    times, later rows judge what was fitted on earlier ones.

    Parameters
    ----------
    recipes
        The first is one model on all rows. Exact merges are not tried: their score is that of one model.

    Raises
    ------
    InputError
        If there are too few rows, or groups, to hold some back, or not even one model can be fitted on the sample.
    """
    one, *others = recipes
    exact = [recipe for recipe in others if recipe.is_exact]
    running = [one, *(recipe for recipe in others if not recipe.is_exact)]
    grouped = any("group" in recipe.partitioner.needs for recipe in recipes)
    order, groups = _order(table, keys, job.seed, grouped=grouped)
    latest: dict[int, Trial] = {}
    spent, known = 0.0, {}
    size = _first_size(len(order))
    while True:
        rows = _round(job, table, keys, order, groups, size)
        trials = beside(_try(running, rows, executor), rows.judges)
        for trial in trials:
            latest[recipes.index(trial.recipe)] = trial
        known[trials[0].n_rows] = max(trials[0].seconds, 1e-6)
        spent += sum(trial.seconds + trial.predict_seconds for trial in trials)
        promising = [trial for trial in trials if trial is trials[0] or _promises(trial)]
        running = [trial.recipe for trial in promising]
        following = min(2 * size, round(_LAST_SHARE * len(order)))
        growth = (following / size) ** _GROWTH
        expected = sum(growth * trial.seconds + trial.predict_seconds for trial in promising)
        allowed = max(_CHEAP_SECONDS, auto.budget * _full_fit(known, len(order)))
        if following <= size or len(running) < 2 or spent + expected > allowed:
            break
        size = following
    recipe, reason = choose(trials, exact)
    for merged in exact:
        latest[recipes.index(merged)] = replace(trials[0], recipe=merged)
    tried = tuple(latest[index] for index in sorted(latest))
    return Selection(recipe=recipe, reason=reason, trials=tried, cpu_seconds=spent)


def _first_size(n_rows: int) -> int:
    return max(min(_FEWEST_ROWS, round(n_rows / 2)), round(_FIRST_SHARE * n_rows))


def _full_fit(known: dict[int, float], n_rows: int) -> float:
    """Return what one fit on all rows is estimated to take, from the fits seen so far."""
    sizes = sorted(known)
    power = _GROWTH
    if len(sizes) > 1:
        (small, large) = sizes[-2:]
        power = float(np.clip(np.log(known[large] / known[small]) / np.log(large / small), 0.5, 3.0))
    return known[sizes[-1]] * (n_rows / sizes[-1]) ** power


def _order(
    table: Part, keys: RowKeys, seed: int, *, grouped: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
    """Return the rows that count, in the order in which trials take them, and their group codes.

    The order is that of time where there is one, else random; groups stay together.
    """
    n_rows = len(keys.positions)
    shuffled = KeyedPermutation(n_rows, (seed, n_rows))(np.arange(n_rows))
    rank = shuffled if keys.time is None else np.unique(keys.time, return_inverse=True)[1]
    groups = np.unique(keys.group, return_inverse=True)[1] if grouped and keys.group is not None else None
    if groups is not None:
        first = np.full(int(groups.max()) + 1, n_rows)
        np.minimum.at(first, groups, rank)
        order = np.lexsort((shuffled, groups, first[groups]))
    else:
        order = np.lexsort((shuffled, rank))
    return (order if table.weights is None else order[table.weights[order] > 0]), groups


def _round(
    job: FitJob,
    table: Part,
    keys: RowKeys,
    order: NDArray[np.int64],
    groups: NDArray[np.int64] | None,
    size: int,
) -> _Round:
    end = size
    while groups is not None and end < len(order) and groups[order[end]] == groups[order[end - 1]]:
        end += 1
    rows, held = np.sort(order[:end]), np.sort(order[end : end + _MOST_JUDGED])
    if len(held) < _FEWEST_JUDGED:
        raise InputError(
            f"combine='auto' holds rows back to judge by, and of {len(order):,} rows that count {len(held)} would be "
            f"left; it takes {_FEWEST_JUDGED}. Give more rows, or smaller groups, or say how to combine."
        )
    weights = None if table.weights is None else table.weights[rows]
    return _Round(
        job=job,
        fitted=MemoryTable(
            Part(0, take_rows(table.X, rows), table.y[rows], weights),
            job.labels,
            groups=None if keys.group is None else keys.group[rows],
            time=None if keys.time is None else keys.time[rows],
        ),
        X=take_rows(table.X, held),
        y=table.y[held],
        judges=Judges(
            weights=np.ones(len(held)) if table.weights is None else table.weights[held],
            groups=np.arange(len(held)) if groups is None else np.unique(groups[held], return_inverse=True)[1],
        ),
    )


def _try(recipes: Sequence[Recipe], rows: _Round, executor: Executor) -> list[Trial]:
    """Return a trial for each recipe, in their order; the members of recipes that differ in the combination are shared.

    Raises
    ------
    InputError
        If the first, one model, cannot be fitted.
    """
    families = [list(family) for _, family in groupby(recipes, key=_members_of)]
    tasks = (Task(index, family, rows.n_rows) for index, family in enumerate(families))
    outcomes = sorted(executor.run(_measure, rows, tasks), key=lambda outcome: outcome.id)
    failure = outcomes[0].failure
    if failure is not None:
        raise InputError(f"One model could not be fitted on {rows.n_rows:,} rows: {failure.message}")
    trials: list[Trial] = []
    for family, outcome in zip(families, outcomes, strict=True):
        failure = outcome.failure
        if failure is None:
            trials += outcome.value
        else:
            trials += [_failed(recipe, rows, f"{failure.error_type}: {failure.message}") for recipe in family]
    return trials


def _members_of(recipe: Recipe) -> tuple[str, int, int, bool]:
    """Return what the members depend on: recipes that agree in it differ only in how they combine them."""
    return (label(recipe.partitioner), recipe.n_partitions, recipe.replication, recipe.match_updates)


def _failed(recipe: Recipe, rows: _Round, failure: str) -> Trial:
    blank = np.empty(0)
    return Trial(recipe=recipe, n_rows=rows.n_rows, losses=blank, seconds=0.0, predict_seconds=0.0, failure=failure)


def _measure(rows: _Round, family: Sequence[Recipe]) -> list[Trial]:
    """Fit the members in this process, combine them in each way, and judge on the rows that were held back."""
    started = process_time()
    inline = make_executor("inline", rows.job.cpus)
    first = assemble(family[0], rows.job, rows.fitted, inline, Stopwatch())
    shared = process_time() - started
    trials = []
    for recipe in family:
        started = process_time()
        try:
            predictor = first.predictor if recipe == family[0] else recipe.combiner.fit(first.context)
            combined = process_time()
            outputs = call_writable(predictor.outputs, rows.X)
        except Exception as error:  # noqa: BLE001 - another way to combine the same members may do
            trials.append(_failed(recipe, rows, f"{type(error).__name__}: {error}"))
            continue
        predicted = process_time()
        trials.append(
            Trial(
                recipe=recipe,
                n_rows=rows.n_rows,
                losses=_losses(outputs, rows),
                seconds=shared + combined - started,
                predict_seconds=predicted - combined,
            )
        )
    return trials


def _losses(outputs: NDArray[np.float64], rows: _Round) -> NDArray[np.float64]:
    if rows.job.labels is not None:
        return (outputs.argmax(axis=1) != rows.y).astype(np.float64)
    y = np.asarray(rows.y, dtype=np.float64).reshape(len(rows.y), -1)
    variances = np.cov(y.T, aweights=rows.judges.weights, ddof=0).reshape(y.shape[1], -1).diagonal()
    return ((outputs - y) ** 2 / np.maximum(variances, 1e-300)).mean(axis=1)


def _promises(trial: Trial) -> bool:
    """Return whether another round may still show it to be as good as one model."""
    return trial.failure is None and trial.gain + 2 * trial.error > -_DROPPED
