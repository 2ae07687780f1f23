"""The run directory and its journal: what happened, as files that outlive the process."""

import json
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from pyarrow import fs

from partwise.credentials import without_credentials
from partwise.errors import InputError
from partwise.filesystems import Folder, below
from partwise.jsonable import plain
from partwise.locks import RunLock, held_file, is_claim
from partwise.mirrors import BucketMirror, Mirror, NoMirror

__all__ = ["JOURNAL", "RunDirectory", "default_run_directory"]

JOURNAL = "journal.jsonl"
RECORD = "run.json"
_LOCK = ".lock"
_PROBE = ".tmp"

_HOME = "partwise-runs"


def default_run_directory(now: datetime) -> Path:
    """Return ``partwise-runs/YYYYMMDD-HHMMSS-xxxxxx`` below the working directory; two calls never agree."""
    return Path.cwd() / _HOME / f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """A directory with the records of one run; one process writes to it.

    Parameters
    ----------
    path
        The folder of this machine that files are written to.
    place
        What the user calls the run directory: the same path, or the URI of a folder in a bucket, which gets what is
        published.
    """

    path: Path
    place: Path | str
    lock: RunLock
    mirror: Mirror

    @classmethod
    def create(cls, place: Path | str) -> Self:
        """Make a new run directory, or take one that is empty: a path, or a URI that `open_filesystem` opens.

        Raises
        ------
        InputError
            If it holds files already, or cannot be written to.
        """
        cls.check_new(place)
        run, folder = cls._at(place), Folder.at(place)
        probe = f"{folder.path}/.{secrets.token_hex(3)}{_PROBE}"
        try:
            run.path.mkdir(parents=True, exist_ok=True)
            # Now rather than after hours of fitting: a directory can exist and yet take no files.
            with folder.filesystem.open_output_stream(probe) as file:
                file.write(b"-")
            folder.filesystem.delete_file(probe)
        except OSError as error:
            raise _unwritable(folder.shown(), str(error.strerror or error)) from error
        return run

    @classmethod
    def _at(cls, place: Path | str) -> Self:
        folder = Folder.at(place)
        if folder.is_local:
            return cls(Path(folder.path), Path(folder.path), RunLock(folder), NoMirror())
        mirror = BucketMirror(folder)
        return cls(mirror.path, str(place), RunLock(folder), mirror)

    @staticmethod
    def check_new(place: Path | str) -> None:
        """Refuse what cannot become a run directory, as far as that is seen without making it.

        What a process left that was killed before its run began is nobody's.

        Raises
        ------
        InputError
            If it holds files already, or what it would lie in is no folder that may be written to.
        """
        folder = Folder.at(place)
        if folder.is_local:
            _check_parents(Path(folder.path))
        try:
            entries = folder.filesystem.get_file_info(fs.FileSelector(folder.path, allow_not_found=True))
        except OSError as error:
            raise _unwritable(folder.shown(), str(error.strerror or error)) from error
        held = sorted(entry.base_name for entry in entries)
        if not all(_is_left_over(name) for name in held):
            shown = ", ".join(held[:3]) + (", ..." if len(held) > 3 else "")
            raise InputError(
                f"The run directory {folder.shown()} is not empty (it holds {shown}). Give a new one, or delete that "
                "one: runs are never mixed."
            )

    @classmethod
    def reopen(cls, place: Path | str) -> Self:
        """Return the directory of a run that was started before.

        Raises
        ------
        InputError
            If it is none.
        """
        folder = Folder.at(place)
        try:
            if folder.has(RECORD):
                run = cls._at(place)
                run.mirror.fetch_records(JOURNAL)
                return run
        except OSError as error:
            raise InputError(f"{folder.shown()} cannot be read: {error}. Check the URI and the credentials.") from error
        raise InputError(
            f"{folder.shown()} is no run directory: it has no {RECORD}. Give the directory that a run named on stderr, "
            f"such as {_HOME}/20260101-120000-abcdef."
        )

    @property
    def called(self) -> Path | str:
        """What it is called in messages and records: its place, without passwords."""
        return self.place if isinstance(self.place, Path) else without_credentials(self.place)

    @property
    def members(self) -> str:
        """Where members are kept: a path or URI."""
        return below(str(self.place), "members")

    def record(self) -> dict[str, Any]:
        """Return what was noted of the run: its settings, versions, data and state.

        Raises
        ------
        InputError
            If the file cannot be read.
        """
        path = self.path / RECORD
        try:
            record = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be read: {error}. Start the run anew in another directory.") from error
        if not isinstance(record, dict):
            raise InputError(f"{path} holds no record of a run. Start the run anew in another directory.")
        return record

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the directory: no other process of this or another machine writes to it meanwhile.

        When the process ends, however it ends, it is free: at once where that is seen, else after a minute.

        Raises
        ------
        InputError
            If another process has it; its machine and id are named.
        """
        with held_file(self.path / _LOCK, self._in_use), self.lock.held():
            self.mirror.fetch_records(JOURNAL)  # who had it until now may have written since it was opened
            yield

    def _in_use(self) -> InputError:
        return InputError(
            f"The run directory {self.path} is in use by {self.lock.owner()}. Wait for it to end, or give another "
            "directory."
        )

    def write_json(self, name: str, value: Any) -> Path:
        """Write a value as JSON under a name and return the file; a reader sees the old file or the new one."""
        return self.write(name, (json.dumps(plain(value), indent=2, allow_nan=False) + "\n").encode())

    def write(self, name: str, data: bytes) -> Path:
        """Write a file and return it; a reader sees the old one or the new one.

        Raises
        ------
        PartwiseError
            If another process has taken the directory.
        """
        self.lock.check()
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        temporary.write_bytes(data)
        temporary.replace(path)
        self.mirror.publish([name])
        return path

    def read(self, name: str) -> bytes | None:
        """Return what a file holds, None where there is none."""
        path = self.path / name
        return path.read_bytes() if path.is_file() else None

    def publish(self, folder: str, last: str = "") -> list[str]:
        """Let a folder be found that was written below ``path``; return its files, the ``last`` of them last.

        Raises
        ------
        PartwiseError
            If another process has taken the directory.
        """
        self.lock.check()
        found = sorted(
            path.relative_to(self.path).as_posix() for path in (self.path / folder).rglob("*") if path.is_file()
        )
        names = sorted(found, key=lambda name: name == f"{folder}/{last}")
        self.mirror.publish(names)
        return names

    def delete(self, folder: str) -> None:
        """Delete a folder, if it is there."""
        self.lock.check()
        self.mirror.delete(folder)
        shutil.rmtree(self.path / folder, ignore_errors=True)

    def append(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Append an event to the journal and return it as it stands there."""
        return self.extend([event])[0]

    def extend(self, events: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Append events to the journal, together, and return them as they stand there.

        ``time``, in seconds since the epoch, is added where it lacks. When the call returns they are where the run
        lies: as lines of a file, or as one more object of a bucket.

        Raises
        ------
        InputError
            If an event has no ``event``, its kind.
        PartwiseError
            If another process has taken the directory.
        """
        self.lock.check()
        given = list(events)
        for event in given:
            if not isinstance(event.get("event"), str):
                raise InputError(f"An event needs `event`, its kind as a text; got {dict(event)!r}.")
        entries: list[dict[str, Any]] = [{"time": time.time(), **plain(event)} for event in given]
        lines = b"".join(json.dumps(entry, allow_nan=False).encode() + b"\n" for entry in entries)
        with (self.path / JOURNAL).open("ab") as journal:
            _cut_torn_line(journal.fileno(), self.path / JOURNAL)
            begins = os.fstat(journal.fileno()).st_size
            journal.write(lines)
        if lines:
            self._publish_events(begins, lines)
        return entries

    def _publish_events(self, begins: int, lines: bytes) -> None:
        """Let events be found; those that could not be written are none: the next ones begin where they would have."""
        try:
            self.mirror.publish_events(begins, lines)
        except BaseException:
            os.truncate(self.path / JOURNAL, begins)
            raise

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield the events of the journal in order; a last line that a crash cut short is no event.

        Raises
        ------
        InputError
            If another line is no event.
        """
        path = self.path / JOURNAL
        if not path.exists():
            return
        with path.open("rb") as journal:
            for number, line in enumerate(journal, start=1):
                if not line.endswith(b"\n"):
                    return
                yield _event(line, path, number)


def _is_left_over(name: str) -> bool:
    """Return whether a file says nothing of a run: a lock, or what tried whether the folder takes files."""
    return name == _LOCK or is_claim(name) or (name.startswith(".") and name.endswith(_PROBE))


def _check_parents(path: Path) -> None:
    there = next(place for place in (path, *path.parents) if place.exists())
    if not there.is_dir():
        raise _unwritable(path, f"{there} is a file")
    if not os.access(there, os.W_OK | os.X_OK):
        raise _unwritable(path, f"{there} may not be written to")


def _event(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except ValueError as error:
        event = error
    if not isinstance(event, dict) or "event" not in event:
        raise InputError(f"Line {number} of {path} is no event: {line[:80]!r}. Restore the file, or delete that line.")
    return event


def _cut_torn_line(descriptor: int, path: Path) -> None:
    """Drop what a crash left of a last line, so that the next event does not continue it."""
    size = os.fstat(descriptor).st_size
    if size == 0:
        return
    with path.open("rb") as journal:
        journal.seek(size - 1)
        if journal.read(1) == b"\n":
            return
    os.ftruncate(descriptor, path.read_bytes().rfind(b"\n") + 1)


def _unwritable(path: Path | str, why: str) -> InputError:
    return InputError(
        f"The run directory {path} cannot be written to ({why}). Give another one, on a disk with space and the right "
        "to write."
    )
