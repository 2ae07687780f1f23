"""A training, or the plan of one, for the terminal."""

from collections.abc import Iterator

from rich.console import Group
from rich.table import Table
from rich.text import Text

from partwise.comparison.cells import leaderboard_table, members_cell, memory_cell, score_cell, workers_cell
from partwise.comparison.records import Training
from partwise.comparison.verdict import seconds

__all__ = ["training_table"]


def training_table(training: Training) -> Group:
    """Return scores, times and costs of an ensemble; it fits 80 columns."""
    title = (
        f"{training.learner}: {training.n_train:,} training rows, {training.n_test:,} test rows, "
        f"{training.partitions} partitions ({training.partitioner}, {training.combine})"
    )
    table = Table(title=title, title_justify="left", title_style="bold", padding=(0, 1))
    table.add_column("", no_wrap=True)
    table.add_column("ensemble", justify="right", overflow="fold")
    for section in (_scores, _times, _resources):
        for row in section(training):
            table.add_row(*row)
        table.add_section()
    board = [] if training.leaderboard is None else [leaderboard_table(training.leaderboard)]
    ensemble = training.ensemble
    place = Text(f"{ensemble.where}; {workers_cell(ensemble)}; {ensemble.exactness}.")
    below = [place, *(Text(f"Note: {note}") for note in training.notes)]
    return Group(table, *board, *below)


def _scores(training: Training) -> Iterator[tuple[str, str]]:
    for name, score in training.ensemble.scores.items():
        yield f"{name} *" if name == training.metric else name, score_cell(score)
    if training.ensemble.out_of_partition_score is not None:
        yield "out-of-partition score", score_cell(training.ensemble.out_of_partition_score)


def _times(training: Training) -> Iterator[tuple[str, str]]:
    ensemble = training.ensemble
    yield "counting, and fitting the encoder", seconds(ensemble.encode_seconds)
    if ensemble.select_seconds is not None:
        yield "choosing the recipe", seconds(ensemble.select_seconds)
    yield "storing the partitions", seconds(ensemble.partition_seconds)
    yield "fitting members", seconds(ensemble.members_seconds)
    yield "combining", seconds(ensemble.combine_seconds)
    if ensemble.evidence_seconds is not None:
        yield "evidence", seconds(ensemble.evidence_seconds)
    yield "fit, in total", seconds(ensemble.fit_seconds)
    yield "predicting and judging test rows", seconds(ensemble.predict_seconds)
    yield "start-up, apart", seconds(training.startup_seconds)


def _resources(training: Training) -> Iterator[tuple[str, str]]:
    ensemble = training.ensemble
    yield "CPU time of the fit", seconds(ensemble.cpu_seconds)
    yield "peak memory, largest process", memory_cell(ensemble.peak_memory_bytes)
    yield "peak memory, driver", memory_cell(ensemble.driver_peak_memory_bytes)
    yield "models", members_cell(ensemble)
