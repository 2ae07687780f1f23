"""`partwise predict` before, between and after its work: what it refuses, what it leaves, and how it goes on."""

import shutil
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import csv, parquet
from sklearn.tree import DecisionTreeClassifier

import partwise
from fakes import TellsProcess, wine_table
from partwise.cli import main
from partwise.errors import InputError
from partwise.executors import InlineExecutor
from partwise.experiment import PredictConfig, predict
from partwise.experiment import predicting as prediction
from partwise.experiment.prediction_file import PredictionFile
from partwise.model_store import load_model, save_model
from partwise.sources import open_source
from partwise.tables import matched

TABLE = wine_table()
TABLE["bottled"] = pd.to_datetime(TABLE["bottled"])
TABLE["vintage"] = np.arange(len(TABLE)) % 7
TABLE["lot"] = [f"{number % 50:03d}" for number in range(len(TABLE))]
TABLE["sweet"] = TABLE["vintage"] > 3
FEATURES = TABLE.drop(columns="cultivar")


def _fit(features, place):
    model = partwise.PartitionedClassifier(
        DecisionTreeClassifier(max_depth=4, random_state=0),
        n_partitions=2,
        encoder="table",
        executor="inline",
        random_state=0,
    )
    model.fit(features, TABLE["cultivar"])
    return save_model(place, model.stored())


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A stored model of the table."""
    return _fit(FEATURES, tmp_path_factory.mktemp("stored") / "model")


@pytest.fixture
def folder(stored, tmp_path):
    """A folder with the model, and three files of the table."""
    shutil.copytree(stored, tmp_path / "model")
    (tmp_path / "wine").mkdir()
    for index, rows in enumerate(np.array_split(np.arange(len(TABLE)), 3)):
        TABLE.iloc[rows].to_parquet(tmp_path / "wine" / f"{index}.parquet", index=False)
    return tmp_path


def _predict(folder, output="out.parquet", data="wine", **settings):
    config = PredictConfig(model=folder / "model", data=str(folder / data), output=folder / output, **settings)
    return predict(config, executor=InlineExecutor())


def _names(folder):
    return {path.name for path in folder.iterdir()}


def _stop_after(n_pieces, monkeypatch, stop=KeyboardInterrupt):
    """Let so many pieces be predicted, and then stop the run."""
    real, begun = prediction.outputs_of, []

    def counted(model, piece, further):
        if len(begun) == n_pieces:
            raise stop
        begun.append(piece)
        return real(model, piece, further)

    monkeypatch.setattr(prediction, "outputs_of", counted)


def _stopped(folder, monkeypatch, n_pieces=2, **settings):
    with monkeypatch.context() as patch:
        _stop_after(n_pieces, patch)
        with pytest.raises(KeyboardInterrupt) as stop:
            _predict(folder, **settings)
    return stop.value


def _no_row_is_read(monkeypatch):
    """Let a run fail that gets as far as reading rows."""
    _stop_after(0, monkeypatch, AssertionError("a row was read"))


@pytest.mark.parametrize("name", ["bottle", None])
def test_what_pandas_wrote_as_index_can_be_kept(name, folder):
    """It is a column of the output like any other, under the name that it has in the file."""
    numbers = [f"number {index}" for index in range(len(TABLE))]
    TABLE.set_index(pd.Index(numbers, name=name)).to_parquet(folder / "one.parquet")
    kept = name or "__index_level_0__"
    _predict(folder, data="one.parquet", keep=(kept,))
    table = pd.read_parquet(folder / "out.parquet")
    assert list(table.columns) == [kept, "prediction"]
    assert table[kept].tolist() == numbers


def test_a_column_that_is_kept_twice_is_written_once(folder):
    """Repeating --keep is no mistake."""
    _predict(folder, keep=("lot", "lot"))
    assert parquet.read_schema(folder / "out.parquet").names == ["lot", "prediction"]


def test_an_unknown_column_to_keep_is_told_with_the_nearest(folder):
    """The message has what can be kept."""
    with pytest.raises(InputError, match=r"Unknown column 'growr'\. Valid: .*Did you mean 'grower'\?"):
        _predict(folder, keep=("growr",))


def test_csv_holds_dates_quotes_and_gaps(folder):
    """What is kept comes back from a CSV file as it was."""
    said = ['say "when"', "a,b", None, "two\nlines", ""]
    days = [date(2020, 1, day) for day in range(1, 6)]
    times = pd.date_range("2020-01-01 12:30", periods=5, freq="s").to_pydatetime().tolist()
    kept = pa.table({"said": said, "day": days, "at": times, "gap": [1, None, 3, 4, 5]})
    rows = pa.Table.from_pandas(FEATURES.head(5), preserve_index=False)
    for name in kept.column_names:
        rows = rows.append_column(name, kept[name])
    parquet.write_table(rows, folder / "one.parquet")
    _predict(folder, "out.csv", "one.parquet", keep=tuple(kept.column_names))
    options = csv.ConvertOptions(strings_can_be_null=True, quoted_strings_can_be_null=False)
    parsing = csv.ParseOptions(newlines_in_values=True)
    found = csv.read_csv(folder / "out.csv", parse_options=parsing, convert_options=options)
    assert found.drop_columns(["prediction"]).to_pydict() == kept.to_pydict()


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("a folder.parquet", r"a folder\.parquet' is a folder\. Give a file in it, such as .*predictions\.parquet"),
        ("wine", r"is a folder"),
        ("out.txt", r"of an unknown kind\. Valid endings: \.parquet, \.csv"),
        ("/proc/out.parquet", r"'/proc/out\.parquet' cannot be written by (.|\n)* Give a place that"),
        ("wine/1.parquet", r"is one of the files to predict(.|\n)*Give another"),
        ("link.parquet", r"is one of the files to predict"),
        ("nowhere/out.csv", r"There is no folder .*nowhere' to write to\. Make it first"),
    ],
)
def test_an_output_that_cannot_be_written_is_told_before_a_row_is_read(output, said, folder, monkeypatch):
    """Also with --overwrite; nothing is left behind."""
    (folder / "a folder.parquet").mkdir()
    (folder / "link.parquet").symlink_to(folder / "wine" / "0.parquet")
    before = _names(folder), _names(folder / "wine")
    _no_row_is_read(monkeypatch)
    with pytest.raises(InputError, match=said):
        _predict(folder, output, overwrite=True)
    assert (_names(folder), _names(folder / "wine")) == before


def test_a_column_that_csv_cannot_hold_is_told_before_a_row_is_read(folder, monkeypatch):
    """Lists go into Parquet alone."""
    rows = pa.Table.from_pandas(FEATURES, preserve_index=False)
    parquet.write_table(rows.append_column("tags", pa.array([["a"]] * len(TABLE))), folder / "one.parquet")
    _no_row_is_read(monkeypatch)
    with pytest.raises(InputError, match=r"a \.csv file cannot hold 'tags' \(list<.*>\)\. (.|\n)*: \.parquet"):
        _predict(folder, "out.csv", "one.parquet", keep=("tags",))


def test_a_table_without_rows_is_told_before_a_row_is_read(folder, monkeypatch):
    """Parquet files say how many rows they have."""
    TABLE.head(0).to_parquet(folder / "none.parquet", index=False)
    _no_row_is_read(monkeypatch)
    with pytest.raises(InputError, match="'none' has no rows"):
        _predict(folder, data="none.parquet")


def test_a_table_that_turns_out_to_have_no_rows_leaves_nothing(folder):
    """A CSV file with a header alone is found out by reading it."""
    FEATURES.head(0).to_csv(folder / "none.csv", index=False)
    before = _names(folder)
    with pytest.raises(InputError, match="has no rows"):
        _predict(folder, data="none.csv")
    assert _names(folder) == before


def test_a_file_without_rows_among_others_adds_none(folder):
    """The other files are predicted."""
    TABLE.head(0).to_parquet(folder / "wine" / "0b.parquet", index=False)
    assert _predict(folder).n_rows == len(TABLE)


def test_files_of_pieces_are_no_tables_of_their_folder(folder, monkeypatch):
    """With the output in the folder that is read, a prediction that was stopped goes on all the same."""
    before = open_source(str(folder / "wine")).located.files
    _stopped(folder, monkeypatch, output="wine/out.parquet")
    assert open_source(str(folder / "wine")).located.files == before
    assert _predict(folder, "wine/out.parquet").resumed == 2
    assert _names(folder / "wine") == {"0.parquet", "1.parquet", "2.parquet", "out.parquet"}


def test_an_interrupt_says_how_to_go_on(folder, monkeypatch, capsys):
    """The command line ends with 130, and names what is there already."""
    monkeypatch.setattr(prediction, "RayExecutor", lambda **_: InlineExecutor())
    _stop_after(2, monkeypatch)
    with pytest.raises(SystemExit) as ended:
        main(["predict", str(folder / "model"), str(folder / "wine"), "-o", str(folder / "out.csv")])
    assert ended.value.code == 130
    assert "Interrupted. Go on with the same command: 2 of 3 pieces are done." in capsys.readouterr().err


def test_an_interrupt_before_the_first_piece_leaves_nothing(folder, monkeypatch):
    """There is nothing to go on with."""
    before = _names(folder)
    _stopped(folder, monkeypatch, n_pieces=0)
    assert _names(folder) == before


def _command(folder, *options):
    command = [sys.executable, "-m", "partwise", "predict", "model", "wine", "-o", "out.csv", *options]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def _said(run):
    """Return what a run wrote to stderr until its end, which is made where it does not come."""
    try:
        return run.communicate(timeout=90)[1]
    finally:
        run.kill()


def test_sigterm_stops_the_workers_and_says_how_to_go_on(folder):
    """A run on Ray ends with 130 too, and leaves what was finished."""
    rows = pd.DataFrame({"x": np.zeros(30_000)})  # a piece takes three seconds
    model = partwise.PartitionedRegressor(TellsProcess(), n_partitions=1, encoder=None, executor="inline")
    shutil.rmtree(folder / "model")
    with pytest.warns(UserWarning, match="hold code"):
        save_model(folder / "model", model.fit(rows, rows["x"]).stored())
    for index in range(12):
        rows.to_parquet(folder / "wine" / f"{index}.parquet", index=False)
    run = _command(folder, "--trust")
    deadline = time.monotonic() + 120
    while not list((folder / ".out.csv.parts").glob("*/*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(0.7)  # Ray ends the process where a task is cancelled in the moment in which it ends by itself
    run.send_signal(signal.SIGTERM)
    said = _said(run)
    assert run.returncode == 130, said
    assert "Go on with the same command" in said
    assert not (folder / "out.csv").exists()


def test_a_wrong_address_is_told_and_leaves_nothing(folder):
    """No Ray is started in its place."""
    before = _names(folder)
    run = _command(folder, "--address", "127.0.0.1:9")
    said = _said(run)
    assert run.returncode == 2
    assert "127.0.0.1:9" in said
    assert "initialised already" not in said
    assert _names(folder) == before


def _change_table(folder):
    frame = TABLE.head(300).assign(alcohol=1.0)
    frame.to_parquet(folder / "wine" / "0.parquet", index=False)
    return {}


def _change_model(folder):
    shutil.rmtree(folder / "model")
    _fit(FEATURES.assign(alcohol=FEATURES["alcohol"].iloc[::-1].to_numpy()), folder / "model")
    return {}


def _change_settings(_):
    return {"keep": ("lot",)}


@pytest.mark.parametrize("change", [_change_table, _change_model, _change_settings])
def test_what_has_changed_since_a_stop_is_not_mixed(change, folder, monkeypatch):
    """The next run takes nothing over, and its output is that of one run."""
    _stopped(folder, monkeypatch)
    settings = change(folder)
    assert _predict(folder, **settings).resumed == 0
    _predict(folder, "whole.parquet", **settings)
    assert parquet.read_table(folder / "out.parquet").equals(parquet.read_table(folder / "whole.parquet"))
    assert _names(folder) == {"model", "wine", "out.parquet", "whole.parquet"}


def _attempts(folder):
    """Return what two attempts at one piece are given, and the file that both write."""
    model = load_model(folder / "model")
    (piece,) = open_source(str(folder / "wine" / "0.parquet")).pieces()
    files = PredictionFile.at(str(folder / "out.parquet"), overwrite=False).pieces({})
    files.begin()
    return prediction._Question(model, ("lot",), probabilities=False), (piece, files, 0), files.path(0)


def test_attempts_at_one_piece_do_not_mix(folder, monkeypatch):
    """One that begins and ends while another is at work does not spoil its file."""
    question, payload, path = _attempts(folder)
    real = prediction.outputs_of

    def overtaken(*given):
        monkeypatch.undo()
        prediction._predict(question, payload)
        yield from real(*given)

    monkeypatch.setattr(prediction, "outputs_of", overtaken)
    prediction._predict(question, payload)
    assert parquet.read_table(path)["lot"].to_pylist() == TABLE["lot"].head(238).tolist()


def test_an_attempt_that_fails_leaves_the_file_of_another(folder, monkeypatch):
    """What was finished stays, and of the failed attempt nothing is left."""
    question, payload, path = _attempts(folder)
    prediction._predict(question, payload)
    real = prediction.outputs_of

    def broken(*given):
        yield from real(*given)
        raise MemoryError

    monkeypatch.setattr(prediction, "outputs_of", broken)
    with pytest.raises(MemoryError):
        prediction._predict(question, payload)
    assert parquet.read_table(path).num_rows == 238
    assert _names(Path(path).parent) == {"000000.parquet", "plan.json"}


def test_a_node_that_does_not_see_the_output_says_so(folder):
    """The error names the node and what would be seen by all."""
    question, payload, _ = _attempts(folder)
    shutil.rmtree(payload[1].home)
    with pytest.raises(InputError, match=r"out\.parquet' cannot be written by (.|\n)*all nodes(.|\n)*s3://"):
        prediction._predict(question, payload)


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("alcohol", "strong", r"'alcohol' holds texts \(.*string\), and was fitted on numbers"),
        ("bottled", 20200101, r"'bottled' holds numbers \(int64\), and was fitted on times"),
        ("grower", 7, r"'grower' holds numbers \(int64\), and was fitted on texts"),
        ("sweet", 1, r"'sweet' holds numbers \(int64\), and was fitted on booleans"),
        ("vintage", pd.Timestamp("2020-01-01"), r"'vintage' holds times \(timestamp.*\), and was fitted on numbers"),
    ],
)
def test_a_column_of_another_kind_is_refused_before_a_row_is_read(column, values, said, folder, monkeypatch):
    """The error names the column, what it holds, and what the model was fitted on."""
    TABLE.assign(**{column: values}).to_parquet(folder / "one.parquet", index=False)
    _no_row_is_read(monkeypatch)
    with pytest.raises(InputError, match=rf"1 of the 9 columns of 'one' are not(.|\n)*{said}(.|\n)*Write the table"):
        _predict(folder, data="one.parquet")


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        ("alcohol", "float32"),
        ("vintage", "int8"),
        ("vintage", "float64"),
        ("vintage", "bool"),
        ("grower", "category"),
        ("bottled", "datetime64[us]"),
    ],
)
def test_a_type_that_says_the_same_is_taken(column, kind, folder):
    """Widths of numbers, units of times and categories do not matter."""
    TABLE.assign(**{column: TABLE[column].astype(kind)}).to_parquet(folder / "one.parquet", index=False)
    assert _predict(folder, data="one.parquet").n_rows == len(TABLE)


def test_a_column_without_values_is_taken(folder):
    """It has no type, and nothing but missing values."""
    TABLE.assign(alcohol=None).to_parquet(folder / "one.parquet", index=False)
    assert _predict(folder, data="one.parquet").n_rows == len(TABLE)


def test_text_is_text_in_a_csv_file_that_has_digits_alone(folder):
    """The lots are those of the training table, not numbers without their zeros."""
    FEATURES.to_csv(folder / "one.csv", index=False)
    _predict(folder, data="one.csv", keep=("lot",))
    _predict(folder, "whole.parquet", keep=("lot",))
    assert pd.read_parquet(folder / "out.parquet").equals(pd.read_parquet(folder / "whole.parquet"))


def test_a_folder_of_a_partitioned_table_can_be_predicted_alone(folder):
    """The column that its own name says is found there, as text where the model was fitted on text."""
    chosen = FEATURES[FEATURES["lot"] == "007"]
    (folder / "lot=007").mkdir()
    chosen.drop(columns="lot").to_parquet(folder / "lot=007" / "0.parquet", index=False)
    _predict(folder, data="lot=007", keep=("lot",))
    said = pd.read_parquet(folder / "out.parquet")
    model = load_model(folder / "model")
    assert said["lot"].tolist() == ["007"] * len(chosen)
    assert said["prediction"].tolist() == model.predict(chosen).tolist()
    scan = partwise.scan(folder / "lot=007")
    assert "lot" in matched(model, scan).features


def test_a_scan_knows_what_it_was_fitted_on(tmp_path):
    """A model that was fitted on files refuses another kind of values too, in Python as on the command line."""
    model = partwise.PartitionedClassifier(
        DecisionTreeClassifier(), n_partitions=2, encoder="table", executor="inline", storage=str(tmp_path)
    )
    model.fit(partwise.scan(TABLE, target="cultivar"))
    with pytest.raises(InputError, match="'alcohol' holds texts"):
        model.predict(partwise.scan(FEATURES.assign(alcohol="strong")))


def test_a_second_prediction_into_one_output_is_refused(folder):
    """It would delete the pieces of the first, which are kept."""
    config = PredictConfig(model=folder / "model", data=str(folder / "wine"), output=folder / "out.parquet")
    with PredictionFile.at(str(config.output), overwrite=False).locked():
        with pytest.raises(InputError, match=r"out\.parquet' is being written by another process"):
            predict(config, executor=InlineExecutor())
        assert not (folder / ".out.parquet.parts").exists()
    assert predict(config, executor=InlineExecutor()).n_rows == len(TABLE)
    assert not list(folder.glob(".out.parquet*"))
