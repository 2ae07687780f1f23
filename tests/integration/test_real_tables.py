"""Real tables that are sorted by their target work with the default partitioner."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import balanced_accuracy_score
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from partwise import PartitionedClassifier, PartitionedRegressor

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
