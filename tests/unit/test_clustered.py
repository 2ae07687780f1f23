"""Facts about cells of the feature space."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.naive_bayes import GaussianNB

from partwise import PartitionedClassifier
from partwise.cutting import cut, row_keys, table_statistics
from partwise.errors import InputError
from partwise.partitioners import Clustered, make_partitioner
from partwise.routing import Scaling

N_ROWS = 6000


def _blobs(rng):
    sizes = rng.choice(5, N_ROWS, p=[0.7, 0.2, 0.05, 0.03, 0.02])
    return 8.0 * rng.normal(size=(5, 6))[sizes] + rng.normal(size=(N_ROWS, 6))


def _tight_blobs(rng):
    sizes = rng.choice(5, N_ROWS, p=[0.7, 0.2, 0.05, 0.03, 0.02])
    return 100.0 * rng.normal(size=(5, 6))[sizes] + 0.1 * rng.normal(size=(N_ROWS, 6))


def _mixed(rng):
    levels = np.eye(20)[rng.choice(20, N_ROWS, p=np.r_[0.8, np.full(19, 0.2 / 19)])]
    return np.hstack([levels, rng.normal(size=(N_ROWS, 3))])


def _gaps(rng):
    table = rng.normal(size=(N_ROWS, 5))
    table[rng.random(table.shape) < 0.2] = np.nan
    return np.hstack([table, np.full((N_ROWS, 1), np.nan)])


def _frame(rng):
    return pd.DataFrame(
        {
            "amount": rng.lognormal(size=N_ROWS),
            "count": rng.poisson(30, size=N_ROWS),
            "year": rng.integers(1990, 2026, size=N_ROWS),
            "known": rng.random(N_ROWS) < 0.7,
            "rate": pd.array(rng.integers(0, 50, size=N_ROWS), dtype="Int64"),
        }
    )


TABLES = {
    "blobs": _blobs,
    "tight blobs": _tight_blobs,
    "long tails": lambda rng: rng.lognormal(sigma=2.0, size=(N_ROWS, 4)),
    "no mean": lambda rng: rng.standard_cauchy((N_ROWS, 4)),
    "one column": lambda rng: rng.exponential(size=(N_ROWS, 1)) ** 2,
    "one-hot and numbers": _mixed,
    "sparse": lambda rng: sparse.random_array((N_ROWS, 100), density=0.05, format="csr", rng=rng),
    "counts": lambda rng: sparse.csr_matrix(rng.poisson(0.1, size=(N_ROWS, 100)).astype(float)),
    "gaps": _gaps,
    "far from zero": lambda rng: 1e6 + rng.normal(size=(N_ROWS, 3)),
    "frame": _frame,
}


def _cells(table, n_cells, seed=0, overlap=0.0):
    return cut(Clustered(overlap), row_keys(table.shape[0], features=table), n_cells, seed)


@pytest.mark.parametrize("n_cells", [2, 8, 20])
@pytest.mark.parametrize("kind", TABLES)
def test_no_cell_is_over_twice_the_mean(kind, n_cells):
    """Every row is in one cell and no cell is more than twice as large as the mean, whatever the rows are like."""
    table = TABLES[kind](np.random.default_rng(0))
    cells = _cells(table, n_cells)
    assert sorted(np.concatenate(cells.rows)) == list(range(N_ROWS))
    assert cells.sizes.max() <= 2 * N_ROWS / n_cells


def test_rows_beyond_the_sample_keep_cells_of_like_size():
    """Cells that were made on a sample of a larger table are of like size in the table too."""
    cells = _cells(np.random.default_rng(0).normal(size=(60_000, 4)), 16)
    assert cells.sizes.max() <= 2 * 60_000 / 16


def test_cells_are_regions():
    """Blobs that lie apart and are of one size are the cells."""
    which = np.arange(900) % 3
    table = np.array([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]])[which] + np.random.default_rng(0).normal(size=(900, 2))
    assert [len(np.unique(which[rows])) for rows in _cells(table, 3).rows] == [1, 1, 1]


def test_the_scale_of_a_column_does_not_matter():
    """Columns are brought to one scale: metres or millimetres give the same cells."""
    table = np.random.default_rng(0).normal(size=(500, 3))
    expected = _cells(table, 4).rows
    for one, other in zip(_cells(table * [1.0, 1024.0, 2.0**-10], 4).rows, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("overlap", [0.05, 0.2, 0.5, 1.0])
def test_overlap_is_the_share_of_shared_rows(overlap):
    """About that share of the rows is in two cells, all others in one."""
    table = np.random.default_rng(0).normal(size=(N_ROWS, 3))
    copies = np.bincount(np.concatenate(_cells(table, 6, overlap=overlap).rows), minlength=N_ROWS)
    assert set(copies) <= {1, 2}
    assert (copies == 2).mean() == pytest.approx(overlap, abs=0.01)


def test_shared_rows_are_in_their_two_nearest_cells():
    """The own cell is the one without overlap, the other the next nearest; those nearest to a border are shared."""
    keys = row_keys(N_ROWS, features=np.random.default_rng(0).normal(size=(N_ROWS, 3)))
    assignment = Clustered(0.2).fit(table_statistics(keys), keys, 6, 0)
    parts = assignment.parts(keys)
    nearest = np.argsort(assignment.router.distances(keys.features), axis=1)[:, :2]
    shared = parts[:, 1] >= 0
    np.testing.assert_array_equal(parts[:, 0], nearest[:, 0])
    np.testing.assert_array_equal(parts[shared, 1], nearest[shared, 1])
    gaps = assignment.router.nearest(keys.features, 2)[1][:, 1]
    assert gaps[shared].max() <= gaps[~shared].min()
    plain = Clustered().fit(table_statistics(keys), keys, 6, 0)
    np.testing.assert_array_equal(parts[:, 0], plain.parts(keys)[:, 0])


@pytest.mark.parametrize("overlap", [0.0, 0.3])
def test_one_cell_holds_all(overlap):
    """A single cell is the whole table, with and without overlap."""
    assert _cells(np.eye(9), 1, overlap=overlap).rows[0].tolist() == list(range(9))


def test_a_frame_is_cut_as_its_array_is():
    """Column types of a DataFrame do not matter, their numbers do."""
    frame = _frame(np.random.default_rng(0))
    array = frame.to_numpy(dtype=float)
    for one, other in zip(_cells(frame, 5).rows, _cells(array, 5).rows, strict=True):
        np.testing.assert_array_equal(one, other)


def test_missing_values_stand_in_the_middle():
    """A missing value counts as the mean of its column, an infinite one as the largest, in any kind of table."""
    scaling = Scaling.of(np.array([[0.0], [10.0], [np.nan], [np.inf]]))
    assert scaling(np.array([[np.nan], [5.0], [np.inf], [-np.inf], [1e6]])).ravel().tolist() == [0, 0, 3, -3, 3]
    frame = pd.DataFrame({"a": pd.array([0, 10, None], dtype="Int64"), "b": [0.0, 2.0, np.nan]})
    assert Scaling.of(frame)(frame).tolist() == [[-1, -1], [1, 1], [0, 0]]


def test_features_that_span_zero_to_one_keep_their_scale():
    """A rare mark and an even one, both 0 or 1, count alike; standardised, the rare one would count ten times."""
    marks = np.zeros((1000, 2))
    marks[:10, 0] = marks[::2, 1] = 1.0
    assert np.ptp(Scaling.of(marks)(marks), axis=0).tolist() == [1, 1]


@pytest.mark.parametrize("ranges", [[1.0, 2.0], [1.0, 0.1], [1.0, -1.0]])
def test_features_of_other_ranges_are_standardised(ranges):
    """Where one is larger, far smaller or negative, each feature has deviation one."""
    table = np.random.default_rng(0).random((1000, 2)) * ranges
    np.testing.assert_allclose(Scaling.of(table)(table).std(axis=0), 1.0, rtol=1e-4)


def test_a_constant_column_does_not_count():
    """A column of one value adds nothing to distances, and breaks nothing."""
    assert Scaling.of(np.full((5, 1), 7.0))(np.full((5, 1), 7.0)).tolist() == [[0.0]] * 5


def test_fewer_distinct_rows_than_cells_are_refused():
    """Equal rows share a cell, so that cells stay empty: the error says how many cells have rows."""
    table = np.repeat(np.eye(3), 50, axis=0)
    with pytest.raises(InputError, match=r"'clustered' leaves [2-4] of 5 partitions without rows(.|\n)*at most [1-3]"):
        _cells(table, 5)


def test_text_without_an_encoder_is_refused():
    """Distances need numbers: the error names the text, and says to encode it."""
    table = pd.DataFrame({"kind": ["small", "large"] * 20, "size": range(40)})
    model = PartitionedClassifier(GaussianNB(), n_partitions=2, partitioner="clustered", executor="inline")
    with pytest.raises(InputError, match=r"small|large(.|\n)*encoder='table'"):
        model.fit(table, np.arange(40) % 2)


@pytest.mark.parametrize("learner", [GaussianNB(), HistGradientBoostingClassifier(max_iter=3)], ids=str)
def test_rows_far_from_every_cell_are_answered(learner):
    """A row at a million, in any direction, has probabilities like any other."""
    rng = np.random.default_rng(0)
    table, labels = rng.normal(size=(400, 2)), rng.integers(2, size=400)
    model = PartitionedClassifier(
        learner, n_partitions=4, partitioner="clustered", executor="inline", random_state=0
    ).fit(table, labels)
    far = 1e6 * np.array([[1.0, 0.0], [-1.0, 1.0], [1.0, -1.0], [0.0, 1e200]])
    np.testing.assert_allclose(model.predict_proba(far[:3]).sum(axis=1), 1.0)
    if isinstance(learner, HistGradientBoostingClassifier):
        gaps = np.array([[np.nan, 0.0], [np.nan, np.nan], [1e300, -1e300]])
        np.testing.assert_allclose(model.predict_proba(gaps).sum(axis=1), 1.0)


def test_infinite_values_in_the_table_are_cut_too():
    """A row with an infinite value, on which a learner of its own decides, is in one cell and moves no other border."""
    table = np.random.default_rng(0).normal(size=(500, 2))
    table[7] = [np.inf, -np.inf]
    cells = _cells(table, 4)
    assert sorted(np.concatenate(cells.rows)) == list(range(500))
    assert cells.sizes.max() <= 2 * 500 / 4


@pytest.mark.parametrize("overlap", [-0.1, 1.5, float("nan")])
def test_a_wrong_overlap_is_refused(overlap):
    """The error has the value and the valid range."""
    with pytest.raises(InputError, match=r"overlap=(-0\.1|1\.5|nan)(.|\n)*0 to 1"):
        Clustered(overlap=overlap)


def test_a_name_may_carry_the_overlap():
    """What follows the colon is the overlap, and what is no number is refused."""
    assert make_partitioner("clustered:0.1") == Clustered(overlap=0.1)
    with pytest.raises(InputError, match=r"'clustered:much'(.|\n)*0 to 1"):
        make_partitioner("clustered:much")


def _two_blobs(n_strays, rng, first=(0, 2)):
    """Return two far blobs of 3,000 rows, class 1 in the second, other classes in the first with strays of class 1."""
    features = np.repeat([[-5.0, 0.0], [5.0, 0.0]], 3000, axis=0) + rng.normal(size=(6000, 2))
    stratum = np.r_[rng.choice(first, 3000), np.ones(3000, dtype=int)]
    stratum[:n_strays] = 1
    return features, stratum


def _moved(features, stratum, overlap=0.0):
    """Return which rows are in another cell than without classes, and the cut."""
    plain = cut(Clustered(overlap), row_keys(len(features), features=features), 2, 0)
    found = cut(Clustered(overlap), row_keys(len(features), features=features, stratum=stratum), 2, 0)
    return np.flatnonzero(found.home != plain.home), found


@pytest.mark.parametrize(("n_strays", "n_moved"), [(7, 7), (8, 0)])
def test_strays_go_to_the_home_of_their_class(n_strays, n_moved):
    """Rows of a class that are less than 1/400 of their cell are learned in the cell where the class is at home."""
    features, stratum = _two_blobs(n_strays, np.random.default_rng(0))
    moved, found = _moved(features, stratum)
    np.testing.assert_array_equal(moved, np.arange(n_moved))
    assert (found.home[moved] == found.home[-1]).all()


@pytest.mark.parametrize("first", [[0], [2]], ids=["two classes", "three classes, one in the cell"])
def test_no_cell_is_left_with_one_class(first):
    """The few rows of a second class stay: without them there would be nothing to learn in the cell."""
    features, stratum = _two_blobs(7, np.random.default_rng(0), first)
    stratum[-1000:] = max(first)  # so that there are as many classes as the name says
    moved, _ = _moved(features, stratum)
    assert len(moved) == 0


def test_a_class_that_is_rare_everywhere_stays():
    """A class of few rows, spread over all cells, has no other home; the strays of another class still move."""
    rng = np.random.default_rng(0)
    features, stratum = _two_blobs(7, rng)
    stratum[7 + rng.choice(5993, 12, replace=False)] = 3
    moved, _ = _moved(features, stratum)
    np.testing.assert_array_equal(moved, np.arange(7))


def test_a_count_that_chance_may_have_made_moves_nothing():
    """Of a large table some rows are counted: a rare class that they miss in a cell by chance is no stray there."""
    rng = np.random.default_rng(2)
    features, stratum = _two_blobs(0, rng)
    features, stratum = np.repeat(features, 100, axis=0), np.repeat(stratum, 100)
    stratum[rng.choice(600_000, 6, replace=False)] = 3
    moved, _ = _moved(features, stratum)
    assert len(moved) == 0


def test_shared_rows_make_a_class_at_home():
    """Where overlap brings many rows of a class into a cell, the few that were there are no strays."""
    features, stratum = _two_blobs(7, np.random.default_rng(0))
    assert len(_moved(features, stratum, overlap=0.5)[0]) == 0
    assert len(_moved(features, stratum, overlap=0.0)[0]) == 7


def test_a_moved_stray_is_in_one_cell():
    """A stray near the border is learned in the home of its class alone, though cells overlap there."""
    features, stratum = _two_blobs(4, np.random.default_rng(0))
    features[:4] = [-0.2, 0.0]
    moved, found = _moved(features, stratum, overlap=0.001)
    np.testing.assert_array_equal(moved, np.arange(4))
    assert (np.bincount(np.concatenate(found.rows))[:4] == 1).all()


def test_a_handful_of_strays_does_not_spoil_an_expert():
    """Multiclass boosting diverges on a class of a few rows; with their strays moved, experts do not."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(9000, 4))
    side = np.where(rng.random(9000) < 0.5, -8.0, 8.0)
    stratum = (features[:, 0] + 0.5 * features[:, 1] > 0).astype(int) + np.where(side > 0, 2, 0)
    strays = rng.choice(np.flatnonzero(side < 0), 6, replace=False)
    stratum[strays] = 2
    features = np.column_stack([features, side])
    learner = HistGradientBoostingClassifier(early_stopping=False)
    model = PartitionedClassifier(
        learner, n_partitions=2, partitioner="clustered", executor="inline", random_state=0
    ).fit(features, stratum)
    assert (model.partitions_.class_counts == 0).sum() == 4
    assert model.score(features, stratum) > 0.99
