"""Look for processes that a command has started, and that shall end with it."""

import time
from pathlib import Path


def processes_of(session):
    """Return the processes of a session, and Ray's, which make sessions of their own, by their parents."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
            name = (entry.parent / "cmdline").read_bytes()
        except OSError:
            continue
        # Ray's agents take up to two minutes to notice that what they belong to was killed.
        if fields[0] != "Z" and b"Agent" not in name[:30]:
            found[int(entry.parent.name)] = (int(fields[1]), int(fields[3]))
    ours = {pid for pid, (_, of) in found.items() if of == session}
    while more := {pid for pid, (parent, _) in found.items() if parent in ours} - ours:
        ours |= more
    return ours


def gone(processes, seconds=20):
    """Return whether processes end by themselves within a time."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if not any(Path(f"/proc/{pid}").exists() for pid in processes):
            return True
        time.sleep(0.2)
    return False
