"""What every partitioner promises; a new one joins by its entry in PARTITIONERS."""

import pickle
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partwise.cutting import cut, rank_within, row_keys, table_statistics
from partwise.errors import InputError
from partwise.partitioners import PARTITIONERS, make_partitioner
from partwise.records import RowKeys

EVEN = {"ordered", "shuffled", "stratified"}
RANDOM = {"grouped", "shuffled", "stratified"}

COPIES = {name for name, kind in PARTITIONERS.items() if kind().gives == "copies"}
CELLS = {name for name, kind in PARTITIONERS.items() if kind().gives == "cells"}

every_partitioner = pytest.mark.parametrize("name", sorted(PARTITIONERS))
every_disjoint = pytest.mark.parametrize("name", sorted(set(PARTITIONERS) - COPIES))


@st.composite
def tables(draw, fewest_rows=1):
    """Keys of a table, a possible number of partitions, and a seed; classes and groups are codes without gaps.

    There are ``fewest_rows`` for each partition, or more.
    """
    n_partitions = draw(st.integers(1, 9))
    n_rows = draw(st.integers(n_partitions * fewest_rows, 150 + n_partitions * fewest_rows))
    n_groups = draw(st.integers(n_partitions, n_rows))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    n_classes = min(draw(st.integers(1, 5)), n_rows)
    stratum = np.concatenate([np.arange(n_classes), rng.integers(n_classes, size=n_rows - n_classes)])
    groups = np.concatenate([np.arange(n_groups), rng.geometric(0.3, size=n_rows - n_groups) % n_groups])
    keys = row_keys(
        n_rows,
        stratum=rng.permutation(stratum),
        groups=rng.permutation(groups),
        time=rng.integers(max(1, n_rows // 3), size=n_rows),
        features=rng.normal(size=(n_rows, 3)),
    )
    return keys, n_partitions, draw(st.integers(0, 2**32 - 1))


def _on_tables(name):
    """Check a fact on drawn tables: on fewer where partitions are cells, which take some iterations.

    A handful of rows cannot always be cut into cells without an empty one.
    """
    cells = name in CELLS

    def check(fact):
        drawn = given(table=tables(fewest_rows=20 if cells else 1))(fact)
        settings(max_examples=12 if cells else 100, deadline=None)(drawn)()

    return check


def _assignment(name, keys, n_partitions, seed):
    return PARTITIONERS[name]().fit(table_statistics(keys), keys, n_partitions, seed)


def _parts(name, keys, n_partitions, seed):
    parts = _assignment(name, keys, n_partitions, seed).parts(keys)
    assert parts.shape == (len(keys.positions), 1)
    return parts[:, 0]


def _take(keys, rows):
    columns = {field.name: getattr(keys, field.name) for field in fields(RowKeys)}
    return RowKeys(**{name: None if column is None else column[rows] for name, column in columns.items()})


@every_disjoint
def test_every_row_is_in_one_partition(name):
    """No row is dropped, none is repeated, and each partition's rows are in the order of the table."""

    @_on_tables(name)
    def _fact(table):
        keys, n_partitions, seed = table
        partitions = cut(PARTITIONERS[name](), keys, n_partitions, seed)
        assert len(partitions.rows) == n_partitions
        assert sorted(np.concatenate(partitions.rows)) == list(range(len(keys.positions)))
        assert all((np.diff(rows) > 0).all() for rows in partitions.rows)
        assert all(partitions.sizes > 0)


@pytest.mark.parametrize("name", sorted(COPIES))
@given(table=tables())
def test_copies_hold_every_row(name, table):
    """Where partitions are copies each has all rows, in the order of the table."""
    keys, n_partitions, seed = table
    everything = np.arange(len(keys.positions))
    partitions = cut(PARTITIONERS[name](), keys, n_partitions, seed)
    assert [np.array_equal(rows, everything) for rows in partitions.rows] == [True] * n_partitions
    parts = _assignment(name, keys, n_partitions, seed).parts(keys)
    np.testing.assert_array_equal(parts, np.tile(np.arange(n_partitions), (len(everything), 1)))


@every_partitioner
def test_class_counts_are_those_of_the_rows(name):
    """The counts that come with the partitions are the rows of each class, also of classes that one lacks."""

    @_on_tables(name)
    def _fact(table):
        keys, n_partitions, seed = table
        partitions = cut(PARTITIONERS[name](), keys, n_partitions, seed)
        n_classes = keys.stratum.max() + 1
        expected = [[(keys.stratum[rows] == code).sum() for code in range(n_classes)] for rows in partitions.rows]
        np.testing.assert_array_equal(partitions.class_counts, expected)


@pytest.mark.parametrize("name", sorted(EVEN))
@given(table=tables())
def test_sizes_differ_by_at_most_one(name, table):
    """Where the method allows, the largest partition has at most one row more than the smallest."""
    sizes = np.bincount(_parts(name, *table), minlength=table[1])
    assert sizes.max() - sizes.min() <= 1


@given(table=tables())
def test_stratified_deals_each_class_evenly(table):
    """The rows of each class differ by at most one between partitions."""
    keys, n_partitions, _ = table
    counts = cut(PARTITIONERS["stratified"](), *table).class_counts
    assert counts.shape[0] == n_partitions
    assert (counts.max(axis=0) - counts.min(axis=0)).max() <= 1
    assert counts.sum() == len(keys.positions)


@every_partitioner
def test_blocks_get_the_partitions_of_the_whole(name):
    """Blocks of any size, in any order of rows, get what the whole table gets: memory and stream agree."""

    @_on_tables(name)
    def _fact(table):
        keys, n_partitions, seed = table
        assignment = _assignment(name, keys, n_partitions, seed)
        whole = assignment.parts(keys)
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(whole))
        edges = np.sort(rng.integers(len(whole) + 1, size=rng.integers(6)))
        for rows in [*np.split(np.arange(len(whole)), edges), order]:
            np.testing.assert_array_equal(assignment.parts(_take(keys, rows)), whole[rows])


@every_partitioner
def test_an_assignment_survives_pickle(name):
    """An assignment that crossed a process boundary gives the same partitions."""

    @_on_tables(name)
    def _fact(table):
        keys, n_partitions, seed = table
        assignment = _assignment(name, keys, n_partitions, seed)
        copy = pickle.loads(pickle.dumps(assignment))  # noqa: S301 - our own bytes
        np.testing.assert_array_equal(copy.parts(keys), assignment.parts(keys))
        assert copy.n_partitions == n_partitions


@every_partitioner
def test_the_same_seed_gives_the_same_partitions(name):
    """Nothing but the table, the number of partitions and the seed decides."""

    @_on_tables(name)
    def _fact(table):
        keys, n_partitions, seed = table
        first, again = (_assignment(name, keys, n_partitions, seed).parts(keys) for _ in range(2))
        np.testing.assert_array_equal(first, again)


@every_partitioner
def test_a_partitioner_says_what_its_partitions_are(name):
    """Partitions are samples of the table, cells of the feature space, or copies; a router comes with cells alone."""
    gives = PARTITIONERS[name]().gives
    assert gives in {"samples", "cells", "copies"}
    rng = np.random.default_rng(0)
    keys = row_keys(200, stratum=np.arange(200) % 2, groups=np.arange(200), features=rng.normal(size=(200, 2)))
    assert (cut(PARTITIONERS[name](), keys, 3, 0).router is not None) == (gives == "cells")


@pytest.mark.parametrize("name", sorted(RANDOM))
def test_another_seed_gives_other_partitions(name):
    """Each of ten seeds gives a cut of its own."""
    keys = row_keys(200, stratum=np.arange(200) % 3, groups=np.arange(200) // 2)
    cuts = {tuple(_parts(name, keys, 4, seed).tolist()) for seed in range(10)}
    assert len(cuts) == 10


@pytest.mark.parametrize("name", sorted(EVEN & RANDOM))
def test_random_cuts_do_not_follow_the_order_of_the_table(name):
    """Of a table that is sorted by what matters, each partition gets its share of every tenth."""
    keys = row_keys(10_000, stratum=np.arange(10_000) // 5000)
    partitions = cut(PARTITIONERS[name](), keys, 4, 0)
    for rows in partitions.rows:
        counts = np.histogram(rows, bins=10, range=(0, 10_000))[0]
        assert abs(counts - 250).max() < 5 * np.sqrt(250)


@given(table=tables())
def test_a_group_never_crosses(table):
    """All rows of one group are in one partition."""
    parts = _parts("grouped", *table)
    groups = table[0].group
    assert all(len(np.unique(parts[groups == group])) == 1 for group in np.unique(groups))


@given(table=tables())
def test_grouped_sizes_differ_by_one_group_at_most(table):
    """The largest partition exceeds the smallest by no more than the rows of the largest group."""
    sizes = np.bincount(_parts("grouped", *table), minlength=table[1])
    assert sizes.max() - sizes.min() <= np.bincount(table[0].group).max()


def test_an_unknown_group_belongs_nowhere():
    """A row whose group the statistics lack gets -1, not the partition of some other group."""
    keys = row_keys(4, groups=["b", "d", "b", "f"])
    strangers = row_keys(4, groups=["a", "c", "d", "z"])
    assert (_assignment("grouped", keys, 2, 0).parts(strangers)[:, 0] == -1).tolist() == [True, True, False, True]


@given(table=tables())
def test_ordered_is_contiguous_in_time(table):
    """Along time, and among equal times along the table, the partition never falls."""
    keys = table[0]
    assert (np.diff(_parts("ordered", *table)[np.lexsort((keys.positions, keys.time))]) >= 0).all()


@given(table=tables())
def test_ordered_without_time_is_contiguous_in_the_table(table):
    """Where no time is given, the partition never falls along the table, and sizes differ by at most one."""
    keys, n_partitions, seed = table
    parts = _parts("ordered", RowKeys(positions=keys.positions), n_partitions, seed)
    assert (np.diff(parts) >= 0).all()
    assert np.ptp(np.bincount(parts, minlength=n_partitions)) <= 1


def test_equal_times_are_cut_in_the_order_of_the_table():
    """A cut that falls among rows of one time takes the earlier rows first."""
    keys = row_keys(6, time=[1, 0, 1, 1, 0, 1])
    assert _parts("ordered", keys, 3, 0).tolist() == [1, 0, 1, 2, 0, 2]


@pytest.mark.parametrize(
    "times",
    [
        ["2026-01-03", "2026-01-01", "2026-01-04", "2026-01-02"],
        pd.to_datetime(["2026-01-03", "2026-01-01", "2026-01-04", "2026-01-02"]),
        pd.Series(pd.to_datetime(["2026-01-03", "2026-01-01", "2026-01-04", "2026-01-02"]).tz_localize("Asia/Tokyo")),
        [3.5, 1.5, 4.5, 2.5],
    ],
    ids=["text", "dates", "zoned", "numbers"],
)
def test_times_of_every_kind_order_rows(times):
    """Text, dates with and without zone, and numbers cut a table alike."""
    assert _parts("ordered", row_keys(4, time=times), 2, 0).tolist() == [1, 0, 1, 0]


def test_ranks_count_the_earlier_rows_of_a_class():
    """The rank of a row is the number of rows of its class before it."""
    assert rank_within(np.array([1, 0, 1, 1, 0, 3])).tolist() == [0, 0, 1, 2, 1, 0]


@every_partitioner
@pytest.mark.parametrize("n_partitions", [-1, 0, 21])
def test_impossible_numbers_of_partitions_are_refused(name, n_partitions):
    """The error names the number that was given and the valid range."""
    keys = row_keys(20, stratum=np.arange(20) % 2, groups=np.arange(20), features=np.eye(20))
    with pytest.raises(InputError, match=rf"n_partitions={n_partitions}\b(.|\n)*1 to 20"):
        cut(PARTITIONERS[name](), keys, n_partitions, 0)


@pytest.mark.parametrize(
    ("name", "missing"), [("clustered", "encoded features"), ("grouped", "groups"), ("stratified", "classes")]
)
def test_what_a_partitioner_needs_is_asked_for(name, missing):
    """A cut without what decides it is refused; the error names the partitioner and what it lacks."""
    with pytest.raises(InputError, match=f"'{name}' needs {missing}"):
        cut(PARTITIONERS[name](), row_keys(10), 2, 0)


def test_fewer_groups_than_partitions_are_refused():
    """A partition without a group would be empty: the error says how many partitions are possible."""
    with pytest.raises(InputError, match=r"3 groups cannot fill 4(.|\n)*at most 3"):
        cut(PARTITIONERS["grouped"](), row_keys(12, groups=list("aabbccaabbcc")), 4, 0)


@pytest.mark.parametrize(("what", "values"), [("groups", ["a", None, "b"]), ("time", [1.0, np.nan, 2.0])])
def test_missing_keys_are_refused(what, values):
    """A row without group or time has no partition: the error counts them."""
    with pytest.raises(InputError, match=f"{what} has 1 missing"):
        row_keys(3, **{what: values})


@every_partitioner
def test_the_name_makes_the_settings(name):
    """The name by which users ask for a partitioner is the one it gives itself."""
    assert make_partitioner(name).name == name
