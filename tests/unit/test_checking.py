"""Facts about what is told before any row is read: all mistakes at once, each with the nearest valid value."""

import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import feather, parquet

from partwise.config import CompareConfig, TrainConfig
from partwise.errors import ConfigurationError, InputError
from partwise.executors.ray_tasks import RayExecutor
from partwise.experiment import compare, configured, plan_training, scanning, train
from partwise.experiment.checking import check_before_reading
from partwise.experiment.preparing import Tables
from partwise.experiment.scanning import read_or_scanned
from partwise.sources import files, open_source
from partwise.sources.pieces import FilePiece

N_ROWS = 1_000
COMMANDS = {"compare": (CompareConfig, compare), "train": (TrainConfig, train), "dry run": (TrainConfig, plan_training)}


def _table():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"height": rng.normal(size=N_ROWS), "width": rng.normal(size=N_ROWS)})
    table["town"] = rng.choice(["Alba", "Asti"], N_ROWS)
    table["day"] = pd.date_range("2020-01-01", periods=N_ROWS, freq="D")
    table["cultivar"] = rng.choice(["barbera", "barolo"], N_ROWS)
    return table


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a table of which no row may be read, and no Ray to be started."""
    _table().to_parquet(tmp_path / "wine.parquet", index=False)

    def never(*_):
        pytest.fail("a row was read, or Ray was started, before the mistake was told")

    monkeypatch.setattr(FilePiece, "blocks", never)
    monkeypatch.setattr(RayExecutor, "connect", never)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _told(command, **settings):
    """The mistakes that a command tells of this table."""
    kind, run = COMMANDS[command]
    with pytest.raises(InputError) as caught:
        run(configured(kind, {"data": "wine.parquet", "target": "cultivar", "tracking_uri": "off"} | settings))
    error = caught.value
    return error.mistakes if isinstance(error, ConfigurationError) else (str(error),)


@pytest.mark.parametrize("command", COMMANDS)
def test_typos_are_told_together_with_the_nearest_values(command, place):  # noqa: ARG001 - no row is read
    """Names of methods and of columns: one answer has a line for each mistake, and the value that was meant."""
    told = _told(
        command,
        learner="random_forst",
        metric="acuracy",
        combine="weigted",
        partitioner="shufled",
        target="cultivat",
        time="dai",
        group="towm",
        weight="widht",
        drop=("heigt",),
    )
    meant = [re.search(r"Did you mean '(\w+)'", line).group(1) for line in told]
    names = ["random_forest", "accuracy", "shuffled", "weighted"]
    assert meant == [*names, "cultivar", "day", "town", "width", "height"]
    assert all("Valid: " in line for line in told)


@pytest.mark.parametrize("command", COMMANDS)
def test_parameters_and_columns_are_told_together(command, place):  # noqa: ARG001 - no row is read
    """What only the learner and the table know is one answer too."""
    told = _told(command, target="cultivat", learner="tree", param=("max_depht=3",), cpus_per_member=999)
    assert [line.partition(" ")[0] for line in told] == ["--target", "Unknown", "--cpus-per-member"]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"metric": "r2"}, r"Metric 'r2' cannot judge classification"),
        ({"learner": "svr"}, r"Learner 'svr' is not for classification\. Use 'svc'"),
        ({"learner": "knn", "weight": "width"}, r"KNeighborsClassifier takes no sample_weight"),
        ({"combine": "route", "partitioner": "shuffled"}, r"does not go with combine='route'"),
        ({"learner": "svc", "combine": "pool"}, r"SVC"),
        ({"task": "regression"}, r"--target 'cultivar' holds text, no numbers(.|\n)*--task classification"),
        ({"target": "height", "partitioner": "stratified", "task": "regression"}, r"'stratified' needs classes"),
        ({"partitions": 801}, r"--partitions 801 for 800 training rows\. Valid: 1 to 800"),
        ({"weight": "town"}, r"--weight 'town' is of type \w*string\. Weights are numbers"),
        ({"group": "cultivar"}, r"--group 'cultivar' is the target"),
        ({"output": "wine.parquet"}, r"run directory .* is a file"),
        ({"output": "."}, r"is not empty"),
        ({"storage": "s4://bucket"}, r"'s4://bucket' cannot be opened"),
        ({"target": None}, r"--target COLUMN is required(.|\n)*Valid: height, width"),
        ({"drop": ("height", "width", "town", "day")}, r"No column is left as a feature"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_told_before_a_row_is_read(command, settings, said, place):  # noqa: ARG001 - as above
    """The schema tells the task, and so what goes with it."""
    (told,) = _told(command, **settings)
    assert re.search(said, told)


def test_a_metric_that_needs_all_rows_at_once_is_told_by_train(place):  # noqa: ARG001 - no row is read
    """The valid ones are named, and the command that takes the others."""
    (told,) = _told("train", metric="average_precision")
    assert re.search(r"Metric 'average_precision' takes all test rows at once.*Valid: accuracy.*compare", told)


def test_an_alternative_that_the_learner_lacks_is_told_by_compare(place):  # noqa: ARG001 - no row is read
    """Learning bit by bit is not for every learner."""
    (told,) = _told("compare", also=("incremental",), learner="tree")
    assert "--also incremental needs a learner with partial_fit" in told
    (told,) = _told("compare", also=("allreduce",), learner="tree")
    assert "'tree' is none. Valid: xgboost, lightgbm, torch_mlp" in told


@pytest.mark.parametrize("command", COMMANDS)
def test_what_a_test_table_lacks_is_told_before_a_row_is_read(command, place):
    """Columns that are not there, and others that hold another kind of values."""
    other = _table().rename(columns={"width": "widht"}).drop(columns="cultivar").assign(town=1.0)
    other.to_parquet(place / "test.parquet", index=False)
    lacking, missing, unlike = _told(command, test="test.parquet")
    assert lacking == "--target 'cultivar' is no column of the test table. Valid: height, widht, town, day."
    assert missing.startswith("The test table lacks the feature 'width'. Did you mean 'widht'?")
    assert unlike.startswith("'town' holds texts in the table and numbers in the test table. Bring both to one type")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", [pa.decimal128(9, 2), pa.duration("s"), pa.time32("s")], ids=str)
def test_what_is_no_time_is_told_by_its_type(command, kind, place):
    """Decimals, durations and times of day do not say when a row was: the schema is enough to know."""
    table = parquet.read_table(place / "wine.parquet", use_threads=False).append_column("at", pa.nulls(N_ROWS, kind))
    parquet.write_table(table, place / "wine.parquet")
    (told,) = _told(command, time="at")
    assert re.search(r"--time 'at' is of type .*\. Valid: integers, floats, dates, text", told)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (pa.array([[1.0]] * N_ROWS), r"The feature 'odd' is of type list<\w+: double>\. Valid: one value in each row"),
        (pa.array([{"a": 1}] * N_ROWS), None),
    ],
    ids=["lists", "records"],
)
def test_lists_are_no_features(values, said, place):
    """Several values in a row are refused by name; records are text to the encoder."""
    table = parquet.read_table(place / "wine.parquet", use_threads=False).append_column("odd", values)
    parquet.write_table(table, place / "wine.parquet")
    if said is None:
        assert plan_training(TrainConfig.checked(data="wine.parquet", target="cultivar")).n_features == 5
    else:
        assert re.search(said, _told("train")[0])


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, (800, 200)),
        ({"test_size": 0.0}, (1000, 0)),
        ({"test_size": 0.25, "time": "day"}, (750, 250)),
        ({"test": "test.parquet"}, (1000, 300)),
        ({"split_column": "town"}, (None, None)),
    ],
    ids=str,
)
def test_a_plan_tells_training_and_test_rows_apart(settings, expected, place):
    """Rows to test on are none to train on; where only the rows themselves tell, the plan says so."""
    _table().head(300).to_parquet(place / "test.parquet", index=False)
    plan = plan_training(TrainConfig.checked(data="wine.parquet", target="cultivar", partitions=5, **settings))
    assert (plan.n_rows, plan.n_train, plan.n_test) == (N_ROWS, *expected)
    assert plan.is_estimate == bool({"time", "split_column"} & set(settings))
    assert plan.partition_rows == (None if expected[0] is None else expected[0] // 5)


def test_files_that_do_not_tell_their_rows_are_planned_all_the_same(place):
    """A CSV file tells its size alone: a partition has its share of what is to train on."""
    _table().to_csv(place / "wine.csv", index=False)
    plan = plan_training(TrainConfig.checked(data="wine.csv", target="cultivar", partitions=4))
    assert (plan.n_rows, plan.n_train, plan.n_test) == (None, None, None)
    assert plan.partition_bytes == pytest.approx(plan.table_bytes * 0.8 / 4, abs=1)


@pytest.mark.parametrize(
    ("n_rows", "said"),
    [
        (0, "'wine' has no rows. Give a table with some."),
        (1, "No row is left to train on. Give a table with more rows, or a smaller --test-size."),
    ],
)
def test_a_table_that_is_too_small_is_told_so(n_rows, said, place):
    """The message says what to do, not that no number of partitions is valid."""
    _table().head(n_rows).to_parquet(place / "wine.parquet", index=False)
    assert _told("train") == (said,)


def test_the_valid_range_of_a_number_is_told():
    """A setting out of its range is answered with the range."""
    with pytest.raises(ConfigurationError, match=r"--test-size 1\.5 is wrong\. Valid: less than 1\.$"):
        TrainConfig.checked(data="wine.parquet", test_size=1.5)


def test_a_plan_counts_what_a_packed_batch_takes(place):
    """Who reads a Feather file of one batch holds all of it, which may be more than a partition."""
    table = pa.table({"x": np.zeros(1_000_000), "y": np.zeros(1_000_000)})
    feather.write_feather(table, place / "x.feather", compression="lz4", chunksize=1_000_000)
    parquet.write_table(table, place / "x.parquet")
    packed, other = (
        plan_training(TrainConfig.checked(data=name, target="y", partitions=100)).worker_bytes
        for name in ("x.feather", "x.parquet")
    )
    assert packed - other > 0.9 * table.nbytes


def test_both_tables_are_measured_once(tmp_path, monkeypatch):
    """From the check before a row is read to training and test rows, in either command."""
    for name in ("train", "test"):
        _table().to_parquet(tmp_path / f"{name}.parquet", index=False)
    seen, real = [], files.measure
    monkeypatch.setattr(files, "measure", lambda located: [seen.append(located.given), real(located)][1])
    data, test = (str(tmp_path / f"{name}.parquet") for name in ("train", "test"))
    config = TrainConfig.checked(data=data, test=test, target="cultivar", partitions=2, storage=str(tmp_path / "store"))
    tables = Tables(config, open_source(data))
    check_before_reading(tables)
    read_or_scanned(tables, lambda _: None)
    assert sorted(seen) == [test, data]


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_run_that_goes_on_takes_its_rows_as_it_did(in_memory, tmp_path, monkeypatch):
    """However much memory is free by then: its table would count as another one."""
    _table().to_parquet(tmp_path / "table.parquet", index=False)
    monkeypatch.setattr(scanning, "available_memory", lambda: 1 if in_memory else None)
    data = str(tmp_path / "table.parquet")
    tables = Tables(CompareConfig.checked(data=data, target="cultivar", partitions=2), open_source(data))
    first = read_or_scanned(tables, lambda _: None)
    again = read_or_scanned(tables, lambda _: None, in_memory=in_memory)
    assert ((first.train is None), (again.train is None)) == (not in_memory, in_memory)
    assert again.facts["in_memory"] == in_memory
    assert again.facts["digest"] != first.facts["digest"]
