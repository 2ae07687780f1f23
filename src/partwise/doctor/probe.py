"""What a machine tells of itself: run by the driver for its own, and on every node of a cluster.

The functions travel by value and answer in built-in types: they also work where partwise is absent, or another one.
"""

import importlib.util
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from partwise.provenance import versions
from partwise.resources import available_memory

__all__ = ["MachineFacts", "Question", "Space", "look_at_machine", "tell_time"]

Space = tuple[int, int]
"""The bytes of a disk that are free, and all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a machine is asked beyond itself: to read a file in the partition store, and to find the user's modules."""

    storage: str | None = None
    mark: str = ""
    modules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineFacts:
    """Sizes in bytes; what the system does not tell is None.

    ``object_store`` is Ray's own, and ``open_files`` None where there is no limit. ``mark`` is what was read in the
    store, or ``mark_fault`` why it could not be; ``absent`` are modules that are not found.
    """

    versions: dict[str, str]
    cores: int
    memory: int | None
    shared_memory: Space | None
    object_store: int | None
    temporary_folder: str
    temporary: Space | None
    open_files: int | None
    mark: str | None
    mark_fault: str
    absent: tuple[str, ...]


def look_at_machine(question: Question, place: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of MachineFacts; ``place`` is what Ray says of a node, empty on a machine without Ray."""
    folder = place.get("temporary") or tempfile.gettempdir()
    open_files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    mark, mark_fault = _read(question)
    return {
        "versions": versions(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "memory": available_memory(),
        "shared_memory": _space("/dev/shm"),  # noqa: S108 - where the kernel has it
        "object_store": place.get("object_store"),
        "temporary_folder": folder,
        "temporary": _space(folder),
        "open_files": None if open_files == resource.RLIM_INFINITY else open_files,
        "mark": mark,
        "mark_fault": mark_fault,
        "absent": tuple(name for name in question.modules if importlib.util.find_spec(name) is None),
    }


def tell_time(_argument: None, _place: Mapping[str, Any]) -> float:
    """Return seconds since the epoch by the clock of this machine."""
    return time.time()


def _space(folder: str) -> Space | None:
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return None
    return usage.free, usage.total


def _read(question: Question) -> tuple[str | None, str]:
    """Return what is in the mark, or why it cannot be read."""
    if question.storage is None:
        return None, ""
    try:
        # Not at the top: a node without partwise or pyarrow shall tell of itself all the same.
        from partwise.filesystems import open_filesystem, read_whole  # noqa: PLC0415

        filesystem, folder, _ = open_filesystem(question.storage)
        return read_whole(filesystem, f"{Path(folder)}/{question.mark}").decode(), ""
    except Exception as error:  # noqa: BLE001 - whatever keeps the node from reading it is what the driver asks for
        return None, f"{type(error).__name__}: {error}"
