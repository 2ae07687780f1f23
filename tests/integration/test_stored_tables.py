"""Facts about tables that are never read into memory: the partitions and members are those of the table in memory."""

import os

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

import partwise
from partwise import PartitionedClassifier, PartitionedRegressor, RayExecutor, permutation
from partwise.encoders import NumericEncoder, sampling
from partwise.partitioners import Clustered
from partwise.records import LearnerNeeds
from partwise.sources import read_blocks
from partwise.tables import stored

N_ROWS = 5_000


def _table():
    """A table of all kinds of columns, sorted by its target, with gaps, weights, groups and times with ties."""
    rng = np.random.default_rng(0)
    grade = np.sort(rng.choice(["a", "b", "c"], N_ROWS, p=[0.6, 0.3, 0.1]))
    table = pd.DataFrame({"grade": grade})
    table["x"] = rng.normal(size=N_ROWS) + (grade == "b")
    table["whole"] = rng.integers(0, 50, N_ROWS)
    table["gaps"] = rng.integers(0, 9, N_ROWS).astype(float)
    table.loc[rng.random(N_ROWS) < 0.1, "gaps"] = np.nan
    table["flag"] = rng.random(N_ROWS) < 0.5
    table["town"] = rng.choice(["Ulm", "Bonn", "Jena", "Wien"], N_ROWS)
    table["kind"] = pd.Categorical(rng.choice(["lo", "mid", "hi"], N_ROWS), ["lo", "mid", "hi"], ordered=True)
    table["weight"] = rng.integers(0, 3, N_ROWS).astype(float)
    table["owner"] = rng.integers(0, 400, N_ROWS)
    table["day"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 90, N_ROWS), unit="D")
    table["price"] = table["x"] * 3 + table["whole"] + rng.normal(size=N_ROWS)
    return table


TABLE = _table()
NUMERIC = ["x", "whole", "flag"]
ENCODED = ["x", "whole", "gaps", "flag", "town", "kind"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The table in three Parquet files of uneven size, with row groups of 300 rows."""
    place = tmp_path_factory.mktemp("table")
    arrow = pa.Table.from_pandas(TABLE, preserve_index=False)
    for index, (start, end) in enumerate([(0, 700), (700, 3_500), (3_500, N_ROWS)]):
        parquet.write_table(arrow.slice(start, end - start), place / f"{index}.parquet", row_group_size=300)
    return place


def _digests(model):
    return [member.content_digest for member in model.members_]


def _in_memory(model, *, target="grade", columns=NUMERIC, **roles):
    given = {"sample_weight": roles.get("weight"), "groups": roles.get("group"), "time": roles.get("time")}
    asked = {name: None if column is None else TABLE[column] for name, column in given.items()}
    return model.fit(TABLE[columns], TABLE[target], **asked)


def _tree(storage, **settings):
    settings = {"n_partitions": 5, "executor": "inline", "random_state": 3, "storage": str(storage)} | settings
    return PartitionedClassifier(DecisionTreeClassifier(max_depth=5), **settings)


CUTS = {
    "stratified": {},
    "shuffled": {"partitioner": "shuffled"},
    "ordered": {"partitioner": "ordered"},
    "clustered": {"partitioner": "clustered:0.2"},
    "three copies of each row": {"replication": 3},
}


@pytest.mark.parametrize("cut", CUTS)
def test_members_are_those_of_the_table_in_memory(cut, folder, tmp_path):
    """Every cut sends the same rows to the same members, in the same order."""
    stored = _tree(tmp_path, **CUTS[cut]).fit(partwise.scan(folder, "grade", columns=NUMERIC))
    assert _digests(stored) == _digests(_in_memory(_tree(tmp_path, **CUTS[cut])))


@pytest.mark.parametrize("cut", ["grouped", "ordered"])
def test_groups_and_times_decide_as_in_memory(cut, folder, tmp_path):
    """Groups are counted, and rows are ranked by time and then position, without the table being read as a whole."""
    roles = {"group": "owner"} if cut == "grouped" else {"time": "day"}
    model = _tree(tmp_path, partitioner=cut).fit(partwise.scan(folder, "grade", columns=NUMERIC, **roles))
    assert _digests(model) == _digests(_in_memory(_tree(tmp_path, partitioner=cut), **roles))


def test_weights_count_as_in_memory(folder, tmp_path):
    """Weights travel with their rows; rows of weight zero teach nothing."""
    model = _tree(tmp_path).fit(partwise.scan(folder, "grade", columns=NUMERIC, weight="weight"))
    assert _digests(model) == _digests(_in_memory(_tree(tmp_path), weight="weight"))


def test_a_regression_is_that_of_the_table_in_memory(folder, tmp_path):
    """Values are targets as well as classes are."""
    settings = {"n_partitions": 4, "executor": "inline", "random_state": 0, "storage": str(tmp_path)}
    stored, here = (PartitionedRegressor(DecisionTreeRegressor(max_depth=4), **settings) for _ in range(2))
    stored.fit(partwise.scan(folder, "price", columns=NUMERIC))
    assert _digests(stored) == _digests(_in_memory(here, target="price"))


@pytest.mark.parametrize("categories", ["ordinal", "string"])
@pytest.mark.parametrize("partitioner", ["stratified", "clustered"])
def test_raw_columns_are_encoded_as_in_memory(categories, partitioner, folder, tmp_path):
    """Text, categories, booleans and gaps become the same numbers, although no worker sees more than its rows."""
    encoder = partwise.TableEncoder(LearnerNeeds(categories=categories))
    model = _tree(tmp_path, encoder=encoder, partitioner=partitioner)
    model.fit(partwise.scan(folder, "grade", columns=ENCODED))
    assert _digests(model) == _digests(
        _in_memory(_tree(tmp_path, encoder=encoder, partitioner=partitioner), columns=ENCODED)
    )


@pytest.mark.parametrize("learner", [GaussianNB(), KNeighborsClassifier(), RandomForestClassifier(6)], ids=str)
def test_merged_models_predict_as_in_memory(learner, folder, tmp_path):
    """Exact merges are exact, whether their parts come from memory or from a store."""
    settings = {"n_partitions": 3, "combine": "pool", "executor": "inline", "random_state": 0}
    stored = PartitionedClassifier(learner, storage=str(tmp_path), **settings)
    stored.fit(partwise.scan(folder, "grade", columns=NUMERIC))
    here = _in_memory(PartitionedClassifier(learner, **settings))
    np.testing.assert_array_equal(stored.predict_proba(TABLE[NUMERIC]), here.predict_proba(TABLE[NUMERIC]))


def test_a_merged_regression_is_that_of_the_table_in_memory(folder, tmp_path):
    """Orthogonal factors of stored partitions merge into one fit."""
    settings = {"n_partitions": 3, "combine": "pool", "executor": "inline", "random_state": 0}
    stored = PartitionedRegressor(LinearRegression(), storage=str(tmp_path), **settings)
    stored.fit(partwise.scan(folder, "price", columns=NUMERIC))
    here = LinearRegression().fit(TABLE[NUMERIC], TABLE["price"])
    np.testing.assert_allclose(stored.predict(TABLE[NUMERIC]), here.predict(TABLE[NUMERIC]), rtol=1e-9)


@pytest.mark.parametrize(
    "settings", [{}, {"replication": 2}, {"combine": "stack"}, {"combine": "weighted:score"}], ids=str
)
def test_evidence_is_that_of_the_table_in_memory(settings, folder, tmp_path):
    """Blocks of stored rows are described by the members that never saw them; the scores are those in memory."""
    asked = {"out_of_partition": True, **settings}
    stored = _tree(tmp_path, **asked).fit(partwise.scan(folder, "grade", columns=NUMERIC))
    here = _in_memory(_tree(tmp_path, **asked))
    assert stored.out_of_partition_score_ == pytest.approx(here.out_of_partition_score_)
    np.testing.assert_allclose(stored.out_of_partition_member_scores_, here.out_of_partition_member_scores_)


def test_evidence_of_a_regression_is_that_of_the_table_in_memory(folder, tmp_path):
    """R² of stored rows comes from moments that are merged."""
    settings = {"n_partitions": 4, "executor": "inline", "random_state": 0, "out_of_partition": True}
    stored = PartitionedRegressor(DecisionTreeRegressor(max_depth=4), storage=str(tmp_path), **settings)
    stored.fit(partwise.scan(folder, "price", columns=NUMERIC, weight="weight"))
    here = _in_memory(
        PartitionedRegressor(DecisionTreeRegressor(max_depth=4), **settings), target="price", weight="weight"
    )
    assert stored.out_of_partition_score_ == pytest.approx(here.out_of_partition_score_, rel=1e-12)


def test_scans_are_predicted_in_the_order_of_the_table(folder, tmp_path):
    """Workers predict the pieces that they read; the rows come back in order, columns matched by name."""
    model = _tree(tmp_path).fit(partwise.scan(folder, "grade", columns=NUMERIC))
    np.testing.assert_array_equal(model.predict(partwise.scan(folder)), model.predict(TABLE[NUMERIC]))


def test_a_scan_that_lacks_a_column_is_refused(folder, tmp_path):
    """The error names what is missing and what there is."""
    model = _tree(tmp_path).fit(partwise.scan(folder, "grade", columns=NUMERIC))
    with pytest.raises(partwise.InputError, match=r"lacks 1 of the 3 columns(.|\n)*: flag\. It has: x, whole"):
        model.predict(partwise.scan(folder, columns=["x", "whole"]))


@pytest.mark.parametrize("combine", ["auto", "auto:0"])
def test_the_data_choose_on_a_sample(combine, folder, tmp_path):
    """Trials take a sample of the stored rows; what is chosen is fitted on all of them."""
    model = _tree(tmp_path, combine=combine, n_partitions=3).fit(partwise.scan(folder, "grade", columns=NUMERIC))
    assert len(model.leaderboard_) >= 3
    assert sum(member.n_rows for member in model.members_) == N_ROWS


@pytest.mark.parametrize("row_group_size", [100, 2_000, 1_000_000])
def test_row_groups_do_not_matter(row_group_size, folder, tmp_path):
    """The same rows in other files and row groups give the same members."""
    arrow = pa.Table.from_pandas(TABLE, preserve_index=False)
    parquet.write_table(arrow, tmp_path / "whole.parquet", row_group_size=row_group_size)
    other = _tree(tmp_path / "other").fit(partwise.scan(tmp_path / "whole.parquet", "grade", columns=NUMERIC))
    assert _digests(other) == _digests(_tree(tmp_path / "one").fit(partwise.scan(folder, "grade", columns=NUMERIC)))


@pytest.mark.parametrize("write", ["to_csv", "to_feather"])
def test_other_formats_give_the_same_members(write, tmp_path):
    """Feather and CSV hold the same numbers."""
    path = tmp_path / f"rows.{write.removeprefix('to_')}"
    getattr(TABLE[[*NUMERIC, "grade"]], write)(path, **({"index": False} if write == "to_csv" else {}))
    model = _tree(tmp_path / "other").fit(partwise.scan(path, "grade"))
    assert _digests(model) == _digests(_in_memory(_tree(tmp_path)))


def test_a_frame_can_be_scanned(tmp_path):
    """A table in memory goes through the store too, where it is asked to."""
    model = _tree(tmp_path).fit(partwise.scan(TABLE, "grade", columns=NUMERIC))
    assert _digests(model) == _digests(_in_memory(_tree(tmp_path)))


def test_workers_give_the_members_of_this_process(folder, tmp_path):
    """Partitions are exchanged, stored and read back by Ray's workers, in whatever order they finish."""
    model = _tree(tmp_path, executor=RayExecutor()).fit(partwise.scan(folder, "grade", columns=NUMERIC))
    assert os.getpid() not in {member.process for member in model.members_}
    assert _digests(model) == _digests(_in_memory(_tree(tmp_path)))


def test_predictions_of_a_scan_are_encoded_as_those_of_a_frame(folder, tmp_path):
    """Raw columns of a piece go through the encoder that was fitted on the sample."""
    model = PartitionedClassifier(
        LogisticRegression(), n_partitions=3, encoder="table", executor="inline", random_state=0, storage=str(tmp_path)
    ).fit(partwise.scan(folder, "grade", columns=ENCODED))
    assert model.predict(partwise.scan(folder)).tolist() == model.predict(TABLE[ENCODED]).tolist()


@pytest.fixture(scope="module")
def dataset(ray_session):  # noqa: ARG001 - Ray for Ray Data
    """The table as a dataset of Ray Data in five blocks."""
    import ray  # noqa: PLC0415 - tests that need no Ray shall not load it

    return ray.data.from_arrow([pa.Table.from_pandas(TABLE, preserve_index=False)]).repartition(5)


def test_a_dataset_of_ray_data_gives_the_same_members(dataset, tmp_path):
    """Its blocks are pieces like those of a file, and never come to the driver as a whole."""
    model = _tree(tmp_path, executor=RayExecutor()).fit(partwise.scan(dataset, "grade", columns=NUMERIC))
    assert _digests(model) == _digests(_in_memory(_tree(tmp_path)))


@pytest.mark.usefixtures("ray_session")
def test_a_dataset_of_frames_gives_the_same_members(tmp_path):
    """Its blocks are frames of pandas, and its schema is pandas' own."""
    import ray  # noqa: PLC0415 - tests that need no Ray shall not load it

    dataset = ray.data.from_pandas([TABLE.iloc[:300], TABLE.iloc[300:]])
    model = _tree(tmp_path, executor=RayExecutor()).fit(partwise.scan(dataset, "grade", columns=NUMERIC))
    assert _digests(model) == _digests(_in_memory(_tree(tmp_path)))


@pytest.mark.usefixtures("ray_session")
def test_blocks_of_a_dataset_that_a_filter_has_emptied_do_no_harm():
    """They have no rows, and need not know the columns."""
    import ray  # noqa: PLC0415 - as above

    dataset = ray.data.range(100).map_batches(lambda batch: {"id": batch["id"], "y": batch["id"] % 2})
    source = partwise.scan(dataset.repartition(10).filter(lambda row: row["id"] < 5), "y").source
    assert sorted(pa.concat_tables(read_blocks(source)).column("id").to_pylist()) == [0, 1, 2, 3, 4]


def test_a_dataset_knows_its_rows_and_sizes(dataset):
    """Of each block, however small it is."""
    pieces = partwise.scan(dataset, "grade").source.pieces()
    assert sum(piece.n_rows for piece in pieces) == len(TABLE)
    arrow = pa.Table.from_pandas(TABLE[NUMERIC], preserve_index=False)
    assert sum(piece.n_bytes(NUMERIC) for piece in pieces) == pytest.approx(arrow.nbytes, rel=0.1)


def test_a_dataset_of_ray_data_is_predicted(dataset, tmp_path):
    """Predictions of its blocks come in their order."""
    model = _tree(tmp_path).fit(partwise.scan(dataset, "grade", columns=NUMERIC))
    assert model.predict(partwise.scan(dataset)).tolist() == model.predict(TABLE[NUMERIC]).tolist()


class _Noting(NumericEncoder):
    """Notes the rows that it was fitted on."""

    def fit(self, table, y=None):  # noqa: ARG002 - their signature
        self.seen_ = table["whole"].tolist(), table["text"].tolist()
        return super().fit(table[["whole"]])


@pytest.mark.parametrize("row_group_size", [300, 5_000])
def test_an_encoder_sees_the_same_rows_of_long_texts_as_in_memory(row_group_size, tmp_path, monkeypatch):
    """Its sample is bounded in bytes, whatever the layout of the files."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"whole": np.arange(N_ROWS), "grade": TABLE["grade"]})
    table["text"] = ["é" * size for size in rng.integers(0, 4_000, N_ROWS)]
    table.loc[::7, "text"] = None
    for module in (sampling, stored):
        monkeypatch.setattr(module, "SAMPLED_BYTES", 100_000)
    parquet.write_table(pa.Table.from_pandas(table), tmp_path / "rows.parquet", row_group_size=row_group_size)
    asked = {"encoder": _Noting(), "executor": "inline", "n_partitions": 2, "random_state": 3}
    files = _tree(tmp_path, **asked).fit(partwise.scan(tmp_path / "rows.parquet", "grade"))
    here = _tree(tmp_path, **asked).fit(table[["whole", "text"]], table["grade"])
    numbers, texts = files.encoder_.seen_
    assert sum(16 + 2 * len(text) for text in texts if isinstance(text, str)) <= 100_000
    assert 10 < len(numbers) < 60
    assert numbers == here.encoder_.seen_[0]
    assert _digests(files) == _digests(here)


@pytest.mark.parametrize("columns", [NUMERIC, ENCODED])
def test_the_cut_into_cells_learns_from_the_same_few_rows_of_a_wide_table(columns, folder, tmp_path, monkeypatch):
    """How many it sees depends on their values, as the encoder makes them; workers send no more than these."""
    monkeypatch.setattr(permutation, "_CUT_VALUES", 6_000)
    seen, real = [], Clustered.fit
    monkeypatch.setattr(
        Clustered, "fit", lambda rule, *given: [seen.append(len(given[1].positions)), real(rule, *given)][1]
    )
    asked = {"partitioner": "clustered", "encoder": None if columns is NUMERIC else "table"}
    files = _tree(tmp_path, **asked).fit(partwise.scan(folder, "grade", columns=columns))
    assert seen == [2_000]
    assert _digests(files) == _digests(_in_memory(_tree(tmp_path, **asked), columns=columns))


@pytest.mark.parametrize("given", ["a frame", "a scan"])
def test_a_feature_of_several_values_is_refused(given, tmp_path):
    """In Python as on the command line, wherever the rows are."""
    table = TABLE[[*NUMERIC, "grade"]].assign(odd=[[1.0, 2.0]] * N_ROWS)
    asked = (partwise.scan(table, "grade"),) if given == "a scan" else (table.drop(columns="grade"), table["grade"])
    with pytest.raises(partwise.InputError, match=r"The feature 'odd' is of type .*Valid: one value in each row"):
        _tree(tmp_path, encoder="table").fit(*asked)
