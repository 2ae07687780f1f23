"""From what a user writes (a path, a folder, a glob, a URI) to the files that it stands for."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from fsspec.implementations.arrow import ArrowFSWrapper
from pyarrow import fs

from partwise.credentials import without_credentials
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
_LARGEST_EMPTY = 1_000
"""Bytes that a compressed file of nothing has at most: its name may be among them."""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A file's path on its file system, and what changes when it is written again."""

    path: str
    size: int
    mtime_ns: int | None

    @classmethod
    def of(cls, info: fs.FileInfo) -> "FileFacts":
        """Return the facts that the file system tells."""
        return cls(info.path, info.size or 0, info.mtime_ns)

    def unchanged_since(self, before: "FileFacts") -> bool:
        """Whether the file was not written again since the facts from before."""
        if self.mtime_ns is None or before.mtime_ns is None:
            return (self.path, self.size) == (before.path, before.size)
        # MinIO lists objects with milliseconds, and cuts them off where it is asked about one.
        whole_second = before.mtime_ns - before.mtime_ns % 10**9
        same_time = self.mtime_ns in {before.mtime_ns, whole_second}
        return (self.path, self.size) == (before.path, before.size) and same_time


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
    shown = without_credentials(given)
    try:
        found, base = _found(shown, filesystem, path, prefix)
    except OSError as error:
        raise InputError(f"{shown!r} cannot be reached: {error}. Check the address and the credentials.") from error
    files = tuple(FileFacts.of(each) for each in sorted(found, key=lambda each: each.path))
    # Some programs write an empty partition as a CSV file without even a header: it has no rows to lose.
    full = tuple(file for file in files if not _is_empty_csv(filesystem, file))
    return Located(given, filesystem, full or files, _one_format(shown, files), base, prefix)


def _is_empty_csv(filesystem: fs.FileSystem, file: FileFacts) -> bool:
    """Whether it is a CSV file of no bytes, or one that was compressed."""
    name = file.path.lower()
    if name.endswith(".csv"):
        return file.size == 0
    if not name.endswith(".csv.gz") or not 0 < file.size <= _LARGEST_EMPTY:
        return False
    try:
        with filesystem.open_input_stream(file.path, compression="gzip") as stream:
            return not stream.read(1)
    except OSError:  # that it cannot be read is told with its name when all files are looked at
        return False


def _found(given: str, filesystem: fs.FileSystem, path: str, prefix: str) -> tuple[list[fs.FileInfo], str | None]:
    """Return the files, and the folder below which they were looked for; None for one file."""
    info = filesystem.get_file_info(path)
    if info.type == fs.FileType.File:
        return [info], None
    if info.type == fs.FileType.Directory:
        base = path.rstrip("/")
        found = _below(filesystem, base)
        if not found:
            raise InputError(f"The folder {given!r} holds no table. Valid endings: {', '.join(FORMATS)}.")
        return found, base
    if wild := WILD.search(path):
        base = path[: wild.start()].rpartition("/")[0]
        found = _matching(filesystem, path, base)
        if not found:
            raise InputError(f"No table matches {given!r}. Check the pattern; ** goes through folders of any depth.")
        return found, base
    raise InputError(f"There is no file {given!r}.{_nearby(path) if prefix == 'file://' else ' Check the path.'}")


def _matching(filesystem: fs.FileSystem, pattern: str, base: str) -> list[fs.FileInfo]:
    """Return the files that match a glob, by the rules of fsspec; hidden ones where the glob asks for such."""
    try:
        paths = ArrowFSWrapper(filesystem).glob(pattern, on_error="raise")
    except FileNotFoundError:
        paths = []
    found = _tables(filesystem.get_file_info(paths) if paths else [])
    return found if _is_hidden(base, pattern) else [info for info in found if not _is_hidden(base, info.path)]


def _below(filesystem: fs.FileSystem, folder: str) -> list[fs.FileInfo]:
    found = _tables(filesystem.get_file_info(fs.FileSelector(folder, recursive=True)))
    return [info for info in found if not _is_hidden(folder, info.path)]


def _tables(infos: Sequence[fs.FileInfo]) -> list[fs.FileInfo]:
    return [info for info in infos if info.type == fs.FileType.File and info.base_name.lower().endswith(tuple(FORMATS))]


def _is_hidden(folder: str, path: str) -> bool:
    """Whether a part of the path is hidden by its name, as what other programs leave among tables is."""
    return any(part.startswith((".", "_")) for part in path[len(folder) :].strip("/").split("/"))


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
