"""A part of a file that one worker reads by itself, in blocks of bounded size."""

import secrets
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow import fs, parquet

from partwise.errors import InputError
from partwise.resources import available_memory
from partwise.sources.csv_files import open_csv
from partwise.sources.feather_files import map_if_local
from partwise.sources.locating import FileFacts
from partwise.sources.measuring import block_rows, buffer_bytes

__all__ = ["FilePiece", "unreadable"]

_SHARE = 1 / 2
"""A batch that would take more of the free memory is not read."""
_UNKNOWN = secrets.token_hex(8)
"""Another one in each run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePiece:
    """Some row groups of a Parquet file, or a whole file of another format.

    Parameters
    ----------
    schema
        That of the whole table: what the file has is brought to it.
    keys
        Columns whose values the folders say (``year=2013``), the same for all rows.
    row_groups
        Which ones; None for the whole file.
    row_bytes
        About how much memory a row takes, by column.
    about_rows
        About how many rows there are.
    batch_rows
        How many rows of a Feather file can be read together only, as they are packed together.
    n_rows, nulls
        The number of rows, and of missing values in each column, where the file tells without being read.
    """

    filesystem: fs.FileSystem
    file: FileFacts
    format: str
    schema: pa.Schema
    row_bytes: Mapping[str, float] = field(compare=False)
    about_rows: int
    batch_rows: int = 0
    keys: tuple[tuple[str, Any], ...] = ()
    row_groups: tuple[int, ...] | None = None
    n_rows: int | None = None
    nulls: dict[str, int] | None = field(default=None, compare=False)

    def n_bytes(self, columns: Sequence[str] | None = None) -> int:
        """About how much memory the rows take, in the columns asked for."""
        return int(self.about_rows * self._row_bytes(columns))

    def batch_bytes(self, columns: Sequence[str] | None = None) -> int:
        """About how much memory whoever reads the rows holds at once, beyond a block, in the columns asked for."""
        return int(self.batch_rows * self._row_bytes(columns))

    @property
    def fingerprint(self) -> str:
        """What changes when the rows do."""
        groups = "" if self.row_groups is None else f" {self.row_groups}"
        # Where nobody knows when a file was written, nothing that was made of it is ever taken again.
        written = _UNKNOWN if self.file.mtime_ns is None else self.file.mtime_ns
        return f"{self.file.path} {self.file.size} {written}{groups}"

    def blocks(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield the rows block by block, in the order of the file, in the columns asked for.

        Raises
        ------
        InputError
            If the file is gone, has changed since the table was opened, or cannot be read.
        """
        names = self.schema.names if columns is None else list(columns)
        keys = dict(self.keys)
        stored = [name for name in names if name not in keys]
        schema = pa.schema([self.schema.field(name) for name in names], metadata=self.schema.metadata)
        try:
            self._check_unchanged()
            for batch in self._batches(stored):
                values = [
                    pa.array([keys[name]] * batch.num_rows, self.schema.field(name).type)
                    if name in keys
                    else batch.column(name)
                    for name in names
                ]
                yield pa.Table.from_arrays(values, names=names).cast(schema)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError, UnicodeDecodeError) as error:
            raise unreadable(self.file.path, self.format, error) from error

    def _row_bytes(self, columns: Sequence[str] | None) -> float:
        return sum(self.row_bytes.get(name, 0.0) for name in (self.schema.names if columns is None else columns))

    def _batches(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        match self.format:
            case "parquet":
                yield from self._parquet_batches(columns)
            case "csv":
                own = {each.name: each.type for each in self.schema if each.name not in dict(self.keys)}
                size = block_rows(self._row_bytes(columns))
                with open_csv(self.filesystem, self.file.path, own, columns or list(own)[:1]) as reader:
                    for batch in reader:
                        yield from (batch.slice(start, size) for start in range(0, batch.num_rows, size))
            case _:
                self._check_held(columns)
                fragment = ds.IpcFileFormat().make_fragment(self.file.path, map_if_local(self.filesystem))
                own_schema = pa.schema([each for each in self.schema if each.name not in dict(self.keys)])
                yield from fragment.to_batches(
                    schema=own_schema,
                    columns=columns,
                    batch_size=block_rows(self._row_bytes(columns)),
                    use_threads=False,
                    batch_readahead=1,
                )

    def _parquet_batches(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        with self.filesystem.open_input_file(self.file.path) as opened:
            metadata = parquet.read_metadata(opened)
            groups = range(metadata.num_row_groups) if self.row_groups is None else self.row_groups
            if not columns:
                for group in groups:
                    yield _empty(metadata.row_group(group).num_rows)
                return
            # Not through a dataset: that reads whole row groups at once, which may be of any size.
            buffered = buffer_bytes(metadata, groups)
            whole = parquet.ParquetFile(
                opened,
                metadata=metadata,
                buffer_size=buffered,
                pre_buffer=not buffered,
                page_checksum_verification=True,
            )
            yield from whole.iter_batches(
                block_rows(self._row_bytes(columns)), list(groups), columns, use_threads=False
            )

    def _check_held(self, columns: list[str]) -> None:
        """Refuse a batch that would take over half of the memory that is free here."""
        held, free = self.batch_bytes(columns), available_memory()
        if free is not None and held > _SHARE * free:
            raise InputError(
                f"{self.file.path!r} has {self.batch_rows:,} rows in one batch, which can be read only as a whole: "
                f"about {held / 1e9:,.1f} GB, of {free / 1e9:,.1f} GB that are free on {socket.gethostname()}. Write "
                "it with smaller batches (pyarrow.feather.write_feather(…, chunksize=65_536)), or as Parquet."
            )

    def _check_unchanged(self) -> None:
        info = self.filesystem.get_file_info(self.file.path)
        if info.type == fs.FileType.NotFound:
            raise InputError(
                f"{self.file.path!r} is gone, or is not seen by {socket.gethostname()}. Start again with files that "
                "stay, and on a cluster with a folder that all nodes share, or a URI such as s3://bucket/folder."
            )
        now = FileFacts.of(info)
        if not now.unchanged_since(self.file):
            sizes = f"{self.file.size:,} bytes then, {now.size:,} now"
            how = sizes if now.size != self.file.size else "it was written again, with as many bytes"
            raise InputError(
                f"{self.file.path!r} has changed since the table was opened: {how}. Start again when nothing writes to "
                "it any more."
            )


def _empty(n_rows: int) -> pa.RecordBatch:
    """Return a batch of rows without columns."""
    return pa.RecordBatch.from_struct_array(pa.array([{}] * n_rows, pa.struct([])))


def unreadable(path: str, format_name: str, error: Exception) -> InputError:
    """Return the error for a file that is not what its name says."""
    mend = "Check that the file is whole and that its name ends as its format does."
    if "conversion error" in str(error):
        mend = (
            "The types of the columns are those of the values in the first megabytes. Mend the value, or write the "
            "table as Parquet, with the type that the column shall have."
        )
    said = str(error).rstrip(".")
    return InputError(f"{path!r} cannot be read as {format_name}: {said}. {mend}")
