"""What the machines of a run are like, each by itself and beside the driver's."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from partwise.comparison.cells import memory_cell
from partwise.doctor.checks import Check, bad, good, warning
from partwise.doctor.probe import MachineFacts
from partwise.records import TaskFailure

__all__ = ["check_clocks", "check_machine", "check_token", "check_versions"]

_SAME = ("python", "ray", "partwise", "scikit-learn")
"""What must be alike on all nodes: what is pickled on one is read on another."""
_LEAST_MEMORY, _LITTLE_MEMORY = 2**30, 4 * 2**30
_LEAST_DISK, _LITTLE_DISK = 2**30, 10 * 2**30
_FULL = 0.95
"""Ray refuses to write to a disk of which a larger share is used."""
_LEAST_FILES = 4_096
_STORE_SHARE = 0.3
"""The share of the memory that Ray wants for its object store."""
_LITTLE_DRIFT, _MOST_DRIFT = 5.0, 60.0


def check_machine(facts: MachineFacts, where: str) -> Iterator[Check]:
    """Yield what a machine is like: cores, memory, shared memory, the disk for temporary files, open files."""
    yield good(f"{where}: cores", f"{facts.cores}")
    name, memory = f"{where}: free memory", facts.memory
    if memory is None:
        yield warning(name, "not told by the system", "Watch it during the run.")
    elif memory < _LITTLE_MEMORY:
        kind = bad if memory < _LEAST_MEMORY else warning
        yield kind(name, memory_cell(memory), "End other programs, or take more --partitions: a worker holds one.")
    else:
        yield good(name, memory_cell(memory))
    name, shared = f"{where}: /dev/shm", facts.shared_memory
    if shared is not None and memory is not None and shared < _STORE_SHARE * memory:
        mend = "Give the container more (docker run --shm-size): Ray's object store goes to the disk otherwise."
        yield warning(name, memory_cell(shared), mend)
    else:
        yield good(name, "not there" if shared is None else memory_cell(shared))
    yield check_disk(f"{where}: disk for temporary files", facts.temporary, facts.temporary_total)
    name = f"{where}: open files"
    if facts.open_files < _LEAST_FILES:
        yield warning(name, f"{facts.open_files:,}", "Raise the limit before the run: ulimit -n 65536.")
    else:
        yield good(name, f"{facts.open_files:,}")


def check_disk(name: str, free: int, total: int) -> Check:
    """Return whether a disk has space; one that is nearly full is none for Ray."""
    found = f"{memory_cell(free)} free of {memory_cell(total)}"
    if free < _LEAST_DISK or free < (1 - _FULL) * total:
        return bad(name, found, "Make room, or give another place.")
    return warning(name, found, "Make room before a large run.") if free < _LITTLE_DISK else good(name, found)


def check_versions(driver: MachineFacts, nodes: Mapping[str, MachineFacts | TaskFailure]) -> Iterator[Check]:
    """Yield for each node whether its software is the driver's."""
    for node, facts in nodes.items():
        name = f"{node}: versions"
        if isinstance(facts, TaskFailure):
            mend = "See that the node is there, and that partwise is installed on it, in this version."
            yield bad(name, f"{facts.error_type}: {facts.message}", mend)
            continue
        wanted, found = driver.versions, facts.versions
        differ = sorted(each for each in {*wanted, *found} if wanted.get(each) != found.get(each))
        told = ", ".join(f"{each} {found.get(each, 'absent')} (driver {wanted.get(each, 'absent')})" for each in differ)
        if not differ:
            yield good(name, f"as the driver's: Python {found['python']}, Ray {found.get('ray', 'absent')}")
        elif set(differ) & set(_SAME):
            yield bad(name, told, "Install the driver's versions on the node.")
        else:
            yield warning(name, told, "Members may differ in their last digits: install the same versions.")


def check_clocks(driver: MachineFacts, nodes: Mapping[str, MachineFacts | TaskFailure], took: float) -> Iterator[Check]:
    """Yield for each node how far its clock is from the driver's; the answer itself took so many seconds at most."""
    for node, facts in nodes.items():
        if isinstance(facts, TaskFailure):
            continue
        drift = max(0.0, abs(facts.clock - driver.clock) - took)
        name, found = f"{node}: clock", f"within {drift + took:.1f} s of the driver's"
        if drift > _LITTLE_DRIFT:
            kind = bad if drift > _MOST_DRIFT else warning
            yield kind(name, f"{drift:.0f} s from the driver's", "Set it (NTP): times of members would mislead.")
        else:
            yield good(name, found)


def check_token(path: Path) -> Check:
    """Return whether others could read the token that lets processes join Ray."""
    name = "Ray's token"
    if not path.is_file():
        return good(name, "none on this machine yet")
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        return bad(name, f"{path} is readable by others ({mode:o})", f"chmod 600 {path}")
    return good(name, f"{path}, readable by its owner alone")
