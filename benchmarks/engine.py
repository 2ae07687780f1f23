"""What the engine costs beyond the fits themselves: ratios within one run, on warm workers, medians of several.

Run ``make install`` and then ``.venv/bin/python benchmarks/engine.py``. With ``--data`` the SVC work is done on a table
such as covtype (numbers and ``Cover_Type``), else on a synthetic one of the same size.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import naive
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.datasets import make_classification
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from partwise import PartitionedClassifier, RayExecutor
from partwise.fitting import prepare_worker

Table = tuple[NDArray[np.float64], NDArray[np.int64]]


def covtype(path: Path | None, rows: int) -> Table:
    """Return standardised features and classes of so many shuffled rows."""
    if path is None:
        X, y = make_classification(rows, 54, n_informative=20, n_classes=7, class_sep=0.6, flip_y=0.1, random_state=0)
    else:
        table = pd.read_parquet(path).sample(rows, random_state=0)
        y, X = table.pop("Cover_Type").to_numpy(), table.to_numpy(dtype=np.float64)
    return StandardScaler().fit_transform(X), y


def seconds(work: Callable[[], object]) -> float:
    """Return the wall time of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def members_wall_ratio(repeats: int) -> tuple[float, float]:
    """Return wall of 8 members over (sum of their fit seconds / cores), and the shortest fit."""
    X, y = make_classification(24_000, 20, random_state=0)
    ratios, shortest = [], float("inf")
    for _ in range(repeats):
        model = PartitionedClassifier(GradientBoostingClassifier(n_estimators=140), random_state=0).fit(X, y)
        fits = [member.fit_seconds for member in model.members_]
        shortest = min(shortest, *fits)
        ratios.append(model.timings_["members"] * os.cpu_count() / sum(fits))
    return statistics.median(ratios), shortest


def tiny_member_milliseconds(repeats: int) -> float:
    """Return the wall time of one of 1,000 trees of depth 3 on 100 rows each."""
    X, y = make_classification(100_000, 20, random_state=0)
    model = PartitionedClassifier(DecisionTreeClassifier(max_depth=3), n_partitions=1000, random_state=0)
    return statistics.median(seconds(lambda: model.fit(X, y)) for _ in range(repeats))


def against_the_obvious_script(table: Table, repeats: int) -> tuple[float, float, float]:
    """Return our fit, the script's fit, and the median of their ratios, taken in turn."""
    X, y = table
    ours, theirs = [], []
    for _ in range(repeats):
        ours.append(seconds(lambda: PartitionedClassifier(SVC(C=10), random_state=0).fit(X, y)))
        theirs.append(seconds(lambda: naive.fit(SVC(C=10), X, y, 8)))
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    return statistics.median(ours), statistics.median(theirs), ratio


def prediction_speedup(table: Table, rows: int, repeats: int) -> tuple[float, float, float]:
    """Return a loop's time over the members, our prediction's time, and the median of their ratios, in turn."""
    X, y = table
    model = PartitionedClassifier(SVC(C=10), random_state=0).fit(X, y)
    test = X[:rows]
    loop, ours = [], []
    for _ in range(repeats):
        loop.append(seconds(lambda: [member.estimator.decision_function(test) for member in model.members_]))
        ours.append(seconds(lambda: model.predict(test)))
    ratio = statistics.median(a / b for a, b in zip(loop, ours, strict=True))
    return statistics.median(loop), statistics.median(ours), ratio


def run() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="covtype as Parquet")
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    executor = RayExecutor()
    executor.warm(prepare_worker, GradientBoostingClassifier())
    executor.warm(prepare_worker, SVC())
    table = covtype(given.data, 20_000)

    print("| what | measured | target |\n|---|---|---|")
    ratio, shortest = members_wall_ratio(given.repeats)
    print(f"| wall of 8 members / (sum of fits / cores), shortest fit {shortest:.1f} s | {ratio:.3f} | at most 1.10 |")
    each = tiny_member_milliseconds(given.repeats)
    print(f"| one of 1,000 tiny members | {each:.2f} ms | at most 4 ms |")
    ours, theirs, ratio = against_the_obvious_script(table, given.repeats)
    print(f"| fit of 8 SVC, ours {ours:.2f} s / obvious script {theirs:.2f} s | {ratio:.2f} | at most 1 |")
    loop, parallel, ratio = prediction_speedup(table, 5_000, given.repeats)
    print(f"| SVC prediction, loop {loop:.2f} s / ours {parallel:.2f} s | {ratio:.2f} | at least 1.7 |")


if __name__ == "__main__":
    run()
