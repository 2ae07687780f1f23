"""Tables that are damaged or odd: the file is named, the rule is kept, memory stays bounded."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from pyarrow import parquet

from partwise.cli import main


def _write(folder, n_files=3, **columns):
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(n_files):
        frame = pd.DataFrame(rng.normal(size=(600, 2)), columns=["a", "b"])
        frame["kind"] = np.where(frame["a"] + frame["b"] > 0, "x", "y")
        frame.rename(columns=columns).to_parquet(folder / f"{index}.parquet", index=False)
    return folder


def _exit_code(*arguments):
    with pytest.raises(SystemExit) as stop:
        main([*map(str, arguments)])
    return stop.value.code


@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize("command", ["compare", "train"])
def test_a_damaged_page_is_told_with_its_file(command, tmp_path, capsys):
    """Bytes in the middle of a column are overwritten: of several files the right one is named."""
    table = _write(tmp_path / "table")
    damaged = table / "1.parquet"
    column = parquet.ParquetFile(damaged).metadata.row_group(0).column(0)
    content = bytearray(damaged.read_bytes())
    start = column.dictionary_page_offset or column.data_page_offset
    content[start : start + column.total_compressed_size // 2] = b"\xff" * (column.total_compressed_size // 2)
    damaged.write_bytes(content)
    options = ["--target", "kind", "--learner", "naive_bayes", "--partitions", "2", "--tracking-uri", "off"]
    options += ["--storage", tmp_path / "store", "--output", tmp_path / "run"]
    assert _exit_code(command, table, *options) in {1, 2}
    assert str(damaged) in "".join(capsys.readouterr().err.split("\n"))


@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize("learner", ["tree", "xgboost", "lightgbm"])
def test_columns_may_have_any_name(learner, tmp_path):
    """Brackets, signs, Unicode, no name at all, from the file to the predictions, also where a library is choosy."""
    usual, odd = _write(tmp_path / "usual"), _write(tmp_path / "odd", a='a[1] <b>, größe: {"📏"}', b="")
    said = {}
    for table in (usual, odd):
        run, output = tmp_path / f"run {table.name}", tmp_path / f"{table.name}.parquet"
        options = ["--target", "kind", "--learner", learner, "--partitions", "2", "--tracking-uri", "off"]
        assert _exit_code("train", table, *options, "--storage", tmp_path / "store", "--output", run) == 0
        assert _exit_code("predict", run / "model", table, "--output", output) == 0
        said[table.name] = pd.read_parquet(output)["prediction"].tolist()
    assert said["odd"] == said["usual"]


_ENCODE = """
import json
import resource
import sys

import numpy as np
import pandas as pd

from partwise.encoders import TableEncoder
from partwise.encoders.sampling import fit_encoder
from partwise.records import LearnerNeeds

needs = LearnerNeeds(scale=False, impute=False, categories=sys.argv[1])
table = pd.DataFrame({"id": [f"customer {number:07d}" for number in range(1_000_000)]})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
encoder = fit_encoder(TableEncoder(needs), table, 0)
columns = {encoder.transform(table[start : start + 65_536]).shape[1] for start in range(0, 1_000_000, 65_536)}
print(json.dumps([sorted(columns), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024]))
"""


@pytest.mark.long
@pytest.mark.parametrize(("categories", "n_columns"), [("ordinal", 1), ("string", 30)])
def test_a_million_categories_take_bounded_memory(categories, n_columns):
    """As many columns as of a thousand, and less than the texts themselves take several times."""
    said = subprocess.run(
        [sys.executable, "-c", _ENCODE, categories], capture_output=True, text=True, timeout=250, check=False
    )
    assert said.returncode == 0, said.stderr
    columns, megabytes = json.loads(said.stdout)
    assert columns == [n_columns]
    assert megabytes < 500
