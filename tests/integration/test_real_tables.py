"""Real tables that are sorted, by target or by time, work with the default partitioner, in memory and in files."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.linear_model import Ridge
from sklearn.metrics import balanced_accuracy_score
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

import partwise
from partwise import InlineExecutor, PartitionedClassifier, PartitionedRegressor, RayExecutor
from partwise.partitioners import Ordered, Shuffled
from partwise.stores import PartitionStore
from partwise.tables import ScannedRows

DATA = Path(__file__).parents[2].parent / "shared" / "data"
HEAD = 10_000
K = 8


def _table(name):
    path = DATA / f"{name}.parquet"
    if not path.is_file():
        pytest.skip(f"the table {path} is not on this machine")
    return pd.read_parquet(path)


def _heads_of_runs(table, column, rows):
    runs = (table[column] != table[column].shift()).cumsum()
    return table[table.groupby(runs).cumcount() < rows].reset_index(drop=True)


@pytest.fixture(scope="module")
def attacks():
    """Network connections, sorted by the kind of attack: the first 10,000 of each run, in the order of the file."""
    table = _heads_of_runs(_table("kddcup99_10percent"), "label", HEAD)
    assert (table["label"] != table["label"].shift()).mean() < 0.05, "the table is sorted in runs"
    return table.select_dtypes("number"), table["label"].astype(str)


@pytest.fixture(scope="module")
def diamonds():
    """Diamonds, sorted in blocks of price."""
    table = _table("diamonds")
    return table.drop(columns="price").select_dtypes("number"), table["price"]


def _accuracy(X, y, **settings):
    train = np.random.default_rng(0).random(len(y)) < 0.7
    model = PartitionedClassifier(
        DecisionTreeClassifier(max_depth=8), n_partitions=K, executor="inline", random_state=0, **settings
    ).fit(X[train], y[train])
    return model, balanced_accuracy_score(y[~train], model.predict(X[~train]))


def test_sorted_classes_reach_every_partition(attacks):
    """By default each class with at least as many rows as there are partitions is in every one of them."""
    X, y = attacks
    model = PartitionedClassifier(DecisionTreeClassifier(max_depth=2), n_partitions=K, executor="inline").fit(X, y)
    counts = model.partitions_.class_counts
    totals = y.value_counts().reindex(model.classes_).to_numpy()
    np.testing.assert_array_equal(counts.sum(axis=0), totals)
    assert (counts[:, totals >= K] > 0).all()
    assert (totals < K).any(), "the table has classes that cannot be everywhere"
    assert np.ptp(counts.sum(axis=1)) <= 1


def test_sorted_classes_are_learned(attacks):
    """By default the ensemble tells the classes apart that an ordered cut loses."""
    model, default = _accuracy(*attacks)
    _, ordered = _accuracy(*attacks, partitioner="ordered")
    assert len(model.classes_) > 20
    assert default > ordered + 0.1


def test_sorted_prices_reach_every_partition(diamonds):
    """By default each partition has its share of every tenth of the prices."""
    X, y = diamonds
    model = PartitionedRegressor(Ridge(), n_partitions=K, executor="inline", random_state=0).fit(X, y)
    edges = y.quantile(np.linspace(0, 1, 11)).to_numpy()
    shares = np.stack([np.histogram(y.to_numpy()[rows], edges)[0] for rows in model.partitions_.rows])
    assert (abs(shares / shares.sum(axis=0) - 1 / K) < 0.03).all()


def test_sorted_prices_are_learned(diamonds):
    """By default the ensemble predicts prices that an ordered cut loses."""
    X, y = diamonds
    test = np.arange(len(y)) % 4 == 0
    scores = {
        partitioner: PartitionedRegressor(
            DecisionTreeRegressor(max_depth=8),
            n_partitions=K,
            executor="inline",
            random_state=0,
            **({} if partitioner == "default" else {"partitioner": partitioner}),
        )
        .fit(X[~test], y[~test])
        .score(X[test], y[test])
        for partitioner in ("default", "ordered")
    }
    assert scores["default"] > 0.85
    assert scores["default"] > scores["ordered"] + 0.1


@pytest.fixture(scope="module")
def delays(tmp_path_factory):
    """Three million flights, sorted by time, in a folder with row groups of 1,000,000."""
    folder = tmp_path_factory.mktemp("delays")
    _table("flights_3m").to_parquet(folder / "delays.parquet", row_group_size=1_000_000)
    return folder


def _p_value(folder, partitioner):
    """Return the p-value of the F-test that all partitions have one mean, from what the store noted of each."""
    store = PartitionStore(str(folder / partitioner.name))
    scan = partwise.scan(folder / "delays.parquet", "delay")
    rows = ScannedRows(scan=scan, task="regression", store=store, executor=InlineExecutor())
    rows.encoded(None, 0)[1].cut(partitioner, K, 0, 1)
    (entry,) = store.entries()
    sizes, means, variances = (
        np.array([getattr(part, name) for part in entry.manifest.parts])
        for name in ("n_rows", "target_mean", "target_variance")
    )
    between = sizes @ (means - sizes @ means / sizes.sum()) ** 2 / (K - 1)
    within = sizes @ variances / (sizes.sum() - K)
    return stats.f.sf(between / within, K - 1, sizes.sum() - K)


def test_partitions_of_a_stream_are_samples_of_all_times(delays):
    """The means of the target agree within sampling error where rows are dealt out, and not where they are in order."""
    assert _p_value(delays, Shuffled()) > 0.01
    assert _p_value(delays, Ordered()) < 1e-9


def test_members_of_a_stream_do_not_depend_on_row_groups_or_workers(tmp_path, ray_session):  # noqa: ARG001 - Ray
    """Row groups of 10,000 and of 1,000,000, this process and Ray's workers, the table in memory: the same digests."""
    table = _table("flights_3m")[:400_000]
    features = [name for name in table.columns if name != "delay" and pd.api.types.is_numeric_dtype(table[name])]
    found = set()
    for rows, executor in ((10_000, InlineExecutor()), (1_000_000, RayExecutor()), (None, InlineExecutor())):
        model = PartitionedRegressor(
            DecisionTreeRegressor(max_depth=4),
            n_partitions=K,
            executor=executor,
            random_state=0,
            storage=str(tmp_path / f"store-{rows}"),
        )
        if rows is None:
            model.fit(table[features], table["delay"])
        else:
            table.to_parquet(tmp_path / f"{rows}.parquet", row_group_size=rows)
            model.fit(partwise.scan(tmp_path / f"{rows}.parquet", "delay", columns=features))
        found.add(tuple(member.content_digest for member in model.members_))
    assert len(found) == 1
