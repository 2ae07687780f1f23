"""Two models on the same test rows: their difference, its interval and its test; and intervals of each."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from partwise.evaluation.metrics import Metric
from partwise.evaluation.records import Difference, Interval, Outputs, Truth, check_outputs
from partwise.evaluation.resampling import resample, two_sided_p, within

if TYPE_CHECKING:
    from partwise.evaluation.statistic import Statistic

__all__ = ["difference_between", "mcnemar_mid_p", "score_intervals"]

LEVEL = 0.95


def difference_between(
    metric: Metric, truth: Truth, single: Outputs, ensemble: Outputs, *, level: float = LEVEL, seed: int = 0
) -> Difference | None:
    """Return ensemble minus single model in the metric's own units; None where the metric is not defined.

    The interval is a paired percentile bootstrap. The p-value of accuracy on independent rows is McNemar's mid-p;
    that of other metrics, or of rows in groups, comes from the same bootstrap. Both are about these two fitted
    models and draws of test rows, not about new draws of training rows.
    """
    statistics = []
    for outputs in (single, ensemble):
        check_outputs(truth, outputs)
        statistics.append(metric.prepare(truth, outputs))
    if statistics[0] is None or statistics[1] is None:
        return None
    estimate = statistics[1]() - statistics[0]()
    if not np.isfinite(estimate):
        return None
    values = resample(truth, [each for each in statistics if each is not None], seed)
    differences = values[:, 1] - values[:, 0]
    low, high = within(differences, level)
    if metric.name == "accuracy" and truth.groups is None:
        p_value: float | None = mcnemar_mid_p(truth.y == single.labels, truth.y == ensemble.labels)
        test = "McNemar mid-p"
    else:
        p_value = two_sided_p(differences)
        test = "paired bootstrap" if truth.groups is None else "paired bootstrap of groups"
    return Difference(
        estimate=estimate,
        low=low,
        high=high,
        level=level,
        p_value=p_value,
        test=test,
        n_resamples=int(np.isfinite(differences).sum()),
    )


def mcnemar_mid_p(first_right: NDArray[np.bool_], second_right: NDArray[np.bool_]) -> float:
    """Return the two-sided mid-p value of McNemar's test that two models are right equally often.

    Only rows on which one model is right and the other wrong count: under no difference each of them favours
    either model with probability one half. Fagerland, Lydersen and Laake (2013), BMC Medical Research Methodology
    13:91, recommend it over the conservative exact test. It is 1 where the models never differ.
    """
    only_first = int((first_right & ~second_right).sum())
    only_second = int((~first_right & second_right).sum())
    fewer, discordant = min(only_first, only_second), only_first + only_second
    point = float(binom.pmf(fewer, discordant, 0.5))
    if only_first == only_second:
        return 1 - point / 2 if discordant else 1.0
    return float(2 * binom.cdf(fewer, discordant, 0.5)) - point


def score_intervals(
    metrics: Sequence[Metric], truth: Truth, models: Mapping[str, Outputs], *, level: float = LEVEL, seed: int = 0
) -> dict[str, dict[str, Interval]]:
    """Return the interval of each metric of each model, by metric name, then model name.

    Metrics that a model's outputs do not define are left out. All share the same resamples, fewer of them than
    for one difference, because the work is bounded as a whole.
    """
    prepared: list[tuple[str, str, Statistic, float]] = []
    for metric in metrics:
        for model, outputs in models.items():
            check_outputs(truth, outputs)
            statistic = metric.prepare(truth, outputs)
            if statistic is not None and np.isfinite(estimate := statistic()):
                prepared.append((metric.name, model, statistic, estimate))
    values = resample(truth, [statistic for _, _, statistic, _ in prepared], seed)
    intervals: dict[str, dict[str, Interval]] = {}
    for column, (metric_name, model, _, estimate) in enumerate(prepared):
        low, high = within(values[:, column], level)
        intervals.setdefault(metric_name, {})[model] = Interval(estimate=estimate, low=low, high=high, level=level)
    return intervals
