"""What a piece of work used: wall time, processor time, private memory at its peak."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Stopwatch", "Usage", "available_memory", "measure_usage", "ran_here"]

_MEMORY = Path("/proc/meminfo")
_LIMITS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes")),
)
"""What control groups allow, and what is used of it, as a container sees them."""
_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")


def available_memory() -> int | None:
    """Return the bytes of memory that are free, caches counted as free, in this container; None where none are told."""
    free = [_reading(_MEMORY, "MemAvailable:", 1024)]
    for limit, used in _LIMITS:
        most, held = _reading(limit), _reading(used)
        free.append(None if most is None or held is None else max(0, most - held))
    return min((each for each in free if each is not None), default=None)


def _reading(path: Path, name: str = "", unit: int = 1) -> int | None:
    """Return the number after a name in a file of the kernel, None where there is none."""
    try:
        lines = path.read_text().splitlines()
        return next((unit * int(line.removeprefix(name).split()[0]) for line in lines if line.startswith(name)), None)
    except (OSError, ValueError):  # no such file, or "max"
        return None


def ran_here(node: str, process: int) -> bool:
    """Return whether work ran in this process, whose usage then counts it already; ids alone may repeat elsewhere."""
    return process == os.getpid() and node == socket.gethostname()


@dataclass(slots=True)
class Stopwatch:
    """Wall seconds of the steps of a pipeline, by name."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        """Add the time of the block to that of its step."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[step] = self.seconds.get(step, 0.0) + time.perf_counter() - started


@dataclass(slots=True)
class Usage:
    """Filled in when the measured block ends; ``peak_memory_bytes`` is None where the system does not tell."""

    started: float = 0.0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory_bytes: int | None = None


@contextmanager
def measure_usage() -> Iterator[Usage]:
    """Measure the block: seconds, CPU seconds of this process (all threads), and its peak of private memory.

    The kernel's high-water mark is reset first, so that the peak is the block's own. The mark counts shared pages
    too; those that are mapped at the end (files, the object store) are taken off it.
    """
    usage = Usage(started=time.time())
    _reset_high_water_mark()
    started, cpu_started = time.perf_counter(), time.process_time()
    try:
        yield usage
    finally:
        usage.seconds = time.perf_counter() - started
        usage.cpu_seconds = time.process_time() - cpu_started
        usage.peak_memory_bytes = _private_peak()


def _reset_high_water_mark() -> None:
    try:
        _CLEAR_REFS.write_text("5")  # proc(5): resets VmHWM to the current resident set size
    except OSError:
        return  # not Linux, or not allowed: the mark then covers the life of the process


def _private_peak() -> int | None:
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return None
    kilobytes = {
        name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines) if "kB" in rest
    }
    peak = kilobytes["VmHWM"] - kilobytes["RssFile"] - kilobytes["RssShmem"]
    return 1024 * max(peak, kilobytes["RssAnon"])
