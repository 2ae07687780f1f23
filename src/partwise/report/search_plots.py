"""The plots of a search, as PNG files; importing this module loads matplotlib, but never pyplot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from partwise.report.canvas import PALETTE, blank, finding, number, spoken, unit
from partwise.search import SearchTrial

__all__ = ["SearchPlotData", "write_search_plots"]

_DPI = 120
_WIDTH = 8.0
_LONGEST = 18
"""Characters of a value on an axis."""
_WIDE = 30.0
"""Values that span this ratio are shown by their logarithms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPlotData:
    """All that the plots of a search show.

    Parameters
    ----------
    trials
        Those whose scores count; at least one.
    best
        The best of those that were judged on most partitions.
    importances
        Share of the scores' variance that each parameter explains, the largest first; empty where it is not known.
    """

    metric: str
    greater_is_better: bool
    trials: Sequence[SearchTrial]
    best: SearchTrial
    importances: Mapping[str, float]


def write_search_plots(directory: Path, data: SearchPlotData) -> list[Path]:
    """Write ``history.png``, ``parallel_coordinates.png`` and, where it is known, ``importance.png``."""
    figures = {"history": _history(data), "parallel_coordinates": _coordinates(data)}
    if data.importances:
        figures["importance"] = _importance(data)
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, figure in figures.items():
        paths.append(directory / f"{name}.png")
        figure.savefig(paths[-1], dpi=_DPI)
    return paths


def _score(trial: SearchTrial) -> float:
    return trial.scores[trial.n_partitions]


def _history(data: SearchPlotData) -> Figure:
    """Draw each trial's score on most of its partitions, and the best so far of those that got all."""
    figure = blank(_WIDTH, 4.5)
    axis = figure.subplots()
    judged = data.trials
    most = max(trial.n_partitions for trial in judged)
    rungs = sorted({trial.n_partitions for trial in judged})
    shades = np.linspace(0.25, 1.0, len(rungs))
    for rung, shade in zip(rungs, shades, strict=True):
        of_rung = [trial for trial in judged if trial.n_partitions == rung]
        said = f"judged on {rung} partition{'s' if rung > 1 else ''}"
        axis.scatter(
            [trial.number for trial in of_rung],
            [_score(trial) for trial in of_rung],
            s=18 + 30 * shade,
            color=PALETTE[0],
            alpha=shade,
            linewidth=0,
            label=said,
        )
    last = [trial for trial in judged if trial.n_partitions == most]
    better = np.maximum if data.greater_is_better else np.minimum
    best = better.accumulate([_score(trial) for trial in last])
    axis.step([trial.number for trial in last], best, where="post", color=PALETTE[1], label=f"best so far on {most}")
    axis.set_xlabel("trial, in the order in which they were begun")
    axis.set_ylabel(f"{spoken(data.metric)} on training rows [{unit(data.metric)}]")
    axis.legend(fontsize=8, loc="best")
    first, found = _score(judged[0]), _score(data.best)
    text = f"the best of {len(data.trials)} judged trials, number {data.best.number}, scores {number(found)}"
    axis.set_title(finding(f"{text}; the first scored {number(first)}", _WIDTH), fontsize=11, loc="left")
    return figure


def _coordinates(data: SearchPlotData) -> Figure:
    """Draw a line for each trial through its parameters, and its score last."""
    judged = sorted(data.trials, key=_score, reverse=not data.greater_is_better)
    names = sorted({name for trial in judged for name in trial.params})
    width = max(_WIDTH, 1.6 * (len(names) + 1))
    figure = blank(width, 4.8)
    axis = figure.subplots()
    heights = [_axis(axis, place, [trial.params.get(name) for trial in judged]) for place, name in enumerate(names)]
    heights.append(_axis(axis, len(names), [_score(trial) for trial in judged]))
    ranks = Normalize(0, max(len(judged) - 1, 1))
    for place, _ in enumerate(judged):
        rank = ranks(place)
        line = [height[place] for height in heights]
        axis.plot(range(len(heights)), line, color=PALETTE[0], alpha=0.1 + 0.75 * rank**2, linewidth=0.7 + 1.2 * rank)
    axis.set_xlim(-0.35, len(names) + 0.35)
    axis.set_ylim(-0.06, 1.06)
    axis.set_yticks([])
    axis.set_xticks(range(len(heights)), [*names, spoken(data.metric)], fontsize=9)
    axis.set_xlabel(f"parameter, and score on training rows; a range of over 1:{_WIDE:.0f} is shown by its logarithm")
    for side in ("left", "right", "top"):
        axis.spines[side].set_visible(False)
    text = "where the trials looked: the darker the line, the better its score"
    axis.set_title(finding(text, width), fontsize=11, loc="left")
    return figure


def _axis(axis: Axes, place: int, values: Sequence[Any]) -> NDArray[np.float64]:
    """Draw an upright axis with the values at its ends, or the choices; return the heights of the values, 0 to 1."""
    axis.axvline(place, color="0.7", linewidth=0.8, zorder=0)
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        numbers = np.array(values, dtype=np.float64)
        low, high = numbers.min(), numbers.max()
        scaled = np.log(numbers) if low > 0 and high / low > _WIDE else numbers
        marks = [(0.0, f"{low:.3g}"), (1.0, f"{high:.3g}")] if high > low else [(0.5, f"{low:.3g}")]
        span = scaled.max() - scaled.min()
        heights = (scaled - scaled.min()) / span if span > 0 else np.full(len(scaled), 0.5)
    else:
        texts = [str(value) for value in values]
        kinds = sorted(set(texts))
        steps = np.linspace(0.0, 1.0, len(kinds)) if len(kinds) > 1 else np.array([0.5])
        marks = [(step, kind[:_LONGEST]) for step, kind in zip(steps, kinds, strict=True)]
        heights = np.array([steps[kinds.index(text)] for text in texts])
    for height, text in marks:
        axis.text(place + 0.03, height + 0.012, text, fontsize=8, color="0.25", zorder=5)
    return np.asarray(heights, dtype=np.float64)


def _importance(data: SearchPlotData) -> Figure:
    """Draw the share of the variance of scores that each parameter explains."""
    figure = blank(_WIDTH, 1.5 + 0.35 * len(data.importances))
    axis = figure.subplots()
    names = list(data.importances)
    shares = [data.importances[name] for name in names]
    axis.barh(range(len(names)), shares, color=PALETTE[0], height=0.7)
    axis.set_yticks(range(len(names)), names, fontsize=9)
    axis.invert_yaxis()
    axis.set_xlim(0, max(1.0, *shares) * 1.08)
    for place, share in enumerate(shares):
        axis.text(share + 0.01, place, f"{share:.2f}", va="center", fontsize=8)
    axis.set_xlabel("share of the variance of finished trials' scores (fANOVA)")
    text = f"what decides most is {names[0]}: it explains {shares[0]:.0%} of how the scores differ"
    axis.set_title(finding(text, _WIDTH), fontsize=11, loc="left")
    return figure
