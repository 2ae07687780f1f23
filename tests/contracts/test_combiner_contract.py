"""What every combiner promises; a new one joins by its entry in COMBINERS."""

import pickle
from itertools import permutations

import numpy as np
import pytest

from fakes import Decisions, Labels, PoolContext, Probabilities, Values, evidence_of, member, row_numbers
from partwise.combiners import COMBINERS, Weighted, make_combiner
from partwise.errors import InputError
from partwise.pool import MemberPool, member_scores
from partwise.protocols import Aggregate, LearningCombiner, WeightCombiner

N_ROWS = 40
SIZES = (10.0, 30.0, 60.0)
SCORES = (0.5, 0.7, 0.9)


def _tables(width, seed=0):
    raw = np.random.default_rng(seed).random((3, N_ROWS, width)) + 0.05
    return raw / raw.sum(axis=2, keepdims=True)


def _pool(task, members=None):
    if members is None:
        model, classes = (Probabilities, range(4)) if task == "classification" else (Values, None)
        members = [member(i, model(table), classes, SIZES[i]) for i, table in enumerate(_tables(4 if classes else 1))]
    return MemberPool.of(tuple(members), 4 if task == "classification" else None)


def _settings():
    """Yield the settings of combiners of samples; those of cells, and those that make one model, have their suites."""
    for name, kind in sorted(COMBINERS.items()):
        if "samples" in kind().takes and not kind().merges and not isinstance(kind(), WeightCombiner):
            yield name, kind()
    yield "weighted_by_score", Weighted(by="score")


def _cases(chosen=lambda _: True):
    for name, combiner in _settings():
        for task in ("classification", "regression"):
            if combiner.task in {task, "any"} and chosen(combiner):
                yield pytest.param(combiner, task, id=f"{name}-{task}")


KNOWN = {"mean", "median", "soft", "vote", "weighted"}
"""Combiners whose outputs are computed here by hand."""
CASES = list(_cases())
every_combiner = pytest.mark.parametrize(("combiner", "task"), CASES)
every_classifier = pytest.mark.parametrize("combiner", [case.values[0] for case in CASES if "class" in case.id])
every_known = pytest.mark.parametrize(("combiner", "task"), list(_cases(lambda combiner: combiner.name in KNOWN)))
every_learning = pytest.mark.parametrize(("combiner", "task"), list(_cases(lambda combiner: combiner.needs_evidence)))


def _width(task):
    return 4 if task == "classification" else 1


def _fitted(combiner, task, members=None, scores=SCORES):
    return combiner.fit(PoolContext(_pool(task, members), scores))


@every_combiner
def test_outputs_have_a_row_for_each_row(combiner, task):
    """Outputs have shape (rows, classes), or (rows, 1) in regression, also for a single row."""
    predictor = _fitted(combiner, task)
    width = 4 if task == "classification" else 1
    assert predictor.outputs(row_numbers(N_ROWS)).shape == (N_ROWS, width)
    assert predictor.outputs(row_numbers(1)).shape == (1, width)


@every_combiner
def test_a_block_gets_the_outputs_of_the_whole(combiner, task):
    """What a row is given depends on that row alone, to the last bit."""
    predictor = _fitted(combiner, task)
    whole = predictor.outputs(row_numbers(N_ROWS))
    for start, stop in [(0, 1), (3, 20), (20, 40)]:
        np.testing.assert_array_equal(predictor.outputs(row_numbers(N_ROWS)[start:stop]), whole[start:stop])


@every_classifier
def test_probabilities_and_votes_are_shares(combiner):
    """Class outputs are at least zero and sum to one."""
    predictor = _fitted(combiner, "classification")
    outputs = predictor.outputs(row_numbers(N_ROWS))
    assert predictor.kind in {"probability", "vote"}
    assert outputs.min() >= 0
    np.testing.assert_allclose(outputs.sum(axis=1), 1.0)


@every_combiner
def test_the_order_of_members_does_not_matter(combiner, task):
    """Members in any order make the same predictor, to the last bit."""
    members = _pool(task).members
    expected = _fitted(combiner, task).outputs(row_numbers(N_ROWS))
    for order in permutations(range(3)):
        shuffled = MemberPool.of(tuple(members[i] for i in order), 4 if task == "classification" else None)
        outputs = combiner.fit(PoolContext(shuffled, SCORES)).outputs(row_numbers(N_ROWS))
        np.testing.assert_array_equal(outputs, expected)


def _by_hand(combiner, outputs, weights):
    rows = []
    for row in np.moveaxis(outputs, 1, 0):
        if combiner.name == "median":
            rows.append([float(np.median(row[:, 0]))])
        elif combiner.name == "vote":
            votes = [int(np.argmax(one)) for one in row]
            rows.append([votes.count(code) / len(votes) for code in range(row.shape[1])])
        else:
            pairs = list(zip(weights, row, strict=True))
            rows.append([sum(w * one[k] for w, one in pairs) / sum(weights) for k in range(row.shape[1])])
    return np.array(rows)


def _weights_by_hand(combiner, task):
    if combiner.name != "weighted":
        return np.ones(3)
    if combiner.by == "size":
        return np.array(SIZES)
    if task == "regression":
        return 1.0 / (1.0 - np.array(SCORES))
    return np.log(np.array(SCORES) / (1.0 - np.array(SCORES))) + np.log(3.0)


@every_known
def test_equals_a_computation_by_hand(combiner, task):
    """Outputs are the mean, median, votes, or the weighted mean of the literature."""
    expected = _by_hand(combiner, _tables(_width(task)), _weights_by_hand(combiner, task))
    np.testing.assert_allclose(_fitted(combiner, task).outputs(row_numbers(N_ROWS)), expected)


@every_combiner
def test_outputs_are_a_combination_of_what_members_say(combiner, task):
    """A predictor of samples combines outputs without asking a model: what evidence is judged by."""
    predictor = _fitted(combiner, task)
    assert isinstance(predictor, Aggregate)
    np.testing.assert_array_equal(predictor.combine(_tables(_width(task))), predictor.outputs(row_numbers(N_ROWS)))


@every_known
@pytest.mark.parametrize("silent", [0, 1, 2])
def test_a_silent_member_is_left_out(combiner, task, silent):
    """Where a member is silent the others count with their own weights, as if it were not there."""
    outputs = _tables(_width(task))
    weights = _weights_by_hand(combiner, task)
    expected = _by_hand(combiner, np.delete(outputs, silent, axis=0), np.delete(weights, silent))
    outputs[silent] = np.nan
    np.testing.assert_allclose(_fitted(combiner, task).combine(outputs), expected)


@every_known
def test_silence_counts_row_by_row(combiner, task):
    """Each row is combined of those members that speak about it, whoever speaks about its neighbours."""
    outputs = _tables(_width(task))
    weights = _weights_by_hand(combiner, task)
    silent = np.random.default_rng(0).random((3, N_ROWS)) < 0.6
    silent[0] &= ~silent[1:].all(axis=0)
    expected = [
        _by_hand(combiner, outputs[~silent[:, i]][:, i : i + 1], weights[~silent[:, i]])[0] for i in range(N_ROWS)
    ]
    outputs[silent] = np.nan
    np.testing.assert_allclose(_fitted(combiner, task).combine(outputs), expected)


@every_combiner
@pytest.mark.parametrize("speaker", [0, 1, 2])
def test_silence_leaves_proper_outputs_and_other_rows_alone(combiner, task, speaker):
    """A row about which one member alone speaks is answered properly, and changes no other row."""
    predictor = _fitted(combiner, task)
    outputs = _tables(_width(task))
    before = predictor.combine(outputs)
    outputs[[i for i in range(3) if i != speaker], 7] = np.nan
    after = predictor.combine(outputs)
    assert np.isfinite(after).all()
    np.testing.assert_array_equal(np.delete(after, 7, axis=0), np.delete(before, 7, axis=0))
    if predictor.kind in {"probability", "vote"}:
        np.testing.assert_allclose(after.sum(axis=1), 1.0)


@every_combiner
def test_a_predictor_survives_pickle(combiner, task):
    """A predictor that crossed a process boundary gives the same outputs, and needs nothing else."""
    predictor = _fitted(combiner, task)
    copy = pickle.loads(pickle.dumps(predictor))  # noqa: S301 - our own bytes
    np.testing.assert_array_equal(copy.outputs(row_numbers(N_ROWS)), predictor.outputs(row_numbers(N_ROWS)))
    assert copy.kind == predictor.kind
    assert copy.exactness == "approximate"


@every_combiner
def test_settings_are_equal_by_value(combiner, task):  # noqa: ARG001 - one parametrisation for all
    """Settings objects compare and pickle by value, so that clones of an estimator are alike."""
    assert pickle.loads(pickle.dumps(combiner)) == combiner  # noqa: S301 - our own bytes


@pytest.mark.parametrize("name", ["soft", "weighted"])
def test_members_without_probabilities_give_decision_values(name):
    """Where a member has no probabilities all are averaged by their decision values, and the kind says so."""
    raw = np.random.default_rng(1).normal(size=(3, N_ROWS, 4))
    predictor = _fitted(COMBINERS[name](), "classification", [member(i, Decisions(raw[i]), range(4)) for i in range(3)])
    assert predictor.kind == "decision"
    np.testing.assert_allclose(predictor.outputs(row_numbers(N_ROWS)), raw.mean(axis=0))


@pytest.mark.parametrize("name", ["soft", "vote", "weighted"])
def test_members_that_only_name_classes_give_votes(name):
    """Where a member has neither probabilities nor decision values, shares of votes are given, and the kind says so."""
    labels = np.random.default_rng(1).integers(4, size=(3, N_ROWS))
    models = [member(i, Labels(labels[i], np.arange(4)), range(4)) for i in range(3)]
    predictor = _fitted(COMBINERS[name](), "classification", models)
    assert predictor.kind == "vote"
    expected = np.stack([(labels == code).mean(axis=0) for code in range(4)], axis=1)
    np.testing.assert_allclose(predictor.outputs(row_numbers(N_ROWS)), expected)


@pytest.mark.parametrize(("task", "scores"), [("classification", [0.25, 0.1, 0.8]), ("regression", [0.0, -3.0, 0.9])])
def test_skill_decides_the_weights(task, scores):
    """A classifier no better than chance gets no weight; a worse regressor gets less than a better one."""
    weights = Weighted(by="score").fit(PoolContext(_pool(task), scores)).weights
    assert weights[2] > weights[0] >= weights[1]
    if task == "classification":
        np.testing.assert_allclose(weights[:2], 0.0, atol=1e-12)


def test_members_without_skill_count_alike():
    """Where no member is better than chance, all weigh the same."""
    weights = Weighted(by="score").fit(PoolContext(_pool("classification"), [0.1, 0.2, 0.05])).weights
    assert len(set(weights.tolist())) == 1


def test_perfect_members_have_finite_weights():
    """An accuracy of one, or an R² of one, does not swamp the others with an infinite weight."""
    for task in ("classification", "regression"):
        weights = Weighted(by="score").fit(PoolContext(_pool(task), [1.0, 1.0, 0.9])).weights
        assert np.isfinite(weights).all()


def test_fakes_have_the_scores_that_were_asked_for():
    """The evidence of these tests gives each member its score, on rows that it never saw."""
    for n_classes in (None, 4):
        evidence = evidence_of(SCORES, n_classes)
        np.testing.assert_allclose(member_scores(evidence, n_classes), SCORES)
        assert [np.isnan(evidence.outputs[i, evidence.folds == i]).all() for i in range(3)] == [True] * 3


@every_combiner
def test_evidence_is_asked_for_where_it_is_needed(combiner, task):
    """Evidence is dear: it is gathered once where the combiner learns from it, and nowhere else."""
    context = PoolContext(_pool(task), SCORES)
    combiner.fit(context)
    assert context.asked == combiner.needs_evidence


@every_learning
def test_what_evidence_teaches_is_what_a_fit_gives(combiner, task):
    """`learn` on the evidence of the context gives the outputs of `fit`: it is asked again on folds, to judge it."""
    assert isinstance(combiner, LearningCombiner)
    pool = _pool(task)
    learned = combiner.learn(pool, evidence_of(SCORES, pool.n_classes))
    np.testing.assert_array_equal(
        learned.outputs(row_numbers(N_ROWS)), _fitted(combiner, task).outputs(row_numbers(N_ROWS))
    )


@every_learning
def test_learning_takes_some_of_the_rows(combiner, task):
    """The evidence on a part of the folds is enough to learn from, and nothing of it is written to."""
    pool = _pool(task)
    evidence = evidence_of(SCORES, pool.n_classes)
    part = evidence.where(evidence.folds != 0)
    for array in (part.outputs, part.y, part.folds):
        array.setflags(write=False)
    assert np.isfinite(combiner.learn(pool, part).combine(evidence.outputs[:, evidence.folds == 0])).all()


@pytest.mark.parametrize("name", sorted(COMBINERS))
def test_a_combiner_says_which_members_it_takes(name):
    """Each takes members of samples, cells or copies, and what merges members does not learn from evidence."""
    combiner = COMBINERS[name]()
    assert combiner.takes
    assert combiner.takes <= {"samples", "cells", "copies"}
    assert not (combiner.merges and combiner.needs_evidence)
    assert make_combiner(name).name == name


def test_a_wrong_weighting_is_refused():
    """The error lists the valid ways to weight."""
    with pytest.raises(InputError, match=r"'accuracy'(.|\n)*'size', 'score'"):
        Weighted(by="accuracy")


@pytest.mark.parametrize(("name", "by"), [("weighted", "size"), ("weighted:size", "size"), ("weighted:score", "score")])
@pytest.mark.parametrize("task", ["classification", "regression", None])
def test_a_name_may_carry_the_argument(name, by, task):
    """What follows the colon is the argument of the settings, for either task and where the task is not known yet."""
    assert make_combiner(name, task) == Weighted(by=by)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("weighted:accuracy", r"'weighted:accuracy'(.|\n)*Valid: 'size', 'score'"),
        ("weighted:", r"'weighted:'(.|\n)*Valid: 'size', 'score'"),
        ("soft:size", r"'soft:size'(.|\n)*takes no argument(.|\n)*Valid: soft"),
        ("wieghted:score", r"'wieghted:score'(.|\n)*Valid: " + ", ".join(sorted(COMBINERS)) + r"(.|\n)*'weighted'"),
    ],
)
def test_a_wrong_argument_is_refused(name, message):
    """The error has what was given and what is valid."""
    with pytest.raises(InputError, match=message):
        make_combiner(name)


@pytest.mark.parametrize(("name", "task"), [("mean", "classification"), ("soft", "regression"), ("vote", "regression")])
def test_a_combiner_of_the_other_task_is_refused(name, task):
    """The error names the combiner, the task, and the combiners for that task."""
    with pytest.raises(InputError, match=f"'{name}' is for (.|\n)*Valid: .*weighted"):
        make_combiner(name, task)
