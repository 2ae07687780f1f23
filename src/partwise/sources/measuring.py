"""How much memory rows take, measured on some of them: what files say of themselves is of packed values."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Self

import pyarrow as pa
from pyarrow import fs, ipc, parquet

from partwise.sources.csv_files import expansion, open_csv
from partwise.sources.feather_files import Batch, largest_batch
from partwise.sources.locating import FileFacts, Located

__all__ = ["Measure", "block_rows", "buffer_bytes", "held_batch", "measure", "row_bytes_of"]

_SAMPLED_ROWS = 4_096
_BLOCK_ROWS, _BLOCK_BYTES = 65_536, 32 * 2**20
_FEWEST_ROWS = 64
_BUFFERED_BYTES = 64 * 2**20
"""Row groups of more packed bytes are read through buffers that take so much together."""
_BUFFER_BYTES = (2**14, 2**20)
"""The least and the most that the buffer of one column takes."""
_UNPACKED_BYTES = 64 * 2**20
"""A larger batch of a Feather file is not unpacked to measure rows: its header tells."""
_UNKNOWN_BYTES = 16.0
"""What a text takes that nobody has seen."""
_PLACES = (0.0, 0.5, 1.0)
"""Where a table is looked at: its first, its middle and its last rows."""


@dataclass(frozen=True, slots=True)
class Measure:
    """What a row takes in memory, in bytes by column, and about how many rows a byte of a file holds."""

    row_bytes: Mapping[str, float]
    rows_per_byte: float

    @classmethod
    def of_batch(cls, batch: Batch, schema: pa.Schema) -> Self:
        """Return what a batch tells without being read: columns of no fixed width take what the others leave alike."""
        widths = {each.name: each.type.bit_width / 8 for each in schema if pa.types.is_primitive(each.type)}
        rest = max(0.0, batch.n_bytes / max(1, batch.n_rows) - sum(widths.values()))
        share = rest / max(1, len(schema) - len(widths))
        return cls({each.name: widths.get(each.name, share) for each in schema}, batch.n_rows / max(1, batch.n_stored))


def block_rows(row_bytes: float) -> int:
    """Return how many rows a block has: 65,536, or fewer where that would be more than 32 MiB."""
    return int(min(_BLOCK_ROWS, max(_FEWEST_ROWS, _BLOCK_BYTES // max(1.0, row_bytes))))


def row_bytes_of(blocks: Iterable[pa.RecordBatch]) -> dict[str, float]:
    """Return what a row takes in these blocks, by column; by its type alone where there are no rows."""
    n_bytes: Counter[str] = Counter()
    n_rows: Counter[str] = Counter()
    for block in blocks:
        for field, column in zip(block.schema, block.columns, strict=True):
            # One row more, so that a column without rows takes what its type says.
            n_bytes[field.name] += column.nbytes + _width(field.type)
            n_rows[field.name] += block.num_rows + 1
    return {name: n_bytes[name] / n_rows[name] for name in n_bytes}


def buffer_bytes(metadata: parquet.FileMetaData, groups: Iterable[int]) -> int:
    """Return how much of a column is read at once, 0 for all of it: a row group may be of any size."""
    largest = max((metadata.row_group(group).total_byte_size for group in groups), default=0)
    if largest <= _BUFFERED_BYTES:
        return 0
    low, high = _BUFFER_BYTES
    return min(high, max(low, _BUFFERED_BYTES // max(1, metadata.num_columns)))


def measure(located: Located) -> Measure:
    """Return what rows of the table take, from some of its first, middle and last ones.

    Raises
    ------
    ArrowInvalid, OSError
        If a file is not what its name says, or cannot be read.
    """
    if located.format == "feather":
        whole = [(held_batch(located.filesystem, file.path), file) for file, _ in _places(located)]
        batch, file = max(((each, file) for each, file in whole if each is not None), key=_bytes, default=(None, None))
        if batch is not None and file is not None and batch.n_bytes > _UNPACKED_BYTES:
            with located.filesystem.open_input_file(file.path) as opened:
                return Measure.of_batch(batch, ipc.open_file(opened).schema)
    rows = n_bytes = 0.0

    def blocks() -> Iterator[pa.RecordBatch]:
        # One after another: a batch of a Feather file may be the whole table.
        nonlocal rows, n_bytes
        for file, place in _places(located):
            block, size = _look(located, file, place)
            rows, n_bytes = rows + block.num_rows, n_bytes + size
            yield block

    row_bytes = row_bytes_of(blocks())
    return Measure(row_bytes, rows / max(1.0, n_bytes))


def held_batch(filesystem: fs.FileSystem, path: str) -> Batch | None:
    """Return the largest batch of a Feather file that is held as a whole when it is read; None where none is.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    batch = largest_batch(filesystem, path)
    is_mapped = isinstance(filesystem, fs.LocalFileSystem) and batch is not None and not batch.packed
    return None if is_mapped else batch


def _bytes(found: tuple[Batch, FileFacts]) -> int:
    return found[0].n_bytes


def _places(located: Located) -> list[tuple[FileFacts, float]]:
    """Return where to look: at the first, the middle and the last file, and there at the beginning, middle and end."""
    last = len(located.files) - 1
    return [(located.files[round(place * last)], place) for place in _PLACES]


def _look(located: Located, file: FileFacts, place: float) -> tuple[pa.RecordBatch, float]:
    """Return some rows of a file, and about how many bytes of it hold them."""
    if located.format == "csv":
        return _first_csv(located, file)
    if located.format == "feather":
        return _some_feather(located, file, place)
    with located.filesystem.open_input_file(file.path) as opened:
        return _some_parquet(opened, place), file.size


def _some_parquet(opened: pa.NativeFile, place: float) -> pa.RecordBatch:
    metadata = parquet.read_metadata(opened)
    group = round(place * (metadata.num_row_groups - 1))
    buffered = buffer_bytes(metadata, [group] if metadata.num_row_groups else [])
    whole = parquet.ParquetFile(opened, metadata=metadata, buffer_size=buffered, pre_buffer=not buffered)
    nothing = _nothing(whole.schema_arrow)
    if not metadata.num_row_groups:
        return nothing
    return next(whole.iter_batches(_SAMPLED_ROWS, [group], use_threads=False), nothing)


def _some_feather(located: Located, file: FileFacts, place: float) -> tuple[pa.RecordBatch, float]:
    # Mapped, a batch that is not compressed is not read but where it is looked at.
    local = isinstance(located.filesystem, fs.LocalFileSystem)
    opened = pa.memory_map(file.path) if local else located.filesystem.open_input_file(file.path)
    with opened:
        reader = ipc.open_file(opened)
        count = reader.num_record_batches
        batch = reader.get_batch(round(place * (count - 1))) if count else _nothing(reader.schema)
        return batch, file.size / max(1, count)


def _first_csv(located: Located, file: FileFacts) -> tuple[pa.RecordBatch, float]:
    with open_csv(located.filesystem, file.path) as reader:
        batch = next(iter(reader), _nothing(reader.schema))
    share = expansion(located.filesystem, file.path)
    return batch, min(file.size, 2**20 / share)


def _nothing(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema)


def _width(kind: pa.DataType) -> float:
    return kind.bit_width / 8 if pa.types.is_primitive(kind) else _UNKNOWN_BYTES
