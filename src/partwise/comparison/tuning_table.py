"""A search, for the terminal."""

from collections.abc import Iterator

from rich.console import Group
from rich.table import Table
from rich.text import Text

from partwise.comparison.cells import leaderboard_table, score_cell, workers_cell
from partwise.comparison.records import TrialReport, Tuning
from partwise.comparison.verdict import seconds

__all__ = ["tuning_table"]

_SHOWN = 10
_BROKEN = frozenset({"failed", "timed_out"})
"""Trials whose scores do not count, as they were to have more partitions; notes tell of them."""


def tuning_table(tuning: Tuning) -> Group:
    """Return the best trials, and what the model of the best scores on the test rows; it fits 80 columns."""
    ensemble = tuning.ensemble
    board = [] if tuning.leaderboard is None else [leaderboard_table(tuning.leaderboard)]
    exactness = "" if tuning.fidelity == "rows" else f"; {ensemble.exactness}"
    place = Text(f"{ensemble.where}; {workers_cell(ensemble)}{exactness}.")
    below = [place, *(Text(f"Note: {note}") for note in tuning.notes)]
    return Group(_trials(tuning), _ensemble(tuning), *board, *below)


def _trials(tuning: Tuning) -> Table:
    """Return the trials that came furthest, the best first."""
    title = f"{tuning.learner}: {len(tuning.trials)} trials ({tuning.sampler}), {tuning.n_fits} fits"
    table = Table(title=title, title_justify="left", title_style="bold", padding=(0, 1))
    table.add_column("trial", justify="right")
    table.add_column("partitions", justify="right")
    table.add_column(tuning.metric, justify="right")
    table.add_column("CPU s", justify="right")
    table.add_column("parameters", overflow="fold")
    sign = -1.0 if tuning.greater_is_better else 1.0
    judged = [trial for trial in tuning.trials if trial.scores and trial.state not in _BROKEN]
    order = sorted(judged, key=lambda trial: (-max(trial.scores), sign * _score(trial)))
    for trial in order[:_SHOWN]:
        table.add_row(
            str(trial.number),
            str(max(trial.scores)),
            score_cell(_score(trial)),
            f"{trial.cpu_seconds:.1f}",
            ", ".join(f"{name}={_short(value)}" for name, value in trial.params.items()),
            style="bold" if trial.number == tuning.best_trial else None,
        )
    return table


def _score(trial: TrialReport) -> float:
    return trial.scores[max(trial.scores)]


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _ensemble(tuning: Tuning) -> Table:
    title = f"{tuning.recipe}: {tuning.n_train:,} training rows, {tuning.n_test:,} test rows"
    is_one = tuning.fidelity == "rows"
    if not is_one:
        title += f", {tuning.partitions} partitions"
    table = Table(title=title, title_justify="left", title_style="bold", padding=(0, 1))
    table.add_column("", no_wrap=True)
    table.add_column("best on all rows" if is_one else "ensemble of the best", justify="right", overflow="fold")
    for section in (_training_scores, _test_scores, _costs):
        for row in section(tuning):
            table.add_row(*row)
        table.add_section()
    return table


def _training_scores(tuning: Tuning) -> Iterator[tuple[str, str]]:
    yield f"{tuning.metric} of the best trial, by training rows", score_cell(tuning.best_score)
    if tuning.corrected_score is not None:
        yield "the same, without the luck of the choice", score_cell(tuning.corrected_score)


def _test_scores(tuning: Tuning) -> Iterator[tuple[str, str]]:
    for name, score in tuning.ensemble.scores.items():
        yield f"test rows: {name}{' *' if name == tuning.metric else ''}", score_cell(score)


def _costs(tuning: Tuning) -> Iterator[tuple[str, str]]:
    yield "search", seconds(tuning.search_seconds)
    yield "CPU time of the trials", seconds(sum(trial.cpu_seconds for trial in tuning.trials))
    fit = "fit of the best on all rows" if tuning.fidelity == "rows" else "fit of the ensemble, members taken over"
    yield fit, seconds(tuning.ensemble.fit_seconds)
    yield "predicting test rows", seconds(tuning.ensemble.predict_seconds)
    yield "start-up, apart", seconds(tuning.startup_seconds)
    yield "models", str(tuning.ensemble.n_members)
