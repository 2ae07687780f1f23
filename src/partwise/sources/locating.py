"""From what a user writes (a path, a folder, a glob, a URI) to the files that it stands for."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from fsspec.implementations.arrow import ArrowFSWrapper
from pyarrow import fs

from partwise.errors import InputError
from partwise.filesystems import WILD, open_filesystem

__all__ = ["FORMATS", "FileFacts", "Located", "format_of", "locate"]

FORMATS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".feather": "feather",
    ".arrow": "feather",
    ".csv": "csv",
    ".csv.gz": "csv",
}
"""Ending of a file's name to its format."""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A file's path on its file system, and what changes when it is written again."""

    path: str
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, info: fs.FileInfo) -> "FileFacts":
        """Return the facts that the file system tells."""
        return cls(info.path, info.size or 0, info.mtime_ns or 0)


@dataclass(frozen=True, slots=True)
class Located:
    """Files of one format, sorted by path, and where folders that say a column's value (``year=2013``) begin.

    Parameters
    ----------
    given
        What the user wrote.
    filesystem, files
        Paths on the file system.
    base
        The folder that was given, or below which a glob looks; None for one file.
    prefix
        What makes a path of the file system a URI.
    """

    given: str
    filesystem: fs.FileSystem
    files: tuple[FileFacts, ...]
    format: str
    base: str | None
    prefix: str

    @property
    def uri(self) -> str:
        """Where the rows lie: the URI of the file, or of the folder."""
        place = self.files[0].path if self.base is None else self.base
        return self.prefix + (Path(place).as_uri().removeprefix("file://") if self.prefix == "file://" else place)


def locate(given: str) -> Located:
    """Return the files that a path, folder, glob or URI stands for.

    Raises
    ------
    InputError
        If there are none, they are of several formats or an unknown one, or the URI cannot be opened.
    """
    filesystem, path, prefix = open_filesystem(given)
    info = _info(filesystem, path, given)
    base: str | None = None
    if info.type == fs.FileType.File:
        found = [info]
    elif info.type == fs.FileType.Directory:
        base = path.rstrip("/")
        found = _below(filesystem, base)
        if not found:
            raise InputError(f"The folder {given!r} holds no table. Valid endings: {', '.join(FORMATS)}.")
    elif wild := WILD.search(path):
        base = path[: wild.start()].rpartition("/")[0]
        found = _matching(filesystem, path)
        if not found:
            raise InputError(f"No table matches {given!r}. Check the pattern; ** goes through folders of any depth.")
    else:
        raise InputError(f"There is no file {given!r}.{_nearby(path) if prefix == 'file://' else ''}")
    files = tuple(FileFacts.of(each) for each in sorted(found, key=lambda each: each.path))
    return Located(given, filesystem, files, _one_format(given, files), base, prefix)


def _info(filesystem: fs.FileSystem, path: str, given: str) -> fs.FileInfo:
    try:
        return filesystem.get_file_info(path)
    except OSError as error:
        raise InputError(f"{given!r} cannot be reached: {error}. Check the address and the credentials.") from error


def _matching(filesystem: fs.FileSystem, pattern: str) -> list[fs.FileInfo]:
    """Return the files that match a glob, by the rules of fsspec."""
    paths = ArrowFSWrapper(filesystem).glob(pattern)
    found = filesystem.get_file_info(paths) if paths else []
    return [info for info in found if info.type == fs.FileType.File and _is_table(info)]


def _below(filesystem: fs.FileSystem, folder: str) -> list[fs.FileInfo]:
    infos = filesystem.get_file_info(fs.FileSelector(folder, recursive=True))
    return [info for info in infos if info.type == fs.FileType.File and _is_table(info) and _is_shown(folder, info)]


def _is_table(info: fs.FileInfo) -> bool:
    return any(info.base_name.lower().endswith(ending) for ending in FORMATS)


def _is_shown(folder: str, info: fs.FileInfo) -> bool:
    """Whether no part of the path is hidden by its name, as what other programs leave among tables is."""
    return not any(part.startswith((".", "_")) for part in info.path[len(folder) :].strip("/").split("/"))


def format_of(path: str) -> str:
    """Return the format that a file's name tells.

    Raises
    ------
    InputError
        If it tells none.
    """
    for ending, name in FORMATS.items():
        if path.lower().endswith(ending):
            return name
    raise InputError(f"{path!r} is of an unknown format. Valid endings: {', '.join(FORMATS)}.")


def _one_format(given: str, files: Sequence[FileFacts]) -> str:
    formats = {format_of(file.path) for file in files}
    if len(formats) > 1:
        raise InputError(
            f"{given!r} stands for files of several formats: {', '.join(sorted(formats))}. Give files of one format, "
            "for instance with a glob such as 'folder/*.parquet'."
        )
    return formats.pop()


def _nearby(path: str) -> str:
    place = Path(path)
    if not place.parent.is_dir():
        return f" There is no folder {str(place.parent)!r} either."
    near = get_close_matches(place.name, [entry.name for entry in place.parent.iterdir()], n=1)
    return f" Did you mean {str(place.parent / near[0])!r}?" if near else " Check the path."
