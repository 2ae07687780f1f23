"""What tables in files do, whatever their format and place: which files, in which order, of which schema, how read."""

import gzip
import os
import pickle
import subprocess
import sys
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from pyarrow import csv, feather, parquet

import partwise
from partwise.errors import InputError
from partwise.filesystems import open_filesystem
from partwise.sources import files, measuring, open_source, pieces, read_blocks

ROWS = pa.table(
    {"row": range(12), "half": [row / 2 for row in range(12)], "word": [f"w{row % 5}" for row in range(12)]}
)
MOST = 65_536


def _write_gzipped(table, path):
    with gzip.open(path, "wb") as file:
        csv.write_csv(table, file)


WRITERS = {
    "parquet": parquet.write_table,
    "feather": feather.write_feather,
    "arrow": feather.write_feather,
    "csv": csv.write_csv,
    "csv.gz": _write_gzipped,
}
every_format = pytest.mark.parametrize("ending", WRITERS)


def _write(path, table):
    """Write a table in the format that the file's name tells, and return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    WRITERS[path.name.partition(".")[2]](table, path)
    return path


def _read(data, columns=None):
    return pa.concat_tables(read_blocks(open_source(str(data)), columns))


def _of_pieces(pieces, columns=None):
    return pa.concat_tables([block for piece in pieces for block in piece.blocks(columns)])


def _fill(place, ending):
    """Write the rows to four files, at home in two folders; the last is written first."""
    for index in (3, 2, 1, 0):
        _write(place / f"{'ab'[index // 2]}/{index}.{ending}", ROWS.slice(3 * index, 3))
    return place


@pytest.fixture
def memory():
    """A folder of a file system that Arrow does not know, and fsspec does."""
    filesystem = fsspec.filesystem("memory")
    yield filesystem, "/partwise"
    filesystem.rm("/partwise", recursive=True)


def _copy(place, memory):
    filesystem, folder = memory
    for path in place.rglob("*.*"):
        filesystem.pipe_file(f"{folder}/{path.relative_to(place)}", path.read_bytes())


# Which files


@pytest.mark.parametrize(
    "address",
    [
        "{place}",
        "{place}/",
        "{place}/*/*.{ending}",
        "{place}/?/[0-9].{ending}",
        "{place}/**/*.{ending}",
        "{place}/**",
        "file://{place}",
        "file://{place}/*/*.{ending}",
        "file://{place}/?/[0-9].{ending}",
        "file://{place}/**",
    ],
)
@every_format
def test_addresses_of_a_table(address, ending, tmp_path):
    """A folder, a glob and a file URI stand for the same rows."""
    assert _read(address.format(place=_fill(tmp_path, ending), ending=ending)).equals(ROWS)


@pytest.mark.parametrize("address", ["memory:/{folder}", "memory:/{folder}/*/*.{ending}", "memory:/{folder}/**"])
@every_format
def test_addresses_of_fsspec(address, ending, memory, tmp_path):
    """What Arrow cannot open is opened by fsspec, with the same rows."""
    _copy(_fill(tmp_path, ending), memory)
    assert _read(address.format(folder=memory[1], ending=ending)).equals(ROWS)


@every_format
def test_one_file_of_fsspec(ending, memory, tmp_path):
    """A URI of fsspec may be that of one file."""
    _copy(_fill(tmp_path, ending), memory)
    assert _read(f"memory:/{memory[1]}/b/2.{ending}").equals(ROWS.slice(6, 3))


def test_two_stars_go_to_any_depth(tmp_path):
    """The pattern ** stands for no folder as well as for several."""
    _write(tmp_path / "0.parquet", ROWS.slice(0, 5))
    _write(tmp_path / "a/b/c/1.parquet", ROWS.slice(5))
    assert _read(tmp_path / "**/*.parquet").equals(ROWS)


@every_format
def test_rows_are_in_the_order_of_the_paths(ending, tmp_path):
    """Paths are sorted as text, whenever files were written and however deep they lie."""
    for name, start in (("2", 8), ("10", 4), ("1/9", 0)):
        _write(tmp_path / f"{name}.{ending}", ROWS.slice(start, 4))
    assert _read(tmp_path).equals(ROWS)


@pytest.mark.parametrize("given", ["{place}", "{place}/a/0.parquet", "{place}/*/*.parquet"])
def test_the_uri_is_an_address_too(given, tmp_path):
    """What a source says of itself opens the same rows again, on a disk."""
    place = _fill(tmp_path / "10% [new]", "parquet")
    source = open_source(given.format(place=str(place).replace("[", "[[]") if "*" in given else place))
    assert _read(source.uri).equals(pa.concat_tables(read_blocks(source)))


def test_the_uri_is_an_address_of_fsspec_too(memory, tmp_path):
    """What a source says of itself opens the same rows again, elsewhere."""
    _copy(_fill(tmp_path, "csv"), memory)
    assert _read(open_source(f"memory:/{memory[1]}").uri).equals(ROWS)


@pytest.mark.parametrize("address", ["", "/**", "/*"])
@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "_SUCCESS",
        "0.parquet.crc",
        ".0.parquet.crc",
        "._0.parquet",
        "_new.parquet",
        "_temporary/0/1.parquet",
        ".ipynb_checkpoints/1.parquet",
    ],
)
def test_what_is_no_table_is_left_alone(name, address, tmp_path):
    """Hidden files, and files of other kinds, are no part of a table, although they lie in its folder."""
    _write(tmp_path / "0.parquet", ROWS)
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("no table")
    assert _read(f"{tmp_path}{address}").equals(ROWS)


@pytest.mark.parametrize("address", ["", "/**", "/day.parquet"])
def test_a_folder_may_end_as_files_do(address, tmp_path):
    """Spark calls its folders so: they are no files, and those in them are."""
    _write(tmp_path / "day.parquet/part-0.parquet", ROWS)
    assert _read(f"{tmp_path}{address}").equals(ROWS)


def test_a_glob_may_ask_for_hidden_files(tmp_path):
    """Where the pattern itself begins as hidden names do, they are meant."""
    _write(tmp_path / "_late.parquet", ROWS)
    assert _read(tmp_path / "_*.parquet").equals(ROWS)


@pytest.mark.parametrize("address", ["", "/*"])
def test_several_formats_are_refused(address, tmp_path):
    """A folder of Parquet and CSV is no table: the formats are named, and how to choose one."""
    for ending in ("parquet", "csv"):
        _write(tmp_path / f"0.{ending}", ROWS)
    with pytest.raises(InputError, match=r"several formats: csv, parquet\. Give .*glob"):
        partwise.scan(f"{tmp_path}{address}")


@pytest.mark.parametrize("prefix", ["", "file://"])
@pytest.mark.parametrize("name", [None, "README.md", "_0.parquet"])
def test_a_folder_without_tables_is_refused(name, prefix, tmp_path):
    """The message names the folder, and the endings that files of tables have."""
    if name is not None:
        (tmp_path / name).write_text("")
    with pytest.raises(InputError, match=rf"{tmp_path}' holds no table\. Valid endings: \.parquet.*\.csv\.gz"):
        partwise.scan(f"{prefix}{tmp_path}")


@pytest.mark.parametrize("prefix", ["", "file://"])
@pytest.mark.parametrize("pattern", ["*.parquet", "**/0.csv", "nowhere/*.csv"])
def test_a_glob_without_match_is_refused(pattern, prefix, tmp_path):
    """The message has the pattern, and the next step."""
    _write(tmp_path / "0.feather", ROWS)
    with pytest.raises(InputError, match=r"No table matches .*Check the pattern"):
        partwise.scan(f"{prefix}{tmp_path}/{pattern}")


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("nosuch://there/rows.csv", r"nosuch(.|\n)*install what reads it"),
        ("s3://bucket/rows.csv?nonsense=1", r"'nonsense'(.|\n)*Correct the URI"),
        ("memory://nowhere/rows.csv", r"no file 'memory://nowhere/rows\.csv'\. Check the path"),
    ],
)
def test_a_uri_that_cannot_be_opened_is_refused(uri, words):
    """The message says what is wrong with it, and the next step."""
    with pytest.raises(InputError, match=words):
        partwise.scan(uri)


@pytest.mark.parametrize(("settings", "seconds"), [("", 30), ("?scheme=https", 30), ("?retry_limit_seconds=5", 5)])
def test_a_bucket_that_does_not_answer_is_not_waited_for(settings, seconds):
    """Google's client would ask again for a quarter of an hour."""
    filesystem, path, prefix = open_filesystem(f"gs://anonymous@bucket/rows.parquet{settings}")
    assert filesystem.__reduce__()[1][0]["retry_time_limit"].total_seconds() == seconds
    assert (path, prefix) == ("bucket/rows.parquet", "gs://")


@pytest.mark.parametrize("name", ["a[1].parquet", "a*.parquet", "a?.parquet", "a[1]/0.parquet"])
@pytest.mark.parametrize("prefix", ["", "file://"])
def test_a_name_may_look_like_a_glob(name, prefix, tmp_path):
    """Where a file of that very name exists it is meant, not those that match it."""
    for decoy in ("a1.parquet", "ab.parquet", "a1/0.parquet"):
        _write(tmp_path / decoy, ROWS.slice(0, 1))
    _write(tmp_path / name, ROWS)
    assert _read(f"{prefix}{tmp_path}/{name}").equals(ROWS)


# What folders say


def _by_year_and_town(place, ending):
    for index, (year, town) in enumerate([(2013, "Bad%20Ems"), (2013, "Ulm"), (2014, "Ulm")]):
        _write(place / f"year={year}/town={town}/0.{ending}", ROWS.slice(4 * index, 4))
    return place


KEYED = ROWS.append_column("year", pa.array([2013] * 8 + [2014] * 4, pa.int32())).append_column(
    "town", pa.array(["Bad Ems"] * 4 + ["Ulm"] * 8)
)


@pytest.mark.parametrize("address", ["", "/**", "/*/*/*.{ending}", "/year=*/**/*.{ending}"])
@every_format
def test_folders_give_columns(address, ending, tmp_path):
    """In folders named column=value the columns are part of the table: numbers as numbers, text as text."""
    assert _read(f"{_by_year_and_town(tmp_path, ending)}{address.format(ending=ending)}").equals(KEYED)


@pytest.mark.parametrize("columns", [["town"], ["year", "half"], ["word", "town", "row", "year"]], ids=" ".join)
@every_format
def test_columns_of_folders_are_chosen_as_others_are(columns, ending, tmp_path):
    """They come alone, or among others, in the order asked for."""
    assert _read(_by_year_and_town(tmp_path, ending), columns).equals(KEYED.select(columns))


def test_folders_of_fsspec_give_columns(memory, tmp_path):
    """Folders are read elsewhere as on a disk."""
    _copy(_by_year_and_town(tmp_path, "parquet"), memory)
    assert _read(f"memory:/{memory[1]}").equals(KEYED)


@pytest.mark.parametrize("values", [[1, 2], ["one", "two"], [1.5, 2.5]], ids=str)
def test_a_column_in_files_goes_before_that_of_their_folders(values, tmp_path):
    """Where files still have the column, its values and its type are theirs."""
    for index, value in enumerate(values):
        _write(tmp_path / f"key={index}/0.parquet", pa.table({"row": [index], "key": [value]}))
    assert _read(tmp_path).to_pydict() == {"row": [0, 1], "key": values}


def test_a_folder_may_say_that_a_value_is_missing(tmp_path):
    """Hive's name for no value is a missing value, which the pieces know of without being read."""
    _write(tmp_path / "key=1/0.parquet", ROWS.slice(0, 2))
    _write(tmp_path / "key=__HIVE_DEFAULT_PARTITION__/0.parquet", ROWS.slice(2, 3))
    assert _read(tmp_path)["key"].to_pylist() == [1, 1, None, None, None]
    assert [piece.nulls.get("key", 0) for piece in open_source(str(tmp_path)).pieces()] == [0, 3]


# How they are read


@every_format
def test_pieces_are_the_table(ending, tmp_path):
    """What workers read one by one is, put together, what is read at once, in all columns or in some."""
    source = open_source(str(_by_year_and_town(tmp_path, ending)))
    assert len(source.pieces()) == 3
    assert _of_pieces(source.pieces()).equals(pa.concat_tables(read_blocks(source)))
    some = ["town", "word"]
    assert _of_pieces(source.pieces(), some).equals(pa.concat_tables(read_blocks(source, some)))


def test_a_large_parquet_file_is_several_pieces(tmp_path, monkeypatch):
    """Row groups that are large together are read apart, and each piece knows its rows and gaps."""
    monkeypatch.setattr(files, "_PIECE_BYTES", 1)
    table = ROWS.append_column("gaps", pa.array([None, *range(9), None, None]))
    parquet.write_table(table, tmp_path / "rows.parquet", row_group_size=5)
    pieces = open_source(str(tmp_path / "rows.parquet")).pieces()
    assert [(piece.n_rows, piece.nulls["gaps"]) for piece in pieces] == [(5, 1), (5, 0), (2, 2)]
    assert _of_pieces(pieces).equals(table)
    assert len({piece.fingerprint for piece in pieces}) == 3


@pytest.mark.parametrize("where", ["disk", "memory"])
@every_format
def test_pieces_can_be_sent(ending, where, memory, tmp_path):
    """A piece that was pickled reads the same rows where it arrives."""
    place = _by_year_and_town(tmp_path, ending)
    _copy(place, memory)
    source = open_source(str(place) if where == "disk" else f"memory:/{memory[1]}")
    assert _of_pieces(pickle.loads(pickle.dumps(source.pieces()))).equals(KEYED)  # noqa: S301 - our own bytes


@every_format
def test_blocks_are_of_bounded_size(ending, tmp_path):
    """However many rows a row group, a batch or a line of bytes holds, at most 65,536 come at once."""
    table = pa.table({"one": np.ones(3 * MOST, dtype=np.int64)})
    whole = {"parquet": {"row_group_size": 3 * MOST}, "feather": {"chunksize": 3 * MOST}}.get(ending, {})
    path = tmp_path / f"rows.{ending}"
    WRITERS[ending](table, path, **whole)
    sizes = [block.num_rows for piece in open_source(str(path)).pieces() for block in piece.blocks()]
    assert max(sizes) <= MOST
    assert sum(sizes) == 3 * MOST


def test_blocks_of_a_frame_are_of_bounded_size():
    """A table in memory comes in blocks as files do."""
    source = partwise.scan(pd.DataFrame({"one": np.ones(3 * MOST)})).source
    sizes = [block.num_rows for block in read_blocks(source)]
    assert (max(sizes), sum(sizes)) == (MOST, 3 * MOST)


def _broken_parquet(path):
    """Write the columns fine and broken; the bytes of the second are destroyed."""
    numbers = np.random.default_rng(0).normal(size=5_000)
    parquet.write_table(pa.table({"fine": numbers, "broken": numbers}), path, use_dictionary=False, compression="zstd")
    column = parquet.read_metadata(path).row_group(0).column(1)
    _destroy(path, column.data_page_offset + 100, column.total_compressed_size - 100)


def _broken_feather(path):
    numbers = np.random.default_rng(0).normal(size=5_000)
    feather.write_feather(pa.table({"fine": numbers, "broken": numbers}), path, compression="zstd")
    _destroy(path, path.stat().st_size * 3 // 4, 5_000)  # the second half of the file is the second column


def _broken_csv(path):
    path.write_text("fine,broken\n" + "1,2\n" * 400_000 + "1,word\n")


def _destroy(path, start, length):
    content = bytearray(path.read_bytes())
    content[start : start + length] = bytes(length)
    path.write_bytes(content)


BREAKERS = {"parquet": _broken_parquet, "feather": _broken_feather, "csv": _broken_csv}


@pytest.fixture
def _types_of_one_megabyte(monkeypatch):
    """Text further down does not tell types."""
    monkeypatch.setattr(files, "_TYPED_BYTES", (2**20, 2**20))


@pytest.mark.usefixtures("_types_of_one_megabyte")
@pytest.mark.parametrize("ending", BREAKERS)
def test_only_columns_asked_for_are_read(ending, tmp_path):
    """A column that cannot be read does no harm to who asks for another one."""
    path = tmp_path / f"rows.{ending}"
    BREAKERS[ending](path)
    assert _read(path, ["fine"]).column_names == ["fine"]
    with pytest.raises(InputError, match=rf"rows\.{ending}' cannot be read"):
        _read(path, ["broken"])


def test_a_dot_in_a_name_is_part_of_it(tmp_path):
    """Columns whose names look like fields of each other are columns."""
    table = pa.table({"a.b": [1, None], "a": [2, 3], "a.c": [None, None]}).cast(
        pa.schema([("a.b", pa.int64()), ("a", pa.int64()), ("a.c", pa.int64())])
    )
    _write(tmp_path / "rows.parquet", table)
    assert _read(tmp_path / "rows.parquet", ["a", "a.b"]).equals(table.select(["a", "a.b"]))


# What rows take


def _words(n_rows):
    """Return rows of 8 + 100 bytes, whose words repeat: Parquet holds each of them once."""
    rng = np.random.default_rng(0)
    words = np.array([f"word{number:096d}" for number in range(50)])
    return pa.table({"number": rng.normal(size=n_rows), "word": words[rng.integers(50, size=n_rows)]})


@every_format
def test_sizes_are_those_in_memory(ending, tmp_path):
    """However much smaller a file is than what is in it, within a tenth; of the columns asked for alone."""
    table = _words(30_000)
    _write(tmp_path / f"a.{ending}", table.slice(0, 20_000))
    _write(tmp_path / f"b.{ending}", table.slice(20_000))
    pieces = open_source(str(tmp_path)).pieces()
    assert sum(piece.n_bytes() for piece in pieces) == pytest.approx(table.nbytes, rel=0.1)
    numbers = sum(piece.n_bytes(["number"]) for piece in pieces)
    assert numbers == pytest.approx(table.select(["number"]).nbytes, rel=0.1)


@pytest.mark.parametrize("ending", ["parquet", "feather", "csv"])
def test_blocks_of_wide_rows_are_of_bounded_size(ending, tmp_path):
    """A block has fewer rows where these are large; one row group holds all."""
    table = pa.table({f"column {place}": np.random.default_rng(place).random(3_000) for place in range(2_500)})
    path = tmp_path / f"wide.{ending}"
    WRITERS[ending](table, path, **({"row_group_size": 3_000} if ending == "parquet" else {}))
    blocks = list(read_blocks(open_source(str(path))))
    assert max(block.nbytes for block in blocks) < 40 * 2**20
    assert sum(block.num_rows for block in blocks) == 3_000


def test_row_groups_of_any_size_are_read_through_buffers(tmp_path):
    """What a reader holds does not grow with the row group."""
    table = pa.table({"one": np.random.default_rng(0).random(12_000_000)})
    parquet.write_table(table, tmp_path / "rows.parquet", row_group_size=12_000_000, compression="none")
    (piece,) = open_source(str(tmp_path / "rows.parquet")).pieces()
    del table
    before = pa.total_allocated_bytes()
    held = [pa.total_allocated_bytes() - before for _ in piece.blocks()]
    assert max(held) < 20 * 2**20


def test_a_batch_that_is_not_packed_is_read_in_blocks(tmp_path):
    """Its file is mapped: what a reader holds does not grow with the batch."""
    table = pa.table({"one": np.random.default_rng(0).random(12_000_000)})
    feather.write_feather(table, tmp_path / "rows.feather", compression="uncompressed", chunksize=12_000_000)
    (piece,) = open_source(str(tmp_path / "rows.feather")).pieces()
    del table
    assert piece.batch_bytes() == 0
    before = pa.total_allocated_bytes()
    held = [pa.total_allocated_bytes() - before for _ in piece.blocks()]
    assert max(held) < 20 * 2**20


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_a_packed_batch_tells_what_reading_it_takes(compression, tmp_path):
    """Its size in memory, in the columns asked for, is known without unpacking it."""
    table = _words(100_000)
    feather.write_feather(table, tmp_path / "rows.feather", compression=compression, chunksize=100_000)
    (piece,) = open_source(str(tmp_path / "rows.feather")).pieces()
    assert piece.batch_bytes() == pytest.approx(table.nbytes, rel=0.1)
    assert piece.batch_bytes(["number"]) == pytest.approx(table.select(["number"]).nbytes, rel=0.1)
    feather.write_feather(table, tmp_path / "rows.feather", compression=compression, chunksize=25_000)
    (smaller,) = open_source(str(tmp_path / "rows.feather")).pieces()
    assert smaller.batch_bytes() == pytest.approx(table.nbytes / 4, rel=0.1)


def test_a_large_packed_batch_is_measured_by_its_header(tmp_path, monkeypatch):
    """Numbers take their width, and texts what is left."""
    table = _words(20_000)
    feather.write_feather(table, tmp_path / "rows.feather", compression="lz4", chunksize=20_000)
    monkeypatch.setattr(measuring, "_UNPACKED_BYTES", 10_000)
    (piece,) = open_source(str(tmp_path / "rows.feather")).pieces()
    assert piece.n_bytes() == pytest.approx(table.nbytes, rel=0.1)
    assert piece.n_bytes(["number"]) == pytest.approx(table.select(["number"]).nbytes, rel=0.1)


def test_a_batch_that_memory_cannot_hold_is_refused(tmp_path, monkeypatch):
    """Whoever reads it says how much it would take, and how to write the table else."""
    feather.write_feather(_words(100_000), tmp_path / "rows.feather", compression="lz4", chunksize=100_000)
    monkeypatch.setattr(pieces, "available_memory", lambda: 5_000_000)
    source = open_source(str(tmp_path / "rows.feather"))
    assert sum(block.num_rows for block in read_blocks(source, ["number"])) == 100_000
    with pytest.raises(InputError, match=r"rows\.feather' has 100,000 rows in one batch(.|\n)*Write it with smaller"):
        list(read_blocks(source))


def test_texts_that_polars_wrote_can_be_cut(tmp_path):
    """It writes them as views, which not all of Arrow's functions take."""
    frame = pl.DataFrame({"word": ["a", None, "b"] * 20, "row": range(60), "grade": ["low", "high"] * 30})
    frame.write_ipc(tmp_path / "rows.feather")
    for data in (tmp_path / "rows.feather", frame.to_arrow(compat_level=pl.CompatLevel.newest())):
        source = partwise.scan(data, "grade").source
        assert pa.string_view() not in source.schema().types
        table = pa.concat_tables(read_blocks(source))
        assert table.take([3, 4, 5]).to_pylist() == frame[3:6].to_dicts()


# CSV


def test_types_follow_from_more_than_the_first_megabyte(tmp_path):
    """Gaps first and numbers later, whole numbers first and others later."""
    n_early = 300_000
    rows = ["early,late", *(["1,"] * n_early), "1.5,7"]
    (tmp_path / "rows.csv").write_text("\n".join(rows))
    table = _read(tmp_path / "rows.csv")
    assert table.schema.types == [pa.float64(), pa.int64()]
    assert table.slice(n_early).to_pylist() == [{"early": 1.5, "late": 7}]


@pytest.mark.usefixtures("_types_of_one_megabyte")
def test_a_value_of_another_type_beyond_is_told_with_a_mend(tmp_path):
    """The file, the value, and what to do."""
    (tmp_path / "rows.csv").write_text("\n".join(["a", *(["1"] * 600_000), "word"]))
    with pytest.raises(InputError, match=r"rows\.csv(.|\n)*'word'(.|\n)*write the table as Parquet"):
        _read(tmp_path / "rows.csv")


def test_line_breaks_in_quotes_are_part_of_a_text(tmp_path):
    """Also where a block of text ends in one."""
    text = "first\nsecond" * 100
    (tmp_path / "rows.csv").write_text("text,row\n" + "".join(f'"{text}",{row}\n' for row in range(3_000)))
    table = _read(tmp_path / "rows.csv")
    assert set(table.column("text").to_pylist()) == {text}
    assert table.column("row").to_pylist() == list(range(3_000))


def test_an_empty_field_is_missing_whether_it_is_quoted_or_not(tmp_path):
    """Some programs quote every field; a text of nothing would be a class, or a category, of its own."""
    rows = ["number,word,grade", "1,a,low", ",,", "3,c,high"]
    quoted = [",".join(f'"{field}"' for field in row.split(",")) for row in rows]
    for name, lines in (("plain", rows), ("quoted", quoted)):
        (tmp_path / f"{name}.csv").write_text("\n".join(lines))
    plain, same = (_read(tmp_path / f"{name}.csv") for name in ("plain", "quoted"))
    assert same.equals(plain)
    assert plain.column("grade").null_count == 1


@pytest.mark.parametrize("ending", ["parquet", "feather", "packed.feather"])
def test_a_table_is_measured_without_being_read(ending, tmp_path):
    """Also where one row group, or one batch, holds all of it, packed or not."""
    table = pa.table({"one": np.random.default_rng(0).random(12_000_000)})
    path = tmp_path / f"rows.{ending}"
    if ending == "packed.feather":
        feather.write_feather(table, path, compression="lz4", chunksize=12_000_000)
    elif ending == "parquet":
        parquet.write_table(table, path, row_group_size=12_000_000, compression="none", use_dictionary=False)
    else:
        feather.write_feather(table, path, compression="uncompressed", chunksize=12_000_000)
    del table
    program = (
        "import sys, pyarrow\nfrom partwise.sources import open_source\n"
        "open_source(sys.argv[1]).pieces()\nprint(pyarrow.default_memory_pool().max_memory())\n"
    )
    said = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)
    assert int(said.stdout) < 30 * 2**20


@pytest.mark.parametrize("name", ["ROWS.CSV", "ROWS.CSV.GZ"])
def test_endings_may_be_in_capitals(name, tmp_path):
    """As some programs write them."""
    WRITERS[name.partition(".")[2].lower()](ROWS, tmp_path / name)
    assert _read(tmp_path / name).equals(ROWS)


# Files that are not what they should be


@pytest.mark.parametrize("place", [0, 1, 3])
@every_format
def test_a_file_without_rows_does_no_harm(place, ending, tmp_path):
    """A file of columns without rows, wherever it is among others, neither adds rows nor changes types."""
    _fill(tmp_path, ending)
    _write(tmp_path / f"{'ab'[place // 2]}/{place}_none.{ending}", ROWS.slice(0, 0))
    assert _read(tmp_path).equals(ROWS)


@pytest.mark.parametrize("name", ["0", "z"])
@pytest.mark.parametrize("ending", ["csv", "csv.gz"])
def test_a_csv_file_of_no_text_does_no_harm(name, ending, tmp_path):
    """An empty partition may have been written without even a header."""
    _fill(tmp_path, ending)
    (tmp_path / f"{name}.{ending}").write_bytes(gzip.compress(b"") if ending == "csv.gz" else b"")
    assert _read(tmp_path).equals(ROWS)


@pytest.mark.parametrize("ending", ["parquet", "feather", "csv.gz"])
def test_other_files_of_no_bytes_are_refused(ending, tmp_path):
    """In other formats no bytes are no empty table but a file that was cut off."""
    _fill(tmp_path, ending)
    (tmp_path / f"none.{ending}").touch()
    with pytest.raises(InputError, match=rf"none\.{ending}' cannot be read"):
        _read(tmp_path)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.99])
@pytest.mark.parametrize("ending", ["parquet", "feather", "csv.gz"])
def test_a_truncated_file_is_named(part, ending, tmp_path):
    """Of several files the one that was cut off is named."""
    path = _fill(tmp_path, ending) / f"b/2.{ending}"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    with pytest.raises(InputError, match=rf"/b/2\.{ending}' cannot be read"):
        _read(tmp_path)


CHANGES = {
    "written again": lambda path: _write(path, ROWS.slice(0, 2)),
    "touched": lambda path: os.utime(path, ns=(0, 1)),
    "deleted": Path.unlink,
}


@pytest.mark.parametrize("change", CHANGES)
@every_format
def test_a_file_that_changes_is_refused(change, ending, tmp_path):
    """Pieces are of the file that was opened: another one in its place is named, with the next step."""
    pieces = open_source(str(_fill(tmp_path, ending))).pieces()
    CHANGES[change](tmp_path / f"b/2.{ending}")
    assert _of_pieces(pieces[:2]).equals(ROWS.slice(0, 6))
    said = "is gone" if change == "deleted" else "has changed since the table was opened"
    with pytest.raises(InputError, match=rf"/b/2\.{ending}' {said}(.|\n)*Start again"):
        _of_pieces(pieces[2:])


@pytest.mark.parametrize("change", ["written again", "touched"])
def test_a_changed_file_has_another_fingerprint(change, tmp_path):
    """What is stored of a table is not taken for that of another one."""
    path = _write(tmp_path / "rows.csv", ROWS)
    before = open_source(str(path)).pieces()[0].fingerprint
    assert open_source(str(path)).pieces()[0].fingerprint == before
    CHANGES[change](path)
    assert open_source(str(path)).pieces()[0].fingerprint != before


class OtherBucket(MemoryFileSystem):
    """As MinIO does: lists times with milliseconds, and answers whole seconds where it is asked about one object."""

    protocol = "other"
    seconds = 1_000.0

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.replace("other://", "memory://"))

    def info(self, path, **kwargs):
        return super().info(path, **kwargs) | {"mtime": self.seconds}

    def find(self, path, detail=False, **kwargs):  # noqa: FBT002 - fsspec's signature
        found = super().find(path, detail=detail, **kwargs)
        return {name: each | {"mtime": self.seconds + 0.821} for name, each in found.items()} if detail else found


class ClosedBucket(OtherBucket):
    """Objects can be read, and not listed."""

    protocol = "other"

    def find(self, path, **_):
        raise PermissionError(f"AccessDenied for {path}")


@pytest.fixture
def other_bucket(memory, tmp_path, request):
    """The rows in a bucket that is not Amazon's."""
    _copy(_fill(tmp_path, "parquet"), memory)
    fsspec.register_implementation("other", getattr(request, "param", OtherBucket), clobber=True)
    return f"other:/{memory[1]}"


def test_times_that_are_listed_more_exactly_are_no_change(other_bucket):
    """A file that is only told of in another precision is read."""
    assert _read(other_bucket).equals(ROWS)


def test_a_later_second_is_a_change(other_bucket, monkeypatch):
    """A file that was written again in a bucket is refused, although it has its size."""
    pieces = open_source(other_bucket).pieces()
    monkeypatch.setattr(OtherBucket, "seconds", 1_001.0)
    with pytest.raises(InputError, match="has changed"):
        _of_pieces(pieces)


@pytest.mark.parametrize("other_bucket", [ClosedBucket], indirect=True)
@pytest.mark.parametrize("pattern", ["", "/**"])
def test_a_folder_that_may_not_be_listed_is_refused(pattern, other_bucket):
    """The message says what the bucket said, and the next step."""
    with pytest.raises(InputError, match=r"AccessDenied(.|\n)*credentials"):
        partwise.scan(f"{other_bucket}{pattern}")


# Schemas


DRIFTS = {
    "whole numbers": ((pa.int32(), [1]), (pa.int64(), [2**40]), pa.int64()),
    "narrow ones second": ((pa.int64(), [2**40]), (pa.int8(), [1]), pa.int64()),
    "whole numbers and floats": ((pa.int64(), [2**40]), (pa.float64(), [0.5]), pa.float64()),
    "numbers that short floats do not hold": ((pa.int32(), [2**24 + 1]), (pa.float32(), [0.5]), pa.float64()),
    "short floats": ((pa.float32(), [0.5]), (pa.float64(), [0.1]), pa.float64()),
    "nothing, then text": ((pa.null(), [None]), (pa.string(), ["b"]), pa.string()),
    "numbers, then nothing": ((pa.int64(), [1]), (pa.null(), [None]), pa.int64()),
    "nothing, then categories": (
        (pa.null(), [None]),
        (pa.dictionary(pa.int32(), pa.string()), ["b"]),
        pa.dictionary(pa.int32(), pa.string()),
    ),
}


@pytest.mark.parametrize("ending", ["parquet", "feather"])
@pytest.mark.parametrize("drift", DRIFTS)
def test_types_are_brought_together(drift, ending, tmp_path):
    """Where one type holds the values of both, the table has that, and no value is lost."""
    *parts, kind = DRIFTS[drift]
    for index, (own, values) in enumerate(parts):
        _write(tmp_path / f"{index}.{ending}", pa.table({"column": pa.array(values, own), "row": [index]}))
    table = _read(tmp_path)
    assert table.schema.field("column").type == kind
    assert table["column"].to_pylist() == parts[0][1] + parts[1][1]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [(["1", "0.5"], [1.0, 0.5]), (["", "word"], [None, "word"]), (["word", ""], ["word", None])],
    ids=str,
)
def test_types_of_csv_files_are_brought_together(parts, expected, tmp_path):
    """What one file shows of a column may be less than what another shows."""
    for index, value in enumerate(parts):
        (tmp_path / f"{index}.csv").write_text(f"row,column\n{index},{value}\n")
    assert _read(tmp_path)["column"].to_pylist() == expected


def test_a_value_that_would_be_lost_is_refused(tmp_path):
    """A whole number that no float holds is not rounded in silence: its file is named."""
    _write(tmp_path / "0.parquet", pa.table({"column": [0.5]}))
    _write(tmp_path / "1.parquet", pa.table({"column": [2**60 + 1]}))
    with pytest.raises(InputError, match=rf"1\.parquet'(.|\n)*{2**60 + 1}"):
        _read(tmp_path)


@every_format
def test_columns_may_be_in_another_order(ending, tmp_path):
    """The order is that of the first file; values go by name."""
    _write(tmp_path / f"0.{ending}", ROWS.slice(0, 6))
    _write(tmp_path / f"1.{ending}", ROWS.slice(6).select(["word", "row", "half"]))
    assert _read(tmp_path).equals(ROWS)


@every_format
def test_all_differences_are_listed_at_once(ending, tmp_path):
    """Columns that a file lacks or has besides, and types that do not go together, are named for each file."""
    _write(tmp_path / f"0.{ending}", ROWS)
    _write(tmp_path / f"1.{ending}", ROWS.set_column(0, "row", [[f"r{row}" for row in range(12)]]))
    _write(tmp_path / f"2.{ending}", ROWS)
    _write(tmp_path / f"3.{ending}", ROWS.select(["row", "half"]).append_column("new", ROWS["word"]))
    _write(tmp_path / f"4.{ending}", ROWS.set_column(1, "half", [ROWS["word"].to_pylist()]).select(["row", "half"]))
    with pytest.raises(InputError) as caught:
        partwise.scan(tmp_path)
    said = str(caught.value)
    assert f"/3.{ending}' lacks 'word'; has 'new' besides. " in said
    assert f"/2.{ending}" not in said
    if ending.startswith("csv"):  # files of text say no types
        assert f"2 of 5 files do not have the schema of '{tmp_path}/0.{ending}'" in said
        assert f"/4.{ending}' lacks 'word'. " in said
    else:
        assert f"3 of 5 files do not have the schema of '{tmp_path}/0.{ending}'" in said
        assert f"/1.{ending}' has 'row' as string, not int64. " in said
        assert f"/4.{ending}' lacks 'word'; has 'half' as string, not double. " in said


def test_what_is_a_number_in_one_csv_file_and_a_word_in_another_is_text(tmp_path):
    """As it would be if both were one file; zeros in front stay."""
    (tmp_path / "0.csv").write_text("zip,row\n007,1\n010,2\n")
    (tmp_path / "1.csv").write_text("zip,row\nB12,3\n")
    assert _read(tmp_path).to_pydict() == {"zip": ["007", "010", "B12"], "row": [1, 2, 3]}


# Scans


@pytest.mark.parametrize("given", [{name: "nonesuch"} for name in ("target", "weight", "group", "time")], ids=str)
def test_a_role_of_an_unknown_column_is_refused(given):
    """The message has the name, and those of the columns that there are."""
    with pytest.raises(InputError, match=r"Unknown column 'nonesuch'\. Valid: half, row, word"):
        partwise.scan(ROWS, **given)


@pytest.mark.parametrize("given", [{"columns": ["row", "wrod"]}, {"drop": ["wrod"]}], ids=str)
def test_a_choice_of_an_unknown_column_is_refused(given):
    """The message has the name that may have been meant."""
    with pytest.raises(InputError, match=r"Unknown column 'wrod'\. Valid: half, row, word\. Did you mean 'word'"):
        partwise.scan(ROWS, **given)


WIDE = pa.table({name: [1, 2] for name in ("a", "y", "b", "w", "g", "t", "c")})
ROLES = {"target": "y", "weight": "w", "group": "g", "time": "t"}


@pytest.mark.parametrize(
    ("given", "features"),
    [
        ({}, "aybwgtc"),
        (ROLES, "abc"),
        (ROLES | {"drop": ["b"]}, "ac"),
        (ROLES | {"columns": ["c", "a"]}, "ac"),
        (ROLES | {"columns": ["c", "y", "w", "g", "t", "a"], "drop": ["a"]}, "c"),
        ({"target": "y", "group": "y"}, "abwgtc"),
    ],
    ids=str,
)
def test_features_are_what_has_no_other_role(given, features):
    """Target, weight, group, time and dropped columns are never features, in the order of the table."""
    assert partwise.scan(WIDE, **given).features == tuple(features)


def test_dropped_columns_are_not_read():
    """What a scan reads are its features, and what says something about rows."""
    assert set(partwise.scan(WIDE, **ROLES, drop=["b"]).columns) == set("acywgt")


def test_no_feature_is_refused():
    """A table of nothing but a target teaches nothing."""
    with pytest.raises(InputError, match="No column is left as a feature"):
        partwise.scan(WIDE, "a", columns=["a", "b"], drop=["b"])


@pytest.mark.parametrize("n_files", [1, 2])
@pytest.mark.parametrize("index", [pd.Index([7, 3, 5]), pd.Index([7, 3, 5], name="id")], ids=["unnamed", "named"])
def test_the_index_of_pandas_is_no_feature(index, n_files, tmp_path):
    """The column that pandas writes for an index is none of the frame's columns."""
    for number in range(n_files):
        pd.DataFrame({"x": [1, 2, 3], "y": [0, 1, 0]}, index=index).to_parquet(tmp_path / f"{number}.parquet")
    assert len(parquet.read_schema(tmp_path / "0.parquet").names) == 3
    assert partwise.scan(tmp_path, "y").features == ("x",)


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame, pa.table], ids=["pandas", "polars", "Arrow"])
def test_frames_are_tables(kind):
    """A table in memory is scanned as one in files is."""
    found = partwise.scan(kind({"x": [1, 2], "y": [0, 1]}), "y")
    assert pa.concat_tables(read_blocks(found.source, found.columns)).to_pydict() == {"x": [1, 2], "y": [0, 1]}


@pytest.mark.parametrize("table", [None, [[1, 2]], 7, np.ones((2, 2))], ids=["None", "list", "number", "array"])
def test_what_is_no_table_is_refused(table):
    """The message says what it is, and what to give."""
    with pytest.raises(InputError, match=rf"{type(table).__name__} is no table to scan(.|\n)*Give a path"):
        partwise.scan(table)


@pytest.mark.parametrize(
    "table",
    [pd.DataFrame([[1, 2, 3]], columns=["a", "b", "a"]), pa.table([[1], [2], [3]], names=["a", "b", "a"])],
    ids=["pandas", "Arrow"],
)
def test_columns_of_one_name_are_refused(table):
    """Columns are found by name."""
    with pytest.raises(InputError, match=r"duplicate columns: a\. Rename them"):
        partwise.scan(table)


def test_text_is_asked_for_where_files_say_no_types(tmp_path):
    """In CSV digits stay as they are written, also on their way to a worker; Parquet says its types itself."""
    table = pa.table({"lot": ["007", "010"]})
    source = open_source(str(_write(tmp_path / "lots.csv", table))).expecting([], ["lot"])
    assert _of_pieces(pickle.loads(pickle.dumps(source)).pieces()).equals(table)  # noqa: S301 - our own bytes
    numbers = open_source(str(_write(tmp_path / "lots.parquet", pa.table({"lot": [7, 10]}))))
    assert numbers.expecting([], ["lot"]).schema() == numbers.schema()


@pytest.mark.parametrize("address", ["town=Ulm", "town=Ulm/*.{ending}", "town=Ulm/0.{ending}"])
@every_format
def test_a_path_tells_the_columns_that_are_expected(address, ending, tmp_path):
    """A part of a table in folders has what the whole has, where it is known what to look for."""
    source = open_source(str(_by_year_and_town(tmp_path, ending) / "year=2013" / address.format(ending=ending)))
    assert "year" not in source.schema().names
    assert _of_pieces(source.expecting(["year", "town", "day"], []).pieces()).equals(KEYED.slice(4, 4))


def test_a_folder_of_digits_is_text_where_that_is_expected(tmp_path):
    """What the other folders of the table say is not there to tell it."""
    _write(tmp_path / "lot=007/0.parquet", ROWS.slice(0, 1))
    for given in (tmp_path, tmp_path / "lot=007"):
        source = open_source(str(given)).expecting(["lot"], ["lot"])
        assert _of_pieces(pickle.loads(pickle.dumps(source)).pieces())["lot"].to_pylist() == ["007"]  # noqa: S301 - as above


def test_files_agree_on_what_is_text(tmp_path):
    """One that has digits alone goes with one that has letters."""
    for name, lot in (("a", "7"), ("b", "x")):
        _write(tmp_path / f"{name}.csv", pa.table({"lot": [lot]}))
    source = open_source(str(tmp_path)).expecting([], ["lot"])
    assert _of_pieces(source.pieces()).to_pydict() == {"lot": ["7", "x"]}
