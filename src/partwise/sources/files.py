"""Tables in files: Parquet, Feather, CSV; one file, a folder, a glob, on a disk or behind a URI."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow import csv, ipc, parquet

from partwise.errors import InputError
from partwise.sources.locating import FORMATS, FileFacts, Located, locate
from partwise.sources.pieces import ARROW_FORMATS, FilePiece, unreadable
from partwise.sources.schemas import unified

__all__ = ["FORMATS", "FileSource"]

_PIECE_BYTES, _PIECE_ROWS = 32 * 2**20, 500_000
"""Row groups of a Parquet file are read together up to so many bytes in memory, and so many rows."""
_PACKED = 5
"""How much larger the content of a compressed text file is, about."""


@dataclass(frozen=True)
class FileSource:
    """Files of one format, which their names tell, and of one schema; the rows are in the order of the paths.

    Parameters
    ----------
    given
        A path, a folder, a glob, or a URI that pyarrow or fsspec can open. In folders named ``column=value`` (hive
        partitioning) the column is one of the table.

    Raises
    ------
    InputError
        If there is no such file, it is of an unknown format, or it cannot be read.
    """

    given: str | Path
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

    def __getstate__(self) -> dict[str, Any]:
        """Travel without the pieces: what a worker reads is sent with its task."""
        return {"given": self.given, "located": self.located}

    @cached_property
    def _opened(self) -> tuple[pa.Schema, list[FilePiece]]:
        files = self.located.files
        looks = [self._look(file) for file in files]
        said, typed = self._keys()
        # What files have themselves counts, not what their folders say again.
        hive = pa.schema([each for each in typed if each.name not in looks[0].schema.names])
        schema = unified({file.path: look.schema for file, look in zip(files, looks, strict=True)})
        whole = pa.schema([*schema, *hive], metadata=schema.metadata)
        return whole, [
            self._piece(file, part, whole, {name: said[file.path].get(name) for name in hive.names})
            for file, look in zip(files, looks, strict=True)
            for part in look.parts
        ]

    def _piece(self, file: FileFacts, part: "_FilePart", schema: pa.Schema, keys: dict[str, Any]) -> FilePiece:
        nulls = part.nulls
        if nulls is not None:
            nulls = nulls | {name: (part.n_rows or 0) for name, value in keys.items() if value is None}
        return FilePiece(
            filesystem=self.located.filesystem,
            file=file,
            format=self.located.format,
            schema=schema,
            n_bytes=part.n_bytes,
            keys=tuple(keys.items()),
            row_groups=part.row_groups,
            n_rows=part.n_rows,
            nulls=nulls,
        )

    def _look(self, file: FileFacts) -> "_Look":
        """Return what a file tells without its rows being read."""
        try:
            names = _column_names(self.located, file)
            twice = sorted(name for name, count in Counter(names).items() if count > 1)
            if twice:
                raise InputError(f"{file.path!r} has duplicate columns: {', '.join(twice)}. Rename them.")
            if self.located.format == "parquet":
                with self.located.filesystem.open_input_file(file.path) as opened:
                    return _look_of_parquet(parquet.ParquetFile(opened))
            fragment = ARROW_FORMATS[self.located.format].make_fragment(file.path, self.located.filesystem)
            packed = _PACKED if file.path.lower().endswith(".gz") else 1
            return _Look(fragment.physical_schema, (_FilePart(n_bytes=packed * file.size),))
        except (pa.ArrowInvalid, OSError, UnicodeDecodeError) as error:
            raise unreadable(file.path, self.located.format, error) from error

    def _keys(self) -> tuple[dict[str, dict[str, Any]], pa.Schema]:
        """Return what the folders of each file say, and the types of these columns."""
        base = self.located.base
        paths = [file.path for file in self.located.files]
        if base is None or not any("=" in path[len(base) :].rpartition("/")[0] for path in paths):
            return {path: {} for path in paths}, pa.schema([])
        options = ds.FileSystemFactoryOptions(partition_base_dir=base)
        options.partitioning_factory = ds.HivePartitioning.discover()
        form = ARROW_FORMATS[self.located.format]
        factory = ds.FileSystemDatasetFactory(self.located.filesystem, paths, form, options)
        typed = factory.inspect_schemas()[-1]  # the last is that of the folders
        found = factory.finish(typed).get_fragments()
        return {each.path: ds.get_partition_keys(each.partition_expression) for each in found}, typed


@dataclass(frozen=True, slots=True, kw_only=True)
class _FilePart:
    """What a piece of a file knows of itself."""

    n_bytes: int
    row_groups: tuple[int, ...] | None = None
    n_rows: int | None = None
    nulls: dict[str, int] | None = None


@dataclass(frozen=True, slots=True)
class _Look:
    """A file's schema, and its parts."""

    schema: pa.Schema
    parts: tuple[_FilePart, ...]


def _column_names(located: Located, file: FileFacts) -> list[str]:
    """Return the names of the columns, also where they repeat: a dataset of Arrow would not open then."""
    if located.format == "csv":
        with located.filesystem.open_input_stream(file.path) as opened, csv.open_csv(opened) as reader:
            return list(reader.schema.names)
    with located.filesystem.open_input_file(file.path) as opened:
        if located.format == "parquet":
            return list(parquet.read_schema(opened).names)
        return list(ipc.open_file(opened).schema.names)


def _look_of_parquet(whole: parquet.ParquetFile) -> _Look:
    """Return the row groups, those that follow each other put together while they are small."""
    metadata, width = whole.metadata, _fixed_width(whole.schema_arrow)
    parts: list[_FilePart] = []
    held: list[int] = []
    size = rows = 0
    for index in range(metadata.num_row_groups):
        group = metadata.row_group(index)
        n_bytes = _size_of(group, width)
        if held and (size + n_bytes > _PIECE_BYTES or rows + group.num_rows > _PIECE_ROWS):
            parts.append(_part(metadata, held, width))
            held, size, rows = [], 0, 0
        held.append(index)
        size, rows = size + n_bytes, rows + group.num_rows
    if held:
        parts.append(_part(metadata, held, width))
    return _Look(whole.schema_arrow, tuple(parts))


def _fixed_width(schema: pa.Schema) -> int:
    """Return how many bytes a row takes in the columns whose values are of one size."""
    return sum(each.type.bit_width for each in schema if pa.types.is_primitive(each.type)) // 8


def _size_of(group: parquet.RowGroupMetaData, width: int) -> int:
    """Return about how much memory a row group takes; the file's own count is of encoded values."""
    return max(group.total_byte_size, width * group.num_rows)


def _part(metadata: parquet.FileMetaData, indices: Sequence[int], width: int) -> _FilePart:
    groups = [metadata.row_group(index) for index in indices]
    return _FilePart(
        n_bytes=sum(_size_of(group, width) for group in groups),
        row_groups=tuple(indices),
        n_rows=sum(group.num_rows for group in groups),
        nulls=_nulls(groups),
    )


def _nulls(groups: Sequence[parquet.RowGroupMetaData]) -> dict[str, int] | None:
    """Return the number of missing values by column, None where a column does not tell."""
    nulls: Counter[str] = Counter()
    for group in groups:
        for column in (group.column(place) for place in range(group.num_columns)):
            if column.statistics is None or not column.statistics.has_null_count:
                return None
            nulls[column.path_in_schema] += column.statistics.null_count
    return dict(nulls)
