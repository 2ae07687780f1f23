"""CSV files, compressed or not, as streams of blocks."""

from collections.abc import Mapping, Sequence

import pyarrow as pa
from pyarrow import csv, fs

__all__ = ["expansion", "is_compressed", "open_csv"]

_BLOCK_BYTES = 2**20
_PROBE_BYTES = 4 * 2**20
"""How much of a compressed file is unpacked to tell how large it is."""


def open_csv(
    filesystem: fs.FileSystem,
    path: str,
    types: Mapping[str, pa.DataType] | None = None,
    columns: Sequence[str] = (),
    block_bytes: int = _BLOCK_BYTES,
) -> csv.CSVStreamingReader:
    """Return a reader of a file's blocks.

    Parameters
    ----------
    types
        The types of the columns; None takes those that all values of the first block have.
    columns
        The columns to read; none given means all.
    block_bytes
        How much text is read at once.

    Raises
    ------
    ArrowInvalid, OSError
        If the file is no CSV, or cannot be read.
    """
    stream = filesystem.open_input_stream(path, compression="gzip" if is_compressed(path) else None)
    return csv.open_csv(
        stream,
        read_options=csv.ReadOptions(block_size=block_bytes, use_threads=False),
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types=dict(types or {}),
            include_columns=list(columns),
            # An empty field is a missing value in a column of text too, quoted or not: some programs quote all fields.
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
        ),
    )


def is_compressed(path: str) -> bool:
    """Whether a file is compressed, by its name."""
    return path.lower().endswith(".gz")


def expansion(filesystem: fs.FileSystem, path: str) -> float:
    """Return how much larger a file's text is than the file."""
    if not is_compressed(path):
        return 1.0
    with filesystem.open_input_file(path) as raw, pa.CompressedInputStream(raw, "gzip") as text:
        n_bytes = len(text.read(_PROBE_BYTES))
        return n_bytes / max(1, raw.tell())
