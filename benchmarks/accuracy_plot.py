"""Speed against accuracy: the records of `accuracy.py` as a plot."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from accuracy_report import Pair, difference, of_work, pairs
from accuracy_rungs import ONE, Record, Work, speedup
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator
from matplotlib.transforms import Bbox

from partwise.report.canvas import PALETTE, blank

__all__ = ["draw"]

_DPI = 120
_DOT = 6
_DISTANCES = (9, 14, 20, 28, 38, 50, 64, 80, 100, 125, 155)
_DIRECTIONS = 16
_POINTS = 100.0
"""Of a share: 1 point is 0.01 of accuracy or R²."""
_LINEAR = 0.5
"""Up to here the scale of the points is linear, beyond logarithmic: most differences are small, a few are not."""
_STEPS = (0, 0.25, 0.5, 1, 2, 5, 10, 20, 50, 100)
_BEHIND = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.3}


@dataclass(frozen=True, slots=True)
class _Dot:
    """One model is at 1 and 0."""

    label: str
    speed: float
    points: float
    colour: str
    filled: bool = True
    marker: str = "o"


def draw(works: Sequence[Work], records: Sequence[Record], path: Path) -> None:
    """Write the plot as a PNG file, with a panel for the works and one for the grid; nothing where nothing is."""
    plain = _works_dots([work for work in works if not work.seeded], records)
    grid = [pair for pair in pairs([work for work in works if work.seeded], records) if pair.seeds]
    panels = [panel for panel, dots in ((_draw_works, plain), (_draw_grid, grid)) if dots]
    if not panels:
        return
    figure = blank(11, 6.5 * len(panels))
    axes = figure.subplots(len(panels), squeeze=False).ravel()
    drawn = [
        (axis, panel(axis, plain if panel is _draw_works else grid)) for axis, panel in zip(axes, panels, strict=True)
    ]
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # what was placed must not move any more
    for axis, dots in drawn:
        _place_labels(figure, axis, dots)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=_DPI, metadata={"Software": None})


def _works_dots(works: Sequence[Work], records: Sequence[Record]) -> list[_Dot]:
    dots = []
    for place, work in enumerate(works):
        found = of_work(work, records)
        for name, record in found.items():
            gain = difference(record, work, found)
            is_rival = work.rung(name).is_rival
            if (
                not (record["ensemble"] or is_rival)
                or gain is None
                or "fit_seconds" not in found.get(ONE, {"fit_seconds": 0})
            ):
                continue
            measured = ONE in found
            speed = speedup(record, found[ONE]) if measured else work.published[0][2] / record["fit_seconds"]
            colour, marker = PALETTE[place % len(PALETTE)], "s" if is_rival else "o"
            dots.append(_Dot(f"{work.name}: {name}", speed, _POINTS * gain, colour, measured, marker))
    return dots


def _draw_works(axis: Axes, dots: list[_Dot]) -> list[_Dot]:
    _scatter(axis, dots)
    hollow = "" if all(dot.filled for dot in dots) else "; hollow: beside the published time of one model"
    rivals = "; squares: one cheaper model" if any(dot.marker == "s" for dot in dots) else ""
    axis.set_title(f"Rungs beside one model{hollow}{rivals}", loc="left", fontsize=11)
    return dots


def _draw_grid(axis: Axes, found: list[Pair]) -> list[_Dot]:
    learners = list(dict.fromkeys(pair.learner for pair in found))
    colours = dict(zip(learners, PALETTE, strict=False))
    dots = [
        _Dot(
            pair.table.partition("_")[0],
            pair.mean(ONE, "fit_seconds") / pair.mean("auto", "fit_seconds"),
            _POINTS * (pair.gain("auto") or 0.0),
            colours[pair.learner],
            pair.distributes,
        )
        for pair in found
    ]
    _scatter(axis, dots)
    for learner, colour in colours.items():
        axis.plot([], [], "o", color=colour, markersize=_DOT, label=learner.replace("_", " "))
    axis.plot([], [], "o", color="grey", fillstyle="none", markersize=_DOT, label="keeps one model")
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=7, frameon=False, fontsize=9)
    axis.axhspan(-0.5, 0.5, color="grey", alpha=0.12, linewidth=0)
    axis.set_title("combine='auto', 8 partitions; the grey band is 0.5 points", loc="left", fontsize=11)
    return dots


def _scatter(axis: Axes, dots: Sequence[_Dot]) -> None:
    axis.axhline(0, color="grey", linewidth=0.8)
    axis.axvline(1, color="grey", linewidth=0.8)
    for dot in dots:
        style = "full" if dot.filled else "none"
        axis.plot([dot.speed], [dot.points], dot.marker, color=dot.colour, fillstyle=style, markersize=_DOT)
    axis.set_xscale("log")
    axis.set_yscale("symlog", linthresh=_LINEAR, linscale=1.5)
    axis.margins(x=0.2, y=0.18)
    axis.yaxis.set_major_locator(FixedLocator([sign * step for step in _STEPS for sign in (-1, 1)]))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+g}" if value else "0"))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_xlabel("fit speed-up over one model [times, log scale]")
    axis.set_ylabel("score less that of one model [0.01 of accuracy or R²; log beyond ±0.5]")


def _place_labels(figure: Figure, axis: Axes, dots: Sequence[_Dot]) -> None:
    """Write each label at the nearest place to its dot where it hides no dot and no label."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    scale = figure.dpi / 72
    spots = axis.transData.transform([(dot.speed, dot.points) for dot in dots])
    taken = [Bbox.from_extents(*(spot - scale * _DOT / 2), *(spot + scale * _DOT / 2)) for spot in spots]
    inside = axis.get_window_extent(renderer)
    fastest_first = sorted(zip(dots, spots, strict=True), key=lambda each: -each[0].speed)
    for dot, spot in fastest_first:
        text = axis.annotate(
            dot.label,
            (dot.speed, dot.points),
            (0, 0),
            textcoords="offset points",
            fontsize=8,
            color=dot.colour,
            bbox=_BEHIND,
        )
        box = text.get_window_extent(renderer)
        size = np.array([box.width, box.height])
        placed = _free_place(spot, size, taken, inside, scale)
        taken.append(placed)
        _move(text, (placed.p0 - spot) / scale)
        _lead(axis, spot, placed, dot.colour)


def _free_place(spot: np.ndarray, size: np.ndarray, taken: Sequence[Bbox], inside: Bbox, scale: float) -> Bbox:
    """Return the first place of all, near to far, that is free; else the one right of the dot."""
    angles = np.linspace(0, 2 * np.pi, _DIRECTIONS, endpoint=False)
    for distance in _DISTANCES:
        for angle in angles:
            towards = np.array([np.cos(angle), np.sin(angle)])
            corner = spot + scale * distance * towards + (towards - 1) / 2 * size
            box = Bbox.from_extents(*corner, *(corner + size))
            within = inside.containsx(box.x0) and inside.containsx(box.x1)
            within = within and inside.containsy(box.y0) and inside.containsy(box.y1)
            if within and not box.count_overlaps([other.padded(scale) for other in taken]):
                return box
    return Bbox.from_extents(*spot, *(spot + size))


def _move(text: Annotation, offset: np.ndarray) -> None:
    text.set_position(tuple(offset))
    text.set_verticalalignment("bottom")


def _lead(axis: Axes, spot: np.ndarray, box: Bbox, colour: str) -> None:
    """Draw a line from the dot to its label where that is not beside it."""
    nearest = np.clip(spot, box.p0, box.p1)
    if np.linalg.norm(nearest - spot) > 2 * _DOT * axis.figure.dpi / 72:
        ends = axis.transData.inverted().transform([spot, nearest])
        axis.plot(ends[:, 0], ends[:, 1], color=colour, linewidth=0.5, scalex=False, scaley=False)
