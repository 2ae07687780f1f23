"""Facts about scores of blocks that are merged: they are the scores of all rows."""

import numpy as np
import pytest

from partwise.evaluation import Outputs, Truth, scores_of
from partwise.evaluation.sums import ClassSums, ValueSums, summed


def _blocks(n_rows, rng):
    return np.split(np.arange(n_rows), np.sort(rng.integers(0, n_rows, 4)))


def _classes(n_classes, kind, n_rows=5_000):
    rng = np.random.default_rng(0)
    y = rng.choice(n_classes, n_rows, p=np.arange(1, n_classes + 1) / np.arange(1, n_classes + 1).sum())
    scores = rng.normal(size=(n_rows, n_classes))
    scores[np.arange(n_rows), y] += 1.0
    if kind == "probability":
        scores = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return y, scores


def _merged(y, outputs, n_classes, kind):
    blocks = [rows for rows in _blocks(len(y), np.random.default_rng(1)) if len(rows)]
    sums = [ClassSums.of(Truth(y[rows], n_classes), Outputs.from_array(outputs[rows], kind)) for rows in blocks]
    return summed(sums).scores()


@pytest.mark.parametrize("kind", ["probability", "decision"])
@pytest.mark.parametrize("n_classes", [2, 5])
def test_scores_of_blocks_are_those_of_all_rows(n_classes, kind):
    """All but the area under the ROC curve are exact; that is right to four digits."""
    y, outputs = _classes(n_classes, kind)
    expected = scores_of(Truth(y, n_classes), Outputs.from_array(outputs, kind))
    found = _merged(y, outputs, n_classes, kind)
    assert found.pop("roc_auc") == pytest.approx(expected.pop("roc_auc"), abs=1e-4)
    assert found == pytest.approx(expected)


def test_ties_count_half():
    """Rows of one score are neither right nor wrong about each other."""
    outputs = np.column_stack([np.full(100, 0.5), np.full(100, 0.5)])
    assert _merged(np.arange(100) % 2, outputs, 2, "probability")["roc_auc"] == 0.5


def test_negative_scores_sort_below_positive_ones():
    """Decision values may have any sign and size."""
    scores = np.array([-1e9, -2.0, -1e-9, 0.0, 1e-9, 3.0, 1e9, 2e9])
    y = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    assert _merged(y, np.column_stack([-scores, scores]), 2, "decision")["roc_auc"] == 1.0


def test_one_class_has_no_area():
    """Where the test rows are of one class, the area is not defined, and the other scores are."""
    found = _merged(np.ones(50, dtype=int), np.tile([0.3, 0.7], (50, 1)), 2, "probability")
    assert (found["roc_auc"], found["accuracy"]) == (None, 1.0)


def test_scores_near_one_are_told_apart():
    """Where nearly all rows are of one class, its probabilities crowd near 1, and the area is right all the same."""
    rng = np.random.default_rng(0)
    y = (rng.random(20_000) < 0.999).astype(int)
    odds = rng.normal(9.0, 1.0, 20_000) + 2.0 * y
    outputs = np.column_stack([1 / (1 + np.exp(odds)), 1 / (1 + np.exp(-odds))])
    expected = scores_of(Truth(y, 2), Outputs.from_array(outputs, "probability"))["roc_auc"]
    assert _merged(y, outputs, 2, "probability")["roc_auc"] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(("error", "score"), [(0.0, 1.0), (0.5, 0.0)])
def test_a_constant_target_is_met_or_not(error, score):
    """Without variance R² is 1 or 0, as for all rows together."""
    y = np.full(50, 7.0)
    sums = ValueSums.of(Truth(y), Outputs(y + error, None, "value"))
    assert sums.scores()["r2"] == score == scores_of(Truth(y), Outputs(y + error, None, "value"))["r2"]


def test_errors_of_blocks_are_those_of_all_rows():
    """R², RMSE and MAE follow from sums, although the target is far from zero."""
    rng = np.random.default_rng(0)
    y = 1e5 + rng.normal(size=3_000)
    predicted = y + rng.normal(scale=0.5, size=3_000)
    blocks = [rows for rows in _blocks(3_000, rng) if len(rows)]
    sums = [ValueSums.of(Truth(y[rows]), Outputs(predicted[rows], None, "value")) for rows in blocks]
    assert summed(sums).scores() == pytest.approx(scores_of(Truth(y), Outputs(predicted, None, "value")))
