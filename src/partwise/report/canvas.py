"""What all plots share: size, colours, names and units."""

from dataclasses import dataclass
from textwrap import fill

from matplotlib.figure import Figure

__all__ = ["MODELS", "PALETTE", "ModelStyle", "blank", "finding", "number", "spoken", "unit"]

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""The colours of Okabe and Ito (2008), Color Universal Design, which the colour-blind can tell apart."""

_UNITS = {
    "roc_auc": "area",
    "log_loss": "nats",
    "brier": "squared error",
    "r2": "share of variance",
    "rmse": "units of the target",
    "mae": "units of the target",
}
_SHARES = ("accuracy", "f1", "precision", "recall", "jaccard", "top_k")
_SPOKEN = {
    "roc_auc": "ROC AUC",
    "r2": "R²",
    "rmse": "RMSE",
    "mae": "mean absolute error",
    "f1": "F1",
    "brier": "Brier score",
}
_LINE = 80
_THOUSAND = 1000


@dataclass(frozen=True, slots=True)
class ModelStyle:
    """How a model appears in every plot."""

    name: str
    colour: str
    line: str


MODELS = {"single": ModelStyle("one model", PALETTE[1], "--"), "ensemble": ModelStyle("ensemble", PALETTE[0], "-")}


def blank(width: float, height: float) -> Figure:
    """Return an empty figure of this size in inches, which keeps its texts apart."""
    return Figure(figsize=(width, height), layout="constrained")


def finding(text: str, width: float) -> str:
    """Return a title, broken into lines that fit a figure of this width in inches."""
    return fill(text[:1].upper() + text[1:], round(_LINE * width / 8))


def spoken(metric: str) -> str:
    """Return a metric's name as one says it."""
    return _SPOKEN.get(metric, metric.replace("_", " "))


def unit(metric: str) -> str:
    """Return the unit of a metric's values."""
    is_share = any(share in metric for share in _SHARES)
    return _UNITS.get(
        metric, "share of rows" if "accuracy" in metric else "0 to 1" if is_share else "metric's own units"
    )


def number(value: float) -> str:
    """Return a value with the digits that a title has room for."""
    if abs(value) >= _THOUSAND:
        return f"{value:,.0f}"
    return f"{value:.3f}" if abs(value) < 1 else f"{value:.4g}"
