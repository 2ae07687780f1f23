"""When and where each member was fitted."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from partwise.records import Member
from partwise.report.canvas import PALETTE, blank, finding

__all__ = ["draw"]

_WIDTH = 9.0
_MOST_NAMED_WORKERS = 40
_LONGEST_NODE = 16
_NARROWEST_LABEL = 0.035
"""The share of the time axis that a partition's number needs."""


def draw(members: Sequence[Member]) -> Figure:
    """Draw one bar for each member on its worker's row, seconds since the first member started."""
    origin = min(member.started for member in members)
    span = max(member.started - origin + member.fit_seconds for member in members) or 1.0
    workers = sorted({(member.node, member.process) for member in members})
    row_of = {worker: row for row, worker in enumerate(workers)}
    figure = blank(_WIDTH, min(1.5 + 0.32 * len(workers), 12.0))
    axis = figure.subplots()
    # Neighbours on one worker take turns in colour, so that thin bars without room for a number stay apart.
    turns = dict.fromkeys(workers, 0)
    for member in sorted(members, key=lambda each: each.started):
        worker = (member.node, member.process)
        colour = (PALETTE[0], PALETTE[5])[turns[worker] % 2]
        turns[worker] += 1
        start = member.started - origin
        axis.barh(row_of[worker], member.fit_seconds, left=start, height=0.76, color=colour, linewidth=0)
        if member.fit_seconds / span >= _NARROWEST_LABEL and len(workers) <= _MOST_NAMED_WORKERS:
            ink = "white" if colour == PALETTE[0] else "black"
            middle = start + member.fit_seconds / 2
            axis.text(middle, row_of[worker], str(member.partition), ha="center", va="center", color=ink, fontsize=8)
    step = -(-len(workers) // _MOST_NAMED_WORKERS)
    axis.set_yticks(range(0, len(workers), step), [_name(*worker) for worker in workers[::step]], fontsize=8)
    axis.set_ylim(len(workers) - 0.4, -0.6)
    axis.set_xlim(0, span * 1.01)
    axis.set_xlabel("time since the first member started [s]")
    axis.set_ylabel("worker (node / process)")
    axis.set_title(finding(_finding(members, len(workers), span), _WIDTH), fontsize=11, loc="left")
    return figure


def _finding(members: Sequence[Member], n_workers: int, span: float) -> str:
    busy = sum(member.fit_seconds for member in members)
    longest = max(members, key=lambda member: member.fit_seconds)
    counted = "1 member" if len(members) == 1 else f"{len(members)} members"
    workers = "1 worker" if n_workers == 1 else f"{n_workers} workers"
    return (
        f"{counted} on {workers} took {span:.3g} s and fitted {100 * busy / (span * n_workers):.0f} % of that time; "
        f"the longest, partition {longest.partition}, {longest.fit_seconds:.3g} s"
    )


def _name(node: str, process: int) -> str:
    short = node if len(node) <= _LONGEST_NODE else f"{node[: _LONGEST_NODE - 1]}…"
    return f"{short} / {process}" if short else str(process)
