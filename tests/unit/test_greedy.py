"""Facts about ensemble selection: which members it finds, and when it leaves weights equal."""

import numpy as np
import pytest

from partwise.combiners.greedy import Greedy
from partwise.errors import InputError
from partwise.pool import AggregatedPredictor, MemberPool
from partwise.records import Member, MemberEvidence

N_ROWS = 2400
N_MEMBERS = 6
EQUAL = np.ones(N_MEMBERS)


def _pool(kind="probability", n_classes=3):
    codes = None if n_classes is None else np.arange(n_classes)
    members = [Member(partition=i, estimator=None, classes=codes, content_digest="") for i in range(N_MEMBERS)]
    return MemberPool(tuple(members), n_classes, kind)


def _evidence(said, y, weights=None):
    """Return evidence in which each row's own member, one after another, is silent."""
    folds = np.arange(len(y)) % len(said)
    said = said.copy()
    said[folds, np.arange(len(y))] = np.nan
    return MemberEvidence(rows=np.arange(len(y)), outputs=said, y=y, weights=weights, folds=folds)


def _said(y, skills, seed=0, n_classes=3):
    """Return probabilities of members whose scores lean to the truth by their skill."""
    noise = np.random.default_rng(seed).normal(size=(len(skills), len(y), n_classes))
    powers = np.exp(noise + np.asarray(skills)[:, np.newaxis, np.newaxis] * np.eye(n_classes)[y])
    return powers / powers.sum(axis=-1, keepdims=True)


def _labels(n_rows=N_ROWS, seed=1):
    return np.random.default_rng(seed).integers(3, size=n_rows)


def _accuracy(predictor, said, y):
    return float((predictor.combine(said).argmax(axis=1) == y).mean())


def _cases():
    """One member knows more than the others, in each kind of output."""
    y = _labels()
    said = _said(y, [0, 0, 0, 4, 0, 0])
    values = np.random.default_rng(2).normal(size=(N_ROWS, 2)) * [1.0, 1000.0]
    noise = np.random.default_rng(3).normal(size=(N_MEMBERS, N_ROWS, 2)) * [1.0, 1000.0]
    noise[3] *= 0.1
    yield pytest.param(_pool(), said, y, id="probability")
    yield pytest.param(_pool("decision"), np.log(said), y, id="decision")
    yield pytest.param(_pool("vote"), np.eye(3)[said.argmax(axis=2)], y, id="vote")
    yield pytest.param(_pool("value", None), values + noise, values, id="value")


every_kind = pytest.mark.parametrize(("pool", "said", "y"), list(_cases()))


@every_kind
def test_an_excellent_member_among_bad_ones_is_found(pool, said, y):
    """The one member that knows gets most of the weight."""
    weights = Greedy().learn(pool, _evidence(said, y)).weights
    assert weights.argmax() == 3
    assert weights[3] > 0.7 * weights.sum()


def test_equal_members_weigh_the_same():
    """Members that differ by chance alone keep equal weights."""
    y = _labels()
    weights = Greedy().learn(_pool(), _evidence(_said(y, EQUAL), y)).weights
    np.testing.assert_array_equal(weights, EQUAL)


def test_identical_members_weigh_the_same():
    """Where all say the same there is nothing to gain, and ties go by the order of partitions."""
    y = _labels()
    said = np.repeat(_said(y, [1.0]), N_MEMBERS, axis=0)
    np.testing.assert_array_equal(Greedy().learn(_pool(), _evidence(said, y)).weights, EQUAL)


@pytest.mark.parametrize("seed", range(5))
def test_exchangeable_members_lose_next_to_nothing(seed):
    """On evidence that was not selected on, the mean of like members is within noise of the equal one."""
    y = _labels(seed=seed)
    evidence = _evidence(_said(y, [0.7] * N_MEMBERS, seed=10 + seed), y)
    held = evidence.folds < 2
    judge = evidence.where(held)
    predictor = Greedy().learn(_pool(), evidence.where(~held))
    equal = AggregatedPredictor(_pool(), "mean", EQUAL)
    assert _accuracy(predictor, judge.outputs, judge.y) > _accuracy(equal, judge.outputs, judge.y) - 0.01


def test_random_labels_teach_nothing_about_fresh_rows():
    """On rows with random labels that it was not selected on, the mean is at chance."""
    y, fresh = _labels(), _labels(4000, seed=5)
    predictor = Greedy().learn(_pool(), _evidence(_said(y, 0 * EQUAL), y))
    new = _said(np.zeros(4000, dtype=int), 0 * EQUAL, seed=6)
    assert _accuracy(predictor, new, fresh) < 1 / 3 + 3 * 0.5 / np.sqrt(4000)


def test_random_labels_teach_nothing_on_held_out_evidence():
    """Selected on half of the partitions of random labels, the mean is at chance on the other half."""
    y = _labels()
    evidence = _evidence(_said(y, 0 * EQUAL), y)
    right = 0.0
    for held in (evidence.folds % 2 == 0, evidence.folds % 2 == 1):
        judge = evidence.where(held)
        predictor = Greedy().learn(_pool(), evidence.where(~held))
        right += _accuracy(predictor, judge.outputs, judge.y) * held.mean()
    assert right < 1 / 3 + 3 * 0.5 / np.sqrt(N_ROWS)


@every_kind
@pytest.mark.parametrize("silent", [[0], [3], [0, 1, 2, 3, 4], [1, 2, 3, 4, 5]])
def test_silent_members_leave_numbers(pool, said, y, silent):
    """Whoever is silent, even the member with most of the weight, the outputs are numbers."""
    quiet = said.copy()
    quiet[silent] = np.nan
    assert np.isfinite(Greedy().learn(pool, _evidence(said, y)).combine(quiet)).all()


@pytest.mark.parametrize(("pool", "said", "y"), list(_cases())[::2])
def test_outputs_sum_to_one(pool, said, y):
    """Means of probabilities, and of votes, are shares."""
    outputs = Greedy().learn(pool, _evidence(said, y)).combine(said)
    np.testing.assert_allclose(outputs.sum(axis=1), 1.0)


@every_kind
def test_the_same_evidence_selects_the_same(pool, said, y):
    """Two selections give the same weights, to the last bit."""
    first, second = (Greedy().learn(pool, _evidence(said, y)).weights for _ in range(2))
    np.testing.assert_array_equal(first, second)


@every_kind
def test_rows_of_weight_zero_do_not_count(pool, said, y):
    """Rows of weight zero are as good as absent."""
    evidence = _evidence(said, y, np.tile([1.0, 1.0, 0.0], N_ROWS // 3))
    first = Greedy().learn(pool, evidence).weights
    second = Greedy().learn(pool, evidence.where(evidence.weights > 0)).weights
    np.testing.assert_array_equal(first, second)


@every_kind
def test_rows_without_weight_select_nothing(pool, said, y):
    """Where no row counts, weights are equal."""
    np.testing.assert_array_equal(Greedy().learn(pool, _evidence(said, y, np.zeros(N_ROWS))).weights, EQUAL)


def test_a_class_that_a_fold_lacks_does_not_matter():
    """A class whose rows all lie in one partition stops nothing."""
    y = _labels()
    y[(y == 2) & (np.arange(N_ROWS) % N_MEMBERS != 0)] = 0
    weights = Greedy().learn(_pool(), _evidence(_said(y, [0, 0, 0, 4, 0, 0]), y)).weights
    assert weights.argmax() == 3


def test_values_of_one_dimension_are_taken():
    """A single target may have shape (rows,)."""
    pool, said, y = list(_cases())[3].values
    first = Greedy().learn(pool, _evidence(said[:, :, :1], y[:, 0])).weights
    second = Greedy().learn(pool, _evidence(said[:, :, :1], y[:, :1])).weights
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("settings", [{"rounds": 0}, {"rounds": 2.5}, {"max_rows": -1}, {"max_rows": True}])
def test_wrong_settings_are_refused(settings):
    """The error has the name, the value and what is valid."""
    with pytest.raises(InputError, match=rf"{next(iter(settings))}=.*Valid: a whole number"):
        Greedy(**settings)
