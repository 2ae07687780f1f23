"""How much memory a training takes on a table that is larger than it: all processes together, line by line.

Run ``make install`` and then ``.venv/bin/python benchmarks/memory.py``. As root, on Linux with control groups of
either version, the training and all that it starts are held below the limit by the kernel; else their proportional set
sizes are sampled, and the limit is only compared. It makes a table of the shape of HIGGS, runs ``partwise train`` on a
tenth of it and on all of it, and shows that one model on ``pandas.read_parquet`` does not fit under the same limit.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from higgs import make_files

_PROC = Path("/proc")
_PAUSE_SECONDS = 0.5
_ONE_MODEL = """
import sys
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
table = pd.read_parquet(sys.argv[1])
HistGradientBoostingClassifier(max_iter=10).fit(table.drop(columns="target"), table["target"])
"""


class Group:
    """A memory control group that holds a process and all it starts below a limit; without root it holds nothing."""

    def __init__(self, limit: int) -> None:
        self.path: Path | None = None
        mine = [line.split(":", 2) for line in (_PROC / "self/cgroup").read_text().splitlines()]
        for _, controllers, place in mine:
            one = controllers == "memory"
            root = Path("/sys/fs/cgroup") / ("memory" if one else "")
            path = root / place.strip("/") / f"partwise-{os.getpid()}-{time.monotonic_ns()}"
            name = "memory.limit_in_bytes" if one else "memory.max"
            if one or controllers == "":
                with suppress(OSError):
                    path.mkdir()
                    (path / name).write_text(str(limit))
                    self.path = path
                    return

    def entering(self, command: list[str]) -> list[str]:
        """Return the command, run by a shell that has entered the group before it becomes the command."""
        if self.path is None:
            return command
        return ["/bin/sh", "-c", 'echo $$ > "$0" && exec "$@"', str(self.path / "cgroup.procs"), *command]

    def processes(self) -> list[int]:
        """Return the processes in the group."""
        return [] if self.path is None else [int(each) for each in (self.path / "cgroup.procs").read_text().split()]

    def kills(self) -> int:
        """Return how often the kernel has killed a process of the group for want of memory."""
        if self.path is None:
            return 0
        for name in ("memory.oom_control", "memory.events"):
            with suppress(OSError):
                for line in (self.path / name).read_text().splitlines():
                    if line.startswith("oom_kill "):
                        return int(line.split()[1])
        return 0

    def remove(self) -> None:
        """Wait for the last process, and remove the group."""
        for _ in range(100):
            if self.path is None or not self.processes():
                break
            time.sleep(0.1)
        if self.path is not None:
            with suppress(OSError):
                self.path.rmdir()


def role_of(pid: int, driver: int) -> str:
    """Return what a process is for."""
    if pid == driver:
        return "driver"
    words = (_PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
    if words[0].startswith(b"ray::"):
        return "Ray's agents" if b"Agent" in words[0] else "workers"
    if b"default_worker.py" in b" ".join(words):
        return "workers"
    return "Ray's own processes"


def set_size(pid: int) -> tuple[int, int]:
    """Return the proportional set size of a process, and the part of it that is shared memory, in bytes."""
    total = shared = 0
    for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == "Pss":
            total = int(rest.split()[0]) * 1024
        elif name == "Pss_Shmem":
            shared = int(rest.split()[0]) * 1024
    return total, shared


def family(pid: int) -> set[int]:
    """Return a process and its descendants."""
    parents = {}
    for path in _PROC.glob("[0-9]*/stat"):
        with suppress(OSError, ValueError):
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


@dataclass
class Peaks:
    """The most that each role, and all together, were seen to hold; in bytes."""

    roles: dict[str, int] = field(default_factory=dict)
    largest: dict[str, int] = field(default_factory=dict)
    total: int = 0

    def see(self, pids: set[int], driver: int) -> None:
        """Take one sample."""
        now: dict[str, int] = {}
        for pid in pids:
            with suppress(OSError, ProcessLookupError):
                role, (size, shared) = role_of(pid, driver), set_size(pid)
                now[role] = now.get(role, 0) + size - shared
                now["object store"] = now.get("object store", 0) + shared
                self.largest[role] = max(self.largest.get(role, 0), size - shared)
        for role, size in now.items():
            self.roles[role] = max(self.roles.get(role, 0), size)
        self.total = max(self.total, sum(now.values()))


def watched(command: list[str], limit: int, folder: Path) -> tuple[int, float, Peaks, int, bool]:
    """Run a command under the limit; return its exit code, seconds, peaks, kills, and whether the kernel held it."""
    group, peaks, over = Group(limit), Peaks(), threading.Event()
    started = time.perf_counter()
    with subprocess.Popen(
        group.entering(command), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:

        def watch() -> None:
            known = {process.pid}
            while not over.wait(_PAUSE_SECONDS):
                known |= family(process.pid) | set(group.processes())
                peaks.see(known, process.pid)

        watcher = threading.Thread(target=watch)
        watcher.start()
        said = process.communicate()[1]
        over.set()
        watcher.join()
    seconds, kills = time.perf_counter() - started, group.kills()
    group.remove()
    if process.returncode not in {0, -signal.SIGKILL}:
        print(said[-2000:], file=sys.stderr)
    return process.returncode, seconds, peaks, kills, group.path is not None


def trained(source: Path, given: argparse.Namespace, folder: Path) -> tuple[Peaks, dict[str, object]]:
    """Train on the files, print what was seen, and return it."""
    run = folder / f"run-{source.name}"
    shutil.rmtree(run, ignore_errors=True)
    command = [sys.executable, "-m", "partwise", "train", str(source), "--target", "target"]
    command += ["--partitions", str(given.partitions), "--storage", str(folder / "store"), "--output", str(run)]
    command += [
        "--test-size",
        str(given.test_size),
        "--tracking-uri",
        "off",
        "--learner",
        given.learner,
        *(f"--param={each}" for each in given.param),
    ]
    code, seconds, peaks, kills, held = watched(command, int(given.limit * 1e9), folder)
    shutil.rmtree(folder / "store", ignore_errors=True)
    if code != 0:
        sys.exit(f"partwise train ended with {code} under {given.limit} GB ({kills} kills)")
    record = json.loads((run / "training.json").read_text())
    how = f"held by the kernel, {kills} processes killed" if held else "not held, only sampled"
    rows = f"{record['n_train']:,} training and {record['n_test']:,} test rows"
    print(f"\n{source.name}: {rows} in {seconds:,.0f} s, {how}\n")
    print("| what | peak of all, MB | peak of the largest, MB |\n|---|---|---|")
    for role, size in sorted(peaks.roles.items(), key=lambda item: -item[1]):
        print(f"| {role} | {size / 1e6:,.0f} | {peaks.largest.get(role, 0) / 1e6:,.0f} |")
    print(f"| **all together, at one time** | **{peaks.total / 1e6:,.0f}** | |")
    return peaks, record


def run() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000_000)
    parser.add_argument("--partitions", type=int, default=64)
    parser.add_argument("--limit", type=float, default=2.5, help="GB for all processes together")
    parser.add_argument("--test-size", type=float, default=0.02)
    parser.add_argument("--learner", default="hist_gradient_boosting")
    parser.add_argument("--param", nargs="*", default=["max_iter=20"])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "partwise-benchmark")
    parser.add_argument("--keep", action="store_true", help="keep the tables that were made")
    given = parser.parse_args()
    sizes = (given.rows // 10, given.rows)
    steps: list[tuple[Peaks, dict[str, object]]] = []
    for rows in sizes:
        source = given.folder / f"higgs-{rows}"
        n_bytes = make_files(source, rows)
        print(f"{rows:,} rows: {n_bytes / 1e9:.1f} GB in memory", file=sys.stderr)
        steps.append(trained(source, given, given.folder))
    grown = steps[1][0].largest["driver"] - steps[0][0].largest["driver"]
    print(f"\nThe driver's peak grows by {grown / 1e6:,.0f} MB from {sizes[0]:,} to {sizes[1]:,} rows.")
    source = given.folder / f"higgs-{given.rows}"
    code, seconds, _, kills, held = watched(
        [sys.executable, "-c", _ONE_MODEL, str(source)], int(given.limit * 1e9), given.folder
    )
    _tell_one_model(code, seconds, kills, held=held)
    if not given.keep:
        for rows in sizes:
            shutil.rmtree(given.folder / f"higgs-{rows}")


def _tell_one_model(code: int, seconds: float, kills: int, *, held: bool) -> None:
    if not held:
        print("One model on pandas.read_parquet was not held to the limit: that takes root.")
    elif code == 0:
        print(f"One model on pandas.read_parquet fits under the limit too, in {seconds:,.0f} s.")
    else:
        print(f"One model on pandas.read_parquet was killed by the kernel after {seconds:,.0f} s ({kills} kills).")


if __name__ == "__main__":
    run()
