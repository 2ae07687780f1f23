"""A table of the shape of HIGGS (28 float32 features, two classes), made file by file and sorted by target in each."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

__all__ = ["FEATURES", "make_files"]

FEATURES = 28
_FILE_ROWS = 1_000_000
_ROW_GROUP = 250_000


def make_files(folder: Path, n_rows: int) -> int:
    """Write the table where it is not there yet, and return its size in memory."""
    folder.mkdir(parents=True, exist_ok=True)
    for start in range(0, n_rows, _FILE_ROWS):
        path = folder / f"higgs-{start // _FILE_ROWS:05d}.parquet"
        if not path.exists():
            parquet.write_table(_rows(start, min(_FILE_ROWS, n_rows - start)), path, row_group_size=_ROW_GROUP)
    return n_rows * (FEATURES + 1) * 4


def _rows(start: int, count: int) -> pa.Table:
    rng = np.random.default_rng(start)
    features = rng.normal(size=(count, FEATURES)).astype(np.float32)
    signal = features[:, 0] * features[:, 1] + features[:, 2] + 0.5 * np.abs(features[:, 3]) - 0.4
    target = (signal + rng.logistic(size=count) > 0).astype(np.int32)
    order = np.argsort(target, kind="stable")
    columns = {f"f{index:02d}": features[order, index] for index in range(FEATURES)}
    return pa.table({"target": target[order], **columns})
