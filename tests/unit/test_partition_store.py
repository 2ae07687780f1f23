"""Facts about the store of partitions: what is complete, what is left over, and what is refused."""

import json
import os

import cloudpickle
import numpy as np
import pandas as pd
import pytest
from pyarrow import parquet
from sklearn.tree import DecisionTreeClassifier

import partwise
from partwise import InputError, PartitionedClassifier
from partwise.errors import TableError
from partwise.stores import Build, PartitionStore
from partwise.tables import scattering

TABLE = pd.DataFrame({"x": np.arange(900.0), "y": np.arange(900) % 3})


def _fit(storage, table=TABLE, **settings):
    settings = {"n_partitions": 3, "executor": "inline", "random_state": 0} | settings
    model = PartitionedClassifier(DecisionTreeClassifier(), storage=str(storage), **settings)
    return model.fit(partwise.scan(table, "y"))


def _entry(storage):
    (entry,) = PartitionStore(str(storage)).entries()
    return entry


def test_a_table_is_stored_as_one_file_a_partition(tmp_path):
    """The manifest lists the files, their rows and classes; nothing of the exchange is left."""
    _fit(tmp_path)
    manifest = _entry(tmp_path).manifest
    assert [(part.n_rows, part.class_counts) for part in manifest.parts] == [(300, [100, 100, 100])] * 3
    files = sorted(str(path.relative_to(tmp_path / manifest.key)) for path in tmp_path.rglob("*") if path.is_file())
    assert files == sorted(["manifest.json", *(part.file for part in manifest.parts)])


def test_another_learner_takes_the_same_partitions(tmp_path, monkeypatch):
    """What is stored is not stored again for the same rows and cut."""
    _fit(tmp_path)
    monkeypatch.setattr(scattering, "_assigned", lambda *_: pytest.fail("the rows are exchanged again"))
    assert len(_fit(tmp_path, cpus_per_member=2).members_) == 3


@pytest.mark.parametrize("other", [{"random_state": 1}, {"n_partitions": 4}, {"partitioner": "shuffled"}], ids=str)
def test_another_cut_is_stored_beside_it(other, tmp_path):
    """Seed, number of partitions and partitioner tell cuts apart."""
    _fit(tmp_path)
    _fit(tmp_path, **other)
    assert len(list(PartitionStore(str(tmp_path)).entries())) == 2


def test_other_rows_are_stored_beside_it(tmp_path):
    """A table that was written again is another table."""
    path = tmp_path / "rows.parquet"
    for rows in (TABLE, TABLE.assign(x=TABLE["x"] + 1)):
        rows.to_parquet(path)
        model = PartitionedClassifier(
            DecisionTreeClassifier(), n_partitions=3, executor="inline", storage=str(tmp_path / "store")
        )
        model.fit(partwise.scan(path, "y"))
        os.utime(path, ns=(0, 0))
    assert len(list(PartitionStore(str(tmp_path / "store")).entries())) == 2


def test_pages_have_checksums(tmp_path):
    """A byte that flips on the disk is found when the partition is read, and the file is named."""
    _fit(tmp_path)
    manifest = _entry(tmp_path).manifest
    path = tmp_path / manifest.key / manifest.parts[1].file
    content = bytearray(path.read_bytes())
    offset = parquet.ParquetFile(path).metadata.row_group(0).column(0).data_page_offset
    content[offset + 60] ^= 1
    path.write_bytes(content)
    with pytest.raises(partwise.MemberFitError, match=rf"{path.name}' cannot be read(.|\n)*checksum"):
        _fit(tmp_path)


def test_a_partition_that_is_missing_is_told(tmp_path):
    """A store from which something was deleted is not taken for complete."""
    _fit(tmp_path)
    manifest = _entry(tmp_path).manifest
    (tmp_path / manifest.key / manifest.parts[0].file).unlink()
    with pytest.raises(TableError, match=r"part-00000\.parquet' is missing(.|\n)*store clean"):
        _fit(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 2}', json.dumps({"format": 2, "key": "x"})])
def test_a_manifest_of_something_else_is_refused(content, tmp_path):
    """The error names the file, and what to do."""
    _fit(tmp_path)
    path = tmp_path / _entry(tmp_path).key / "manifest.json"
    path.write_text(content)
    with pytest.raises(TableError, match=r"manifest\.json' is no manifest of ours(.|\n)*Delete"):
        _fit(tmp_path)


def test_a_manifest_that_leads_elsewhere_is_refused(tmp_path):
    """The files of a table lie below its folder."""
    _fit(tmp_path)
    path = tmp_path / _entry(tmp_path).key / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["parts"][0]["file"] = "../../elsewhere.parquet"
    path.write_text(json.dumps(manifest))
    with pytest.raises(TableError, match="no manifest of ours"):
        _fit(tmp_path)


def test_what_is_not_finished_is_never_found(tmp_path, monkeypatch):
    """A run that ends while the store is built leaves nothing, and the next run stores the table anew."""
    monkeypatch.setattr(PartitionStore, "commit", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        _fit(tmp_path)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    assert len(_fit(tmp_path).members_) == 3
    assert _entry(tmp_path).manifest is not None


def test_an_error_is_told_even_if_cleaning_up_fails(tmp_path, monkeypatch):
    """The first error is raised; what hindered the cleaning is a note of it."""

    def broken(*_):
        raise RuntimeError("the real cause")

    def stuck(_):
        raise OSError("the disk is gone")

    monkeypatch.setattr(PartitionStore, "commit", broken)
    monkeypatch.setattr(Build, "abandon", stuck)
    with pytest.raises(RuntimeError, match="the real cause") as caught:
        _fit(tmp_path)
    (note,) = caught.value.__notes__
    assert "could not be deleted" in note
    assert "the disk is gone" in note


@pytest.mark.parametrize("settings", [{"partitioner": "clustered"}, {"n_partitions": 901}], ids=str)
def test_a_partition_without_rows_is_refused_as_in_memory(settings, tmp_path):
    """Too few different rows, or fewer rows than partitions: the error is that of the table in memory."""
    table = pd.DataFrame({"x": np.arange(900) % 2 * 1.0, "y": np.arange(900) % 3})
    settings = {"n_partitions": 8, "executor": "inline", "random_state": 0} | settings
    with pytest.raises(InputError) as in_memory:
        PartitionedClassifier(DecisionTreeClassifier(), **settings).fit(table[["x"]], table["y"])
    with pytest.raises(InputError) as in_files:
        _fit(tmp_path, table, **settings)
    assert str(in_files.value) == str(in_memory.value)
    assert list(tmp_path.iterdir()) == []


def test_deleting_leaves_nothing(tmp_path):
    """An entry goes with all its files."""
    _fit(tmp_path)
    PartitionStore(str(tmp_path)).delete(_entry(tmp_path).key)
    assert list(tmp_path.iterdir()) == []


def test_too_little_space_is_told_before_anything_is_written(tmp_path, monkeypatch):
    """The message says what is needed and what there is."""
    monkeypatch.setattr(PartitionStore, "free_bytes", lambda _: 10)
    with pytest.raises(InputError, match=r"0\.0 GB left(.|\n)*--storage"):
        _fit(tmp_path)
    assert list(tmp_path.rglob("*.parquet")) == []


def test_a_place_that_cannot_be_written_to_is_told(tmp_path):
    """A file where the folder should be is named."""
    (tmp_path / "taken").write_text("")
    with pytest.raises(InputError, match=r"taken' cannot be written to"):
        _fit(tmp_path / "taken")


def test_a_relative_store_travels_as_an_absolute_one(tmp_path, monkeypatch):
    """A worker has another working directory."""
    monkeypatch.chdir(tmp_path)
    store = PartitionStore("here")
    assert cloudpickle.loads(cloudpickle.dumps(store)).place[1] == str(tmp_path / "here")
    assert PartitionStore().place[1] == str(tmp_path / "partwise-store")


@pytest.mark.parametrize("held", ["artifacts/model.txt", "meta.yaml", "0123abcd/part-00000.parquet"])
def test_a_folder_of_another_program_is_passed_over(held, tmp_path):
    """MLflow names its runs by 32 digits too: what has not the shape of a table's folder is not listed."""
    path = tmp_path / ("0123456789abcdef" * 2) / held
    path.parent.mkdir(parents=True)
    path.write_text("theirs")
    assert len(list(PartitionStore(str(tmp_path)).entries())) == held.startswith("0123abcd")
