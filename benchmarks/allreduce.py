"""One model, the ensemble in three ways, and one model by all-reduce, on the same rows of a table: scores and costs.

Each way of combining is a run of ``partwise compare`` of its own; all have the same hold-out, seed and partitions
(those of ``route`` are cells). The model by all-reduce is that of the run with ``soft``. Prints a Markdown table.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

WAYS = {"soft": (), "stack": (), "route": ("--partitioner", "clustered")}
HEAD = "| model | {metric} | minus one model (95 %) | fit s | start-up s | predict s | CPU s of the fit | peak MiB |"


def compare(*arguments: str) -> dict[str, Any]:
    """Run ``partwise compare`` in a process of its own and return its JSON."""
    command = [sys.executable, "-m", "partwise", "compare", *arguments, "--tracking-uri", "off", "--json"]
    with tempfile.TemporaryDirectory() as folder:
        said = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(said.stdout)


def row(name: str, metric: str, report: dict[str, Any], gap: dict[str, Any] | None, startup: float | None) -> str:
    """Return a row of the table."""
    span = "" if gap is None else f"{gap['estimate']:+.4f} ({gap['low']:+.4f} to {gap['high']:+.4f})"
    start = "" if startup is None else f"{startup:.1f}"
    peak = report["peak_memory_bytes"]
    return (
        f"| {name} | {report['scores'][metric]:.4f} | {span} | {report['fit_seconds']:.1f} | {start} "
        f"| {report['predict_seconds']:.2f} | {report['cpu_seconds']:.1f} | {'' if peak is None else peak >> 20} |"
    )


def rows(common: list[str]) -> Iterator[str]:
    """Yield the rows of the table as their runs end."""
    for combine, further in WAYS.items():
        also = ["--also", "allreduce"] if combine == "soft" else []
        result = compare(*common, "--combine", combine, *further, *also)
        metric = result["metric"]
        if combine == "soft":
            yield HEAD.format(metric=metric) + "\n" + "|---" * 8 + "|"
            yield row("one model", metric, result["single"], None, None)
        yield row(combine, metric, result["ensemble"], result["difference"], result["startup_seconds"])
        for name, each in result["alternatives"].items():
            yield row(name, metric, each, each["difference_to_single"], each["startup_seconds"])


def run() -> None:
    """Run every way and print the table as it grows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="covtype as Parquet")
    parser.add_argument("--learner", default="xgboost", help="xgboost, lightgbm or torch_mlp")
    parser.add_argument("--param", action="append", default=[], help="a setting of the learner")
    parser.add_argument("--rows", type=int, default=100_000, help="training rows; a quarter as many are tested")
    parser.add_argument("--partitions", type=int, default=8)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        sample = Path(temporary) / "covtype.parquet"
        pd.read_parquet(given.data).sample(given.rows * 5 // 4, random_state=0).to_parquet(sample)
        common = [str(sample), "--target", "Cover_Type", "--learner", given.learner]
        common += ["--partitions", str(given.partitions), "--no-evidence"]
        for param in given.param:
            common += ["--param", param]
        for line in rows(common):
            print(line, flush=True)


if __name__ == "__main__":
    run()
