"""Locks: of the system, on one machine; and with an owner and a heartbeat, by files alone, on any disk or bucket.

Whoever wants the lock writes a claim of its own, and then looks for others. Of two who do so at the same time at least
one sees the other's claim, as it was written before its own look; who sees one withdraws. That takes no conditional
writing, only that what was written is listed, as disks, S3, Google Cloud Storage and Azure do.
"""

import json
import os
import random
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from partwise.errors import InputError, PartwiseError
from partwise.filesystems import Folder, write_small

__all__ = ["RunLock", "held_file", "is_claim"]

_BEGIN, _END = "owner-", ".json"
_BEAT_SECONDS = 10.0
_GONE_SECONDS = 60.0
"""Who has not renewed a claim for so long, by the clock of where it lies, is taken as gone."""
_TRIES = 5
"""How often one asks again who met another that asked at the same time."""


class RunLock:
    """The lock of a folder.

    A claim is renewed every 10 s, and holds nobody up any longer 60 s after it was last renewed, or at once where its
    process is seen to be gone.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._name = f"{_BEGIN}{secrets.token_hex(6)}{_END}"
        self._ended = threading.Event()
        self._lost = threading.Event()

    def check(self) -> None:
        """Do nothing while the lock is held, or was never asked for.

        Raises
        ------
        PartwiseError
            If another process has taken it: this one was stopped, or cut off, for too long.
        """
        if self._lost.is_set():
            raise PartwiseError(
                f"{self._folder.shown()} was given up to another process, as this one was not heard of for "
                f"{_GONE_SECONDS:.0f} s. Let that one end; `partwise resume` goes on with what it leaves."
            )

    def owner(self) -> str:
        """Return what to call the process that has the lock."""
        claims = [self._read(name) for name in self._claims()]
        return _called(next((claim for claim in claims if claim.get("holds")), {}))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock.

        Raises
        ------
        InputError
            If another process has it, whose machine and id are named, or nothing can be written to the folder.
        """
        self._ended.clear()
        self._acquire()
        beats = threading.Thread(target=self._renew, name="partwise lock", daemon=True)
        beats.start()
        try:
            yield
        finally:
            self._ended.set()
            beats.join(timeout=_BEAT_SECONDS)
            self._withdraw(self._name)

    def _acquire(self) -> None:
        for _ in range(_TRIES):
            self._claim(holds=False)
            others = self._others()
            if not others:
                self._claim(holds=True)
                return
            self._withdraw(self._name)
            if any(other.get("holds") for other in others):
                break
            time.sleep(random.uniform(0.1, 1.0))  # noqa: S311 - two that ask at once shall not ask at once again
        raise InputError(
            f"The run directory {self._folder.shown()} is in use by {_called(others[0])}. Wait for it to end, or give "
            f"another directory. If it was killed, its claim ends {_GONE_SECONDS:.0f} s after it was last renewed."
        )

    def _claim(self, *, holds: bool) -> None:
        claim = {**_this_process(), "holds": holds, "time": time.time()}
        write_small(self._folder.filesystem, f"{self._folder.path}/{self._name}", json.dumps(claim).encode())

    def _withdraw(self, name: str) -> None:
        with suppress(OSError):  # another may have seen first that it is out of date
            self._folder.filesystem.delete_file(f"{self._folder.path}/{name}")

    def _others(self) -> list[dict[str, Any]]:
        """Return the claims of others that are alive; those that are not are deleted."""
        alive = []
        for name in self._claims():
            claim = self._read(name)
            if self._age(name, claim) > _GONE_SECONDS or _is_gone(claim):
                self._withdraw(name)
            else:
                alive.append(claim)
        return alive

    def _claims(self) -> list[str]:
        """Return the names of the claims of others."""
        return [name for name in self._folder.names() if is_claim(name) and name != self._name]

    def _read(self, name: str) -> dict[str, Any]:
        try:
            claim = json.loads(self._folder.read(name))
        except (OSError, ValueError):  # it was withdrawn meanwhile, or is no claim
            return {}
        return claim if isinstance(claim, dict) else {}

    def _age(self, name: str, claim: dict[str, Any]) -> float:
        """Return how many seconds before this process's own claim another was renewed.

        It is by the clock of where both lie; by those of the two machines where that place does not tell.
        """
        paths = [f"{self._folder.path}/{each}" for each in (self._name, name)]
        mine, other = (info.mtime for info in self._folder.filesystem.get_file_info(paths))
        if mine is None or other is None:
            return time.time() - float(claim.get("time", 0.0))
        return float((mine - other).total_seconds())

    def _renew(self) -> None:
        last = time.monotonic()
        while not self._ended.wait(_BEAT_SECONDS):
            try:
                if not self._folder.has(self._name):
                    self._lost.set()
                    return
                self._claim(holds=True)
                last = time.monotonic()
            except (OSError, InputError):  # the place does not answer now; it may again
                if time.monotonic() - last > _GONE_SECONDS:
                    self._lost.set()
                    return


@contextmanager
def held_file(path: Path, taken: Callable[[], InputError]) -> Iterator[None]:
    """Hold a file by a lock of the system, which tells the processes of one machine apart at once.

    However the process ends, it is free then. Where no such file can be made, or the file system has no such locks,
    nothing is held.

    Raises
    ------
    InputError
        What ``taken`` returns, if another process has it; or if the file is another user's, and may not be opened.
    """
    lock = FileLock(path, blocking=False)
    try:
        if path.parent.is_dir():  # the lock would make it
            lock.acquire()
    except Timeout as error:
        raise taken() from error
    except (NotImplementedError, OSError) as error:
        if isinstance(error, PermissionError) and path.exists():
            raise InputError(
                f"The lock {path} belongs to another user, and may not be opened: another process may be at work "
                "there. Wait for it to end; if there is none, delete the file."
            ) from error
    try:
        yield
    finally:
        if lock.is_locked:
            path.unlink(missing_ok=True)
            lock.release()


def is_claim(name: str) -> bool:
    """Return whether a file's name is that of a claim."""
    return name.startswith(_BEGIN) and name.endswith(_END)


def _this_process() -> dict[str, Any]:
    return {"host": socket.gethostname(), "process": os.getpid(), "began": _began(os.getpid()), "among": _processes()}


def _processes() -> str:
    """Return what tells apart the processes whose ids can be compared.

    Names of machines do not where containers may share one, but are all that some systems tell.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}:{os.stat('/proc/self/ns/pid').st_ino}"  # noqa: PTH116 - of the link's target, no path
    except OSError:
        return socket.gethostname()


def _began(process: int) -> str | None:
    """Return when a process began, in ticks since the machine did, or that it lives; None where it does not."""
    if Path("/proc/self/stat").exists():
        try:
            stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
            return stat.rpartition(")")[2].split()[19]
        except OSError:
            return None
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return None
    except OSError:
        pass  # it lives, and is another user's
    return "lives"


def _is_gone(claim: dict[str, Any]) -> bool:
    """Return whether the process of a claim is seen to be gone."""
    if claim.get("among") != _processes() or not isinstance(claim.get("process"), int):
        return False
    return _began(claim["process"]) != claim.get("began")


def _called(claim: dict[str, Any]) -> str:
    if "process" not in claim or "host" not in claim:
        return "another process"
    return f"process {claim['process']} on {claim['host']}"
