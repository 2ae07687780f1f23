"""Scores, intervals and paired tests of what models said about test rows: functions of arrays alone."""

from partwise.evaluation.growth import curve_as_members_are_added, running_mean
from partwise.evaluation.metrics import (
    Metric,
    check_metric_name,
    metric_value,
    reported_metrics,
    resolve_metric,
    scores_of,
)
from partwise.evaluation.paired import difference_between, mcnemar_mid_p, score_intervals
from partwise.evaluation.records import Difference, Growth, Interval, Outputs, Truth, check_outputs, widened
from partwise.evaluation.resampling import resamples_for
from partwise.evaluation.statistic import Statistic
from partwise.evaluation.sums import ClassSums, Sums, ValueSums, summed

__all__ = [
    "ClassSums",
    "Difference",
    "Growth",
    "Interval",
    "Metric",
    "Outputs",
    "Statistic",
    "Sums",
    "Truth",
    "ValueSums",
    "check_metric_name",
    "check_outputs",
    "curve_as_members_are_added",
    "difference_between",
    "mcnemar_mid_p",
    "metric_value",
    "reported_metrics",
    "resamples_for",
    "resolve_metric",
    "running_mean",
    "score_intervals",
    "scores_of",
    "summed",
    "widened",
]
