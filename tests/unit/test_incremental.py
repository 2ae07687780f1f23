"""One model that learns a table bit by bit."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Perceptron, SGDClassifier, SGDRegressor
from sklearn.naive_bayes import GaussianNB

from partwise.executors import InlineExecutor
from partwise.fitting import FitJob, lone_predictor
from partwise.incremental import IncrementalFitError, fit_incrementally, learns_incrementally
from partwise.partitioners import Ordered, Shuffled
from partwise.records import Part
from partwise.tables import MemoryTable

N_ROWS = 3_000
LABELS = np.array(["a", "b", "c"])
FEATURES = np.random.default_rng(0).normal(size=(N_ROWS, 4))
CODES = np.argmax(FEATURES[:, :3] + 0.3 * np.random.default_rng(1).normal(size=(N_ROWS, 3)), axis=1)


def _fit(template, y=CODES, labels=LABELS, *, partitioner=None, weights=None, seed=0, parts=4):
    table = MemoryTable(Part(0, FEATURES[: len(y)], y, weights), labels)
    job = FitJob(template=template, seed=seed, cpus=1, labels=labels)
    return fit_incrementally(job, table.cut(partitioner or Shuffled(), parts, seed, 1), InlineExecutor())


def _labels(fitted, labels=LABELS):
    return np.argmax(lone_predictor(fitted, labels).outputs(FEATURES), axis=1)


def test_what_can_be_added_up_is_that_of_one_fit():
    """Gaussian naive Bayes needs sums alone: bit by bit it is the model of one fit."""
    assert (_labels(_fit(GaussianNB())) == GaussianNB().fit(FEATURES, CODES).predict(FEATURES)).all()


@pytest.mark.parametrize("weighted", [False, True])
def test_every_row_counts_once(weighted):
    """Class counts, or weights, add up to those of the table."""
    weights = np.random.default_rng(2).integers(0, 3, N_ROWS).astype(float) if weighted else None
    fitted = _fit(GaussianNB(), weights=weights)
    expected = np.bincount(CODES, weights=weights)
    (member,) = lone_predictor(fitted, LABELS).pool.members
    assert member.estimator.class_count_ == pytest.approx(expected)
    assert fitted.weight == expected.sum()


def test_a_table_in_the_order_of_its_target_is_learned_all_the_same():
    """Rows of a partition come in random order: a learner that forgets would know the last class only."""
    order = np.argsort(CODES, kind="stable")
    table = MemoryTable(Part(0, FEATURES[order], CODES[order], None), LABELS)
    job = FitJob(template=SGDClassifier(), seed=0, cpus=1, labels=LABELS)
    fitted = fit_incrementally(job, table.cut(Ordered(), 1, 0, 1), InlineExecutor())
    assert (_labels(fitted) == CODES).mean() > 0.8


def test_the_seed_decides():
    """One seed gives one model, another seed another."""
    digests = [_fit(SGDClassifier(), seed=seed).content_digest for seed in (0, 0, 1)]
    assert digests[0] == digests[1] != digests[2]


def test_numbers_are_learned_too():
    """Regression has no classes to be told of."""
    y = FEATURES @ np.array([1.0, 2.0, 0.0, -1.0])
    fitted = _fit(SGDRegressor(), y, None)
    assert np.corrcoef(lone_predictor(fitted, None).outputs(FEATURES)[:, 0], y)[0, 1] > 0.99


def test_what_the_learner_refuses_is_told():
    """The error names what failed."""
    with pytest.raises(IncrementalFitError, match="incremental model could not be fitted: ValueError: class_weight"):
        _fit(SGDClassifier(class_weight="balanced"))


def test_weights_that_would_be_ignored_are_refused():
    """A learner without weights must not be told of some in silence."""

    class NoWeights(Perceptron):
        def partial_fit(self, X, y, classes=None):
            return super().partial_fit(X, y, classes)

    with pytest.raises(IncrementalFitError, match=r"NoWeights\.partial_fit takes no weights"):
        _fit(NoWeights(), weights=np.ones(N_ROWS))


def test_learners_without_partial_fit_are_told_apart():
    """Not everything can learn bit by bit."""
    assert learns_incrementally(SGDClassifier())
    assert not learns_incrementally(LogisticRegression())
