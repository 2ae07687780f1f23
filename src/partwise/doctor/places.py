"""Whether what a run writes to can be written to: its directory and the partition store."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

from pyarrow import fs

from partwise.doctor.checks import Check, bad, good
from partwise.doctor.isolation import Look
from partwise.doctor.machines import check_disk
from partwise.doctor.probe import MachineFacts
from partwise.errors import PartwiseError
from partwise.filesystems import Folder, open_filesystem
from partwise.records import TaskFailure
from partwise.trackers import without_credentials

__all__ = ["check_seen", "look_at_run_directory", "look_at_store"]

_BUCKETS = {"s3", "gcs", "abfs"}
"""Where folders need not be made."""


def look_at_run_directory(place: str | Path, probe: str) -> Look:
    """Say whether a run directory can be made, by a file of the name ``probe``, and the space there."""
    mend = "Give another one (--output), or get the right to write there."
    try:
        folder = Folder.at(place)
        if not folder.is_local:
            folder.write(probe, b"-")
            folder.filesystem.delete_file(f"{folder.path}/{probe}")
            yield [good("run directory", f"{folder.shown()} can be written to")]
            return
    except (OSError, PartwiseError) as error:
        yield [bad("run directory", without_credentials(f"{place} cannot be written to: {error}"), mend)]
        return
    there = path = Path(folder.path)
    try:
        there = next(folder for folder in (path, *path.parents) if folder.exists())
        (there / probe).touch(exist_ok=False)
        (there / probe).unlink()
    except OSError as error:
        found = f"{there} cannot be written to: {error.strerror}"
        yield [bad("run directory", found, mend)]
        return
    yield [good("run directory", f"{path} can be written to"), _disk_of("run directory", there)]


def look_at_store(storage: str, mark: str, word: str) -> Look:
    """Leave a file of the name ``mark`` in the partition store, which every node should be able to read.

    When the look is closed it is deleted, and so are folders of this machine that were made for it; elsewhere an empty
    folder may remain.
    """
    name, shown = "partition store", without_credentials(storage)
    with ExitStack() as undo:
        try:
            filesystem, folder, _ = open_filesystem(storage)
            place = Path(folder)
            if isinstance(filesystem, fs.LocalFileSystem):
                for each in [each for each in (*reversed(place.parents), place) if not each.exists()]:
                    each.mkdir()
                    undo.callback(_remove_if_empty, each)
            elif filesystem.type_name not in _BUCKETS:
                filesystem.create_dir(str(place), recursive=True)
            with filesystem.open_output_stream(f"{place}/{mark}") as file:
                file.write(word.encode())
        except (OSError, PartwiseError) as error:
            mend = "Give another place with --storage, or get the right to write there."
            yield [bad(name, without_credentials(f"{shown} cannot be written to: {error}"), mend)]
            return
        undo.callback(filesystem.delete_file, f"{place}/{mark}")
        checks = [good(name, f"{shown} can be written to")]
        if isinstance(filesystem, fs.LocalFileSystem):
            checks.append(_disk_of(name, place))
        yield checks


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):  # a run has begun to use it
        folder.rmdir()


def _disk_of(name: str, folder: Path) -> Check:
    usage = shutil.disk_usage(folder)
    return check_disk(f"disk of the {name}", str(folder), (usage.free, usage.total))


def check_seen(word: str, nodes: Mapping[str, MachineFacts | TaskFailure]) -> Iterator[Check]:
    """Yield for each node whether it reads in the store what the driver has written there."""
    for node, facts in nodes.items():
        if isinstance(facts, TaskFailure):
            continue
        if facts.mark == word:
            yield good(f"{node}: partition store", "seen")
        else:
            mend = "Give --storage a folder that all nodes share, or a URI such as s3://bucket/folder."
            yield bad(f"{node}: partition store", without_credentials(f"not seen: {facts.mark_fault}"), mend)
