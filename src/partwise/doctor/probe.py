"""What a machine tells of itself: run by the driver for its own, and on every node of a cluster."""

import os
import resource
import shutil
import socket
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from partwise.filesystems import open_filesystem, read_whole
from partwise.provenance import versions
from partwise.resources import available_memory

__all__ = ["MachineFacts", "look_at_machine"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineFacts:
    """Sizes in bytes, None where they are not told; ``mark`` is what the node read at the place that was asked about.

    ``clock`` is seconds since the epoch.
    """

    host: str
    versions: dict[str, str]
    cores: int
    memory: int | None
    shared_memory: int | None
    temporary: int
    temporary_total: int
    open_files: int
    clock: float
    mark: str | None


def look_at_machine(mark: str | None) -> MachineFacts:
    """Return what this machine tells; ``mark`` is the path or URI of a file that it should be able to read."""
    shared = Path("/dev/shm")  # noqa: S108 - where the kernel has it
    temporary = shutil.disk_usage(tempfile.gettempdir())
    return MachineFacts(
        host=socket.gethostname(),
        versions=versions(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory=available_memory(),
        shared_memory=shutil.disk_usage(shared).total if shared.is_dir() else None,
        temporary=temporary.free,
        temporary_total=temporary.total,
        open_files=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        clock=time.time(),
        mark=None if mark is None else _read(mark),
    )


def _read(mark: str) -> str | None:
    try:
        filesystem, path, _ = open_filesystem(mark)
        return read_whole(filesystem, path).decode()
    except Exception:  # noqa: BLE001 - whatever keeps the node from reading it, it does not see it
        return None
