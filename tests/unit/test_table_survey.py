"""Facts about the counting pass over a table in files: what is wrong with its rows is said at once, before any fit."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

import partwise
from partwise import InputError, PartitionedClassifier, PartitionedRegressor

N_ROWS = 400
WRITERS = {
    "parquet": lambda table, path: table.to_parquet(path),
    "feather": lambda table, path: table.to_feather(path),
    "csv": lambda table, path: table.to_csv(path, index=False),
}
ROLES = {"weight": "weight", "group": "owner", "time": "day"}


def _table():
    """A table in which nothing is wrong."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"x": rng.normal(size=N_ROWS), "grade": rng.choice(["a", "b"], N_ROWS)})
    table["weight"] = 1.0
    table["owner"] = rng.integers(0, 40, N_ROWS).astype(float)
    table["day"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 90, N_ROWS), unit="D")
    return table


def _folder(place, table, ending="parquet"):
    """Write the table to four files, and return the folder."""
    place.mkdir()
    for index in range(4):
        part = table.iloc[index * N_ROWS // 4 : (index + 1) * N_ROWS // 4].reset_index(drop=True)
        WRITERS[ending](part, place / f"{index}.{ending}")
    return place


def _classifier(storage, learner=None):
    learner = DecisionTreeClassifier(max_depth=3) if learner is None else learner
    return PartitionedClassifier(learner, n_partitions=2, executor="inline", random_state=0, storage=str(storage))


def _fit(storage, scan):
    return _classifier(storage).fit(scan)


def _regress(storage, scan):
    settings = {"n_partitions": 2, "executor": "inline", "random_state": 0}
    return PartitionedRegressor(DecisionTreeRegressor(), storage=str(storage), **settings).fit(scan)


@pytest.mark.parametrize("ending", WRITERS)
def test_all_that_is_wrong_is_counted_and_told_at_once(ending, tmp_path):
    """Each mistake is counted over all files, and the one error has a line for each."""
    table = _table()
    table.loc[[0, 150, 399], "grade"] = None
    table.loc[[5, 399], "weight"] = np.nan
    table.loc[[7, 8, 107, 207, 307], "weight"] = -1
    table.loc[[99, 100], "owner"] = np.nan
    table.loc[350:, "day"] = pd.NaT
    with pytest.raises(InputError) as caught:
        _fit(tmp_path, partwise.scan(_folder(tmp_path / "table", table, ending), "grade", **ROLES))
    assert [line.partition(" rows: ")[0::2] for line in str(caught.value).splitlines()] == [
        ("3 of 400", "the target 'grade' is missing (NaN). Drop those rows, or fill them in."),
        ("2 of 400", "the weight 'weight' is missing (NaN) or infinite. Weights are zero or more."),
        ("5 of 400", "the weight 'weight' is negative. Weights are zero or more."),
        ("2 of 400", "the group 'owner' is missing (NaN). Drop those rows, or fill them in."),
        ("50 of 400", "the time 'day' is missing (NaN). Drop those rows, or fill them in."),
    ]


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("grade", None, "target 'grade' is missing"),
        ("weight", np.nan, "weight 'weight' is missing"),
        ("weight", np.inf, r"weight 'weight' is missing \(NaN\) or infinite"),
        ("weight", -0.5, "weight 'weight' is negative"),
        ("owner", np.nan, "group 'owner' is missing"),
        ("day", pd.NaT, "time 'day' is missing"),
    ],
)
def test_one_wrong_row_is_enough(column, value, words, tmp_path):
    """A single row in the last file is found, and nothing is stored."""
    table = _table()
    table.loc[N_ROWS - 1, column] = value
    scan = partwise.scan(_folder(tmp_path / "table", table), "grade", **ROLES)
    with pytest.raises(InputError, match=rf"^1 of 400 rows: the {words}[^\n]*$"):
        _fit(tmp_path / "store", scan)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("role", ["weight", "owner", "day"])
def test_what_has_no_role_may_have_gaps(role, tmp_path):
    """Gaps in a column that the scan does not name are nobody's mistake."""
    table = _table()
    table.loc[3, role] = None
    assert _fit(tmp_path / "store", partwise.scan(_folder(tmp_path / "table", table), "grade", columns=["x"]))


def test_a_folder_that_says_nothing_counts_for_all_its_rows(tmp_path):
    """Groups that folders name may be missing as those in files may."""
    for name in ("1", "2", "__HIVE_DEFAULT_PARTITION__"):
        _folder(tmp_path / f"owner={name}", _table().drop(columns="owner"))
    with pytest.raises(InputError, match=r"^400 of 1,200 rows: the group 'owner' is missing"):
        _fit(tmp_path / "store", partwise.scan(tmp_path, "grade", group="owner", columns=["x"]))


def test_weights_that_are_all_zero_are_refused(tmp_path):
    """Zero is a weight, but not for every row."""
    table = _table()
    table["weight"] = 0.0
    with pytest.raises(InputError, match=r"'weight' is zero on every row(.|\n)*Give some"):
        _fit(tmp_path, partwise.scan(_folder(tmp_path / "table", table), "grade", weight="weight"))


def test_weights_of_which_one_counts_are_taken(tmp_path):
    """Rows of weight zero are rows."""
    table = _table()
    table.loc[: N_ROWS - 100, "weight"] = 0
    scan = partwise.scan(_folder(tmp_path / "table", table), "grade", weight="weight", columns=["x"])
    assert sum(member.n_rows for member in _fit(tmp_path, scan).members_) == N_ROWS


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    """The message names the column and its type."""
    with pytest.raises(InputError, match=r"weight 'grade' is of type \w*string\. Weights are numbers"):
        _fit(tmp_path, partwise.scan(_table(), "owner", weight="grade"))


def test_weights_for_a_learner_that_takes_none_are_refused(tmp_path):
    """The message names the learner, and the next step."""
    with pytest.raises(InputError, match=r"KNeighborsClassifier takes no sample_weight(.|\n)*Leave the weights out"):
        _classifier(tmp_path, KNeighborsClassifier()).fit(partwise.scan(_table(), "grade", weight="weight"))


def test_a_scan_without_target_is_refused(tmp_path):
    """The message says where to name it."""
    with pytest.raises(InputError, match=r"names no target(.|\n)*target=COLUMN"):
        _fit(tmp_path, partwise.scan(_table()))


@pytest.mark.parametrize("name", ["y", "sample_weight", "groups", "time"])
def test_what_is_given_beside_a_scan_is_refused(name, tmp_path):
    """Rows of a scan are told about by its columns: the message says so, and how to name them."""
    with pytest.raises(InputError, match=rf"^{name} cannot be given beside a scan(.|\n)*weight=…, group=…, time=…"):
        _classifier(tmp_path).fit(partwise.scan(_table(), "grade", columns=["x"]), **{name: _table()["owner"]})


@pytest.mark.parametrize("label", ["a", 1, True])
def test_one_class_is_refused(label, tmp_path):
    """Where all files have one class there is nothing to tell apart; the message has the class."""
    scan = partwise.scan(_folder(tmp_path / "table", _table().assign(grade=label)), "grade", columns=["x"])
    with pytest.raises(InputError, match=rf"1 class only \(\['?{label}'?\]\)(.|\n)*Check the target"):
        _fit(tmp_path, scan)


def test_a_class_in_each_file_is_two(tmp_path):
    """Classes are counted over all files, not in each."""
    table = _table().sort_values("grade", ignore_index=True)
    table["grade"] = np.repeat(["a", "a", "a", "b"], N_ROWS // 4)
    model = _fit(tmp_path, partwise.scan(_folder(tmp_path / "table", table), "grade", columns=["x"]))
    assert model.classes_.tolist() == ["a", "b"]


def test_values_are_no_classes(tmp_path):
    """A target of over 10,000 different values is refused: the message names it, and the regressor."""
    table = pa.table({"x": range(10_001), "price": range(10_001)})
    with pytest.raises(InputError, match=r"'price' has over 10,000 different values(.|\n)*regressor"):
        _fit(tmp_path, partwise.scan(table, "price"))


@pytest.mark.parametrize("n_files", [1, 3])
@pytest.mark.parametrize("ending", WRITERS)
def test_a_table_without_rows_is_refused(ending, n_files, tmp_path):
    """Files that have columns and no rows are named, with the next step."""
    (tmp_path / "nothing").mkdir()
    for index in range(n_files):
        WRITERS[ending](_table().iloc[:0], tmp_path / f"nothing/{index}.{ending}")
    with pytest.raises(InputError, match=r"'nothing' has no rows\. Give a table with some"):
        _fit(tmp_path, partwise.scan(tmp_path / "nothing", "grade"))


def test_a_frame_without_rows_is_refused(tmp_path):
    """A table in memory must have rows too."""
    with pytest.raises(InputError, match="has no rows"):
        _fit(tmp_path, partwise.scan(_table().iloc[:0], "grade"))


@pytest.mark.parametrize("ending", WRITERS)
def test_files_without_rows_do_not_count(ending, tmp_path):
    """The members are those of the table without its empty files, whose predictions are for the rows that there are."""
    plain = partwise.scan(_folder(tmp_path / "plain", _table(), ending), "grade", columns=["x"])
    folder = _folder(tmp_path / "table", _table(), ending)
    for name in ("0a", "z"):
        WRITERS[ending](_table().iloc[:0], folder / f"{name}.{ending}")
    model = _fit(tmp_path, partwise.scan(folder, "grade", columns=["x"]))
    expected = _fit(tmp_path, plain)
    assert [each.content_digest for each in model.members_] == [each.content_digest for each in expected.members_]
    assert model.predict(partwise.scan(folder)).tolist() == expected.predict(plain).tolist()


def test_targets_that_are_no_numbers_are_refused(tmp_path):
    """A regression names a value that is none."""
    with pytest.raises(InputError, match=r"'grade' has values such as '[ab]', which are no numbers"):
        _regress(tmp_path, partwise.scan(_folder(tmp_path / "table", _table()), "grade", columns=["x"]))


@pytest.mark.parametrize(("value", "words"), [(np.inf, "infinite"), (-np.inf, "infinite"), (np.nan, "missing")])
def test_values_that_are_no_targets_are_counted(value, words, tmp_path):
    """A regression counts values over all files that nothing can be fitted to."""
    table = _table()
    table.loc[[0, 1, 200, 399], "x"] = value
    with pytest.raises(InputError, match=rf"^4 of 400 rows: the target 'x' is {words}"):
        _regress(tmp_path, partwise.scan(_folder(tmp_path / "table", table), "x", columns=["owner"]))


def test_a_column_that_is_not_needed_is_never_read(tmp_path):
    """A fit on some columns does not ask for the others, here for one that cannot be read."""
    path = tmp_path / "rows.parquet"
    parquet.write_table(pa.Table.from_pandas(_table()[["x", "grade", "owner"]]), path, compression="zstd")
    column = parquet.read_metadata(path).row_group(0).column(2)
    content = bytearray(path.read_bytes())
    start = column.dictionary_page_offset
    content[start : start + column.total_compressed_size] = bytes(column.total_compressed_size)
    path.write_bytes(content)
    assert _fit(tmp_path / "some", partwise.scan(path, "grade", columns=["x"])).feature_names_in_.tolist() == ["x"]
    with pytest.raises(InputError, match=r"rows\.parquet' cannot be read"):
        _fit(tmp_path / "all", partwise.scan(path, "grade"))
