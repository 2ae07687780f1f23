"""Facts about the stack: what it learns from out-of-partition outputs, and what it leaves alone."""

import pickle
from dataclasses import fields, replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from partwise.combiners.stack import Stack
from partwise.errors import InputError
from partwise.pool import AggregatedPredictor, MemberPool
from partwise.records import Member, MemberEvidence
from partwise.stacking import StackedPredictor, standardised

N_ROWS = 2400
N_MEMBERS = 6


def _pool(kind="probability", n_classes=3, n_members=N_MEMBERS):
    codes = None if n_classes is None else np.arange(n_classes)
    members = [Member(partition=i, estimator=None, classes=codes, content_digest="") for i in range(n_members)]
    return MemberPool(tuple(members), n_classes, kind)


def _evidence(said, y, weights=None):
    """Return evidence in which each row's own member, one after another, is silent."""
    folds = np.arange(len(y)) % len(said)
    said = said.copy()
    said[folds, np.arange(len(y))] = np.nan
    return MemberEvidence(rows=np.arange(len(y)), outputs=said, y=y, weights=weights, folds=folds)


def _softmax(scores):
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _said(y, skills, n_classes=3, seed=0):
    """Return probabilities of members whose scores lean to the truth by their skill."""
    noise = np.random.default_rng(seed).normal(size=(len(skills), len(y), n_classes))
    return _softmax(noise + np.asarray(skills)[:, np.newaxis, np.newaxis] * np.eye(n_classes)[y])


def _labels(n_rows=N_ROWS, n_classes=3, seed=1):
    return np.random.default_rng(seed).integers(n_classes, size=n_rows)


def _accuracy(predictor, said, y):
    return float((predictor.combine(said).argmax(axis=1) == y).mean())


def _soft(pool):
    return AggregatedPredictor(pool, "mean", np.ones(len(pool.members)))


def _cases():
    y = _labels()
    scores = np.log(_said(y, [1.0] * N_MEMBERS))
    values = np.random.default_rng(2).normal(size=(N_ROWS, 2))
    near = values + np.random.default_rng(3).normal(size=(N_MEMBERS, N_ROWS, 2))
    yield pytest.param(_pool(), _said(y, [1, 1, 2, 0, 0, 3]), y, id="probability")
    yield pytest.param(_pool("decision"), scores * 40.0, y, id="decision")
    yield pytest.param(_pool("vote"), np.eye(3)[scores.argmax(axis=2)], y, id="vote")
    yield pytest.param(_pool("value", None), near, values, id="value")


every_kind = pytest.mark.parametrize(("pool", "said", "y"), list(_cases()))


@pytest.mark.parametrize("n_classes", [2, 5])
def test_random_labels_teach_nothing_about_fresh_rows(n_classes):
    """On rows with random labels that it was not learned from, the stack is at chance."""
    pool, y, fresh = _pool(n_classes=n_classes), _labels(n_classes=n_classes), _labels(4000, n_classes, seed=5)
    noise = np.random.default_rng(6).normal(size=(N_MEMBERS, 4000, n_classes))
    predictor = Stack().learn(pool, _evidence(_said(y, [0.0] * N_MEMBERS, n_classes), y))
    assert _accuracy(predictor, _softmax(noise), fresh) < 1 / n_classes + 3 * 0.5 / np.sqrt(4000)


def test_random_labels_teach_nothing_on_held_out_evidence():
    """Learned on half of the partitions of random labels, the stack is at chance on the other half."""
    y = _labels()
    evidence = _evidence(_said(y, [0.0] * N_MEMBERS), y)
    right = 0.0
    for held in (evidence.folds % 2 == 0, evidence.folds % 2 == 1):
        judge = evidence.where(held)
        predictor = Stack().learn(_pool(), evidence.where(~held))
        right += _accuracy(predictor, judge.outputs, judge.y) * held.mean()
    assert right < 1 / 3 + 3 * 0.5 / np.sqrt(N_ROWS)


def test_an_excellent_member_among_bad_ones_is_found():
    """With one member that knows and five that guess, the stack is nearly as good as the one, the soft vote is not."""
    y, fresh = _labels(), _labels(seed=7)
    skills = [0, 0, 0, 6, 0, 0]
    new = _said(fresh, skills, seed=8)
    predictor = Stack().learn(_pool(), _evidence(_said(y, skills), y))
    alone = float((new[3].argmax(axis=1) == fresh).mean())
    assert _accuracy(predictor, new, fresh) > alone - 0.01
    assert _accuracy(_soft(_pool()), new, fresh) < alone - 0.05


@pytest.mark.parametrize("skill", [0.0, 1.0])
def test_equal_members_are_left_to_the_soft_vote(skill):
    """Where members are exchangeable, every row keeps the class of the soft vote."""
    y, fresh = _labels(), _labels(seed=7)
    new = _said(fresh, [skill] * N_MEMBERS, seed=8)
    predictor = Stack().learn(_pool(), _evidence(_said(y, [skill] * N_MEMBERS), y))
    classes = predictor.combine(new).argmax(axis=1)
    np.testing.assert_array_equal(classes, _soft(_pool()).combine(new).argmax(axis=1))


def test_the_others_speak_for_a_silent_member():
    """In place of a silent member stands the mean of what the others say, each in units of its own spread."""
    said = np.array([[[10.0], [np.nan]], [[3.0], [5.0]], [[0.0], [8.0]]])
    features = standardised(said, np.array([0.0, 1.0, 2.0]), np.array([10.0, 2.0, 3.0]))
    np.testing.assert_allclose(features, [[1.0, 2.0], [1.0, 2.0], [-2 / 3, 2.0]])


@pytest.mark.parametrize("seed", range(5))
def test_exchangeable_members_lose_next_to_nothing(seed):
    """On evidence that it was not learned from, the stack of like members is within noise of the soft vote."""
    y = _labels(seed=seed)
    evidence = _evidence(_said(y, [0.7] * N_MEMBERS, seed=10 + seed), y)
    held = evidence.folds < 2
    judge = evidence.where(held)
    stack = Stack().learn(_pool(), evidence.where(~held))
    assert _accuracy(stack, judge.outputs, judge.y) > _accuracy(_soft(_pool()), judge.outputs, judge.y) - 0.01


def test_linear_members_are_mended():
    """Members that draw straight lines through a chequered table err one by one and in the mean; the stack does not."""
    centres = np.array([[0, 0], [2, 2], [0, 2], [2, 0], [1, 1]]) * 3.0
    y_of_centre = np.array([0, 0, 1, 1, 2])
    rng = np.random.default_rng(0)
    where = rng.integers(5, size=2 * N_ROWS)
    X, y = centres[where] + rng.normal(size=(2 * N_ROWS, 2)), y_of_centre[where]
    parts = np.arange(N_ROWS) % N_MEMBERS
    # Each part sees one corner of the table more often than the others, so that members differ.
    kept = [np.flatnonzero((parts == i) & ((where[:N_ROWS] != i % 5) | (rng.random(N_ROWS) < 0.1))) for i in range(6)]
    models = [LogisticRegression().fit(X[rows], y[rows]) for rows in kept]
    said = np.stack([model.predict_proba(X) for model in models])
    predictor = Stack().learn(_pool(), _evidence(said[:, :N_ROWS], y[:N_ROWS]))
    new, fresh = said[:, N_ROWS:], y[N_ROWS:]
    assert _accuracy(predictor, new, fresh) > _accuracy(_soft(_pool()), new, fresh) + 0.15


@every_kind
@pytest.mark.parametrize("silent", [[0], [5], [0, 1, 2, 3, 4], [1, 2, 3, 4, 5], list(range(6))])
def test_silent_members_leave_numbers(pool, said, y, silent):
    """Whoever is silent, one, all but one or all, the outputs are numbers."""
    predictor = Stack().learn(pool, _evidence(said, y))
    quiet = said.copy()
    quiet[silent] = np.nan
    assert np.isfinite(predictor.combine(quiet)).all()


@every_kind
def test_a_block_gets_the_outputs_of_the_whole(pool, said, y):
    """What a row is given depends on that row alone, to the last bit."""
    predictor = Stack().learn(pool, _evidence(said, y))
    whole = predictor.combine(said)
    for start, stop in [(0, 1), (3, 20), (700, 1801)]:
        np.testing.assert_array_equal(predictor.combine(said[:, start:stop]), whole[start:stop])


def test_many_weights_are_summed_in_one_order():
    """The sum over hundreds of features does not depend on how many rows are asked for."""
    rng = np.random.default_rng(0)
    said, width = _said(_labels(500, 26), [1.0] * 16, 26), 16 * 26
    predictor = StackedPredictor(
        pool=_pool(n_classes=26, n_members=16),
        slopes=np.ones(26),
        intercepts=np.zeros(26),
        centres=rng.normal(size=width),
        scales=np.ones(width),
        weights=rng.normal(size=width * 26) / width,
    )
    whole = predictor.combine(said)
    for start, stop in [(0, 1), (3, 20), (77, 401)]:
        np.testing.assert_array_equal(predictor.combine(said[:, start:stop]), whole[start:stop])


@every_kind
def test_the_same_evidence_teaches_the_same(pool, said, y):
    """Two fits give the same arrays, to the last bit."""
    first, second = (Stack().learn(pool, _evidence(said, y)) for _ in range(2))
    for field in fields(StackedPredictor):
        np.testing.assert_array_equal(getattr(first, field.name), getattr(second, field.name))


@every_kind
def test_rows_of_weight_zero_do_not_count(pool, said, y):
    """Rows of weight zero may be left out, or hold anything."""
    evidence = _evidence(said, y, np.tile([1.0, 1.0, 0.0], N_ROWS // 3))
    wrong = evidence.outputs.copy()
    wrong[:, 2::3] = 1.0 / 3.0
    first, second, third = (
        Stack().learn(pool, each).combine(said)
        for each in (evidence, replace(evidence, outputs=wrong), evidence.where(evidence.weights > 0))
    )
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, third)


@every_kind
def test_rows_without_weight_teach_nothing(pool, said, y):
    """Where no row counts, the predictor is the plain mean."""
    predictor = Stack().learn(pool, _evidence(said, y, np.zeros(N_ROWS)))
    np.testing.assert_array_equal(predictor.combine(said).argmax(axis=1), said.mean(axis=0).argmax(axis=1))


@pytest.mark.parametrize(("pool", "said", "y"), list(_cases())[:3])
def test_outputs_are_probabilities(pool, said, y):
    """Whatever members of a classification give, the stack gives probabilities, and says so."""
    predictor = Stack().learn(pool, _evidence(said, y))
    outputs = predictor.combine(said)
    assert predictor.kind == "probability"
    assert outputs.min() >= 0
    np.testing.assert_allclose(outputs.sum(axis=1), 1.0)


def test_decision_values_in_any_unit_are_understood():
    """Decision values times a thousand give the same classes."""
    pool, said, y = list(_cases())[1].values
    first, second = (Stack().learn(pool, _evidence(said * unit, y)).combine(said * unit) for unit in (0.1, 100.0))
    assert (first.argmax(axis=1) == second.argmax(axis=1)).mean() > 0.99


def test_a_class_that_a_fold_lacks_is_still_learned():
    """A class whose rows all lie in one partition does not stop the others, and gets finite probabilities."""
    y = _labels()
    folds = np.arange(N_ROWS) % N_MEMBERS
    y[(y == 2) & (folds != 0)] = 0
    said = _said(y, [0, 0, 0, 6, 0, 0])
    predictor = Stack().learn(_pool(n_classes=4), _evidence(np.pad(said, [(0, 0), (0, 0), (0, 1)]), y))
    outputs = predictor.combine(np.pad(said, [(0, 0), (0, 0), (0, 1)]))
    assert np.isfinite(outputs).all()
    assert (outputs.argmax(axis=1) == y).mean() > 0.9


def test_two_targets_are_mended_each_in_its_own_unit():
    """A biased member is set right in both targets, though one is in thousands."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=(N_ROWS, 2)) * [1.0, 1000.0]
    said = np.stack([y + rng.normal(size=y.shape) * [2.0, 2000.0] for _ in range(N_MEMBERS)])
    said[4] = 3.0 * y + [5.0, 5000.0]
    predictor = Stack().learn(_pool("value", None), _evidence(said, y))
    errors = ((predictor.combine(said) - y) ** 2).mean(axis=0) / y.var(axis=0)
    plain = ((said.mean(axis=0) - y) ** 2).mean(axis=0) / y.var(axis=0)
    assert (errors < 0.2 * plain).all()


def test_values_of_one_dimension_are_taken():
    """A single target may have shape (rows,)."""
    pool, said, y = list(_cases())[3].values
    first = Stack().learn(pool, _evidence(said[:, :, :1], y[:, 0])).combine(said[:, :, :1])
    second = Stack().learn(pool, _evidence(said[:, :, :1], y[:, :1])).combine(said[:, :, :1])
    np.testing.assert_array_equal(first, second)


def test_random_values_teach_nothing():
    """Where values have nothing to do with what members say, the mean squared error is no worse than theirs."""
    rng = np.random.default_rng(0)
    y, said = rng.normal(size=(N_ROWS, 1)), rng.normal(size=(N_MEMBERS, N_ROWS, 1))
    predictor = Stack().learn(_pool("value", None), _evidence(said, y))
    new, fresh = rng.normal(size=(N_MEMBERS, N_ROWS, 1)), rng.normal(size=(N_ROWS, 1))
    assert 0.97 < ((predictor.combine(new) - fresh) ** 2).mean() / fresh.var() < 1.03


def test_constant_members_leave_their_value():
    """Members that all say the same number everywhere give no NaN."""
    said = np.full((N_MEMBERS, 60, 1), 7.0)
    predictor = Stack().learn(_pool("value", None), _evidence(said, np.arange(60.0)))
    assert np.isfinite(predictor.combine(said)).all()


def test_state_is_flat():
    """Everything but the pool is a text or an array of one dimension, so that it is stored as lists."""
    pool, said, y = next(_cases()).values
    predictor = Stack().learn(pool, _evidence(said, y))
    for field in fields(StackedPredictor):
        value = getattr(predictor, field.name)
        assert field.name == "pool" or isinstance(value, str) or value.ndim == 1
    copy = pickle.loads(pickle.dumps(predictor))  # noqa: S301 - our own bytes
    np.testing.assert_array_equal(copy.combine(said), predictor.combine(said))


def test_a_large_table_is_sampled():
    """Of more rows than wanted a sample is taken, the same at each fit."""
    pool, said, y = next(_cases()).values
    few = Stack(max_rows=600).learn(pool, _evidence(said, y))
    again = Stack(max_rows=600).learn(pool, _evidence(said, y))
    every = Stack().learn(pool, _evidence(said, y))
    np.testing.assert_array_equal(few.centres, again.centres)
    assert not np.array_equal(few.centres, every.centres)


@pytest.mark.parametrize("value", [0, -5, 1.5, "many", True])
def test_wrong_settings_are_refused(value):
    """The error has the value and what is valid."""
    with pytest.raises(InputError, match=r"max_rows=.*Valid: a whole number"):
        Stack(max_rows=value)
