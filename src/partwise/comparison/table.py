"""A comparison for the terminal."""

from collections.abc import Iterator, Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from partwise.comparison.cells import leaderboard_table, members_cell, memory_cell, score_cell, signed, workers_cell
from partwise.comparison.records import Comparison, DifferenceReport
from partwise.comparison.verdict import SCOPE, seconds

__all__ = ["comparison_table"]

_NOTHING = ""

Row = tuple[str, str, str, str]


def comparison_table(comparison: Comparison) -> Group:
    """Return both models side by side, section by section, with the verdict below; it fits 80 columns."""
    table = Table(title=_title(comparison), title_justify="left", title_style="bold", padding=(0, 1))
    table.add_column("", no_wrap=True)
    for name in ("one model", "ensemble", "difference"):
        table.add_column(name, justify="right", overflow="fold")
    for section in (_scores, _times, _resources):
        for row in section(comparison):
            table.add_row(*row)
        table.add_section()
    below = [Text(comparison.verdict, style="bold"), Text(SCOPE, style="dim"), *_places(comparison)]
    below += [Text(f"Note: {note}") for note in comparison.notes]
    board = [] if comparison.leaderboard is None else [leaderboard_table(comparison.leaderboard)]
    others = [_alternatives(comparison)] if comparison.alternatives else []
    return Group(table, *others, *board, *below)


def _alternatives(comparison: Comparison) -> Table:
    """Return all models side by side, with what each gains or loses against one model, and the ensemble against it."""
    models = [comparison.single, comparison.ensemble, *comparison.alternatives.values()]
    table = Table(title="Alternatives, side by side", title_justify="left", title_style="bold", padding=(0, 1))
    table.add_column("")
    for name in ("one model", "ensemble", *comparison.alternatives):
        table.add_column(name, justify="right", overflow="fold")
    others = list(comparison.alternatives.values())
    table.add_row(comparison.metric, *(score_cell(each.scores.get(comparison.metric)) for each in models))
    ours = [comparison.difference, *(each.difference_to_single for each in others)]
    for row in _gaps("minus one model", [None, *ours]):
        table.add_row(*row)
    for row in _gaps("ensemble minus it", [comparison.difference, None, *(each.difference for each in others)]):
        table.add_row(*row)
    table.add_section()
    starts = [None, comparison.startup_seconds, *(each.startup_seconds for each in others)]
    table.add_row("fit", *(seconds(each.fit_seconds) for each in models))
    table.add_row("start-up, apart", *(_NOTHING if each is None else seconds(each) for each in starts))
    table.add_row("predict", *(seconds(each.predict_seconds) for each in models))
    table.add_row("CPU time of fit", *(seconds(each.cpu_seconds) for each in models))
    table.add_row("peak memory", *(memory_cell(each.peak_memory_bytes) for each in models))
    table.add_row("training rows", *(f"{each.n_rows:,}" for each in models))
    return table


def _gaps(label: str, gaps: Sequence[DifferenceReport | None]) -> Iterator[tuple[str, ...]]:
    """Yield a row of differences, and one of their intervals."""
    yield label, *(_NOTHING if gap is None else signed(gap.estimate) for gap in gaps)
    yield "  interval", *(_NOTHING if gap is None else _span(gap) for gap in gaps)


def _span(gap: DifferenceReport) -> str:
    return _NOTHING if gap.low is None or gap.high is None else f"{signed(gap.low)} to {signed(gap.high)}"


def _title(comparison: Comparison) -> str:
    return (
        f"{comparison.learner}: {comparison.n_train:,} training rows, {comparison.n_test:,} test rows, "
        f"{comparison.partitions} partitions ({comparison.partitioner}, {comparison.combine})"
    )


def _scores(comparison: Comparison) -> Iterator[Row]:
    single, ensemble = comparison.single.scores, comparison.ensemble.scores
    for name in dict.fromkeys([comparison.metric, *single, *ensemble]):
        ours, theirs = ensemble.get(name), single.get(name)
        change = _NOTHING if ours is None or theirs is None else signed(ours - theirs)
        label = f"{name} *" if name == comparison.metric else name
        yield label, score_cell(theirs), score_cell(ours), change
    difference = comparison.difference
    if difference is not None and difference.low is not None and difference.high is not None:
        span = f"{signed(difference.low)} to {signed(difference.high)}"
        yield f"* {difference.level * 100:g} % interval", _NOTHING, _NOTHING, span
    if difference is not None and difference.p_value is not None:
        yield "* p-value", _NOTHING, _NOTHING, f"{difference.p_value:.3g}"


def _times(comparison: Comparison) -> Iterator[Row]:
    single, ensemble = comparison.single, comparison.ensemble
    yield _timed("encoding", single.encode_seconds, ensemble.encode_seconds)
    if ensemble.select_seconds is not None:
        yield _timed("choosing the recipe", None, ensemble.select_seconds)
    yield _timed("partitioning", None, ensemble.partition_seconds)
    yield _timed("fitting members", None, ensemble.members_seconds)
    yield _timed("combining", None, ensemble.combine_seconds)
    if ensemble.evidence_seconds is not None:
        yield _timed("evidence", None, ensemble.evidence_seconds)
    yield _timed("fit, in total", single.fit_seconds, ensemble.fit_seconds)
    yield _timed("predict", single.predict_seconds, ensemble.predict_seconds)
    yield _timed("start-up, apart", None, comparison.startup_seconds)


def _resources(comparison: Comparison) -> Iterator[Row]:
    single, ensemble = comparison.single, comparison.ensemble
    yield _timed("CPU time of the fit", single.cpu_seconds, ensemble.cpu_seconds)
    if ensemble.driver_cpu_seconds is not None:
        yield _timed("  of it the driver", None, ensemble.driver_cpu_seconds)
    memory = (memory_cell(single.peak_memory_bytes), memory_cell(ensemble.peak_memory_bytes))
    yield "peak memory, largest process", *memory, _ratio(single.peak_memory_bytes, ensemble.peak_memory_bytes)
    if ensemble.driver_peak_memory_bytes is not None:
        yield "peak memory, driver", _NOTHING, memory_cell(ensemble.driver_peak_memory_bytes), _NOTHING
    if single.n_rows != ensemble.n_rows:
        yield "training rows", f"{single.n_rows:,}", f"{ensemble.n_rows:,}", _NOTHING
    yield "models", "1", members_cell(ensemble), _NOTHING
    if comparison.efficiency is not None:
        yield "workers' time spent fitting", _NOTHING, f"{comparison.efficiency * 100:.0f} %", _NOTHING


def _timed(label: str, theirs: float | None, ours: float) -> Row:
    return label, _NOTHING if theirs is None else seconds(theirs), seconds(ours), _ratio(theirs, ours)


def _ratio(theirs: float | None, ours: float | None) -> str:
    return f"{ours / theirs:.2f} times" if theirs and ours else _NOTHING


def _places(comparison: Comparison) -> Iterator[Text]:
    ensemble = comparison.ensemble
    yield Text(f"One model: {comparison.single.where}.")
    for name, each in comparison.alternatives.items():
        yield Text(f"{name.capitalize()}: one model on {each.n_rows:,} rows; {each.where}; {each.exactness}.")
    yield Text(f"Ensemble: {ensemble.where}; {workers_cell(ensemble)}; {ensemble.exactness}.")
