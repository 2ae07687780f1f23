"""What tables of results have in common: scores, sizes and the leaderboard as text."""

from collections.abc import Sequence

from rich.table import Table

from partwise.comparison.records import EnsembleReport, LeaderboardEntry

__all__ = ["leaderboard_table", "members_cell", "memory_cell", "score_cell", "signed", "workers_cell"]

_ABSENT = "not defined"
_NOTHING = ""
_KIB = 1024
_THOUSAND = 1000


def leaderboard_table(entries: Sequence[LeaderboardEntry]) -> Table:
    """Return what was tried on training rows, best first."""
    table = Table(title="Recipes tried on training rows", title_justify="left", title_style="bold", padding=(0, 1))
    table.add_column("recipe")
    for name in ("rows", "score", "to one model (95 %)", "CPU s"):
        table.add_column(name, justify="right")
    for entry in entries:
        span = _NOTHING
        if entry.difference is not None and entry.low is not None and entry.high is not None and entry.low < entry.high:
            span = f"{signed(entry.difference)} ({signed(entry.low)} to {signed(entry.high)})"
        score = "failed" if entry.score is None else score_cell(entry.score)
        style = "bold" if entry.chosen else None
        table.add_row(entry.recipe, f"{entry.rows:,}", score, span, f"{entry.fit_seconds:.1f}", style=style)
    return table


def signed(value: float) -> str:
    """Return a difference with its sign."""
    if round(value, 6) == 0:
        return "0"
    return f"{value:+,.0f}" if abs(value) >= _THOUSAND else f"{value:+.3g}"


def score_cell(value: float | None) -> str:
    """Return a score, or that it is not defined."""
    if value is None:
        return _ABSENT
    return f"{value:,.0f}" if abs(value) >= _THOUSAND else f"{value:.4f}" if abs(value) < 1 else f"{value:.4g}"


def memory_cell(size: int | None) -> str:
    """Return a size in MiB or GiB."""
    if size is None:
        return "not measured"
    return f"{size / _KIB**3:,.1f} GiB" if size >= _KIB**3 else f"{size / _KIB**2:,.0f} MiB"


def members_cell(ensemble: EnsembleReport) -> str:
    """Return how many members there are, and how many are missing."""
    missing = {"failed": ensemble.n_failed, "dropped": ensemble.n_dropped}
    told = ", ".join(f"{count} {what}" for what, count in missing.items() if count)
    return f"{ensemble.n_members} ({told})" if told else f"{ensemble.n_members}"


def workers_cell(ensemble: EnsembleReport) -> str:
    """Return how many members were fitted at the same time, and where."""
    nodes = "1 node" if ensemble.n_nodes == 1 else f"{ensemble.n_nodes} nodes"
    return f"{'1 worker' if ensemble.n_workers == 1 else f'{ensemble.n_workers} workers'} on {nodes}"
