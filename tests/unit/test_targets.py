"""Facts about targets: what is a class and what a number is the same in memory, in files, and in both commands."""

import datetime as dt
import decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

import partwise
from partwise import InputError, PartitionedClassifier, PartitionedRegressor
from partwise.comparison.dataset import Roles, make_dataset
from partwise.config import TrainConfig
from partwise.executors import InlineExecutor
from partwise.experiment.preparing import Tables
from partwise.experiment.scanning import divided_scan
from partwise.model_store import load_model, save_model
from partwise.sources import open_source

N_ROWS = 300
COUNT = np.arange(N_ROWS) % 3
DAYS = [dt.date(2020, 1, 1) + dt.timedelta(int(each)) for each in COUNT]

CLASSES = {
    "text": pa.array([f"class {each}" for each in COUNT]),
    "long text": pa.array([f"class {each}" for each in COUNT], pa.large_string()),
    "whole numbers": pa.array(COUNT, pa.int32()),
    "booleans": pa.array(COUNT == 1),
    "categories of text": pa.array([f"class {each}" for each in COUNT]).dictionary_encode(),
    "categories of numbers": pa.array(COUNT + 9).dictionary_encode(),
    "decimals": pa.array([decimal.Decimal(int(each)) for each in COUNT]),
    "dates": pa.array(DAYS),
    "times": pa.array(DAYS).cast(pa.timestamp("us")),
    "times of a zone": pa.array(DAYS).cast(pa.timestamp("us")).cast(pa.timestamp("us", "Asia/Tokyo")),
}
NUMBERS = {
    "decimals": pa.array([decimal.Decimal(int(each)) / 4 for each in range(N_ROWS)]),
    "whole numbers": pa.array(np.arange(N_ROWS)),
    "booleans": CLASSES["booleans"],
    "half floats": pa.array(np.arange(N_ROWS).astype("float16")),
}
NEITHER = {
    "times of day": pa.array([dt.time(int(each)) for each in COUNT]),
    "durations": pa.array([dt.timedelta(int(each)) for each in COUNT]),
    "bytes": pa.array([b"x%d" % each for each in COUNT]),
    "lists": pa.array([[float(each)] for each in COUNT]),
    "records": pa.array([{"a": int(each)} for each in COUNT]),
}


def _file(place, target):
    table = pa.table({"x": np.random.default_rng(0).normal(size=N_ROWS), "y": target})
    path = place / "table.parquet"
    parquet.write_table(table, path, row_group_size=100)
    return str(path)


def _both(kind, learner, place, target):
    """Two fits of the same table: from its file, and in memory."""
    path = _file(place, target)
    settings = {"n_partitions": 2, "executor": "inline", "random_state": 0, "storage": str(place / "store")}
    frame = parquet.read_table(path).to_pandas()
    yield lambda: kind(learner, **settings).fit(partwise.scan(path, target="y"))
    yield lambda: kind(learner, **settings).fit(frame[["x"]], frame["y"])


def _digests(model):
    return [member.content_digest for member in model.members_]


@pytest.mark.parametrize("kind", CLASSES)
def test_classes_in_files_are_those_in_memory(kind, tmp_path):
    """Labels, members and predictions are the same, wherever the rows are."""
    in_files, in_memory = (
        fit() for fit in _both(PartitionedClassifier, DecisionTreeClassifier(), tmp_path, CLASSES[kind])
    )
    assert in_files.classes_.tolist() == in_memory.classes_.tolist()
    assert _digests(in_files) == _digests(in_memory)
    rows = pd.DataFrame({"x": np.linspace(-2, 2, 50)})
    assert in_files.predict(rows).tolist() == in_memory.predict(rows).tolist()


@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers_in_files_are_those_in_memory(kind, tmp_path):
    """A regression takes decimals and booleans as numbers, wherever the rows are."""
    in_files, in_memory = (
        fit() for fit in _both(PartitionedRegressor, DecisionTreeRegressor(), tmp_path, NUMBERS[kind])
    )
    assert _digests(in_files) == _digests(in_memory)


@pytest.mark.parametrize("kind", NEITHER)
def test_what_is_neither_is_refused(kind, tmp_path):
    """Classification says of which type the target is and what is valid, wherever the rows are."""
    for fit in _both(PartitionedClassifier, DecisionTreeClassifier(), tmp_path, NEITHER[kind]):
        with pytest.raises(InputError, match=r"The target 'y' is of type .*Valid: numbers(.|\n)*Turn it into"):
            fit()


@pytest.mark.parametrize("kind", ["text", "dates", "times of a zone"])
def test_classes_that_are_no_numbers_are_not_regressed_on(kind, tmp_path):
    """Regression shows a value and names the other task, wherever the rows are."""
    for fit in _both(PartitionedRegressor, DecisionTreeRegressor(), tmp_path, CLASSES[kind]):
        with pytest.raises(InputError, match=r"'y' has values such as .*no numbers(.|\n)*--task classification"):
            fit()


def test_fractions_are_no_classes(tmp_path):
    """Classification shows a fraction and names the other task, wherever the rows are."""
    for fit in _both(PartitionedClassifier, DecisionTreeClassifier(), tmp_path, NUMBERS["decimals"]):
        with pytest.raises(InputError, match=r"'y' has values such as 0\.25\. Take a regressor \(--task regression\)"):
            fit()


def test_values_of_several_types_are_refused():
    """Text among numbers is no label: the message says what to do."""
    target = pd.Series(["a", 1] * 20, dtype=object)
    with pytest.raises(InputError, match=r"values of several types(.|\n)*Turn all of them into text"):
        PartitionedClassifier(DecisionTreeClassifier(), executor="inline").fit(np.ones((40, 1)), target)


def _in_compare(path, task="auto"):
    return make_dataset(parquet.read_table(path).to_pandas(), Roles(target="y"), task)


def _in_train(path, task="auto"):
    config = TrainConfig.checked(data=path, target="y", task=task)
    return divided_scan(Tables(config, open_source(path)), InlineExecutor())


@pytest.mark.parametrize("kind", CLASSES)
def test_both_commands_have_the_same_labels(kind, tmp_path):
    """`compare` and `train` know the same classes, of the type that the target has."""
    path = _file(tmp_path, CLASSES[kind])
    _, divided = _in_train(path)
    labels = _in_compare(path).labels
    assert labels.tolist() == divided.labels.tolist()
    assert labels.dtype.kind == divided.labels.dtype.kind


@pytest.mark.parametrize("kind", NUMBERS)
def test_both_commands_take_the_same_task(kind, tmp_path):
    """What is a number to `train` is one to `compare`."""
    path = _file(tmp_path, NUMBERS[kind])
    assert _in_compare(path).task == _in_train(path)[0]


@pytest.mark.parametrize("ask", [_in_compare, _in_train])
def test_both_commands_refuse_a_class_for_almost_every_row(ask, tmp_path):
    """Names of single rows are no classes: the message has both numbers."""
    path = _file(tmp_path, pa.array([f"name {each}" for each in range(N_ROWS)]))
    with pytest.raises(InputError, match=r"'y' has 300 different values in 300 rows: too many for classes"):
        ask(path)


@pytest.mark.parametrize("ask", [_in_compare, _in_train])
def test_both_commands_refuse_fractions_as_classes(ask, tmp_path):
    """Asked for a classification, they show a fraction."""
    path = _file(tmp_path, pa.array(COUNT + 0.5))
    with pytest.raises(InputError, match=r"'y' has values such as 0\.5\. Take a regressor"):
        ask(path, "classification")


@pytest.mark.parametrize("kind", CLASSES)
def test_a_stored_model_predicts_labels_of_the_same_type(kind, tmp_path):
    """Booleans stay booleans and dates dates when a model is loaded."""
    fit, _ = _both(PartitionedClassifier, DecisionTreeClassifier(), tmp_path, CLASSES[kind])
    model = fit()
    save_model(tmp_path / "model", model.stored())
    rows = pd.DataFrame({"x": np.linspace(-2, 2, 50)})
    said = load_model(tmp_path / "model").predict(rows)
    assert said.dtype == model.predict(rows).dtype
    assert said.tolist() == model.predict(rows).tolist()
