"""The plots of a comparison, as PNG files; importing this module loads matplotlib, but never pyplot."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from partwise.evaluation import Growth, Interval, Outputs, Truth
from partwise.records import Member
from partwise.report import curves, timeline
from partwise.report.canvas import MODELS, PALETTE, blank, finding, number, spoken, unit

__all__ = ["PlotData", "write_plots"]

_DPI = 120
_COLUMNS = 3
_GROWTH_WIDTH = 8.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlotData:
    """All that the plots of one comparison show.

    Parameters
    ----------
    metric, greater_is_better
        The main metric's name, and which way is up.
    truth
        The test rows.
    single, ensemble
        What the two models said about them.
    class_names
        The names of the classes in the order of their codes; empty in regression.
    intervals
        Scores with intervals by metric name, then ``single`` or ``ensemble``, as `score_intervals` gives them.
    members
        The fitted members, with when and where each ran.
    growth
        The main metric as members are added; None leaves that plot out.
    """

    metric: str
    greater_is_better: bool
    truth: Truth
    single: Outputs
    ensemble: Outputs
    class_names: tuple[str, ...]
    intervals: Mapping[str, Mapping[str, Interval]]
    members: tuple[Member, ...]
    growth: Growth | None = None


def write_plots(directory: Path, data: PlotData) -> list[Path]:
    """Write the plots that the data define as PNG files and return their paths.

    They are ``scores.png``, ``timeline.png``, ``roc.png`` or ``residuals.png``, and ``growth.png``.
    """
    figures = {
        "scores": _scores(data),
        "timeline": timeline.draw(data.members) if data.members else None,
        "roc": curves.draw_roc(data.truth, data.single, data.ensemble, data.class_names),
        "residuals": curves.draw_residuals(data.truth, data.single, data.ensemble),
        "growth": _growth(data),
    }
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for name, figure in figures.items():
        if figure is not None:
            path = directory / f"{name}.png"
            # Without the software's version, the same plot is the same file.
            figure.savefig(path, dpi=_DPI, metadata={"Software": None})
            written.append(path)
    return written


def _scores(data: PlotData) -> Figure | None:
    shown = {name: models for name, models in data.intervals.items() if models}
    if not shown:
        return None
    columns = min(_COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    width = max(3.2 * columns, 6.4)
    figure = blank(width, 1.0 + 1.7 * rows)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, (name, models) in zip(axes, shown.items(), strict=False):
        for row, (model, style) in enumerate(MODELS.items()):
            if model in models:
                _interval(axis, row, models[model], style.colour)
        axis.set_yticks(range(len(MODELS)), [style.name for style in MODELS.values()])
        axis.set_ylim(len(MODELS) - 0.4, -0.6)
        axis.locator_params(axis="x", nbins=4)
        axis.set_title(spoken(name), fontsize=10)
        axis.set_xlabel(f"[{unit(name)}]")
    for axis in axes[len(shown) :]:
        axis.remove()
    figure.suptitle(finding(_scores_finding(data.metric, shown), width), fontsize=11)
    return figure


def _scores_finding(metric: str, shown: Mapping[str, Mapping[str, Interval]]) -> str:
    level = next(iter(next(iter(shown.values())).values())).level
    lines = f"lines are {level * 100:g} % intervals of each model by itself"
    main = shown.get(metric, {})
    values = [f"{style.name} {number(main[model].estimate)}" for model, style in MODELS.items() if model in main]
    return f"{spoken(metric)}: {', '.join(values)}; {lines}" if values else f"Scores on the test rows; {lines}"


def _interval(axis: Axes, row: int, interval: Interval, colour: str) -> None:
    if interval.low is not None and interval.high is not None:
        axis.plot([interval.low, interval.high], [row, row], color=colour, linewidth=2.5, solid_capstyle="butt")
    axis.plot([interval.estimate], [row], "o", color=colour, markersize=6)


def _growth(data: PlotData) -> Figure | None:
    growth = data.growth
    if growth is None or all(value is None for value in growth.together):
        return None
    counts = range(1, len(growth.together) + 1)
    single = growth.single
    figure = blank(_GROWTH_WIDTH, 4.4)
    axis = figure.subplots()
    axis.plot(counts, _gaps(growth.alone), "o", color=PALETTE[4], markersize=7, label="each member by itself")
    ensemble = MODELS["ensemble"]
    axis.plot(counts, _gaps(growth.together), "-o", color=ensemble.colour, markersize=3, label="members up to this one")
    if single is not None:
        style = MODELS["single"]
        axis.axhline(single, color=style.colour, linestyle=style.line, label=f"{style.name} on all rows")
    margin = 0.3 + 0.02 * len(growth.together)
    axis.set_xlim(1 - margin, len(growth.together) + margin)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axis.set_xlabel("members, in partition order [count]")
    axis.set_ylabel(f"{spoken(data.metric)} [{unit(data.metric)}]")
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    axis.set_title(finding(_growth_finding(data, growth, single), _GROWTH_WIDTH), fontsize=11, loc="left")
    return figure


def _gaps(values: tuple[float | None, ...]) -> list[float]:
    return [float("nan") if value is None else value for value in values]


def _growth_finding(data: PlotData, growth: Growth, single: float | None) -> str:
    last = growth.together[-1]
    n_members = len(growth.together)
    counted = "1 member" if n_members == 1 else f"{n_members} members"
    rows = f" on {growth.n_rows:,} test rows"
    reached = f"{spoken(data.metric)} after {counted} is {'not defined' if last is None else number(last)}{rows}"
    if single is None:
        return reached
    up = 1 if data.greater_is_better else -1
    passed = [n for n, value in enumerate(growth.together, 1) if value is not None and up * value >= up * single]
    how = (
        f"first as good as one model ({number(single)}) after {passed[0]}"
        if passed
        else (f"never as good as one model ({number(single)})")
    )
    return f"{reached}, {how}"
