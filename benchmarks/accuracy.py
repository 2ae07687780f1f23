"""Speed and accuracy of every rung beside one model on the same rows: Markdown tables and a plot.

Run ``make install`` and then ``.venv/bin/python benchmarks/accuracy.py --data FOLDER`` on a machine that does nothing
else; it takes hours. All single models are measured first, in processes without Ray, then the ensembles. What is
measured is appended to the results at once and never measured again: start it again to go on. ``--report`` prints what
there is.
"""

import argparse
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from accuracy_plot import draw
from accuracy_report import report
from accuracy_rungs import Record, Rung, Work
from accuracy_works import works

_MEASURE = Path(__file__).with_name("accuracy_measure.py")

Key = tuple[str, str, int]
"""Work, rung and seed."""


class Worker:
    """A process that measures one rung after another."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(_MEASURE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is not None:
            self._process.kill()
        if self.alive:
            self._process.communicate()  # no more questions: it ends, and its Ray with it

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """Return the record; where the process died over it, why."""
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if answer:
            return json.loads(answer)
        code = self._process.wait()
        if code == -signal.SIGALRM:
            return {"over": question["limit"]}
        return {"error": f"the process ended with {code}"}

    @property
    def alive(self) -> bool:
        """Whether it can be asked again."""
        return self._process.poll() is None


class Results:
    """The records of a file, one a line; the last of a rung counts."""

    def __init__(self, path: Path, rows_limit: int | None) -> None:
        self.path = path
        self.records: dict[Key, Record] = {}
        text = path.read_text() if path.exists() else ""
        self._lead = "" if text.endswith("\n") or not text else "\n"
        for number, line in enumerate(text.splitlines(), 1):
            try:
                record = json.loads(line)
            except ValueError:
                print(f"{path}: line {number} is broken and left out.", file=sys.stderr)
                continue
            if record["rows_limit"] == rows_limit:
                self.records[record["work"], record["rung"], record["seed"]] = record

    def add(self, record: Record) -> None:
        """Keep a record, in the file at once."""
        self.records[record["work"], record["rung"], record["seed"]] = record
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(f"{self._lead}{json.dumps(record)}\n")
        self._lead = ""

    def of(self, work: str, seed: int) -> dict[str, Record]:
        """Return the records of a work and seed, by rung."""
        return {rung: record for (name, rung, of), record in self.records.items() if (name, of) == (work, seed)}

    def done(self, key: Key, limit: float) -> bool:
        """Whether it need not be measured again: it did not fail, nor was it ended by a lower limit."""
        record = self.records.get(key, {"error": "not measured"})
        return "error" not in record and record.get("over", limit) >= limit


def _chosen(only: list[str]) -> list[Work]:
    """Return the works of these names, or whose names start with one of them and a slash."""
    all_works = works()
    unknown = [name for name in only if not any(f"{work}/".startswith(f"{name}/") for work in all_works)]
    if unknown:
        valid = [*(name for name, work in all_works.items() if not work.seeded), "auto", "auto/TABLE"]
        sys.exit(f"--only {' '.join(unknown)}: no such work. Valid: {', '.join(valid)}, auto/TABLE/LEARNER.")
    return [work for name, work in all_works.items() if not only or any(f"{name}/".startswith(f"{o}/") for o in only)]


def _todo(
    chosen: list[Work], given: argparse.Namespace, results: Results, phase: int
) -> Iterator[tuple[Work, Rung, int, Any]]:
    """Yield what is to be measured, each decided when the ones before it are done."""
    for work in chosen:
        for rung in (rung for rung in work.rungs if rung.phase == phase):
            for seed in range(given.seeds if work.seeded else 1):
                plan = rung.plan(results.of(work.name, seed))
                if plan is not None and not results.done((work.name, rung.name, seed), given.limit):
                    yield work, rung, seed, plan


def _measure(chosen: list[Work], given: argparse.Namespace, results: Results, phase: int) -> None:
    """Measure a phase; a process serves one work, so that none inherits the memory or the workers of another."""
    worker, serves = None, ""
    with ExitStack() as stack:
        for work, rung, seed, plan in _todo(chosen, given, results, phase):
            if worker is None or not worker.alive or serves != work.name:
                stack.close()
                worker, serves = stack.enter_context(Worker()), work.name
            print(f"{work.name}: {rung.name}, seed {seed} … ", end="", flush=True, file=sys.stderr)
            about = {"work": work.name, "rung": rung.name, "seed": seed, "rows_limit": given.rows_limit}
            question = {
                **about,
                "plan": plan,
                "data": str(given.data.resolve()),
                "limit": given.limit,
                "predictions": str(results.path.with_suffix(".predictions")),
            }
            record = {**about, "ensemble": rung.settings is not None, **worker.ask(question)}
            results.add(record)
            print(_said(record), file=sys.stderr)


def _said(record: Record) -> str:
    if "over" in record:
        return f"over {record['over']:g} s"
    if "error" in record:
        return record["error"]
    return f"{record['fit_seconds']:.1f} s, {record['score']:.4f}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the Parquet files that accuracy_tables.py names")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="works, such as svc-40k auto/letter")
    parser.add_argument("--results", type=Path, default=Path("accuracy.jsonl"), help="file of the records")
    parser.add_argument("--plot", type=Path, help="PNG file (default: the results' name)")
    parser.add_argument("--rows-limit", type=int, help="at most so many training and test rows, to try the program")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of the grid of `auto`")
    parser.add_argument("--limit", type=float, default=900.0, help="seconds that a fit, or a prediction, may take")
    parser.add_argument("--report", action="store_true", help="measure nothing, print what there is")
    given = parser.parse_args()
    if given.data is None and not given.report:
        parser.error("--data is needed to measure; --report needs none")
    return given


def run() -> None:
    """Measure what is not yet measured, print the tables and draw the plot."""
    given = _arguments()
    chosen, results = _chosen(given.only), Results(given.results, given.rows_limit)
    if not given.report:
        for phase in (1, 2, 3):
            _measure(chosen, given, results, phase)
    plot = given.plot or given.results.with_suffix(".png")
    print(report(chosen, list(results.records.values())))
    draw(chosen, list(results.records.values()), plot)


if __name__ == "__main__":
    run()
