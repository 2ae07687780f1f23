"""The run directory and its journal: what happened, as files that outlive the process."""

import json
import os
import secrets
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
from filelock import FileLock, Timeout

from partwise.errors import InputError

__all__ = ["JOURNAL", "RunDirectory", "default_run_directory"]

JOURNAL = "journal.jsonl"
RECORD = "run.json"
_LOCK, _OWNER = ".lock", "owner.json"

_HOME = "partwise-runs"


def default_run_directory(now: datetime) -> Path:
    """Return ``partwise-runs/YYYYMMDD-HHMMSS-xxxxxx`` below the working directory; two calls never agree."""
    return Path.cwd() / _HOME / f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """A directory with the records of one run; one process writes to it."""

    path: Path

    @classmethod
    def create(cls, path: Path) -> Self:
        """Make a new run directory, or take one that is empty.

        Raises
        ------
        InputError
            If it holds files already, or cannot be written to.
        """
        cls.check_new(path)
        path = Path(path).absolute()
        try:
            path.mkdir(parents=True, exist_ok=True)
            # Now rather than after hours of fitting: a directory can exist and yet take no files.
            probe = path / f".{secrets.token_hex(3)}.tmp"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise _unwritable(path, str(error.strerror)) from error
        return cls(path)

    @staticmethod
    def check_new(path: Path) -> None:
        """Refuse what cannot become a run directory, as far as that is seen without making it.

        Raises
        ------
        InputError
            If it holds files already, or what it would lie in is no folder that may be written to.
        """
        path = Path(path).absolute()
        there = next(place for place in (path, *path.parents) if place.exists())
        if not there.is_dir():
            raise _unwritable(path, f"{there} is a file")
        if not os.access(there, os.W_OK | os.X_OK):
            raise _unwritable(path, f"{there} may not be written to")
        held = sorted(entry.name for entry in path.iterdir()) if there == path else []
        if held:
            shown = ", ".join(held[:3]) + (", ..." if len(held) > 3 else "")
            raise InputError(
                f"The run directory {path} is not empty (it holds {shown}). Give a new one, or delete that one: runs "
                "are never mixed."
            )

    @classmethod
    def reopen(cls, path: Path) -> Self:
        """Return the directory of a run that was started before.

        Raises
        ------
        InputError
            If it is none.
        """
        path = Path(path).absolute()
        if not (path / RECORD).is_file():
            raise InputError(
                f"{path} is no run directory: it has no {RECORD}. Give the directory that a run named on stderr, such "
                f"as {_HOME}/20260101-120000-abcdef."
            )
        return cls(path)

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

        The system lets go of it when the process ends, however it ends.

        Raises
        ------
        InputError
            If another process has it; its machine and id are named.
        """
        lock = FileLock(self.path / _LOCK, blocking=False)
        try:
            lock.acquire()
        except Timeout as error:
            raise InputError(
                f"The run directory {self.path} is in use by {self._owner()}. Wait for it to end, or give another "
                "directory."
            ) from error
        try:
            self.write_json(_OWNER, {"host": socket.gethostname(), "process": os.getpid(), "since": time.time()})
            yield
        finally:
            (self.path / _OWNER).unlink(missing_ok=True)
            (self.path / _LOCK).unlink(missing_ok=True)
            lock.release()

    def _owner(self) -> str:
        try:
            owner = json.loads((self.path / _OWNER).read_bytes())
            return f"process {owner['process']} on {owner['host']}"
        except (OSError, ValueError, KeyError, TypeError):
            return "another process"

    def write_json(self, name: str, value: Any) -> Path:
        """Write a value as JSON under a name and return the file; a reader sees the old file or the new one."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        temporary.write_text(json.dumps(_plain(value), indent=2, allow_nan=False) + "\n", encoding="utf-8")
        temporary.replace(path)
        return path

    def append(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Append an event to the journal and return it as it stands there.

        ``time``, in seconds since the epoch, is added where it lacks.

        Raises
        ------
        InputError
            If the event has no ``event``, its kind.
        """
        if not isinstance(event.get("event"), str):
            raise InputError(f"An event needs `event`, its kind as a text; got {dict(event)!r}.")
        entry: dict[str, Any] = {"time": time.time(), **_plain(event)}
        with (self.path / JOURNAL).open("ab") as journal:
            _cut_torn_line(journal.fileno(), self.path / JOURNAL)
            journal.write(json.dumps(entry, allow_nan=False).encode() + b"\n")
        return entry

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


def _plain(value: Any) -> Any:
    """Return a value as JSON knows it: arrays as lists, NaN and infinity as null, paths and times as text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        # NumPy's own list of times with nanoseconds is one of bare integers.
        return _plain(value.astype(str).tolist() if value.dtype.kind == "M" else value.tolist())
    return _plain_scalar(value)


def _plain_scalar(value: Any) -> Any:
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    return str(value) if isinstance(value, Path) else value


def _unwritable(path: Path, why: str) -> InputError:
    return InputError(
        f"The run directory {path} cannot be written to ({why}). Give another one, on a disk with space and the right "
        "to write."
    )
