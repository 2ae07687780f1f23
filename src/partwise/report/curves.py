"""ROC curves and residuals of both models."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from partwise.evaluation import Outputs, Truth, metric_value, resolve_metric
from partwise.evaluation.records import class_scores
from partwise.report.canvas import MODELS, PALETTE, blank, finding, number

__all__ = ["draw_residuals", "draw_roc"]

_BINARY = 2
_MOST_POINTS = 4_000
_MOST_COLOURS = len(PALETTE)
_FALSE_RATES = np.linspace(0, 1, 501)
"""Where curves are drawn: no screen shows more, however many test rows there are."""
_ROC_WIDTH = 7.4
_RESIDUALS_WIDTH = 9.0

Curves = dict[str, NDArray[np.float64]]


def draw_roc(truth: Truth, single: Outputs, ensemble: Outputs, class_names: tuple[str, ...]) -> Figure | None:
    """Draw the ROC curves: of the second of two classes, of each class against the rest, or of their mean.

    With more classes than colours, the mean of their curves is drawn. There is no figure in regression, without
    scores, or where no class has test rows on both sides.
    """
    drawn = [(style, _curves(truth, said, class_names)) for style, said in _styled(single, ensemble)]
    drawn = [(style, curves) for style, curves in drawn if curves]
    if not drawn:
        return None
    figure = blank(_ROC_WIDTH, 5.4)
    axis = figure.subplots()
    axis.plot([0, 1], [0, 1], color="0.7", linewidth=1, zorder=1)
    names = list(drawn[0][1])
    for style, curves in drawn:
        for row, name in enumerate(names):
            colour = PALETTE[row] if len(names) > 1 else style.colour
            axis.plot(_FALSE_RATES, curves[name], style.line, color=colour, linewidth=1.6)
    lone = len(names) == 1
    handles = [Line2D([], [], color=s.colour if lone else "0.3", linestyle=s.line, label=s.name) for s, _ in drawn]
    if not lone:
        handles += [Line2D([], [], color=PALETTE[row], label=_short(name)) for row, name in enumerate(names)]
    handles.append(Line2D([], [], color="0.7", linewidth=1, label="by chance"))
    figure.legend(handles=handles, loc="outside center right", frameon=False, fontsize=9)
    axis.set_aspect("equal")
    axis.set_xlim(0, 1)
    axis.set_ylim(0, 1.01)
    axis.set_xlabel("false positive rate [share of the other rows]")
    axis.set_ylabel(f"true positive rate [share of {_whose(names, truth)}]")
    figure.suptitle(finding(_roc_finding(truth, single, ensemble), _ROC_WIDTH), fontsize=11)
    return figure


def draw_residuals(truth: Truth, single: Outputs, ensemble: Outputs) -> Figure | None:
    """Draw true minus predicted values over predicted ones, a panel for each model; None in classification.

    Large test sets are thinned to the same random rows for both; several targets are drawn as one cloud.
    """
    if truth.n_classes is not None:
        return None
    n_rows = len(truth.y)
    rows = np.random.default_rng(0).permutation(n_rows)[:_MOST_POINTS]
    figure = blank(_RESIDUALS_WIDTH, 4.2)
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    for axis, (style, said) in zip(panels, _styled(single, ensemble), strict=True):
        predicted = np.asarray(said.labels, dtype=np.float64)[rows]
        residual = np.asarray(truth.y, dtype=np.float64)[rows] - predicted
        axis.axhline(0, color="0.6", linewidth=1)
        axis.plot(predicted.ravel(), residual.ravel(), ".", color=style.colour, markersize=3, alpha=0.4, linewidth=0)
        axis.set_title(style.name, fontsize=10)
        axis.set_xlabel("predicted [units of the target]")
    panels[0].set_ylabel("true - predicted [units of the target]")
    thinned = f"; {len(rows):,} of {n_rows:,} test rows shown" if n_rows > len(rows) else ""
    figure.suptitle(finding(_residuals_finding(truth, single, ensemble) + thinned, _RESIDUALS_WIDTH), fontsize=11)
    return figure


def _styled(single: Outputs, ensemble: Outputs) -> list[tuple[Any, Outputs]]:
    return [(MODELS["single"], single), (MODELS["ensemble"], ensemble)]


def _curves(truth: Truth, outputs: Outputs, class_names: tuple[str, ...]) -> Curves:
    """Return true positive rates at ``_FALSE_RATES`` by class name, or of the mean over many classes."""
    scores = class_scores(outputs, truth.n_classes) if truth.n_classes else None
    if scores is None or truth.n_classes is None:
        return {}
    present = [code for code in range(truth.n_classes) if 0 < int((truth.y == code).sum()) < len(truth.y)]
    asked = present[-1:] if truth.n_classes == _BINARY else present
    named = {code: class_names[code] if code < len(class_names) else str(code) for code in asked}
    curves = {named[code]: _true_rates(truth.y == code, scores[:, code]) for code in asked}
    if len(curves) > _MOST_COLOURS:
        return {f"mean of {len(curves)} classes": np.mean(list(curves.values()), axis=0)}
    return curves


def _true_rates(positive: NDArray[np.bool_], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    false_rate, true_rate, _ = roc_curve(positive, scores)
    return np.interp(_FALSE_RATES, false_rate, true_rate)


def _whose(names: list[str], truth: Truth) -> str:
    return f"{_short(names[0])!r} rows" if truth.n_classes == _BINARY else "the class's rows"


def _short(name: str) -> str:
    return name if len(name) <= 20 else f"{name[:19]}…"


def _roc_finding(truth: Truth, single: Outputs, ensemble: Outputs) -> str:
    area = resolve_metric("roc_auc", truth.n_classes)
    ours, theirs = metric_value(area, truth, ensemble), metric_value(area, truth, single)
    what = (
        "Area under the ROC curve" if truth.n_classes == _BINARY else "Mean area under the ROC curves, one against rest"
    )
    return f"{what}: ensemble {_or_none(ours)}, one model {_or_none(theirs)}"


def _residuals_finding(truth: Truth, single: Outputs, ensemble: Outputs) -> str:
    error = resolve_metric("rmse", None)
    ours, theirs = metric_value(error, truth, ensemble), metric_value(error, truth, single)
    return f"Root mean squared error: ensemble {_or_none(ours)}, one model {_or_none(theirs)}"


def _or_none(value: float | None) -> str:
    return "not defined" if value is None else number(value)
