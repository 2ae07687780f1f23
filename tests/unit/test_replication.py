"""Facts about rows that go to several partitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from sklearn.metrics import accuracy_score, r2_score
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.tree import DecisionTreeRegressor

from partwise import PartitionedClassifier, PartitionedRegressor
from partwise.cutting import cut, row_keys
from partwise.errors import InputError
from partwise.partitioners import PARTITIONERS
from partwise.replication import Replicas

SAMPLES = sorted(name for name, kind in PARTITIONERS.items() if kind().gives == "samples")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(600, 4))
SIDE = (X[:, 0] > 0).astype(int)
NOISY = np.where(RNG.random(600) < 0.3, 1 - SIDE, SIDE)
"""Three labels in ten are wrong: who knows a row by heart is right on it, who does not is not."""


def _keys(n_rows, n_groups=None):
    rng = np.random.default_rng(n_rows)
    groups = np.concatenate([np.arange(n_groups or n_rows), rng.integers(n_groups or 1, size=n_rows)])[:n_rows]
    return row_keys(n_rows, stratum=rng.integers(3, size=n_rows), groups=groups, time=rng.permutation(n_rows))


@st.composite
def cuts(draw):
    """A number of partitions, a lower number of copies, a number of rows and a seed."""
    n_partitions = draw(st.integers(3, 12))
    return (
        n_partitions,
        draw(st.integers(2, n_partitions - 1)),
        draw(st.integers(20, 60)) * n_partitions,
        draw(st.integers(0, 2**31)),
    )


@pytest.mark.parametrize("name", SAMPLES)
@settings(deadline=None)
@given(case=cuts())
def test_each_row_is_in_so_many_partitions(name, case):
    """Every row is in exactly r different partitions, and partitions list their rows in the order of the table."""
    n_partitions, replication, n_rows, seed = case
    partitions = cut(PARTITIONERS[name](), _keys(n_rows), n_partitions, seed, replication)
    counts = np.bincount(np.concatenate(partitions.rows), minlength=n_rows)
    assert counts.tolist() == [replication] * n_rows
    assert all((np.diff(rows) > 0).all() for rows in partitions.rows)
    assert len(partitions.rows) == n_partitions


@pytest.mark.parametrize("name", SAMPLES)
@settings(deadline=None)
@given(case=cuts())
def test_partitions_stay_nearly_equal(name, case):
    """No partition is more than a tenth larger or smaller than the mean."""
    n_partitions, replication, n_rows, seed = case
    n_rows *= 5
    sizes = cut(PARTITIONERS[name](), _keys(n_rows), n_partitions, seed, replication).sizes
    mean = replication * n_rows / n_partitions
    assert abs(sizes - mean).max() <= 0.1 * mean


def test_classes_stay_balanced():
    """Copies of a stratified cut hold the classes in the shares of the table."""
    keys = row_keys(8000, stratum=np.random.default_rng(0).choice(3, 8000, p=[0.7, 0.25, 0.05]))
    counts = cut(PARTITIONERS["stratified"](), keys, 8, 0, 3).class_counts
    shares = counts / counts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares, np.tile([0.7, 0.25, 0.05], (8, 1)), atol=0.01)


@settings(deadline=None)
@given(case=cuts())
def test_a_group_goes_as_a_whole(case):
    """All rows of a group are in the same partitions: no member saw a part of a group alone."""
    n_partitions, replication, n_rows, seed = case
    keys = _keys(n_rows, n_groups=4 * n_partitions)
    partitions = cut(PARTITIONERS["grouped"](), keys, n_partitions, seed, replication)
    for group in np.unique(keys.group):
        rows = np.flatnonzero(keys.group == group)
        holders = [np.isin(rows, held).mean() for held in partitions.rows]
        assert sorted(holders) == [0.0] * (n_partitions - replication) + [1.0] * replication


def test_members_overlap_evenly():
    """Any two partitions share about as many rows as any other two."""
    partitions = cut(PARTITIONERS["shuffled"](), row_keys(12_000), 6, 0, 3)
    shared = [len(np.intersect1d(a, b)) for i, a in enumerate(partitions.rows) for b in partitions.rows[:i]]
    assert max(shared) - min(shared) <= 0.05 * np.mean(shared)


@pytest.mark.parametrize("name", SAMPLES)
def test_one_copy_is_the_plain_cut(name):
    """Without replication partitions are what the assignment says, to the row."""
    keys = _keys(300, n_groups=60)
    plain = cut(PARTITIONERS[name](), keys, 5, 3)
    for one, other in zip(cut(PARTITIONERS[name](), keys, 5, 3, 1).rows, plain.rows, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_same_seed_gives_the_same_copies():
    """Nothing but the table, the numbers and the seed decides; another seed gives other partitions."""
    first, again, other = (cut(PARTITIONERS["shuffled"](), _keys(200), 5, seed, 2).rows for seed in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize(("n_partitions", "replication"), [(4, 4), (4, 5), (2, 2), (1, 2), (4, 0), (4, -1)])
def test_impossible_numbers_of_copies_are_refused(n_partitions, replication):
    """With as many copies as partitions no member has not seen a row: the error says how many are possible."""
    with pytest.raises(InputError, match=rf"replication={replication} for(.|\n)*1 to {max(1, n_partitions - 1)}\b"):
        Replicas.of(n_partitions, replication, 0, 1000)


def test_few_rows_are_replicated_too():
    """A table of as many rows as partitions can still be replicated."""
    partitions = cut(PARTITIONERS["shuffled"](), row_keys(5), 5, 0, 3)
    assert partitions.sizes.tolist() == [3] * 5


@pytest.mark.parametrize(
    "settings_", [{"partitioner": "clustered"}, {"combine": "pool"}, {"partitioner": "clustered", "combine": "route"}]
)
def test_replication_is_for_samples(settings_):
    """Cells and parts of one model are not replicated: the error names what was given, and the overlap of cells."""
    model = PartitionedClassifier(GaussianNB(), n_partitions=4, replication=2, executor="inline", **settings_)
    with pytest.raises(InputError, match=r"replication=2(.|\n)*(overlap|OVERLAP)"):
        model.fit(X, SIDE)


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "2", True, None])
def test_a_replication_that_is_no_number_is_refused(wrong):
    """The error has the value, and what is valid."""
    model = PartitionedClassifier(GaussianNB(), n_partitions=4, replication=wrong, executor="inline")
    with pytest.raises(InputError, match=r"replication=(.|\n)*1 or more"):
        model.fit(X, SIDE)


def _memory(replication, **more):
    settings_ = {"n_partitions": 5, "executor": "inline", "random_state": 0, "out_of_partition": True, **more}
    return PartitionedClassifier(KNeighborsClassifier(1), replication=replication, **settings_).fit(X, NOISY)


@pytest.mark.parametrize("combine", ["soft", "vote", "weighted", "weighted:score"])
@pytest.mark.parametrize("replication", [1, 2, 3, 4])
def test_evidence_comes_from_members_that_never_saw_the_row(replication, combine):
    """Members that know their rows by heart are right on wrong labels no more often than the truth allows."""
    model = _memory(replication, combine=combine)
    flipped = NOISY != SIDE
    assert model.score(X[flipped], NOISY[flipped]) > (0.0 if replication == 1 else 0.3), "they did learn by heart"
    honest = model.out_of_partition_predictions_ == NOISY
    assert honest[flipped].mean() < 0.5
    assert model.out_of_partition_score_ < 0.7
    assert (model.out_of_partition_member_scores_ < 0.7).all()


@pytest.mark.parametrize("replication", [1, 2, 3])
def test_evidence_equals_a_computation_by_hand(replication):
    """Each row is described by the mean of the k-r members that never saw it, each member scored on what it lacked."""
    model = _memory(replication)
    each = np.stack([member.estimator.predict_proba(X) for member in model.members_])
    seen = np.stack([np.isin(np.arange(600), rows) for rows in model.partitions_.rows])
    assert seen.sum(axis=0).tolist() == [replication] * 600
    expected = np.stack([each[~seen[:, i], i].mean(axis=0) for i in range(600)])
    np.testing.assert_allclose(model.out_of_partition_outputs_, expected)
    assert model.out_of_partition_score_ == accuracy_score(NOISY, expected.argmax(axis=1))
    scores = [accuracy_score(NOISY[~saw], own[~saw].argmax(axis=1)) for saw, own in zip(seen, each, strict=True)]
    np.testing.assert_allclose(model.out_of_partition_member_scores_, scores)


def test_evidence_of_a_regression_equals_a_computation_by_hand():
    """Values of rows are the mean of the members that never saw them; noise that is known by heart explains nothing."""
    noise = np.random.default_rng(1).normal(size=600)
    model = PartitionedRegressor(
        KNeighborsRegressor(1),
        n_partitions=5,
        replication=3,
        executor="inline",
        random_state=0,
        out_of_partition=True,
    ).fit(X, noise)
    each = np.stack([member.estimator.predict(X) for member in model.members_])
    seen = np.stack([np.isin(np.arange(600), rows) for rows in model.partitions_.rows])
    expected = np.where(seen, 0.0, each).sum(axis=0) / (~seen).sum(axis=0)
    np.testing.assert_allclose(model.out_of_partition_predictions_, expected)
    assert model.out_of_partition_score_ == pytest.approx(r2_score(noise, expected))
    assert model.score(X, noise) > 0.5
    assert model.out_of_partition_score_ < 0.0


def test_evidence_of_groups_never_crosses_them():
    """Where the rows of a group are alike, evidence shows no skill that is not there; of crossed groups it would."""
    groups = np.repeat(np.arange(100), 6)
    labels = np.random.default_rng(2).integers(2, size=100)[groups]
    table = np.random.default_rng(3).normal(size=(100, 4))[groups]
    grouped, crossed = (
        PartitionedClassifier(
            KNeighborsClassifier(1),
            n_partitions=5,
            replication=3,
            partitioner=name,
            executor="inline",
            random_state=0,
            out_of_partition=True,
        )
        .fit(table, labels, groups=groups)
        .out_of_partition_score_
        for name in ("grouped", "shuffled")
    )
    assert grouped < 0.68
    assert crossed > 0.9


def test_more_copies_make_better_members():
    """Members that see more rows are more accurate: accuracy for compute."""
    table = np.random.default_rng(4).uniform(-3, 3, size=(800, 2))
    target = np.sin(2 * table[:, 0]) * table[:, 1]
    scores = [
        PartitionedRegressor(
            DecisionTreeRegressor(random_state=0), n_partitions=8, replication=r, executor="inline", random_state=0
        )
        .fit(table[:600], target[:600])
        .score(table[600:], target[600:])
        for r in (1, 4)
    ]
    assert scores[1] > scores[0] + 0.02


def test_a_row_whose_unseen_members_weigh_nothing_still_has_evidence():
    """Where the members that never saw a row have no weight, they count alike: each row has finite evidence."""
    weights = np.ones(600)
    weights[:300] = 1e-9
    model = PartitionedRegressor(
        Ridge(),
        n_partitions=4,
        partitioner="ordered",
        combine="weighted",
        replication=1,
        executor="inline",
        out_of_partition=True,
    ).fit(X, X[:, 0], sample_weight=weights)
    assert np.isfinite(model.out_of_partition_outputs_).all()


def test_rows_that_every_member_saw_are_refused():
    """Where the only member that never saw some rows does not exist, the error says that there is no evidence."""
    plain = cut(PARTITIONERS["shuffled"](), row_keys(600), 3, 0, 2)
    weights = np.ones(600)
    weights[plain.rows[0]] = 0.0
    model = PartitionedRegressor(
        Ridge(),
        n_partitions=3,
        replication=2,
        partitioner="shuffled",
        executor="inline",
        random_state=0,
        out_of_partition=True,
    )
    with pytest.raises(InputError, match="every member saw"):
        model.fit(X, X[:, 0], sample_weight=weights)
