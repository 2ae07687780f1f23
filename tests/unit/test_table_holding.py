"""Facts about test rows that are held out of a table which is read in pieces: they are those of a table in memory."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import csv, parquet

import partwise
from partwise.comparison.dataset import Roles, make_dataset
from partwise.errors import InputError
from partwise.executors import InlineExecutor
from partwise.sources import measuring, pieces, read_blocks
from partwise.sources.pieces import FilePiece
from partwise.tables import divide, head, take, task_of

N_ROWS = 1_000
WRITERS = {"csv": csv.write_csv, "parquet": parquet.write_table}


def _table():
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "row": np.arange(N_ROWS),
            "grade": np.sort(rng.choice(["a", "b", "c"], N_ROWS, p=[0.8, 0.19, 0.01])),
            "price": rng.normal(size=N_ROWS),
            "owner": rng.integers(0, 60, N_ROWS),
            "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 40, N_ROWS), unit="D"),
            "part": rng.choice(["train", "TEST"], N_ROWS),
        }
    )


TABLE = _table()


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch):
    """Cut the table into pieces of 150 rows."""
    monkeypatch.setattr(measuring, "_BLOCK_ROWS", 150)


def _divided(target, *, task="classification", split=None, share=0.2, table=TABLE, **roles):
    scan = partwise.scan(table, target, drop=[split] if split else [], **roles)
    return divide(scan, task, InlineExecutor(), share=share, seed=7, test=None, split=split)


def _rows(scan):
    return np.concatenate([block.column("row").to_numpy() for block in read_blocks(scan.source, ["row"])])


@pytest.mark.parametrize(
    ("target", "roles"),
    [
        ("grade", {}),
        ("price", {}),
        ("grade", {"group": "owner"}),
        ("price", {"time": "day"}),
        ("grade", {"split": "part"}),
        ("grade", {"time": "day", "split": "part"}),
    ],
    ids=str,
)
def test_test_rows_are_those_of_the_table_in_memory(target, roles):
    """At random by class, at random, by group, by time, and as a column says."""
    task = "regression" if target == "price" else "classification"
    expected = make_dataset(TABLE, Roles(target=target, **roles), task, seed=7)
    divided = _divided(target, task=task, **roles)
    assert _rows(divided.test).tolist() == expected.test["row"].tolist()
    assert _rows(divided.train).tolist() == expected.train["row"].tolist()


@pytest.mark.parametrize("roles", [{}, {"group": "owner"}, {"time": "day"}], ids=str)
def test_pieces_know_their_rows(roles):
    """On each side, without being read again."""
    divided = _divided("grade", **roles)
    for side in (divided.train, divided.test):
        for piece in side.source.pieces():
            assert piece.n_rows == sum(block.num_rows for block in piece.blocks(["row"]))


@pytest.mark.parametrize("roles", [{}, {"group": "owner"}], ids=str)
def test_what_goes_with_a_task_does_not_grow_with_the_table(roles):
    """Neither levels of categories nor groups are sent with each piece."""
    n_rows = 20_000
    names = [f"a rather long name {row}" for row in range(n_rows)]
    table = pd.DataFrame({"name": pd.Categorical(names), "owner": names, "grade": ["low", "high"] * (n_rows // 2)})
    divided = _divided("grade", table=table, **roles)
    schema = len(pickle.dumps(divided.train.source.schema()))
    piece = replace(divided.train.source.pieces()[0], piece=None)
    assert len(pickle.dumps(piece)) < schema + 2_000
    assert len(pickle.dumps(replace(divided.train.source, source=None))) < 10_000


def test_without_a_share_all_rows_are_trained_on():
    """The training rows are the table itself."""
    divided = _divided("grade", share=0)
    assert divided.test is None
    assert _rows(divided.train).tolist() == list(range(N_ROWS))


def test_the_class_of_one_row_is_trained_on():
    """Whatever the seed, the only row of a class is no test row."""
    table = TABLE.assign(grade=["rare", *["a", "b"] * 499, "a"])
    assert 0 in _rows(_divided("grade", table=table).train)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"split": "grade", "target": "part"}, r"'grade' has the values a, b, c\. Valid: train, test"),
        ({"target": "grade", "table": TABLE.assign(grade="a")}, "1 class only"),
        ({"target": "grade", "time": "one", "table": TABLE.assign(one=1)}, "leaves 0 training and 1,000 test rows"),
        ({"target": "grade", "split": "part", "table": TABLE.assign(part="train")}, "leaves 1,000 training and 0 test"),
        ({"target": "grade", "group": "one", "table": TABLE.assign(one=1)}, "one group only"),
        ({"target": "price", "task": "regression", "table": TABLE[:1]}, "leaves 0 training and 1 test rows"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_leaves_nothing_is_refused(settings, said):
    """Other words, one group, or too few rows: the error says which."""
    target = settings.pop("target")
    with pytest.raises(InputError, match=said):
        _divided(target, **settings)


@pytest.mark.parametrize(
    ("values", "task"),
    [
        (["a", "b"] * 50, "classification"),
        ([True, False] * 50, "classification"),
        (np.arange(100) % 20, "classification"),
        ((np.arange(100) % 3).astype(float), "classification"),
        (np.arange(100) % 21, "regression"),
        (np.arange(100) / 7, "regression"),
    ],
    ids=str,
)
def test_the_task_is_that_of_a_table_in_memory(values, task):
    """Text, booleans and up to 20 whole numbers are classes, everything else is a number."""
    table = pd.DataFrame({"row": np.arange(100), "y": values})
    assert task_of(partwise.scan(table, "y"), InlineExecutor()) == task
    assert make_dataset(table, Roles(target="y"), "auto").task == task


def test_another_table_of_test_rows_brings_its_own_classes():
    """A class that no training row has is a label, not taken for another one."""
    train, test = TABLE.assign(grade=["a", "c"] * 500), TABLE[:10].assign(grade="b")
    scans = (partwise.scan(table, "grade", columns=["row"]) for table in (train, test))
    divided = divide(next(scans), "classification", InlineExecutor(), share=0.2, seed=0, test=next(scans), split=None)
    assert divided.labels.tolist() == ["a", "b", "c"]
    assert (divided.n_train, divided.n_test) == (1_000, 10)


def test_another_table_of_test_rows_of_another_kind_is_refused():
    """Before anything is fitted that could not be judged on it."""
    test = partwise.scan(TABLE.assign(price="dear"), "grade")
    with pytest.raises(InputError, match=r"'price' holds texts .*, and was fitted on numbers"):
        divide(
            partwise.scan(TABLE, "grade"), "classification", InlineExecutor(), share=0, seed=7, test=test, split=None
        )


def test_sides_of_two_columns_are_told_apart():
    """Rows that another column divides are another table, though all else is the same."""
    table = TABLE.assign(other=TABLE["part"].to_numpy()[::-1])
    sides = [
        divide(
            partwise.scan(table, "grade", columns=["row"]),
            "classification",
            InlineExecutor(),
            share=0.2,
            seed=0,
            test=None,
            split=split,
        ).train.source.pieces()[0]
        for split in ("part", "other")
    ]
    assert sides[0].fingerprint != sides[1].fingerprint


def test_the_first_rows_of_a_side_are_read_and_no_further(tmp_path, monkeypatch):
    """Where the first files are all test rows they are not opened, nor is what follows the rows that are wanted."""
    table = pa.table({"x": np.arange(400.0), "day": np.arange(400)[::-1], "y": ["a", "b"] * 200})
    for index in range(4):
        parquet.write_table(table.slice(100 * index, 100), tmp_path / f"{index}.parquet")
    scan = partwise.scan(tmp_path, "y", time="day")
    held = divide(scan, "classification", InlineExecutor(), share=0.5, seed=0, test=None, split=None)
    monkeypatch.setattr(pieces, "block_rows", lambda _: 3)
    read, real = [], FilePiece.blocks

    def noted(piece, columns=None):
        for block in real(piece, columns):
            read.append((Path(piece.file.path).name, block.num_rows))
            yield block

    monkeypatch.setattr(FilePiece, "blocks", noted)
    assert head(held.train, 5, InlineExecutor())["x"].tolist() == [200.0, 201.0, 202.0, 203.0, 204.0]
    assert read == [("2.parquet", 3), ("2.parquet", 3)]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_gap_among_test_rows_counts_for_the_types_of_training_rows(ending, tmp_path):
    """They are those of the whole table in memory, of which training rows are a part, whatever the files tell."""
    table = pd.DataFrame({"whole": np.arange(100.0), "full": range(100), "y": ["a", "b"] * 50})
    table["part"] = ["train"] * 80 + ["test"] * 20
    table.loc[90, "whole"] = np.nan
    arrow = pa.Table.from_pandas(table).replace_schema_metadata()
    arrow = arrow.set_column(0, "whole", arrow["whole"].cast(pa.int64()))
    WRITERS[ending](arrow, tmp_path / f"rows.{ending}")
    scan = partwise.scan(tmp_path / f"rows.{ending}", "y", drop=["part"])
    held = divide(scan, "classification", InlineExecutor(), share=0.2, seed=0, test=None, split="part")
    frame = take(held.train, "classification", held.labels, 100, 0, InlineExecutor()).features
    assert frame.dtypes.to_dict() == {"whole": np.float64, "full": np.int64}
