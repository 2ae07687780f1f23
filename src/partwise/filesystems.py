"""From a path or a URI to the file system that it is on."""

import hashlib
import os
import posixpath
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import fsspec
import pyarrow as pa
from pyarrow import fs

from partwise.credentials import without_credentials
from partwise.errors import InputError, UnwritableError

__all__ = ["WILD", "Folder", "below", "new_file", "open_filesystem", "read_whole", "write_small", "write_whole"]

_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+://")
_SETTINGS = re.compile(r"\?(?=\w+=)")
"""Where the settings of a URI begin; another ? stands for one character of a name."""
_PATIENT = {"gs://", "gcs://"}
_RETRY_SECONDS = 30
"""How long Google's client asks again where nothing answers, in place of its 15 minutes; a URI may say otherwise."""
_BLOCK_BYTES = 2**22
WILD = re.compile(r"[*?\[]")
"""What makes a path a glob."""


def open_filesystem(given: str) -> tuple[fs.FileSystem, str, str]:
    """Return the file system of a path, glob or URI, the path on it, and what makes a path there a URI.

    Raises
    ------
    InputError
        If the URI cannot be opened.
    """
    scheme = _SCHEME.match(given)
    if scheme is None:
        return fs.LocalFileSystem(), str(Path(given).expanduser().absolute()), "file://"
    shown = without_credentials(given)
    try:
        # A glob is no part of a URI: the file system is opened without it.
        asked = _SETTINGS.search(given)
        place, settings = (given, "") if asked is None else (given[: asked.start()], given[asked.start() :])
        if scheme.group() in _PATIENT and "retry_limit_seconds" not in settings:
            settings += f"{'&' if settings else '?'}retry_limit_seconds={_RETRY_SECONDS}"
        wild = WILD.search(place, scheme.end())
        plain = place if wild is None else place[: wild.start()]
        filesystem, path = fs.FileSystem.from_uri(plain + settings)
        if wild is not None:
            path += ("/" if plain.endswith("/") and not path.endswith("/") else "") + place[wild.start() :]
    except pa.ArrowInvalid as refused:  # a scheme that Arrow does not know, or a setting
        try:
            opened, path = fsspec.core.url_to_fs(given)
        except (ImportError, ValueError) as error:
            raise InputError(
                f"{shown!r} cannot be opened: {refused}. {error}. Correct the URI, install what reads it, or copy the "
                "files."
            ) from error
        filesystem = fs.PyFileSystem(fs.FSSpecHandler(opened))
    except OSError as error:
        raise InputError(f"{shown!r} cannot be opened: {error}. Check the URI and the credentials.") from error
    return filesystem, path, "file://" if filesystem.type_name == "local" else scheme.group()


def read_whole(filesystem: fs.FileSystem, path: str) -> bytes:
    """Return what is in a file.

    Raises
    ------
    OSError
        If it is not there, or cannot be read.
    """
    with filesystem.open_input_file(path) as file:
        return bytes(file.read())


@contextmanager
def new_file(filesystem: fs.FileSystem, path: str, *, contested: bool = False) -> Iterator[pa.NativeFile]:
    """Yield a file to write, which is there as a whole when the block ends, and not at all when it fails.

    On a disk that holds also after the machine has lost its power. An object of a bucket appears when it is closed, so
    that it needs no other name before; one that is closed because its block failed is deleted.

    Parameters
    ----------
    contested
        Whether others may write the same file at the same time. An object is then, as where there is one already,
        written under a name of its own too, and copied, which S3 does up to 5 GB.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    on_disk = isinstance(filesystem, fs.LocalFileSystem)
    # An object that is there stays until the new one is whole: closing one half written would replace it.
    apart = on_disk or contested or filesystem.get_file_info(path).type != fs.FileType.NotFound
    written = f"{path}.{secrets.token_hex(4)}.tmp" if apart else path
    file, whole = filesystem.open_output_stream(written), False
    try:
        with file:
            yield file
            whole = True
        if on_disk:
            _flush(written)
        if apart:
            filesystem.move(written, path)
    except BaseException:
        if apart or not whole:  # an object that could not be closed is not there, but an older one is
            with suppress(OSError):  # what has failed is told, not that this fails too
                filesystem.delete_file(written)
        raise


def _flush(path: str) -> None:
    """Have the disk hold what was written to a file."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(filesystem: fs.FileSystem, path: str, data: bytes) -> None:
    """Write a file that is there as a whole or not at all, also after the machine has lost its power.

    Raises
    ------
    UnwritableError
        If it cannot be written.
    """
    try:
        with new_file(filesystem, path) as file:
            file.write(data)
    except OSError as error:
        raise UnwritableError(
            f"{path!r} cannot be written ({len(data) / 1e6:,.1f} MB): {error.strerror or error}. Look whether "
            "the place is there, has room and may be written to, or give another; a run goes on with `partwise resume`."
        ) from error


def write_small(filesystem: fs.FileSystem, path: str, data: bytes) -> None:
    """Write, or replace, a file of less than 5 MB as a whole: as an object of a bucket that takes one request alone.

    Raises
    ------
    InputError
        If it cannot be written.
    OSError
        If an object cannot be written.
    """
    if isinstance(filesystem, fs.LocalFileSystem):
        write_whole(filesystem, path, data)
        return
    with filesystem.open_output_stream(path) as file:
        file.write(data)


def below(place: str, name: str) -> str:
    """Return the path or URI of what lies below another, whose settings it keeps.

    Examples
    --------
    >>> below("s3://bucket/run?scheme=http", "members")
    's3://bucket/run/members?scheme=http'
    """
    asked = _SETTINGS.search(place) if _SCHEME.match(place) else None
    bare, settings = (place, "") if asked is None else (place[: asked.start()], place[asked.start() :])
    return f"{bare.rstrip('/')}/{name}{settings}"


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder on a disk or in a bucket; ``place`` is the path or URI that it was opened by."""

    place: str
    filesystem: fs.FileSystem
    path: str

    @classmethod
    def at(cls, place: str | Path) -> Self:
        """Open a folder, which need not exist.

        Raises
        ------
        InputError
            If the URI cannot be opened.
        """
        filesystem, path, _ = open_filesystem(str(place))
        return cls(str(place), filesystem, path.rstrip("/"))

    @property
    def is_local(self) -> bool:
        """Whether it is on a disk, where files can be opened by their paths."""
        return isinstance(self.filesystem, fs.LocalFileSystem)

    def shown(self, name: str = "") -> str:
        """Return what a file of the folder is called in messages, or the folder: never with a URI's settings."""
        scheme = "" if self.is_local else self.place.partition("://")[0] + "://"
        return scheme + (f"{self.path}/{name}" if name else self.path)

    def holds(self, name: str) -> bool:
        """Return whether a name stays in the folder, links followed."""
        if self.is_local:
            return Path(self.path, name).resolve().is_relative_to(Path(self.path).resolve())
        return posixpath.normpath(f"{self.path}/{name}").startswith(f"{self.path}/")

    def has(self, name: str) -> bool:
        """Return whether there is a file of this name."""
        return bool(self.filesystem.get_file_info(f"{self.path}/{name}").type == fs.FileType.File)

    def names(self, *, recursive: bool = False) -> list[str]:
        """Return the names of the files in the folder, sorted; with those below it as ``folder/name``."""
        selector = fs.FileSelector(self.path, recursive=recursive, allow_not_found=True)
        infos = self.filesystem.get_file_info(selector)
        return sorted(info.path[len(self.path) + 1 :] for info in infos if info.type == fs.FileType.File)

    def read(self, name: str) -> bytes:
        """Return what is in a file.

        Raises
        ------
        OSError
            If it is not there, or cannot be read.
        """
        return read_whole(self.filesystem, f"{self.path}/{name}")

    def digest(self, name: str) -> str:
        """Return the SHA-256 of a file, 64 hexadecimal digits.

        Raises
        ------
        OSError
            If it is not there, or cannot be read.
        """
        found = hashlib.sha256()
        with self.filesystem.open_input_stream(f"{self.path}/{name}", compression=None) as file:
            while block := file.read(_BLOCK_BYTES):
                found.update(block)
        return found.hexdigest()

    def write(self, name: str, data: bytes) -> None:
        """Write a file that is there as a whole or not at all; folders are made.

        Raises
        ------
        InputError
            If it cannot be written.
        OSError
            If its folder cannot be made.
        """
        path = f"{self.path}/{name}"
        if self.is_local:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_whole(self.filesystem, path, data)
