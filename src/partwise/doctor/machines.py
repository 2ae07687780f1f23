"""What the machines of a run are like, each by itself and beside the driver's."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from partwise.comparison.cells import memory_cell
from partwise.doctor.checks import Check, bad, good, warning
from partwise.doctor.probe import MachineFacts, Space
from partwise.executors.node_versions import MUST_MATCH, describe_differences
from partwise.records import TaskFailure

__all__ = [
    "check_clocks",
    "check_disk",
    "check_machine",
    "check_modules",
    "check_ray_places",
    "check_token",
    "check_versions",
]

_LEAST_MEMORY, _LITTLE_MEMORY = 2**30, 4 * 2**30
_LEAST_DISK, _LITTLE_DISK = 2**30, 10 * 2**30
_RAY_FULL = 0.95
"""Ray refuses to write to a disk of which a larger share is used."""
_LEAST_FILES = 4_096
_STORE_SHARE = 0.3
"""The share of the memory that Ray wants for its object store."""
_LITTLE_DRIFT, _MOST_DRIFT = 5.0, 60.0


def check_machine(facts: MachineFacts, where: str) -> Iterator[Check]:
    """Yield what a machine is like: cores, memory, open files."""
    yield good(f"{where}: cores", f"{facts.cores}")
    name, memory = f"{where}: free memory", facts.memory
    if memory is None:
        yield warning(name, "not told by the system", "Watch it during the run.")
    elif memory < _LITTLE_MEMORY:
        kind = bad if memory < _LEAST_MEMORY else warning
        yield kind(name, memory_cell(memory), "End other programs, or take more --partitions: a worker holds one.")
    else:
        yield good(name, memory_cell(memory))
    name, limit = f"{where}: open files", facts.open_files
    if limit is not None and limit < _LEAST_FILES:
        yield warning(name, f"at most {limit:,}", "Raise the limit before Ray is started: ulimit -n 65536.")
    else:
        yield good(name, "no limit" if limit is None else f"at most {limit:,}")


def check_ray_places(facts: MachineFacts, where: str) -> Iterator[Check]:
    """Yield what Ray finds on a machine: shared memory for its objects, and the disk of its temporary folder."""
    yield _check_shared_memory(f"{where}: /dev/shm", facts)
    yield check_disk(f"{where}: disk for temporary files", facts.temporary_folder, facts.temporary, full=_RAY_FULL)


def _check_shared_memory(name: str, facts: MachineFacts) -> Check:
    if facts.shared_memory is None:
        return good(name, "not there")
    free, total = facts.shared_memory
    store = facts.object_store
    found = f"{memory_cell(free)} free of {memory_cell(total)}"
    found += "" if store is None else f", Ray's object store has {memory_cell(store)}"
    wanted = max(_STORE_SHARE * (facts.memory or 0), store or 0)
    if (free if store is None else total) >= wanted:  # what Ray has mapped by now is no longer free
        return good(name, found)
    mend = "Delete files there, or give a container more (docker run --shm-size): objects go to disk otherwise."
    return warning(name, found, mend)


def check_disk(name: str, folder: str, space: Space | None, full: float = 1.0) -> Check:
    """Return whether the disk of a folder has space; one of which a larger share than ``full`` is used has none."""
    if space is None:
        return warning(name, f"{folder}: not told by the system", "Look with df.")
    free, total = space
    found = f"{folder}: {memory_cell(free)} free of {memory_cell(total)}"
    if free < _LEAST_DISK or free < (1 - full) * total:
        return bad(name, found, "Make room, or give another place.")
    return warning(name, found, "Make room before a large run.") if free < _LITTLE_DISK else good(name, found)


def check_versions(driver: MachineFacts, nodes: Mapping[str, MachineFacts | TaskFailure]) -> Iterator[Check]:
    """Yield for each node whether its software is the driver's."""
    for node, facts in nodes.items():
        name = f"{node}: versions"
        if isinstance(facts, TaskFailure):
            mend = "See that the node is there and has a free worker: ray status, and the logs in Ray's folder there."
            yield bad(name, f"does not tell: {facts.error_type}: {facts.message}", mend)
            continue
        told = describe_differences(driver.versions, facts.versions, driver.versions)
        if not told:
            yield good(name, f"as the driver's: Python {facts.versions['python']}, Ray {facts.versions['ray']}")
        elif describe_differences(driver.versions, facts.versions, MUST_MATCH):
            yield bad(name, told, "Install the driver's versions on the node.")
        else:
            yield warning(name, told, "Members may differ in their last digits: install the same versions.")


def check_modules(nodes: Mapping[str, MachineFacts | TaskFailure], modules: tuple[str, ...]) -> Iterator[Check]:
    """Yield for each node whether it finds the modules that were shipped to it."""
    for node, facts in nodes.items():
        if isinstance(facts, TaskFailure) or not modules:
            continue
        name = f"{node}: shipped modules"
        if facts.absent:
            mend = "Give --ship the path of the file, or of the folder with __init__.py, that is imported."
            yield bad(name, f"not found: {', '.join(facts.absent)}", mend)
        else:
            yield good(name, ", ".join(modules))


def check_clocks(clocks: Mapping[str, float | TaskFailure], sent: float, received: float) -> Iterator[Check]:
    """Yield for each node how far its clock is from the driver's, which was at these times before and after."""
    for node, clock in clocks.items():
        name = f"{node}: clock"
        if isinstance(clock, TaskFailure):
            yield warning(name, f"not told: {clock.message}", "Compare it yourself: date.")
            continue
        drift = max(0.0, sent - clock, clock - received)
        if drift > _LITTLE_DRIFT:
            kind = bad if drift > _MOST_DRIFT else warning
            yield kind(name, f"{drift:,.0f} s from the driver's", "Set it (NTP): times of members would mislead.")
        else:
            yield good(name, f"within {drift + received - sent:.2f} s of the driver's")


def check_token(environment: Mapping[str, str], home: Path) -> Check:
    """Return whether Ray asks for a token, and whether others could read it.

    ``environment`` is that of this process after it has joined: Ray itself turns tokens on for clusters that it starts.
    """
    name, mode = "Ray's token", environment.get("RAY_AUTH_MODE")
    path = Path(environment.get("RAY_AUTH_TOKEN_PATH") or home / ".ray" / "auth_token")
    if path.is_file() and path.stat().st_mode & 0o077:
        return bad(name, f"{path} is open to others ({path.stat().st_mode & 0o777:o})", f"chmod 600 {path}")
    if (mode or "").lower() != "token":  # as Ray has it: any other word turns tokens off
        found = f"not used: RAY_AUTH_MODE is {'not set' if mode is None else repr(mode)}"
        mend = (
            "Whoever reaches Ray's ports can run programs as you. Where others might: ray get-auth-token --generate, "
            "chmod 600, copy the file to all machines, and set RAY_AUTH_MODE=token for ray start and here."
        )
        return warning(name, found, mend)
    if environment.get("RAY_AUTH_TOKEN"):
        return good(name, "used, from RAY_AUTH_TOKEN")
    if not path.is_file():
        return bad(name, f"RAY_AUTH_MODE is token, and {path} is not there", "Copy it from the head, with mode 600.")
    return good(name, f"used, {path} is open to its owner alone")
