"""The metrics that are reported, and any other by the name of its scikit-learn scorer."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from partwise.errors import InputError, unknown_choice
from partwise.evaluation import classification, regression
from partwise.evaluation.records import BINARY, Outputs, Truth, check_outputs
from partwise.evaluation.scorers import SklearnScorer, scorer_names
from partwise.evaluation.statistic import Statistic

__all__ = ["Metric", "metric_value", "reported_metrics", "resolve_metric", "scores_of"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A way to judge outputs.

    ``name`` is what reports call it and ``scorer`` what scikit-learn does. Values are in the metric's own units,
    never negated: ``greater_is_better`` says which way is up. ``prepare`` gives the statistic for one model and
    test set, None where the outputs are not of the kind that the metric judges.
    """

    name: str
    scorer: str
    greater_is_better: bool
    prepare: Callable[[Truth, Outputs], Statistic | None]


_CLASSIFICATION = (
    Metric("accuracy", "accuracy", True, classification.accuracy),
    Metric("balanced_accuracy", "balanced_accuracy", True, classification.balanced_accuracy),
    Metric("f1", "f1", True, classification.f1),
    Metric("roc_auc", "roc_auc", True, classification.roc_auc),
    Metric("log_loss", "neg_log_loss", False, classification.log_loss),
    Metric("brier", "neg_brier_score", False, classification.brier),
)
_REGRESSION = (
    Metric("r2", "r2", True, regression.r2),
    Metric("rmse", "neg_root_mean_squared_error", False, regression.rmse),
    Metric("mae", "neg_mean_absolute_error", False, regression.mae),
)
_MULTICLASS_SCORERS = {"f1": "f1_macro", "roc_auc": "roc_auc_ovr"}


def reported_metrics(n_classes: int | None) -> tuple[Metric, ...]:
    """Return the metrics that every comparison reports; the first is the default. None means regression."""
    if n_classes is None:
        return _REGRESSION
    if n_classes <= BINARY:
        return _CLASSIFICATION
    return tuple(replace(each, scorer=_MULTICLASS_SCORERS.get(each.name, each.scorer)) for each in _CLASSIFICATION)


def check_metric_name(name: str) -> None:
    """Refuse a name that is no metric of any task.

    Raises
    ------
    InputError
        If it is none; the nearest and all valid ones are named.
    """
    own = {said for metric in (*_CLASSIFICATION, *_REGRESSION) for said in (metric.name, metric.scorer)}
    valid = own.union(scorer_names())
    if name not in valid:
        raise unknown_choice("metric", name, valid, hint="They are scikit-learn's scorer names.")


def resolve_metric(name: str | None, n_classes: int | None) -> Metric:
    """Return the metric of this name: ours, or that of a scikit-learn scorer; None is the task's default.

    Raises
    ------
    InputError
        If there is no such metric, or it does not judge this task. Nothing needs to be fitted to find out.
    """
    reported = reported_metrics(n_classes)
    if name is None:
        return reported[0]
    for metric in reported:
        if name in (metric.name, metric.scorer):
            return metric
    if name in scorer_names():
        return _from_scorer(name, n_classes)
    if name in {metric.name for metric in (*_CLASSIFICATION, *_REGRESSION)}:
        raise _cannot_judge(name, n_classes, "it judges " + ("classification" if n_classes is None else "regression"))
    raise unknown_choice("metric", name, _valid_names(n_classes), hint="They are scikit-learn's scorer names.")


def metric_value(metric: Metric, truth: Truth, outputs: Outputs) -> float | None:
    """Return the metric of these outputs, None where it is not defined."""
    check_outputs(truth, outputs)
    statistic = metric.prepare(truth, outputs)
    value = float("nan") if statistic is None else statistic()
    return value if np.isfinite(value) else None


def scores_of(truth: Truth, outputs: Outputs, metric: Metric | None = None) -> dict[str, float | None]:
    """Return the reported scores by name, and that of ``metric`` if it is another; None where not defined."""
    asked = {each.name: each for each in (*reported_metrics(truth.n_classes), *([metric] if metric else []))}
    return {name: metric_value(each, truth, outputs) for name, each in asked.items()}


def _from_scorer(name: str, n_classes: int | None) -> Metric:
    scorer = SklearnScorer(name)
    try:
        scorer.check(n_classes)
    except InputError as error:
        raise _cannot_judge(name, n_classes, str(error)) from error
    return Metric(name.removeprefix("neg_"), name, scorer.greater_is_better, scorer.prepare)


def _cannot_judge(name: str, n_classes: int | None, why: str) -> InputError:
    task = "regression" if n_classes is None else f"classification with {n_classes} classes"
    return InputError(f"Metric {name!r} cannot judge {task}: {why}. Valid: {', '.join(_valid_names(n_classes))}.")


def _valid_names(n_classes: int | None) -> list[str]:
    valid = {name for metric in reported_metrics(n_classes) for name in (metric.name, metric.scorer)}
    for name in scorer_names():
        try:
            SklearnScorer(name).check(n_classes)
        except InputError:
            continue
        valid.add(name)
    return sorted(valid)
