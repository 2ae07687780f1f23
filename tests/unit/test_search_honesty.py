"""Scores of a search are honest: no row judges who was fitted on it, and what luck adds to the best is told."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, roc_auc_score

import partwise
from fake_learners import Memorises, SaysItsNumber
from partwise import PartitionedClassifier, PartitionedSearchCV, Range
from partwise.combiners import Soft
from partwise.evaluation import resolve_metric
from partwise.executors import InlineExecutor
from partwise.partitioners import make_partitioner
from partwise.permutation import KeyedPermutation
from partwise.records import Part
from partwise.search import SearchTrial
from partwise.search.judging import Judge, JudgedRows, gather_rows
from partwise.search.optimism import corrected_score
from partwise.tables import MemoryTable
from partwise.tables.memory import MemoryCut

RNG = np.random.default_rng(0)
C = {"C": Range(1e-3, 1e2, log=True)}


def _search(learner, space, **arguments):
    return PartitionedSearchCV(
        learner, space, **{"n_partitions": 4, "executor": "inline", "random_state": 0, "n_trials": 4} | arguments
    )


@settings(max_examples=8, deadline=None)
@given(st.integers(40, 120), st.integers(2, 5), st.integers(1, 4), st.integers(0, 99), st.booleans())
def test_no_row_judges_a_member_that_was_fitted_on_it(n_rows, n_partitions, reduction_factor, seed, shuffled):
    """Members that know their own rows by heart, and say 'no' of all others, score what 'no' scores, on every rung."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, 2))
    y = np.where(rng.permutation(n_rows) % 3 == 0, "yes", "no")
    partitioner = "shuffled" if shuffled else None
    search = _search(
        Memorises(),
        {"unused": [0, 1]},
        n_partitions=n_partitions,
        reduction_factor=reduction_factor,
        random_state=seed,
        n_trials=2,
        partitioner=partitioner,
    ).fit(X, y)
    parts = PartitionedClassifier(
        Memorises(), n_partitions=n_partitions, executor="inline", random_state=seed, partitioner=partitioner
    )
    rows = parts.fit(X, y).partitions_.rows
    for trial in search.trials_:
        for n_seen, score in trial.scores.items():
            judged = np.delete(np.arange(n_rows), rows[0]) if n_seen == 1 else np.arange(n_rows)
            assert score == pytest.approx((y[judged] == "no").mean()), (trial, n_seen)


def test_scores_are_those_of_the_ensembles_own_evidence():
    """A finished trial scores what the ensemble of its members scores out of partition."""
    X = RNG.normal(size=(300, 4))
    y = (X[:, 0] + RNG.normal(size=300) > 0).astype(int)
    search = _search(LogisticRegression(), C, scoring="roc_auc", reduction_factor=1, n_trials=2).fit(X, y)
    for trial in search.trials_:
        alone = PartitionedClassifier(
            LogisticRegression(**trial.params), n_partitions=4, executor="inline", random_state=0, out_of_partition=True
        ).fit(X, y)
        assert trial.score == pytest.approx(roc_auc_score(y, alone.out_of_partition_outputs_[:, 1]))


def test_groups_never_cross():
    """With groups, no member judges a row whose group it has seen: knowing the group by heart does not help."""
    groups = np.repeat(np.arange(40), 5)
    X = np.repeat(RNG.normal(size=(40, 2)), 5, axis=0)
    y = np.repeat(np.where(np.arange(40) % 3 == 0, "yes", "no"), 5)
    search = _search(Memorises(), {"unused": [0, 1]}, partitioner="grouped", n_trials=2, reduction_factor=1)
    assert search.fit(X, y, groups=groups).best_score_ == pytest.approx((y == "no").mean())


def test_weights_count_in_scores():
    """Rows that judge count by their weights; those of weight zero do not."""
    X = RNG.normal(size=(200, 2))
    y = np.where(np.arange(200) % 3 == 0, "yes", "no")
    weights = np.where(y == "yes", 3.0, 1.0) * (np.arange(200) % 2)
    search = _search(LogisticRegression(), {"C": [1e-9]}, n_trials=1).fit(X, y, sample_weight=weights)
    said = search.predict(X)
    assert search.best_score_ == pytest.approx(accuracy_score(y, said, sample_weight=weights), abs=0.05)
    assert search.best_score_ != pytest.approx(accuracy_score(y, said), abs=0.05)


def test_a_partition_of_weight_zero():
    """A partition without weight has no member: trials and ensemble go on with the others."""
    X = RNG.normal(size=(200, 3))
    y = (X[:, 0] > 0).astype(int)
    cut = PartitionedClassifier(LogisticRegression(), n_partitions=4, executor="inline", random_state=0).fit(X, y)
    weights = np.ones(200)
    weights[cut.partitions_.rows[0]] = 0.0
    search = _search(LogisticRegression(), C, n_trials=2).fit(X, y, sample_weight=weights)
    assert [member.partition for member in search.best_estimator_.members_] == [1, 2, 3]
    assert sum(trial.n_fits for trial in search.trials_) <= 2 * 3
    assert all(trial.state in {"finished", "pruned"} for trial in search.trials_)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_scanned_table_gives_the_same_trials(tmp_path, task):
    """A table that is never read into memory gives the trials of the same rows in memory."""
    X = pd.DataFrame(RNG.normal(size=(300, 3)), columns=["a", "b", "c"])
    score = X["a"] + RNG.normal(size=300)
    y = np.where(score > 0, "yes", "no") if task == "classification" else score.to_numpy()
    X.assign(y=y).to_parquet(tmp_path / "table.parquet", row_group_size=100)
    learner = LogisticRegression() if task == "classification" else Ridge()
    space = {"C" if task == "classification" else "alpha": Range(1e-3, 1e2, log=True)}
    memory = _search(learner, space, encoder="table").fit(X, y)
    arguments = {"encoder": "table", "storage": str(tmp_path / "store")}
    scanned = _search(learner, space, **arguments).fit(partwise.scan(str(tmp_path / "table.parquet"), target="y"))
    assert [trial.params for trial in memory.trials_] == [trial.params for trial in scanned.trials_]
    assert [trial.state for trial in memory.trials_] == [trial.state for trial in scanned.trials_]
    for here, there in zip(memory.trials_, scanned.trials_, strict=True):
        assert there.scores == pytest.approx(here.scores)
    assert np.array_equal(memory.predict(X), scanned.predict(X))


def _judge(y, n_classes=2, weights=None):
    holds, whole = np.zeros((2, len(y)), dtype=bool), np.ones(len(y), dtype=bool)
    rows = JudgedRows(None, y, weights, holds, folds=np.arange(len(y)) % 2, is_first=whole)
    return Judge(rows, Soft(), resolve_metric(None, n_classes), n_classes)


def _said(right):
    """Return probabilities that are right, or wrong, about rows of class 0."""
    return np.column_stack([right, ~right]).astype(float)


def _corrected(judge, outputs, seed=0, rungs=None):
    """Return the corrected score of trials that said this; ``rungs`` are those that each was judged at."""
    said = dict(enumerate(outputs))
    trials = [
        SearchTrial(
            number=number,
            params={},
            state="finished",
            scores=dict.fromkeys((1,) if rungs is None else rungs[number], judge.score(each, "probability")),
        )
        for number, each in said.items()
    ]
    return corrected_score(judge, trials, said, dict.fromkeys(said, "probability"), seed)


def test_the_best_of_many_guesses_is_corrected():
    """Of 100 trials that guess, the best looks better than chance; corrected, on the mean of five tables, it is not."""
    best, corrected = [], []
    for _ in range(5):
        y = np.zeros(400, dtype=int)
        right = RNG.random((100, 400)) < 0.5
        best.append(right.mean(axis=1).max())
        corrected.append(_corrected(_judge(y), [_said(each) for each in right]))
    assert np.mean(best) > 0.55
    assert np.mean(corrected) == pytest.approx(0.5, abs=0.02)


def test_pruned_trials_take_part_in_the_correction():
    """Of trials that guess, the eighth that guessed best went on: the choice among all counts, not that among these."""
    left, whole, rng = [], [], np.random.default_rng(0)
    for _ in range(5):
        judge, right = _judge(np.zeros(400, dtype=int)), rng.random((60, 400)) < 0.5
        went_on = right.mean(axis=1) > np.quantile(right.mean(axis=1), 7 / 8)
        rungs = [(1, 8) if each else (1,) for each in went_on]
        whole.append(_corrected(judge, [_said(each) for each in right], rungs=rungs))
        left.append(_corrected(judge, [_said(each) for each in right[went_on]]))
    assert np.mean(left) > 0.52
    assert np.mean(whole) == pytest.approx(0.5, abs=0.015)


def test_a_pruned_trial_is_moved_by_what_others_gained():
    """A pruned trial that was as good as another one when both had one partition is taken to gain as much later."""
    y = np.zeros(1_000, dtype=int)
    early = np.arange(1_000) % 10 != 0  # 0.9, and 0.95 later
    late = np.arange(1_000) % 20 != 0
    trials = [
        SearchTrial(number=0, params={}, state="finished", scores={1: 0.9, 2: 0.95}),
        SearchTrial(number=1, params={}, state="pruned", scores={1: 0.9}),
    ]
    said = {0: _said(late), 1: _said(early)}
    found = corrected_score(_judge(y), trials, said, dict.fromkeys(said, "probability"), seed=0)
    assert found == pytest.approx(0.95, abs=0.01)


def test_a_clear_winner_is_hardly_corrected():
    """Where one trial is far better than all others, luck has no part in the choice."""
    y = np.zeros(1_000, dtype=int)
    outputs = [_said(RNG.random(1_000) < share) for share in (0.9, 0.5, 0.5, 0.5)]
    assert _corrected(_judge(y), outputs) == pytest.approx(_judge(y).score(outputs[0], "probability"), abs=0.005)


def test_a_correction_never_adds():
    """The corrected score is at most the best one: of like trials it is the same."""
    y = np.zeros(50, dtype=int)
    outputs = [_said(np.arange(50) % 10 != 0)] * 2
    judge = _judge(y)
    for seed in range(5):
        assert _corrected(judge, outputs, seed) <= judge.score(outputs[0], "probability")
        assert _corrected(judge, outputs, seed) == pytest.approx(0.9, abs=0.02)


def test_one_trial_has_nothing_to_correct():
    assert _corrected(_judge(np.zeros(50, dtype=int)), [_said(np.ones(50, dtype=bool))]) is None


def test_weights_count_in_the_correction():
    """Rows of weight zero take no part in the correction either."""
    weights = (np.arange(200) % 2).astype(float)
    right = RNG.random((2, 200)) < 0.5
    right[:, weights > 0] = True
    judge = _judge(np.zeros(200, dtype=int), weights=weights)
    assert _corrected(judge, [_said(each) for each in right]) == pytest.approx(1.0)


@pytest.mark.parametrize(("n_rows", "reduction_factor"), [(400, 1), (400, 2), (4_000, 2)])
def test_random_labels(n_rows, reduction_factor):
    """On labels of chance the best trial scores above it, and its corrected score does not, with pruning or without."""
    X = np.random.default_rng(n_rows).normal(size=(n_rows, 3))
    best, corrected = [], []
    for seed in range(5):
        y = np.random.default_rng(seed).permutation(np.arange(n_rows) % 2)
        search = _search(
            SaysItsNumber(),
            {"number": Range(1, 10_000, integer=True)},
            n_trials=20,
            sampler="random",
            reduction_factor=reduction_factor,
            n_partitions=2,
            random_state=seed,
        ).fit(X, y)
        best.append(search.best_score_)
        corrected.append(search.corrected_score_)
    luck = 0.5 / np.sqrt(min(n_rows, 2_000))
    assert np.mean(best) > 0.5 + luck
    assert np.mean(corrected) == pytest.approx(0.5, abs=0.6 * luck)


@pytest.fixture
def few_judge(monkeypatch):
    """Let 100 rows of 400 in 4 partitions judge trials, and 100 others none."""
    monkeypatch.setattr("partwise.search.judging._FEWEST_ROWS", 50)
    return KeyedPermutation(400, (0, 100))(np.arange(400))


@pytest.mark.parametrize("frame", [False, True])
def test_rows_that_judge_and_rows_that_do_not(few_judge, frame):
    """They are as many, no row is both, and it is known which partitions have them."""
    X = np.arange(400.0)[:, None]
    rows = Part(0, pd.DataFrame(X) if frame else X, np.arange(400) % 2, np.arange(400) + 1.0)
    cut = MemoryTable(rows, np.array([0, 1])).cut(make_partitioner("stratified"), 4, 0, 1)
    gathered = gather_rows(cut, 4, 0, InlineExecutor(), many=False)
    for found, ranks in zip(gathered, (range(100), range(100, 200)), strict=True):
        numbers = np.asarray(found.X)[:, 0].astype(int)
        assert set(few_judge[numbers]) == set(ranks)
        assert np.array_equal(found.weights, numbers + 1.0)
        assert np.array_equal(found.y, numbers % 2)
        for partition, its in enumerate(cut.positions):
            assert np.array_equal(found.holds[partition], np.isin(numbers, its))


@pytest.mark.parametrize(("many", "n_judging", "n_others"), [(False, 100, 100), (True, 320, 80)])
@pytest.mark.parametrize(("kind", "most"), [(np.asarray, 60), (pd.DataFrame, 60), (csr_array, 400)])
def test_of_a_wide_table_fewer_rows_are_held(few_judge, monkeypatch, many, n_judging, n_others, kind, most):
    """They have no more values than this process may hold, judge or not; of a sparse table columns do not count."""
    monkeypatch.setattr(MemoryCut, "largest_evidence", 60 * 5)
    y = np.arange(400.0)
    table = MemoryTable(Part(0, kind(np.tile(y[:, None], 5)), y, None), None)
    cut = table.cut(make_partitioner("shuffled"), 4, 0, 1)
    judged, others = gather_rows(cut, 4, 0, InlineExecutor(), many=many)
    assert set(few_judge[judged.y.astype(int)]) == set(range(min(most, n_judging)))
    assert set(few_judge[others.y.astype(int)]) == set(range(n_judging, n_judging + min(most, n_others)))
    assert set(few_judge[judged.y[judged.is_first].astype(int)]) == set(range(min(most, 100)))
    assert judged.X.shape == (len(judged.y), 5)
    assert judged.holds.shape == (4, len(judged.y))


@pytest.mark.parametrize("fidelity", ["members", "rows"])
def test_a_search_over_a_wide_table(few_judge, monkeypatch, fidelity):  # noqa: ARG001 - rows of which some judge none
    """It is judged by the rows that may be held, on each rung."""
    monkeypatch.setattr(MemoryCut, "largest_evidence", 60 * 4)
    X = RNG.normal(size=(400, 4))
    search = _search(LogisticRegression(), C, fidelity=fidelity).fit(X, (X[:, 0] > 0).astype(int))
    best = search.trials_[search.best_index_]
    assert best.scores[4] * 60 == pytest.approx(round(best.scores[4] * 60))
    assert search.corrected_score_ * 60 == pytest.approx(round(search.corrected_score_ * 60))


def test_the_best_is_scored_on_rows_that_judged_no_trial(few_judge):
    """The corrected score is that of the best trial's members about rows that none of them saw, and that chose none."""
    X = RNG.normal(size=(400, 4))
    y = (X[:, 0] + RNG.normal(size=400) > 0).astype(int)
    search = _search(LogisticRegression(), C).fit(X, y)
    alone = PartitionedClassifier(
        LogisticRegression(**search.best_params_),
        n_partitions=4,
        executor="inline",
        random_state=0,
        out_of_partition=True,
    ).fit(X, y)
    said = alone.out_of_partition_outputs_.argmax(axis=1) == y
    assert search.best_score_ == pytest.approx(said[few_judge < 100].mean())
    assert search.corrected_score_ == pytest.approx(said[(few_judge >= 100) & (few_judge < 200)].mean())
