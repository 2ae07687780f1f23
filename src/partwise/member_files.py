"""The file of a kept member: the SHA-256 of what follows, a line that describes the member, and what it learned."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pyarrow import fs

from partwise.filesystems import read_whole, write_whole
from partwise.records import KeptFile

__all__ = ["read_member", "write_member"]


def write_member(
    filesystem: fs.FileSystem, folder: str, name: str, file_format: str, record: Mapping[str, Any], data: bytes
) -> KeptFile:
    """Write a member into a folder, whole or not at all, and return what finds it again.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    described = json.dumps({**record, "format": file_format}).encode() + b"\n" + data
    digest = hashlib.sha256(described).hexdigest()
    write_whole(filesystem, f"{folder}/{name}", digest.encode() + b"\n" + described)
    return KeptFile(name=name, file_format=file_format, sha256=digest)


def read_member(filesystem: fs.FileSystem, path: str) -> tuple[str, Mapping[str, Any], bytes]:
    """Return the digest, the record and the data of a member's file.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If the file is not the one that was written.
    """
    digest, _, described = read_whole(filesystem, path).partition(b"\n")
    found = hashlib.sha256(described).hexdigest()
    if found.encode() != digest:
        raise ValueError(f"{path} has another digest than it says")
    line, _, data = described.partition(b"\n")
    return found, json.loads(line), data
