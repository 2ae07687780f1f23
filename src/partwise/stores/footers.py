"""The footer of a Parquet file: what Parquet itself has no checksum for."""

import hashlib

from pyarrow import fs

__all__ = ["footer_digest"]

_END = 8
"""The length of the footer, and the word PAR1."""


def footer_digest(filesystem: fs.FileSystem, path: str) -> str:
    """Return the SHA-256 of a Parquet file's footer: schema, and where the pages are, which have checksums.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    with filesystem.open_input_file(path) as file:
        size = file.size()
        file.seek(max(0, size - _END))
        end = file.read(_END)
        length = min(int.from_bytes(end[:4], "little") + _END, size)
        file.seek(size - length)
        return hashlib.sha256(file.read(length)).hexdigest()
