"""Any metric that scikit-learn has a scorer for, as a function of row weights."""

import warnings
from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import get_scorer, get_scorer_names

from partwise.errors import InputError
from partwise.evaluation.records import BINARY, Outputs, Truth, class_scores
from partwise.evaluation.statistic import Statistic, Weights

__all__ = ["SklearnScorer", "scorer_names"]

_PASSES = 20
"""scikit-learn validates and sorts at every call; measured about twenty times a weighted mean."""

_PASSES_OF_A_TABLE = 5
"""One pass that adds the weights up, and a call on a few rows."""

_PROBE_ROWS = 4
"""Rows of each class in the table on which a metric is tried out before anything is fitted."""


def scorer_names() -> list[str]:
    """Return the names of scikit-learn's scorers."""
    return list(get_scorer_names())


@dataclass(frozen=True, slots=True)
class SklearnScorer:
    """A scorer of scikit-learn by name, called with arrays in place of an estimator."""

    name: str

    @property
    def greater_is_better(self) -> bool:
        """Whether a higher value of the metric, before scikit-learn changes its sign, is better."""
        return bool(get_scorer(self.name)._sign > 0)  # noqa: SLF001 - scorers have no public record of it

    def check(self, n_classes: int | None) -> None:
        """Raise InputError where the metric cannot judge this task, before anything is fitted."""
        module = get_scorer(self.name)._score_func.__module__  # noqa: SLF001 - the task is recorded nowhere else
        if ".cluster" in module:
            raise InputError("it judges clusterings, which may rename the classes")
        if module.endswith("_regression") != (n_classes is None):
            raise InputError("it judges " + ("classification" if n_classes is None else "regression"))
        truth, outputs = _probe(n_classes)
        said = _argument(self.name, truth, outputs)
        if said is None:
            raise InputError("it asks the estimator for something other than labels and scores")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                _call(self.name, truth.y, said, None, n_classes)
        except ValueError as error:
            raise InputError(str(error).rstrip(".")) from error

    def prepare(self, truth: Truth, outputs: Outputs) -> Statistic | None:
        """Return the metric as a statistic; None where it asks for scores that the outputs have not."""
        said = _argument(self.name, truth, outputs)
        if said is None:
            return None
        y = truth.y
        cell_of: NDArray[np.intp] | None = None
        if said is outputs.labels and truth.n_classes is not None and _takes_weights(self.name):
            # Rows with the same class and the same label are alike: their weights add up in a small table.
            cells, cell_of = np.unique(y * truth.n_classes + said, return_inverse=True)
            y, said = np.divmod(cells, truth.n_classes)

        def value(weights: Weights) -> float:
            rows = weights if cell_of is None else np.bincount(cell_of, weights).astype(np.float64)
            # scikit-learn warns or raises where a metric has no value, such as for rows of one class.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    return _call(self.name, y, said, rows, truth.n_classes)
                except ValueError:
                    return float("nan")

        return Statistic(value, passes=_PASSES if cell_of is None else _PASSES_OF_A_TABLE)


def _takes_weights(name: str) -> bool:
    scorer = get_scorer(name)
    # One-vs-one ROC AUC has the parameter, and raises when it is used.
    is_one_vs_one = scorer._kwargs.get("multi_class") == "ovo"  # noqa: SLF001 - as below
    return "sample_weight" in signature(scorer._score_func).parameters and not is_one_vs_one  # noqa: SLF001 - as below


def _call(name: str, y: NDArray[Any], said: NDArray[Any], weights: Weights, n_classes: int | None) -> float:
    scorer = get_scorer(name)
    function = scorer._score_func  # noqa: SLF001 - a scorer's only public face takes an estimator
    options = dict(scorer._kwargs)  # noqa: SLF001 - as above
    if "labels" in signature(function).parameters and said.dtype.kind == "f":
        options["labels"] = np.arange(n_classes or 0)
    if weights is not None and _takes_weights(name):
        present = weights > 0
        options["sample_weight"] = weights[present]
        y, said = y[present], said[present]
    elif weights is not None:
        # A metric that takes no weights, such as the largest error, sees each row as often as it was drawn.
        rows = np.repeat(np.arange(len(y)), np.rint(weights).astype(np.int64))
        y, said = y[rows], said[rows]
    return float(function(y, said, **options))


def _argument(name: str, truth: Truth, outputs: Outputs) -> NDArray[Any] | None:
    """Return what the metric compares with the truth, in the form in which a scorer would pass it."""
    method = get_scorer(name)._response_method  # noqa: SLF001 - scorers have no public record of it
    wanted = {method} if isinstance(method, str) else set(method)
    if "predict" in wanted:
        return outputs.labels
    scores = class_scores(outputs, truth.n_classes or 0)
    has_ranking = "decision_function" in wanted
    if scores is None or not (has_ranking or ("predict_proba" in wanted and outputs.kind == "probability")):
        return None
    return scores[:, 1] if truth.n_classes == BINARY else scores


def _probe(n_classes: int | None) -> tuple[Truth, Outputs]:
    if n_classes is None:
        y = np.linspace(1.0, 2.0, _PROBE_ROWS)
        return Truth(y), Outputs(y[::-1], None, "value")
    codes = np.tile(np.arange(n_classes), _PROBE_ROWS)
    scores = (np.eye(n_classes)[codes] + 1) / (n_classes + 1)
    return Truth(codes, n_classes), Outputs.from_array(scores, "probability")
