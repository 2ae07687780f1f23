"""Where a run directory lies beside where it is written: nowhere else, or in a bucket."""

import re
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from partwise.errors import InputError
from partwise.filesystems import Folder

__all__ = ["BucketMirror", "Mirror", "NoMirror"]

_JOURNAL = "journal"
_SEGMENT = re.compile(r"journal/(\d{12})\.jsonl")
_APART = ("members/", "model/", f"{_JOURNAL}/")
"""Folders that are large, or put together in another way."""


class Mirror(Protocol):
    """What is done with files that were written to the folder of a run, for all to find them."""

    def publish(self, names: Iterable[str]) -> None:
        """Let files be found where the run lies, in this order; of a folder all of its files."""

    def publish_events(self, begins: int, lines: bytes) -> None:
        """Let lines of the journal be found, of which the first begins at this byte of it."""

    def fetch_records(self, journal: str) -> None:
        """Bring what was recorded to where it is written: neither members nor model; the journal under this name."""

    def fetch(self, name: str) -> None:
        """Bring a folder from where the run lies to where it is written."""

    def delete(self, name: str) -> None:
        """Delete a folder where the run lies, and its manifest, ``model.json``, first."""


class NoMirror:
    """The run directory lies where it is written."""

    def publish(self, names: Iterable[str]) -> None:
        """Do nothing."""

    def publish_events(self, begins: int, lines: bytes) -> None:
        """Do nothing."""

    def fetch_records(self, journal: str) -> None:
        """Do nothing."""

    def fetch(self, name: str) -> None:
        """Do nothing."""

    def delete(self, name: str) -> None:
        """Do nothing."""


class BucketMirror:
    """The run directory lies in a bucket, and is written in a folder of this machine, from which it is copied.

    Objects cannot be appended to: events that are written together are an object of their own, below ``journal/``, with
    the byte of the journal at which they begin as its name. None is ever written again.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._here = TemporaryDirectory(prefix="partwise-run-", ignore_cleanup_errors=True)

    @property
    def path(self) -> Path:
        """The folder of this machine; it goes when the mirror does."""
        return Path(self._here.name)

    def publish(self, names: Iterable[str]) -> None:
        """Copy files to the bucket, in this order.

        Raises
        ------
        InputError
            If the bucket takes no more objects.
        """
        for name in names:
            self._folder.write(name, (self.path / name).read_bytes())

    def publish_events(self, begins: int, lines: bytes) -> None:
        """Write events as an object."""
        self._folder.write(f"{_JOURNAL}/{begins:012d}.jsonl", lines)

    def fetch_records(self, journal: str) -> None:
        """Bring what was recorded of the run, but neither members nor model; the journal as one file.

        Raises
        ------
        InputError
            If a part of the journal is missing.
        """
        names = self._folder.names(recursive=True)
        for name in names:
            if not name.startswith(_APART):
                self._bring(name)
        lines = b""
        for begins, name in sorted((int(found[1]), name) for name in names if (found := _SEGMENT.fullmatch(name))):
            if begins != len(lines):
                raise InputError(
                    f"{self._folder.shown(_JOURNAL)} lacks the bytes of the journal from {len(lines)} to {begins}. "
                    "Restore the object, or start a new run."
                )
            lines += self._folder.read(name)
        if lines:
            (self.path / journal).write_bytes(lines)

    def fetch(self, name: str) -> None:
        """Bring a folder to this machine."""
        for each in self._folder.names(recursive=True):
            if each.startswith(f"{name}/"):
                self._bring(each)

    def delete(self, name: str) -> None:
        """Delete a folder from the bucket, its manifest first: without it the rest is no model."""
        found = [each for each in self._folder.names(recursive=True) if each.startswith(f"{name}/")]
        for each in sorted(found, key=lambda each: not each.endswith("/model.json")):
            self._folder.filesystem.delete_file(f"{self._folder.path}/{each}")

    def _bring(self, name: str) -> None:
        path = self.path / name
        if not path.resolve().is_relative_to(self.path.resolve()):
            raise InputError(f"{self._folder.shown(name)} would be written outside of the run directory. Delete it.")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self._folder.read(name))
