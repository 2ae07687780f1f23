"""Partitions on a disk or in a bucket: one Parquet file each, and a manifest that is written last."""

import re
import secrets
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa
from pyarrow import fs
from pydantic import ValidationError

from partwise.errors import InputError, TableError
from partwise.filesystems import open_filesystem, write_whole
from partwise.stores.manifests import Manifest

__all__ = ["Build", "PartitionStore", "StoreEntry"]

_MANIFEST = "manifest.json"
_HOME = "partwise-store"
_KEY = re.compile(r"[0-9a-f]{32}")
_OURS = re.compile(r"[0-9a-f]{8}|manifest\.json(\.[0-9a-f]{8}\.tmp)?")
"""What lies in a table's folder: builds, and the manifest. Other programs name folders by 32 digits too."""


@dataclass(frozen=True, slots=True)
class StoreEntry:
    """What lies under one key: complete where it has a manifest, else what a run left that did not finish."""

    key: str
    n_bytes: int
    manifest: Manifest | None


@dataclass(frozen=True, slots=True)
class Build:
    """A folder that is being filled; nobody reads it before its manifest is written."""

    filesystem: fs.FileSystem
    folder: str

    @property
    def token(self) -> str:
        """The name of the folder, which no other build has."""
        return self.folder.rpartition("/")[2]

    def path(self, name: str) -> str:
        """Return the path of a file in the folder."""
        return f"{self.folder}/{name}"

    def create(self, name: str) -> pa.NativeFile:
        """Return a new file to write to.

        Raises
        ------
        InputError
            If this node does not see the folder.
        """
        try:
            return self.filesystem.open_output_stream(self.path(name))
        except FileNotFoundError as error:
            raise InputError(
                f"The partition store {self.folder!r} is not seen by {socket.gethostname()}. Give --storage a folder "
                "that all nodes share, or a URI such as s3://bucket/folder."
            ) from error

    def delete(self, name: str) -> None:
        """Delete a folder in the folder, whatever is in it."""
        self.filesystem.delete_dir(self.path(name))

    def abandon(self) -> None:
        """Delete all of it, and the table's folder where nothing else is in it."""
        self.filesystem.delete_dir(self.folder)
        table = self.folder.rpartition("/")[0]
        if not self.filesystem.get_file_info(fs.FileSelector(table, allow_not_found=True)):
            self.filesystem.delete_dir(table)


@dataclass(frozen=True)
class PartitionStore:
    """A folder of cut tables, each under a key that follows from its rows and its cut.

    Parameters
    ----------
    root
        A path, or a URI that pyarrow or fsspec can open; all nodes must see it. None is ``partwise-store`` in the
        working directory.
    """

    root: str | None = None

    @cached_property
    def place(self) -> tuple[fs.FileSystem, str]:
        """The file system and the path of the root."""
        filesystem, path, _ = open_filesystem(str(Path.cwd() / _HOME) if self.root is None else str(self.root))
        return filesystem, path.rstrip("/")

    def __getstate__(self) -> dict[str, str | None]:
        """Travel as an absolute path or a URI: the file system is opened where it arrives."""
        filesystem, path = self.place
        return {"root": path if isinstance(filesystem, fs.LocalFileSystem) else self.root}

    def folder(self, key: str) -> str:
        """Return the path of a table's folder."""
        return f"{self.place[1]}/{key}"

    def find(self, key: str) -> Manifest | None:
        """Return the manifest of a complete table, None where there is none.

        Raises
        ------
        TableError
            If there is one that cannot be read, or partitions are missing or of another size.
        """
        filesystem, _ = self.place
        path = f"{self.folder(key)}/{_MANIFEST}"
        if filesystem.get_file_info(path).type != fs.FileType.File:
            return None
        with filesystem.open_input_file(path) as file:
            content = file.read()
        try:
            manifest = Manifest.model_validate_json(content)
        except ValidationError as error:
            raise TableError(f"{path!r} is no manifest of ours: {error.errors()[0]['msg']}. {_AGAIN}") from error
        infos = filesystem.get_file_info([f"{self.folder(key)}/{part.file}" for part in manifest.parts])
        for part, info in zip(manifest.parts, infos, strict=True):
            if info.type != fs.FileType.File or info.size != part.n_bytes:
                raise TableError(
                    f"{info.path!r} is {'missing' if info.size is None else f'{info.size:,} bytes long'}, and was "
                    f"written with {part.n_bytes:,} bytes. {_AGAIN}"
                )
        return manifest

    def check_usable(self) -> None:
        """Refuse a place that cannot be written to and holds nothing that could be read, before a run pays for more.

        Raises
        ------
        InputError
            If it is one.
        """
        filesystem, root = self.place
        probe = f"{root}/{secrets.token_hex(4)}.tmp"
        try:
            filesystem.create_dir(root, recursive=True)
            with filesystem.open_output_stream(probe) as file:
                file.write(b"partwise")
            filesystem.delete_file(probe)
        except OSError as error:
            if not any(entry.manifest is not None for entry in self.entries()):
                raise _unwritable(root, error) from error

    def begin(self, key: str, n_bytes: int) -> Build:
        """Return an empty folder to write partitions to.

        Raises
        ------
        InputError
            If it cannot be written to, or the disk has less space than is needed.
        """
        filesystem, root = self.place
        folder = f"{self.folder(key)}/{secrets.token_hex(4)}"
        free = self.free_bytes()
        if free is not None and free < n_bytes:
            raise InputError(
                f"The partition store {root!r} has {free / 1e9:,.1f} GB left, and storing the partitions takes about "
                f"{n_bytes / 1e9:,.1f} GB. Give another place with --storage, or make room (partwise store clean)."
            )
        try:
            filesystem.create_dir(folder, recursive=True)
        except OSError as error:
            raise _unwritable(root, error) from error
        return Build(filesystem, folder)

    def free_bytes(self) -> int | None:
        """Return the space that is left, None where that is not known, as in a bucket."""
        filesystem, root = self.place
        if not isinstance(filesystem, fs.LocalFileSystem):
            return None
        there = next(folder for folder in (Path(root), *Path(root).parents) if folder.exists())
        return shutil.disk_usage(there).free

    def commit(self, manifest: Manifest) -> None:
        """Write the manifest, with which the table is complete."""
        filesystem, _ = self.place
        path = f"{self.folder(manifest.key)}/{_MANIFEST}"
        write_whole(filesystem, path, manifest.model_dump_json(indent=1).encode())

    def entries(self) -> Iterator[StoreEntry]:
        """Yield the tables that the store holds, complete or not, by key; what is not ours is passed over."""
        filesystem, root = self.place
        selector = fs.FileSelector(root, allow_not_found=True, recursive=True)
        sizes: dict[str, int] = {}
        foreign: set[str] = set()
        for info in filesystem.get_file_info(selector):
            key, _, below = info.path[len(root) + 1 :].partition("/")
            if _KEY.fullmatch(key) and below:
                sizes[key] = sizes.get(key, 0) + (info.size or 0)
                if not _OURS.fullmatch(below.partition("/")[0]):
                    foreign.add(key)
        for key in sorted(sizes.keys() - foreign):
            try:
                manifest = self.find(key)
            except TableError:
                manifest = None
            yield StoreEntry(key, sizes[key], manifest)

    def sweep(self, entry: StoreEntry) -> None:
        """Delete what runs left beside a complete table: builds that its manifest does not name."""
        if entry.manifest is None:
            return
        filesystem, _ = self.place
        kept = {part.file.partition("/")[0] for part in entry.manifest.parts}
        for info in filesystem.get_file_info(fs.FileSelector(self.folder(entry.key))):
            if info.type == fs.FileType.Directory and info.base_name not in kept:
                filesystem.delete_dir(info.path)

    def delete(self, key: str) -> None:
        """Delete what lies under a key; a manifest goes first, so that nothing incomplete is ever found."""
        filesystem, _ = self.place
        path = f"{self.folder(key)}/{_MANIFEST}"
        if filesystem.get_file_info(path).type == fs.FileType.File:
            filesystem.delete_file(path)
        filesystem.delete_dir(self.folder(key))


def _unwritable(root: str, error: OSError) -> InputError:
    return InputError(f"The partition store {root!r} cannot be written to: {error}. Give another place with --storage.")


_AGAIN = "Delete that folder (partwise store clean), and the next run stores the table again."
