"""Tables in files: Parquet, Feather, CSV; one file, a folder, a glob, on a disk or behind a URI."""

from collections import Counter
from collections.abc import Collection, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow import ipc, parquet

from partwise.errors import InputError
from partwise.sources.csv_files import open_csv
from partwise.sources.locating import FORMATS, FileFacts, Located, locate
from partwise.sources.measuring import Measure, held_batch, measure
from partwise.sources.pieces import FilePiece, unreadable
from partwise.sources.schemas import clashing, unified, without_views

__all__ = ["FORMATS", "FileSource"]

_PIECE_BYTES, _PIECE_ROWS = 32 * 2**20, 500_000
"""Row groups of a Parquet file are read together up to so many bytes in memory, and so many rows."""
_TYPED_BYTES = (2**20, 2**26)
"""How much text of a CSV file tells the types of its columns: the least, and the most of all files together."""
_FORMS = {"csv": ds.CsvFileFormat, "feather": ds.IpcFileFormat, "parquet": ds.ParquetFileFormat}
"""What finds the keys that folders say."""


@dataclass(frozen=True)
class FileSource:
    """Files of one format, which their names tell, and of one schema; the rows are in the order of the paths.

    Parameters
    ----------
    given
        A path, a folder, a glob, or a URI that pyarrow or fsspec can open. In folders named ``column=value`` (hive
        partitioning) the column is one of the table.
    texts
        Columns of CSV files, and those that folders say, that are text, whatever is written there.
    expected
        Columns that are looked for in the given path too, where what lies below it does not have them: as in
        ``flights/carrier=AA``.

    Raises
    ------
    InputError
        If there is no such file, it is of an unknown format, or it cannot be read.
    """

    given: str | Path
    texts: frozenset[str] = frozenset()
    expected: frozenset[str] = frozenset()
    located: Located = field(init=False, compare=False, repr=False)

    notes = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "located", locate(str(self.given)))

    @property
    def name(self) -> str:
        """The name of the file or folder, without ending."""
        place = self.located.files[0].path if self.located.base is None else self.located.base
        return Path(place).name.split(".")[0]

    @property
    def uri(self) -> str:
        """The absolute URI of the file, or of the folder."""
        return self.located.uri

    def schema(self) -> pa.Schema:
        """Return the names and types of the columns.

        Raises
        ------
        InputError
            If two columns have one name, files do not agree, or a file cannot be read.
        """
        return self._opened[0]

    def pieces(self) -> list[FilePiece]:
        """Return what workers can read one by one, in the order of the rows.

        Raises
        ------
        InputError
            If two columns have one name, files do not agree, or a file cannot be read.
        """
        return self._opened[1]

    def expecting(self, columns: Sequence[str], texts: Sequence[str]) -> "FileSource":
        """Return the source with these columns, where its own path says them, and with texts where nothing says types.

        Files of CSV say no types, and no folders do.
        """
        schema = self.schema()
        further = {name for name in columns if name not in schema.names and name in self._said_by_path()}
        typed = {name for name in texts if name in further or (name in schema.names and self._is_guessed(name))}
        if not further | typed:
            return self
        made = copy(self)  # not made anew: it stands for the files that were found
        object.__setattr__(made, "texts", self.texts | typed)
        object.__setattr__(made, "expected", self.expected | further)
        return made

    def _is_guessed(self, name: str) -> bool:
        """Whether a column's type is another than text, and follows from what is written there alone."""
        schema, pieces = self._opened
        by_values = self.located.format == "csv" or any(name in dict(piece.keys) for piece in pieces[:1])
        return by_values and not pa.types.is_string(schema.field(name).type)

    def _said_by_path(self) -> dict[str, str]:
        """Return the columns that folders above the files say, with the path of the folder that each is in."""
        above = self.located.base if self.located.base is not None else self.located.files[0].path.rpartition("/")[0]
        found: dict[str, str] = {}
        while above:
            above, _, folder = above.rpartition("/")
            name, said, _ = folder.partition("=")
            if said:
                found[unquote(name)] = above
        return found

    def __getstate__(self) -> dict[str, Any]:
        """Travel without the pieces: what a worker reads is sent with its task."""
        return {name: getattr(self, name) for name in ("given", "texts", "expected", "located")}

    @cached_property
    def _opened(self) -> tuple[pa.Schema, list[FilePiece]]:
        files = self.located.files
        measured = self._measure()
        looks = [self._look(file, measured) for file in files]
        if self.located.format == "csv":
            # Files of text say no types: what is a number in one and a word in another is text in all.
            texts = clashing(look.schema for look in looks)
            looks = [replace(look, schema=_with_texts(look.schema, texts)) for look in looks]
        said, typed = self._keys()
        # What files have themselves counts, not what their folders say again.
        hive = pa.schema([each for each in typed if each.name not in looks[0].schema.names])
        schema = unified({file.path: look.schema for file, look in zip(files, looks, strict=True)})
        whole = pa.schema([*schema, *hive], metadata=schema.metadata)
        return whole, [
            self._piece(file, part, whole, {name: said[file.path].get(name) for name in hive.names}, measured)
            for file, look in zip(files, looks, strict=True)
            for part in look.parts
        ]

    def _piece(
        self, file: FileFacts, part: "_FilePart", schema: pa.Schema, keys: dict[str, Any], measured: Measure
    ) -> FilePiece:
        nulls = part.nulls
        if nulls is not None:
            nulls = nulls | {name: (part.n_rows or 0) for name, value in keys.items() if value is None}
        return FilePiece(
            filesystem=self.located.filesystem,
            file=file,
            format=self.located.format,
            schema=schema,
            row_bytes=measured.row_bytes,
            about_rows=part.about_rows if part.n_rows is None else part.n_rows,
            batch_rows=part.batch_rows,
            keys=tuple(keys.items()),
            row_groups=part.row_groups,
            n_rows=part.n_rows,
            nulls=nulls,
        )

    def _measure(self) -> Measure:
        """Return what rows take; a file that cannot be read for it is named when all files are looked at."""
        try:
            return measure(self.located)
        except (pa.ArrowInvalid, OSError, UnicodeDecodeError):
            return Measure({}, 0.0)

    def _look(self, file: FileFacts, measured: Measure) -> "_Look":
        """Return what a file tells without its rows being read."""
        try:
            if self.located.format == "parquet":
                with self.located.filesystem.open_input_file(file.path) as opened:
                    look = _look_of_parquet(parquet.ParquetFile(opened), measured)
            else:
                about_rows = int(file.size * measured.rows_per_byte)
                part = _FilePart(about_rows=about_rows, batch_rows=self._batch_rows(file))
                look = _Look(self._schema_of(file), (part,))
            twice = sorted(name for name, count in Counter(look.schema.names).items() if count > 1)
        except (pa.ArrowInvalid, OSError, UnicodeDecodeError) as error:
            raise unreadable(file.path, self.located.format, error) from error
        if twice:
            raise InputError(f"{file.path!r} has duplicate columns: {', '.join(twice)}. Rename them.")
        return look

    def _batch_rows(self, file: FileFacts) -> int:
        """Return how many rows of a file can be read together only."""
        held = held_batch(self.located.filesystem, file.path) if self.located.format == "feather" else None
        return 0 if held is None else held.n_rows

    def _schema_of(self, file: FileFacts) -> pa.Schema:
        """Return the schema of a CSV or Feather file; text tells types by its values."""
        filesystem, files = self.located.filesystem, self.located.files
        if self.located.format == "csv":
            low, high = _TYPED_BYTES
            with open_csv(filesystem, file.path, block_bytes=max(low, high // len(files))) as reader:
                return _with_texts(reader.schema, self.texts)
        with filesystem.open_input_file(file.path) as opened:
            return without_views(ipc.open_file(opened).schema)

    def _keys(self) -> tuple[dict[str, dict[str, Any]], pa.Schema]:
        """Return what the folders of each file say, and the types of these columns."""
        folders = self._said_by_path()
        # The one that is furthest up has the others below it.
        base = min((folders[name] for name in self.expected), key=len, default=self.located.base)
        paths = [file.path for file in self.located.files]
        if base is None or not any("=" in path[len(base) :].rpartition("/")[0] for path in paths):
            return {path: {} for path in paths}, pa.schema([])
        options = ds.FileSystemFactoryOptions(partition_base_dir=base)
        options.partitioning_factory = ds.HivePartitioning.discover()
        form = _FORMS[self.located.format]()
        factory = ds.FileSystemDatasetFactory(self.located.filesystem, paths, form, options)
        typed = _with_texts(factory.inspect_schemas()[-1], self.texts)  # the last is that of the folders
        found = factory.finish(typed).get_fragments()
        return {each.path: ds.get_partition_keys(each.partition_expression) for each in found}, typed


@dataclass(frozen=True, slots=True, kw_only=True)
class _FilePart:
    """What a piece of a file knows of itself."""

    about_rows: int = 0
    batch_rows: int = 0
    row_groups: tuple[int, ...] | None = None
    n_rows: int | None = None
    nulls: dict[str, int] | None = None


@dataclass(frozen=True, slots=True)
class _Look:
    """A file's schema, and its parts."""

    schema: pa.Schema
    parts: tuple[_FilePart, ...]


def _with_texts(schema: pa.Schema, texts: Collection[str]) -> pa.Schema:
    fields = [each.with_type(pa.string()) if each.name in texts else each for each in schema]
    return pa.schema(fields, metadata=schema.metadata)


def _look_of_parquet(whole: parquet.ParquetFile, measured: Measure) -> _Look:
    """Return the row groups, those that follow each other put together while they are small."""
    metadata = whole.metadata
    most = min(_PIECE_ROWS, _PIECE_BYTES // max(1.0, sum(measured.row_bytes.values())))
    parts: list[_FilePart] = []
    held: list[int] = []
    rows = 0
    for index in range(metadata.num_row_groups):
        group_rows = metadata.row_group(index).num_rows
        if held and rows + group_rows > most:
            parts.append(_part(metadata, held))
            held, rows = [], 0
        held.append(index)
        rows += group_rows
    if held:
        parts.append(_part(metadata, held))
    return _Look(whole.schema_arrow, tuple(parts))


def _part(metadata: parquet.FileMetaData, indices: Sequence[int]) -> _FilePart:
    groups = [metadata.row_group(index) for index in indices]
    return _FilePart(row_groups=tuple(indices), n_rows=sum(group.num_rows for group in groups), nulls=_nulls(groups))


def _nulls(groups: Sequence[parquet.RowGroupMetaData]) -> dict[str, int] | None:
    """Return the number of missing values by column, None where a column does not tell."""
    nulls: Counter[str] = Counter()
    for group in groups:
        for column in (group.column(place) for place in range(group.num_columns)):
            if column.statistics is None or not column.statistics.has_null_count:
                return None
            nulls[column.path_in_schema] += column.statistics.null_count
    return dict(nulls)
