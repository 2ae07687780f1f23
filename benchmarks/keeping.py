"""What it costs to keep members as they are fitted: 100 members of one second each, with a checkpoint and without.

    python benchmarks/keeping.py
    python benchmarks/keeping.py --memory --members 40

Prints a Markdown table. Both ways take turns; the workers are warm, and the members are the same. With ``--memory`` the
figure is by how much the process that started the fit has grown when the last member comes; each holds 20 MB.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import psutil
from sklearn.datasets import make_classification
from sklearn.tree import DecisionTreeClassifier

from partwise import Checkpoint, PartitionedClassifier, RayExecutor
from partwise.fitting import FitJob, fit_members
from partwise.partitioners import Shuffled
from partwise.records import Part
from partwise.tables import MemoryTable

_MOST = 0.03
"""The share of the wall time that keeping members may take."""


class OneSecond(DecisionTreeClassifier):
    """A tree whose fit computes for a second of processor time."""

    def fit(self, X, y):
        """Compute for a second, then fit."""
        ends = time.process_time() + 1.0
        while time.process_time() < ends:
            np.sort(np.arange(1_000.0))
        return super().fit(X, y)


class Large(DecisionTreeClassifier):
    """A tree that holds 20 MB beside what it has learned."""

    def fit(self, X, y):
        """Fit, and hold."""
        self.ballast_ = np.random.default_rng(0).bytes(20_000_000)
        return super().fit(X, y)


def growth(name: str, n_members: int) -> float:
    """Return by how many MB this process has grown when the last of the members comes, at most."""
    X, y = make_classification(200 * n_members, random_state=0)
    table = MemoryTable(Part(0, X, y, None), labels=np.unique(y))
    job, cut = FitJob(template=Large(), seed=0, cpus=1, labels=table.labels), table.cut(Shuffled(), n_members, 0, 1)
    executor, process, seen = RayExecutor(), psutil.Process(os.getpid()), []
    executor.warm(np.sum, np.eye(2))
    before = process.memory_info()

    def observe(_) -> None:
        now = process.memory_info()  # without what is shared: Ray's objects are mapped from its store
        seen.append((now.rss - now.shared) - (before.rss - before.shared))

    with tempfile.TemporaryDirectory() as place:
        keeper = Checkpoint(place, trust=True).opened(job, cut) if name == "kept" else None
        members, _ = fit_members(job, cut, executor, observe, keeper)
    if len(members) != n_members:
        raise RuntimeError(f"{n_members - len(members)} members are missing")
    return max(seen) / 1e6


def measure_memory(n_members: int) -> None:
    """Print the table of memory; each way has a process of its own."""
    sys.stdout.write("| members of 20 MB | the driver grows while they are fitted |\n|---|---|\n")
    for name in ("not kept", "kept"):
        command = [sys.executable, __file__, "--members", str(n_members), "--growth", name]
        grown = float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        sys.stdout.write(f"| {n_members}, {name} | {grown:,.0f} MB |\n")


def main() -> None:
    """Measure, and print the table; exit with 1 where the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--memory", action="store_true", help="measure the driver's memory instead")
    parser.add_argument("--growth", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.growth:
        sys.stdout.write(str(growth(asked.growth, asked.members)))
        return
    if asked.memory:
        measure_memory(asked.members)
        return
    X, y = make_classification(200 * asked.members, random_state=0)
    executor = RayExecutor()
    executor.warm(np.sum, np.eye(2))
    walls: dict[str, list[float]] = {"kept": [], "not kept": []}
    for _ in range(asked.repeats):
        for name, times in walls.items():
            with tempfile.TemporaryDirectory() as place:
                checkpoint = Checkpoint(place, trust=True) if name == "kept" else None
                model = PartitionedClassifier(
                    OneSecond(), n_partitions=asked.members, executor=executor, random_state=0, checkpoint=checkpoint
                )
                model.fit(X, y)
                times.append(model.timings_["members"])
    kept, plain = (statistics.median(times) for times in walls.values())
    cost = kept / plain - 1
    sys.stdout.write(
        f"| what | measured | target |\n|---|---|---|\n"
        f"| {asked.members} members of 1 s, kept {kept:.1f} s / not kept {plain:.1f} s | {cost:+.1%} | "
        f"at most {_MOST:+.0%} |\n"
    )
    sys.exit(int(cost > _MOST))


if __name__ == "__main__":
    main()
