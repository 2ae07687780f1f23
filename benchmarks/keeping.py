"""What it costs to keep members as they are fitted: 100 members of one second each, with a checkpoint and without.

    python benchmarks/keeping.py

Prints a Markdown table. Both ways take turns; the workers are warm, and the members are the same.
"""

import argparse
import statistics
import sys
import tempfile
import time

import numpy as np
from sklearn.datasets import make_classification
from sklearn.tree import DecisionTreeClassifier

from partwise import Checkpoint, PartitionedClassifier, RayExecutor

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


def main() -> None:
    """Measure, and print the table; exit with 1 where the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
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
