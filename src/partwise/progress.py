"""Progress of a fit on stderr: members done, rows per second, time left."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from partwise.records import Member, MemberFailure

__all__ = ["member_progress"]


@contextmanager
def member_progress(sizes: NDArray[np.int64], *, shown: bool) -> Iterator[Callable[[Member | MemberFailure], None]]:
    """Yield a function that takes each member or failure as it comes and moves the bar."""
    columns = (
        TextColumn("members"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not shown) as progress:
        task = progress.add_task("members", total=len(sizes), speed="")
        rows = 0

        def observe(record: Member | MemberFailure) -> None:
            nonlocal rows
            rows += record.n_rows
            elapsed = progress.tasks[task].elapsed
            progress.update(task, advance=1, speed=f"{rows / elapsed:,.0f} rows/s" if elapsed else "")

        yield observe
