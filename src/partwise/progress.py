"""Progress on stderr: members or pieces done, rows per second, time left."""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from partwise.records import Member, MemberFailure, TaskOutcome

__all__ = ["member_progress", "piece_progress", "trial_progress"]


@contextmanager
def member_progress(sizes: NDArray[np.int64], *, shown: bool) -> Iterator[Callable[[Member | MemberFailure], None]]:
    """Yield a function that takes each member or failure as it comes and moves the bar."""
    with _bar("members", len(sizes), 0, shown=shown) as advance:
        yield lambda record: advance(record.n_rows)


@contextmanager
def trial_progress(n_trials: int, n_done: int, *, shown: bool) -> Iterator[Callable[[float | None], None]]:
    """Yield a function that takes the score of each trial as it ends, None where it has none, and moves the bar."""
    with Progress(
        TextColumn("trials"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[last]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not shown,
    ) as progress:
        task = progress.add_task("trials", total=n_trials, completed=n_done, last="")
        yield lambda score: progress.update(task, advance=1, last="" if score is None else f"last {score:.4g}")


@contextmanager
def piece_progress(
    n_pieces: int, n_done: int, *, shown: bool
) -> Iterator[Callable[[Iterable[TaskOutcome]], Generator[TaskOutcome, None, None]]]:
    """Yield a function that passes outcomes on, and moves the bar by those whose value is a number of rows."""
    with _bar("pieces", n_pieces, n_done, shown=shown) as advance:

        def observed(outcomes: Iterable[TaskOutcome]) -> Generator[TaskOutcome, None, None]:
            for outcome in outcomes:
                advance(outcome.value or 0)
                yield outcome

        yield observed


@contextmanager
def _bar(what: str, total: int, done: int, *, shown: bool) -> Iterator[Callable[[int], None]]:
    """Yield a function that takes the rows of each step and moves the bar."""
    columns = (
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not shown) as progress:
        task = progress.add_task(what, total=total, completed=done, speed="")
        rows = 0

        def advance(n_rows: int) -> None:
            nonlocal rows
            rows += n_rows
            elapsed = progress.tasks[task].elapsed
            progress.update(task, advance=1, speed=f"{rows / elapsed:,.0f} rows/s" if elapsed else "")

        yield advance
