"""Claims on an output in a bucket, where nothing can be locked: each run says that it is there, and looks for others.

What is written to a bucket is listed at once (Amazon S3 since 2020, Google Cloud Storage, Azure), so that of two runs
that begin together at least one sees the other, and gives way. Both may.
"""

import json
import os
import re
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pyarrow import fs

from partwise.errors import InputError
from partwise.filesystems import read_whole

__all__ = ["claimed"]

_BEAT_SECONDS = 10
"""How often a run says that it is still there."""
_SILENT_SECONDS = 60
"""After so long without a word a run is taken for dead; both times are those of the bucket."""


@contextmanager
def claimed(filesystem: fs.FileSystem, path: str, place: str) -> Iterator[None]:
    """Claim an output for this run while the block lasts.

    Parameters
    ----------
    place
        What messages call the output.

    Raises
    ------
    InputError
        If another run has claimed it, and is at work.
    OSError
        If nothing can be written there.
    """
    folder, _, name = path.rpartition("/")
    mine = f"{folder}/.{name}.{secrets.token_hex(4)}.claim"
    stopped = threading.Event()
    said = json.dumps({"host": socket.gethostname(), "process": os.getpid()}).encode()
    _say(filesystem, mine, said)
    beats = threading.Thread(target=_go_on, args=(filesystem, mine, said, stopped), daemon=True)
    try:
        _refuse_others(filesystem, folder, name, mine, place)
        beats.start()
        yield
    finally:
        stopped.set()
        if beats.ident is not None:
            beats.join()
        with suppress(OSError):  # a place that is out of reach: it is taken for dead in a minute
            filesystem.delete_file(mine)


def _refuse_others(filesystem: fs.FileSystem, folder: str, name: str, mine: str, place: str) -> None:
    infos = filesystem.get_file_info(fs.FileSelector(folder))
    claims = {
        info.base_name: info for info in infos if re.fullmatch(rf"\.{re.escape(name)}\.\w+\.claim", info.base_name)
    }
    own = claims.pop(mine.rpartition("/")[2], None)
    now = None if own is None else own.mtime_ns
    for path, last in ((info.path, info.mtime_ns) for info in claims.values()):
        if now is None or last is None or now - last <= _SILENT_SECONDS * 10**9:
            raise InputError(
                f"--output {place!r} is being written by another process{_whose(filesystem, path)}. Wait for it, or "
                f"give another file. One that was killed counts as gone after {_SILENT_SECONDS} seconds."
            )
        with suppress(OSError):  # another run may have done so
            filesystem.delete_file(path)


def _whose(filesystem: fs.FileSystem, path: str) -> str:
    try:
        said = json.loads(read_whole(filesystem, path))
        return f" ({said['process']} on {said['host']})"
    except (OSError, ValueError, KeyError, TypeError):  # it has just ended
        return ""


def _go_on(filesystem: fs.FileSystem, mine: str, said: bytes, stopped: threading.Event) -> None:
    """Say again and again that this run is there."""
    while not stopped.wait(_BEAT_SECONDS):
        with suppress(OSError):  # the work itself tells when the bucket stays out of reach
            _say(filesystem, mine, said)


def _say(filesystem: fs.FileSystem, mine: str, said: bytes) -> None:
    with filesystem.open_output_stream(mine) as file:
        file.write(said)
