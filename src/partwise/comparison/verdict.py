"""One honest sentence about a comparison."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from partwise.comparison.records import Comparison, DifferenceReport

__all__ = ["ALIKE", "SCOPE", "sentence", "unit_of"]

SCOPE = (
    "The interval and p-value are about these two fitted models and new test rows like these; "
    "other training rows or another seed would give other models."
)
"""What the interval says, to be shown wherever it is shown."""

ALIKE = 1.05
"""Times within this factor of each other are about the same."""

_MARKED = 1.5
"""Prediction times are worth a word beyond this factor."""

_SHARES = ("accuracy", "balanced_accuracy", "f1", "precision", "recall", "jaccard", "top_k_accuracy")
"""Metrics that are shares of rows, whose differences are stated in percentage points."""

_SMALLEST_P = 0.001


def sentence(comparison: "Comparison") -> str:
    """Return how much faster or slower the ensemble is, and how much better or worse, in one sentence."""
    return f"{_fitting(comparison)}{_predicting(comparison)}; {_judging(comparison)}."


def unit_of(metric: str) -> tuple[float, str]:
    """Return the factor and the word with which differences in the metric are stated: points, or its own units."""
    is_share = metric in _SHARES or metric.startswith(tuple(f"{share}_" for share in _SHARES[2:-1]))
    return (100.0, " points") if is_share else (1.0, "")


def seconds(value: float) -> str:
    """Return a time with the digits that matter and its unit."""
    if value < 1:
        return f"{value * 1000:.0f} ms"
    return f"{value:,.1f} s" if value < 1000 else f"{value:,.0f} s"


def p_text(p_value: float) -> str:
    """Return a p-value with its sign of equality."""
    return "p < 0.001" if p_value < _SMALLEST_P else f"p = {p_value:.3f}"


def _fitting(comparison: "Comparison") -> str:
    n_members = comparison.ensemble.n_members
    members = "1 member" if n_members == 1 else f"{n_members} members"
    ours, theirs = comparison.ensemble.fit_seconds, comparison.single.fit_seconds
    times = f"({seconds(ours)} against {seconds(theirs)})"
    change = _change(ours, theirs)
    known, every = comparison.single.n_rows, comparison.n_train
    one = "one model" if known == every else f"one model on {known:,} of {every:,} rows"
    if change is None:
        return f"{members} fitted about as fast as {one} {times}"
    return f"{members} fitted {change} than {one} {times}"


def _predicting(comparison: "Comparison") -> str:
    ours, theirs = comparison.ensemble.predict_seconds, comparison.single.predict_seconds
    change = _change(ours, theirs, least=_MARKED)
    verb = "predicts" if comparison.ensemble.n_members == 1 else "predict"
    return f", and {verb} {change}" if change else ""


def _change(ours: float, theirs: float, least: float = ALIKE) -> str | None:
    """Return ``2.3 times faster`` or the like, None where the factor is at most ``least``."""
    if ours <= 0 or theirs <= 0:
        return None
    factor = max(ours, theirs) / min(ours, theirs)
    if factor <= least:
        return None
    word = "faster" if ours < theirs else "slower"
    # Below 1.15 a factor of "1.1 times" is too coarse to be compared with the times beside it.
    if factor < 1.15:
        return f"{factor:.2f} times {word}"
    return f"{factor:.1f} times {word}" if factor < 10 else f"{factor:,.0f} times {word}"


def _judging(comparison: "Comparison") -> str:
    difference, metric = comparison.difference, comparison.metric
    if difference is None:
        return f"{metric} is not defined for both, so nothing is said about which predicts better"
    if difference.low is None or difference.high is None:
        return f"{metric} is {_amount(difference.estimate, metric)}, but the test rows are too few for an interval"
    evidence = _evidence(difference, metric)
    if not _is_told_apart(difference):
        if difference.estimate == difference.low == difference.high == 0:
            return f"{metric} is the same"
        return f"the two cannot be told apart in {metric} ({_amount(difference.estimate, metric)}, {evidence})"
    better = (difference.estimate > 0) == comparison.greater_is_better
    gloss = "" if comparison.greater_is_better else f", which is {'better' if better else 'worse'}"
    return f"{metric} is {_amount(difference.estimate, metric)}{gloss} ({evidence})"


def _is_told_apart(difference: "DifferenceReport") -> bool:
    """Return whether interval and test both say so; near the edge the two methods may disagree."""
    if difference.low is None or difference.high is None or difference.low <= 0 <= difference.high:
        return False
    return difference.p_value is None or difference.p_value < 1 - difference.level


def _evidence(difference: "DifferenceReport", metric: str) -> str:
    low, high = difference.low or 0.0, difference.high or 0.0
    level = f"{difference.level * 100:g} % interval"
    p_value = "" if difference.p_value is None else f", {p_text(difference.p_value)}"
    if low < 0 < high:
        return f"{level} {_size(low, metric)} lower to {_size(high, metric)} higher{p_value}"
    nearer, farther = sorted((low, high), key=abs)
    return f"{level} {_size(nearer, metric)} to {_size(farther, metric)} {_side(low + high)}{p_value}"


def _amount(value: float, metric: str) -> str:
    size, unit = _size(value, metric), unit_of(metric)[1]
    if value == 0:
        return "equal"
    return f"{size}{' point' if unit and size == '1.0' else unit} {_side(value)}"


def _side(value: float) -> str:
    return "higher" if value > 0 else "lower"


def _size(value: float, metric: str) -> str:
    factor, unit = unit_of(metric)
    size = abs(value) * factor
    if size == 0:
        return "0"
    if unit:
        return f"{size:.1f}" if size >= 0.1 else f"{size:.2g}"
    return f"{size:,.0f}" if size >= 1000 else f"{size:.3g}"
