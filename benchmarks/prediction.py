"""Batch prediction of ten million rows with eight linear members, beside a plain loop over the same files.

Run ``make install`` and then ``.venv/bin/python benchmarks/prediction.py`` on a machine that does nothing else. It
makes a table of the shape of HIGGS, trains on its first million rows, and runs ``partwise predict`` on all; the plain
loop is one process that reads the files batch by batch with pyarrow, asks the same stored model, and writes the same
Parquet. Seconds are of whole commands, start-up included; memory is the proportional set size of all processes.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from higgs import make_files
from memory import watched

_LOOP = """
import sys
from pathlib import Path
import pyarrow as pa
from pyarrow import parquet
from partwise.model_store import load_model
model, writer = load_model(Path(sys.argv[1])), None
for path in sorted(Path(sys.argv[2]).iterdir()):
    for batch in parquet.ParquetFile(path).iter_batches(65_536):
        table = pa.table({"prediction": model.predict(batch.to_pandas())})
        writer = writer or parquet.ParquetWriter(sys.argv[3], table.schema)
        writer.write_table(table)
writer.close()
"""


def run() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--learner", default="logistic")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "partwise-benchmark")
    given = parser.parse_args()
    source, place = given.folder / f"higgs-{given.rows}", given.folder / "prediction"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    make_files(source, given.rows)
    train = [sys.executable, "-m", "partwise", "train", str(min(source.iterdir())), "--target", "target"]
    train += ["--learner", given.learner, "--partitions", "8", "--tracking-uri", "off", "--output", "run"]
    subprocess.run(train, cwd=place, check=True, capture_output=True)
    ways = {
        "plain loop, one process": [sys.executable, "-c", _LOOP, "run/model", str(source), "loop.parquet"],
        "partwise predict": [sys.executable, "-m", "partwise", "predict", "run", str(source), "-o", "ours.parquet"],
    }
    print("| way | seconds | rows a second | peak memory, MB |\n|---|---|---|---|")
    taken = {}
    for name, command in ways.items():
        code, taken[name], peaks, _, _ = watched(command, 2**40, place)
        if code != 0:
            sys.exit(f"{name} ended with {code}")
        print(f"| {name} | {taken[name]:.1f} | {given.rows / taken[name]:,.0f} | {peaks.total / 1e6:,.0f} |")
    plain, ours = taken.values()
    print(f"\n{given.rows:,} rows; ours takes {ours / plain:.2f} of the plain loop's time")
    shutil.rmtree(place)
    shutil.rmtree(source)


if __name__ == "__main__":
    run()
