"""What it costs to cut files into stored partitions: beside a plain rewrite of the same files, and beside Ray Data.

Run ``make install`` and then ``.venv/bin/python benchmarks/store.py`` on a machine that does nothing else. All ways
read the same Parquet files and write the same rows as Parquet. The plain rewrite is one process of pyarrow that moves
no row to another file; Ray Data shuffles at random, which gives other partitions on each run, or by a key, as ours
does. Ratios are within one run, medians of several.
"""

import argparse
import logging
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import ray
from higgs import make_files
from pyarrow import parquet

import partwise
from partwise import RayExecutor
from partwise.fitting import prepare_worker
from partwise.partitioners import Stratified
from partwise.stores import PartitionStore
from partwise.tables import ScannedRows


def plain(source: Path, target: Path, _k: int) -> None:
    """Read and rewrite file by file, row group by row group."""
    for path in sorted(source.iterdir()):
        with parquet.ParquetFile(path) as file, parquet.ParquetWriter(target / path.name, file.schema_arrow) as writer:
            for group in range(file.num_row_groups):
                writer.write_table(file.read_row_group(group))


def ours(source: Path, target: Path, k: int) -> None:
    """Cut into k stratified partitions: the counting pass and the exchange."""
    executor = RayExecutor()
    scan = partwise.scan(source, "target")
    rows = ScannedRows(scan=scan, task="classification", store=PartitionStore(str(target)), executor=executor)
    _, table = rows.encoded(None, 0)
    table.cut(Stratified(), k, 0, 1)


def ray_data_random(source: Path, target: Path, k: int) -> None:
    """Shuffle at random into k blocks."""
    ray.data.read_parquet(str(source)).repartition(k, shuffle=True).write_parquet(str(target))


def ray_data_keyed(source: Path, target: Path, k: int) -> None:
    """Hash by a key into k blocks."""
    data = ray.data.read_parquet(str(source)).map_batches(_with_key, batch_format="pyarrow", fn_kwargs={"k": k})
    data.repartition(k, keys=["key"]).write_parquet(str(target))


def _with_key(batch: pa.Table, k: int) -> pa.Table:
    keys = np.random.default_rng(batch.num_rows).integers(0, k, batch.num_rows)
    return batch.append_column("key", pa.array(keys))


WAYS: dict[str, Callable[[Path, Path, int], None]] = {
    "plain rewrite, one process": plain,
    "partwise": ours,
    "Ray Data, at random": ray_data_random,
    "Ray Data, by key": ray_data_keyed,
}


def seconds(way: Callable[[Path, Path, int], None], source: Path, folder: Path, k: int) -> tuple[float, int]:
    """Return how long a way took, and how many bytes it left."""
    with tempfile.TemporaryDirectory(dir=folder) as target:
        started = time.perf_counter()
        way(source, Path(target), k)
        took = time.perf_counter() - started
        return took, sum(path.stat().st_size for path in Path(target).rglob("*") if path.is_file())


def run() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--partitions", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "partwise-benchmark")
    parser.add_argument("--keep", action="store_true", help="keep the table that was made")
    given = parser.parse_args()
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    ray.data.DataContext.get_current().enable_progress_bars = False
    source = given.folder / f"higgs-{given.rows}"
    n_bytes = make_files(source, given.rows)
    executor = RayExecutor()
    executor.warm(prepare_worker, None)
    taken: dict[str, list[tuple[float, int]]] = {name: [] for name in WAYS}
    for _ in range(given.repeats):
        for name, way in WAYS.items():
            try:
                taken[name].append(seconds(way, source, given.folder, given.partitions))
            except Exception as error:  # noqa: BLE001 - what a way cannot do is a result
                print(f"{name}: {type(error).__name__}: {str(error).splitlines()[0]}")
    base = statistics.median(took for took, _ in taken["plain rewrite, one process"])
    print(f"{given.rows:,} rows, {n_bytes / 1e9:.2f} GB in memory, {given.partitions} partitions\n")
    print("| way | seconds | ratio to the plain rewrite | bytes written |\n|---|---|---|---|")
    for name, found in taken.items():
        if found:
            took = statistics.median(took for took, _ in found)
            print(f"| {name} | {took:.1f} | {took / base:.2f} | {found[0][1] / 1e9:.2f} GB |")
    if not given.keep:
        shutil.rmtree(source)


if __name__ == "__main__":
    run()
