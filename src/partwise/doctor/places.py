"""Whether what a run writes to can be written to: its directory, the partition store, the tracking server."""

import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

from pyarrow import fs

from partwise.doctor.checks import Check, bad, good
from partwise.doctor.machines import check_disk
from partwise.doctor.probe import MachineFacts
from partwise.errors import PartwiseError
from partwise.filesystems import open_filesystem
from partwise.records import TaskFailure
from partwise.trackers import make_tracker, without_credentials

__all__ = ["Mark", "check_run_directory", "check_seen", "check_tracking"]


def check_run_directory(path: Path) -> Iterator[Check]:
    """Yield whether a run directory can be made, and the space there."""
    there = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
    probe = there / f".{secrets.token_hex(4)}.tmp"
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        yield bad("run directory", f"{there} cannot be written to: {error.strerror}", "Give another one: --output.")
        return
    yield good("run directory", f"{path.absolute()} can be written to")
    usage = shutil.disk_usage(there)
    yield check_disk("disk of the run directory", usage.free, usage.total)


class Mark:
    """A small file in the partition store, which every node should be able to read.

    Used with ``with``; it is deleted in the end, and so is the folder where it was made for it.
    """

    def __init__(self, storage: str) -> None:
        self.storage = storage
        self.word = secrets.token_hex(8)
        self.checks: list[Check] = []
        self._name = f".{secrets.token_hex(4)}.mark"

    @property
    def uri(self) -> str:
        """Where it is, for the nodes."""
        return f"{self.storage.rstrip('/')}/{self._name}"

    def __enter__(self) -> Self:
        shown = without_credentials(self.storage)
        try:
            self._filesystem, folder, _ = open_filesystem(self.storage)
            self._folder = folder.rstrip("/")
            self._made = self._filesystem.get_file_info(self._folder).type == fs.FileType.NotFound
            self._filesystem.create_dir(self._folder, recursive=True)
            with self._filesystem.open_output_stream(f"{self._folder}/{self._name}") as file:
                file.write(self.word.encode())
        except (OSError, PartwiseError) as error:
            mend = "Give another place with --storage, or the right to write there."
            self.checks.append(bad("partition store", f"{shown} cannot be written to: {error}", mend))
            return self
        self.checks.append(good("partition store", f"{shown} can be written to"))
        if isinstance(self._filesystem, fs.LocalFileSystem):
            usage = shutil.disk_usage(self._folder)
            self.checks.append(check_disk("disk of the partition store", usage.free, usage.total))
        return self

    def __exit__(self, *_: object) -> None:
        if not self.written:
            return
        self._filesystem.delete_file(f"{self._folder}/{self._name}")
        if self._made and isinstance(self._filesystem, fs.LocalFileSystem):
            Path(self._folder).rmdir()

    @property
    def written(self) -> bool:
        """Whether it is there."""
        return self.checks[0].state == "good"


def check_seen(mark: Mark, nodes: Mapping[str, MachineFacts | TaskFailure]) -> Iterator[Check]:
    """Yield for each node whether it reads in the store what the driver has written there."""
    for node, facts in nodes.items():
        if isinstance(facts, TaskFailure) or not mark.written:
            continue
        if facts.mark == mark.word:
            yield good(f"{node}: partition store", "seen")
        else:
            mend = "Give --storage a folder that all nodes share, or a URI such as s3://bucket/folder."
            yield bad(f"{node}: partition store", "not seen", mend)


def check_tracking(uri: str | None) -> Check:
    """Return whether the tracking server answers; nothing is written there."""
    if uri == "off":
        return good("tracking", "off")
    tracker = make_tracker(uri, "partwise")
    try:
        tracker.reach()
    except PartwiseError as error:
        return bad("tracking", str(error), "A run would go on without it: partwise sync sends its records later.")
    return good("tracking", f"{tracker.uri} answers")
