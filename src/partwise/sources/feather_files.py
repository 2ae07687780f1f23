"""Batches of Feather (Arrow IPC) files: a packed one can be unpacked only as a whole, and may hold the whole file.

How large it is stands in its header, which pyarrow reads but does not tell: a flatbuffer, as said in Message.fbs of
https://arrow.apache.org/docs/format/Columnar.html#ipc-file-format.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
from pyarrow import fs

__all__ = ["Batch", "largest_batch", "map_if_local"]

_MAGIC = 8
_CONTINUES = 0xFFFFFFFF
_RECORD_BATCH = 3
_LOOKED_AT = 64
"""Batches of a file whose headers are read: writers make all but the last of one size."""

_ASKED = 64
"""Buffers of a packed batch, the largest ones, that are asked for their size: each may take a request."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The rows of a batch, its bytes in memory and in the file, and whether it is packed."""

    n_rows: int
    n_bytes: int
    n_stored: int
    packed: bool


def map_if_local(filesystem: fs.FileSystem) -> fs.FileSystem:
    """Return the file system with the files of this machine mapped: what is not packed is then not copied."""
    return fs.LocalFileSystem(use_mmap=True) if isinstance(filesystem, fs.LocalFileSystem) else filesystem


def largest_batch(filesystem: fs.FileSystem, path: str) -> Batch | None:
    """Return the largest of the first batches of a file, without reading rows; None where there is none.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    with filesystem.open_input_file(path) as file:
        try:
            largest = max(_headers(file), key=lambda each: each.n_stored, default=None)
            return None if largest is None else largest.batch(file)
        except (struct.error, IndexError):  # no such file: that is told when it is opened
            return None


@dataclass(frozen=True, slots=True)
class _Header:
    """The header of a batch, the place of its table in it, and where the bytes of its columns begin."""

    flat: "_Flat"
    table: int
    body: int
    n_stored: int

    def batch(self, file: pa.NativeFile) -> Batch:
        """Return what the header says, with the sizes that packed buffers begin with."""
        start, count = self.flat.vector(self.table, 2)
        buffers = [self.flat.read("<qq", start + 16 * place) for place in range(count)]
        n_bytes = stored = sum(length for _, length in buffers)
        packed = self.flat.field(self.table, 3) is not None
        if packed and stored:
            asked = sorted(((at, length) for at, length in buffers if length), key=lambda each: -each[1])[:_ASKED]
            expansion = sum(_unpacked(file, self.body + at, length) for at, length in asked)
            n_bytes = stored * expansion // sum(length for _, length in asked)
        place = self.flat.field(self.table, 0)
        return Batch(0 if place is None else self.flat.read("<q", place)[0], n_bytes, self.n_stored, packed)


def _unpacked(file: pa.NativeFile, place: int, length: int) -> int:
    (size,) = struct.unpack("<q", file.read_at(8, place))
    return int(length - 8 if size == -1 else size)  # what would not get smaller is left as it was


def _headers(file: pa.NativeFile) -> Iterator[_Header]:
    place, found = _MAGIC, 0
    while found < _LOOKED_AT:
        mark, size = struct.unpack("<Ii", file.read_at(8, place))
        if mark != _CONTINUES or size <= 0:
            return
        flat = _Flat(file.read_at(size, place + 8))
        (message,) = flat.read("<I", 0)
        kind, header, length = (flat.field(message, index) for index in (1, 2, 3))
        body = place + 8 + size
        (n_stored,) = (0,) if length is None else flat.read("<q", length)
        if kind is not None and header is not None and flat.read("<B", kind)[0] == _RECORD_BATCH:
            yield _Header(flat, flat.follow(header), body, n_stored)
            found += 1
        place = body + n_stored


@dataclass(frozen=True, slots=True)
class _Flat:
    """A flatbuffer: tables that say where their fields are."""

    data: bytes

    def read(self, form: str, place: int) -> tuple[int, ...]:
        """Return the numbers at a place."""
        return struct.unpack_from(form, self.data, place)

    def follow(self, place: int) -> int:
        """Return the place that a place points to."""
        return place + self.read("<I", place)[0]

    def field(self, table: int, index: int) -> int | None:
        """Return the place of a field of a table, None where it is left out."""
        places = table - self.read("<i", table)[0]
        slot = 4 + 2 * index
        offset = self.read("<H", places + slot)[0] if slot < self.read("<H", places)[0] else 0
        return table + offset if offset else None

    def vector(self, table: int, index: int) -> tuple[int, int]:
        """Return where the items of a field begin, and how many there are."""
        place = self.field(table, index)
        if place is None:
            return 0, 0
        start = self.follow(place)
        return start + 4, self.read("<I", start)[0]
