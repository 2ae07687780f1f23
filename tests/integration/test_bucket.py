"""Tables and partition stores in a bucket, before one fake S3 server on loopback.

Proves that the whole way works where there are objects in place of files: URIs with settings, listing, globs, reading
in pieces, exchange and storing of partitions, a manifest that is written last, and predictions from a bucket into one.

Does not prove what the fake lacks: no eventual consistency and no throttling (all requests go to one process, which
answers at once), no real credentials or policies (it takes any), no redirect to a region, no encryption, and no second
node, as the executor is this process.
"""

import json
import os
import pickle
import secrets
import time
from dataclasses import dataclass
from itertools import chain, islice

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from moto.server import ThreadedMotoServer
from pyarrow import csv, feather, fs, parquet
from sklearn.tree import DecisionTreeClassifier

import partwise
from partwise import InputError, PartitionedClassifier
from partwise.config import TrainConfig, TuneConfig
from partwise.doctor.places import look_at_run_directory
from partwise.errors import ConfigurationError, ModelStoreError, TableError
from partwise.executors import InlineExecutor
from partwise.experiment import (
    PredictConfig,
    ResumeConfig,
    TrainingRun,
    claiming,
    predict,
    predicting,
    resume,
    sync,
    train,
    tune,
)
from partwise.experiment.prediction_file import PieceFiles, PredictionFile
from partwise.filesystems import Folder, new_file
from partwise.model_store import load_model, save_model
from partwise.runs import RunDirectory
from partwise.sources import open_source, read_blocks
from partwise.stores import PartitionStore
from partwise.tables import stored

N_ROWS = 1_200


def _table():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"x": rng.normal(size=N_ROWS), "whole": rng.integers(0, 50, N_ROWS)})
    table["grade"] = np.where(table["x"] + rng.normal(size=N_ROWS) > 0, "a", "b")
    return table


TABLE = _table()
FEATURES = ["x", "whole"]
KINDS = pa.schema([("x", pa.float64()), ("whole", pa.int64()), ("grade", pa.string())])  # those that a CSV file has
ARROW = pa.Table.from_pandas(TABLE, KINDS, preserve_index=False).replace_schema_metadata()
WRITERS = {"parquet": parquet.write_table, "feather": feather.write_feather, "csv": csv.write_csv}


class Bucket:
    """A bucket as its user sees it: addresses, and a look at what is in it."""

    def __init__(self, server):
        self.name = f"partwise-{secrets.token_hex(4)}"
        self._settings = f"endpoint_override={server}&scheme=http"
        self.filesystem = fs.S3FileSystem(endpoint_override=server, scheme="http", allow_bucket_creation=True)
        self.filesystem.create_dir(self.name)

    def uri(self, path):
        return f"s3://{self.name}/{path}?{self._settings}"

    def secret(self, path):
        """Return a URI that brings its own credentials: workers that were started before have none."""
        return self.uri(path).replace("s3://", "s3://key:hidden@") + "&region=us-east-1"

    def write(self, path, table):
        with self.filesystem.open_output_stream(f"{self.name}/{path}") as file:
            WRITERS[path.rpartition(".")[2]](table, file)

    def objects(self, folder):
        """Return the paths of what lies below a folder, but for folders."""
        infos = self.filesystem.get_file_info(fs.FileSelector(f"{self.name}/{folder}", recursive=True))
        return {info.path.removeprefix(f"{self.name}/{folder}/") for info in infos if info.type == fs.FileType.File}


@pytest.fixture(scope="module")
def server():
    """The address of a fake S3, and credentials for it in the environment, as a user has them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
            patch.delenv(name, raising=False)
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        yield f"{host}:{port}"
        server.stop()


@pytest.fixture
def bucket(server):
    """A bucket with the table in three Parquet files, among objects of other kinds."""
    bucket = Bucket(server)
    for index in (2, 1, 0):
        bucket.write(f"table/{index}.parquet", ARROW.slice(400 * index, 400))
    for name in ("README.md", "_SUCCESS", "_temporary/3.parquet"):
        with bucket.filesystem.open_output_stream(f"{bucket.name}/table/{name}") as file:
            file.write(b"no table")
    return bucket


def _read(uri, columns=None):
    return pa.concat_tables(read_blocks(open_source(uri), columns))


def _model(storage=None, **settings):
    settings = {"n_partitions": 3, "executor": "inline", "random_state": 0, "storage": storage} | settings
    return PartitionedClassifier(DecisionTreeClassifier(max_depth=4), **settings)


def _fit(bucket, **settings):
    return _model(bucket.uri("store"), **settings).fit(partwise.scan(bucket.uri("table"), "grade"))


def _digests(model):
    return [member.content_digest for member in model.members_]


@pytest.mark.parametrize("path", ["table", "table/", "table/*.parquet", "table/[0-9].parquet", "t*/?.parquet", "**"])
def test_a_bucket_is_read_as_a_disk_is(path, bucket):
    """A folder and globs are the rows of their objects in the order of the paths; the settings of the URI are none."""
    assert _read(bucket.uri(path)).equals(ARROW)


@pytest.mark.parametrize("ending", WRITERS)
def test_one_object_of_each_format(ending, bucket):
    """Every format is read from a bucket, in the columns asked for."""
    bucket.write(f"one/rows.{ending}", ARROW)
    assert _read(bucket.uri(f"one/rows.{ending}"), ["whole", "grade"]).equals(ARROW.select(["whole", "grade"]))


def test_folders_of_a_bucket_give_columns(bucket):
    """Folders named column=value are columns, in a bucket too."""
    for year in (2013, 2014):
        bucket.write(f"years/year={year}/0.parquet", ARROW.slice(0, 1))
    assert _read(bucket.uri("years"), ["year"]).to_pydict() == {"year": [2013, 2014]}


@pytest.mark.parametrize("path", ["nowhere", "nowhere.parquet", "table/*.csv", "nowhere/**"])
def test_what_a_bucket_lacks_is_refused(path, bucket):
    """The message has the URI, and the next step."""
    with pytest.raises(InputError, match=r"'s3://partwise-.*Check the pa"):
        partwise.scan(bucket.uri(path))


def test_a_scan_of_a_bucket_can_be_sent(bucket):
    """What was pickled reads the same rows, and finds the server and the credentials by itself."""
    found = pickle.loads(pickle.dumps(partwise.scan(bucket.uri("table"), "grade")))  # noqa: S301 - our own bytes
    assert pa.concat_tables([block for piece in found.source.pieces() for block in piece.blocks()]).equals(ARROW)


def test_an_object_that_is_replaced_is_refused(bucket):
    """Pieces are of the object that was listed."""
    pieces = open_source(bucket.uri("table")).pieces()
    bucket.write("table/1.parquet", ARROW.slice(0, 7))
    with pytest.raises(InputError, match=r"table/1\.parquet' has changed since the table was opened"):
        list(pieces[1].blocks())


@pytest.mark.parametrize("settings", [{}, {"replication": 2}, {"partitioner": "clustered"}], ids=str)
def test_members_are_those_of_the_table_in_memory(settings, bucket):
    """Read from a bucket and stored in it, the table gives the same members, bit for bit, and they predict the same."""
    model = _fit(bucket, **settings)
    here = _model(**settings).fit(TABLE[FEATURES], TABLE["grade"])
    assert _digests(model) == _digests(here)
    assert (
        model.predict(partwise.scan(bucket.uri("table/*.parquet"))).tolist() == here.predict(TABLE[FEATURES]).tolist()
    )


def test_partitions_lie_in_the_bucket(bucket):
    """A complete table is its manifest and a file for each partition; nothing of the exchange is left."""
    _fit(bucket)
    (entry,) = PartitionStore(bucket.uri("store")).entries()
    expected = {"manifest.json", *(part.file for part in entry.manifest.parts)}
    assert bucket.objects(f"store/{entry.key}") == expected
    assert sum(part.n_rows for part in entry.manifest.parts) == N_ROWS


def test_stored_partitions_are_taken_again(bucket):
    """The second fit writes nothing."""
    digests = _digests(_fit(bucket))
    before = bucket.objects("store")
    assert _digests(_fit(bucket)) == digests
    assert bucket.objects("store") == before


def test_the_manifest_is_written_last(bucket, monkeypatch):
    """All that a manifest names is in the bucket before it."""
    commit = PartitionStore.commit
    seen = []

    def look(store, manifest):
        seen.append((bucket.objects(f"store/{manifest.key}"), {part.file for part in manifest.parts}))
        commit(store, manifest)

    monkeypatch.setattr(PartitionStore, "commit", look)
    _fit(bucket)
    ((before, named),) = seen
    assert before == named


@pytest.mark.parametrize(("owner", "step"), [(stored, "scatter"), (stored, "gather"), (PartitionStore, "commit")])
def test_an_interrupted_build_is_not_found(owner, step, bucket, monkeypatch):
    """A run that ends before its manifest leaves no table, nor parts of one; the next run stores the table anew."""

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(owner, step, interrupt)
    with pytest.raises(KeyboardInterrupt):
        _fit(bucket)
    store = PartitionStore(bucket.uri("store"))
    assert list(store.entries()) == []
    monkeypatch.undo()
    assert _digests(_fit(bucket)) == _digests(_model().fit(TABLE[FEATURES], TABLE["grade"]))
    (entry,) = store.entries()
    assert entry.manifest is not None


def test_a_partition_that_is_missing_is_told(bucket):
    """A manifest whose objects are gone is no complete table."""
    _fit(bucket)
    (entry,) = PartitionStore(bucket.uri("store")).entries()
    name = f"store/{entry.key}/{entry.manifest.parts[1].file}"
    bucket.filesystem.delete_file(f"{bucket.name}/{name}")
    with pytest.raises(TableError, match=r"part-00001\.parquet' is missing"):
        _fit(bucket)


def test_deleting_leaves_nothing(bucket):
    """An entry goes with all its objects."""
    _fit(bucket)
    store = PartitionStore(bucket.uri("store"))
    (entry,) = store.entries()
    store.delete(entry.key)
    assert list(store.entries()) == []
    assert bucket.objects("store") == set()


def test_a_bucket_that_does_not_exist_is_told(bucket):
    """A store is not made into a bucket that nobody asked for."""
    uri = bucket.uri("store").replace(bucket.name, "nobodys-bucket")
    with pytest.raises(InputError, match=r"nobodys-bucket/store' cannot be written to"):
        _model(uri).fit(partwise.scan(bucket.uri("table"), "grade"))


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A stored model of the table in memory."""
    model = _model().fit(TABLE[FEATURES], TABLE["grade"])
    return save_model(tmp_path_factory.mktemp("stored") / "model", model.stored())


def _predict(model, bucket, output="out/said.parquet", **settings):
    config = PredictConfig(model=model, data=bucket.uri("table"), output=bucket.uri(output), **settings)
    return predict(config, executor=InlineExecutor())


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_a_bucket_is_predicted_into_a_bucket(ending, stored, bucket):
    """The output is as that of the table in memory, and the one object that is left; its URI shows no settings."""
    done = _predict(stored, bucket, f"out/said.{ending}", keep=("whole",))
    found = _read(bucket.uri("out")).to_pydict()
    assert found["whole"] == TABLE["whole"].tolist()
    assert found["prediction"] == load_model(stored).predict(TABLE).tolist()
    assert bucket.objects("out") == {f"said.{ending}"}
    assert done.output == f"s3://{bucket.name}/out/said.{ending}"


def test_a_prediction_into_a_bucket_goes_on(stored, bucket, monkeypatch):
    """A run that is stopped while the output is put together leaves no output, and the next one has all pieces."""

    def stop(*_):
        raise KeyboardInterrupt

    real = PieceFiles.batches
    monkeypatch.setattr(PieceFiles, "batches", lambda files, _: chain(islice(real(files, 3), 2), map(stop, [None])))
    with pytest.raises(KeyboardInterrupt):
        _predict(stored, bucket)
    monkeypatch.undo()
    assert "said.parquet" not in bucket.objects("out")
    assert _predict(stored, bucket).resumed == 3


def _locked(bucket):
    return PredictionFile.at(bucket.uri("out/said.parquet"), overwrite=False).locked()


def test_a_second_prediction_into_one_object_is_refused(stored, bucket):
    """It would delete the pieces of the first; the error says who is at work, and nothing is left in the end."""
    with _locked(bucket):
        with pytest.raises(InputError, match=rf"said\.parquet' is being written by another process \({os.getpid()} on"):
            _predict(stored, bucket)
        assert len(bucket.objects("out")) == 1  # the claim of the first
    assert bucket.objects("out") == set()
    assert _predict(stored, bucket).n_rows == N_ROWS
    assert bucket.objects("out") == {"said.parquet"}


def test_a_run_that_is_not_heard_of_any_more_claims_nothing(stored, bucket, monkeypatch):
    """Its claim is deleted, and its pieces are taken over."""
    monkeypatch.setattr(claiming, "_SILENT_SECONDS", -1)
    with _locked(bucket):
        assert _predict(stored, bucket).n_rows == N_ROWS
        assert bucket.objects("out") == {"said.parquet"}


def test_a_run_says_again_that_it_is_there(bucket, monkeypatch):
    """A claim is renewed while the work lasts."""
    monkeypatch.setattr(claiming, "_BEAT_SECONDS", 0.01)
    with _locked(bucket):
        (claim,) = bucket.objects("out")
        bucket.filesystem.delete_file(f"{bucket.name}/out/{claim}")
        end = time.monotonic() + 60
        while claim not in bucket.objects("out") and time.monotonic() < end:
            time.sleep(0.01)
        assert bucket.objects("out") == {claim}


def test_an_output_in_a_bucket_is_not_replaced_unasked(stored, bucket):
    """As on a disk, that takes --overwrite."""
    bucket.write("out/said.parquet", ARROW)
    with pytest.raises(InputError, match="exists"):
        _predict(stored, bucket)
    assert _predict(stored, bucket, overwrite=True).n_rows == N_ROWS


@pytest.mark.parametrize(
    ("output", "said"),
    [("table/1.parquet", "is one of the files to predict"), ("out/said.txt", "unknown kind"), ("table", "is a folder")],
)
def test_an_object_that_cannot_be_the_output_is_refused(output, said, stored, bucket):
    """An object that is read, one of another kind, and a folder."""
    with pytest.raises(InputError, match=said):
        _predict(stored, bucket, output, overwrite=True)


def test_a_bucket_that_cannot_be_written_is_told_before_a_row_is_read(stored, bucket, monkeypatch):
    """One that does not exist is not made."""
    monkeypatch.setattr(predicting, "outputs_of", None)
    output = bucket.uri("said.parquet").replace(f"s3://{bucket.name}", "s3://nobodys-bucket")
    config = PredictConfig(model=stored, data=bucket.uri("table"), output=output)
    with pytest.raises(InputError, match=r"'s3://nobodys-bucket/said\.parquet' cannot be written(.|\n)*Give a place"):
        predict(config, executor=InlineExecutor())


@pytest.mark.parametrize("contested", [False, True])
def test_an_object_that_is_not_finished_is_none(contested, bucket):
    """When its block fails, nothing of it is left."""

    def fail():
        with new_file(bucket.filesystem, f"{bucket.name}/new/object", contested=contested) as file:
            file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert bucket.objects("new") == set()


@dataclass
class _Run:
    """A training whose run directory is in a bucket."""

    bucket: Bucket
    uri: str
    config: TrainConfig
    done: TrainingRun

    def members(self):
        """Return the objects of members with their times."""
        names = [name for name in self.bucket.objects("run") if name.endswith(".member")]
        infos = self.bucket.filesystem.get_file_info([f"{self.bucket.name}/run/{name}" for name in names])
        return {info.path: info.mtime_ns for info in infos}

    def digests(self):
        """Return the members' digests, by the record."""
        return [member["content_digest"] for member in json.loads(Folder.at(self.uri).read("members.json"))]


@pytest.fixture(scope="module")
def run(server, ray_session, tmp_path_factory):  # noqa: ARG001 - fits on it
    """A run with its directory in a bucket; its URI has credentials."""
    place, bucket = tmp_path_factory.mktemp("run"), Bucket(server)
    TABLE.to_parquet(place / "table.parquet")
    uri = bucket.secret("run")
    settings = {"target": "grade", "learner": "random_forest", "param": ("n_estimators=50",), "partitions": 3}
    config = TrainConfig.checked(
        data=str(place / "table.parquet"), output=uri, storage=str(place / "store"), tracking_uri="off", **settings
    )
    return _Run(bucket, uri, config, train(config))


def test_a_run_directory_lies_in_a_bucket(run):
    """Records, journal, members and model are objects; locks and what was half done are gone."""
    found = run.bucket.objects("run")
    assert {
        "run.json",
        "partitions.json",
        "members.json",
        "failures.json",
        "training.json",
        "model/model.json",
    } <= found
    assert any(name.startswith("journal/") for name in found)
    assert sum(name.endswith(".skops.member") for name in found) == 3
    assert not [name for name in found if name.startswith("owner") or name.endswith((".tmp", ".sent", ".lock"))]


def test_credentials_of_a_run_directory_are_stored_nowhere(run):
    """Neither in what the caller is told nor in any object."""
    assert str(run.done.directory) == run.uri.replace("key:hidden", "***")
    for name in run.bucket.objects("run"):
        assert b"hidden" not in Folder.at(run.uri).read(name)


def test_the_journal_of_a_bucket_is_read_by_another_process(run):
    """All events in order."""
    kinds = [event["event"] for event in RunDirectory.reopen(run.uri).events()]
    assert kinds[:2] == ["run_started", "partitioned"]
    assert kinds.count("member_finished") == 3
    assert kinds[-1] == "run_finished"


def test_a_run_in_a_bucket_predicts(run, tmp_path):
    """By the run or by its model, checked as on a disk; what was changed is refused."""
    said = []
    for name in ("run", "run/model"):
        config = PredictConfig(model=run.bucket.secret(name), data=run.config.data, output=tmp_path / "said.parquet")
        predict(config.model_copy(update={"overwrite": True}), executor=InlineExecutor())
        said.append(pd.read_parquet(tmp_path / "said.parquet")["prediction"].tolist())
    assert said[0] == said[1] == load_model(run.bucket.secret("run/model")).predict(TABLE).tolist()


def test_a_model_in_a_bucket_is_checked(stored, bucket):
    """A part that was changed is refused by its name, without the URI's credentials."""
    place = bucket.secret("model")
    assert save_model(place, load_model(stored)) == place
    path = f"{bucket.name}/model/members/0001.skops"
    with bucket.filesystem.open_output_stream(path) as file:
        file.write(b"other")
    with pytest.raises(ModelStoreError, match=rf"^s3://{path} was changed or damaged"):
        load_model(place)


def test_a_run_directory_in_a_bucket_is_not_taken_twice(run):
    """Runs are never mixed, and what is no run is told."""
    with pytest.raises(InputError, match=r"is not empty \(it holds failures\.json, "):
        RunDirectory.create(run.uri)
    with pytest.raises(InputError, match=r"s3://.*/other is no run directory: it has no run\.json"):
        RunDirectory.reopen(run.bucket.secret("other"))
    with pytest.raises(InputError, match=r"s3://nobodys-bucket/run cannot be written to"):
        RunDirectory.create(run.uri.replace(run.bucket.name, "nobodys-bucket"))


def test_a_search_in_a_bucket_needs_a_database_elsewhere(run):
    """Its trials would be lost with this machine; it is told before a row is read."""
    config = TuneConfig.checked(data=run.config.data, target="grade", output=run.bucket.secret("search"))
    with pytest.raises(ConfigurationError, match=r"cannot lie in a bucket.*--study"):
        tune(config)


def test_the_doctor_looks_at_a_bucket(run):
    """For a run directory too; nothing is left there, and no password is told."""
    (good,) = next(look_at_run_directory(run.bucket.secret("looked"), "probe"))
    assert (good.state, good.found) == ("good", f"s3://{run.bucket.name}/looked can be written to")
    assert run.bucket.objects("looked") == set()
    (bad,) = next(look_at_run_directory(run.uri.replace(run.bucket.name, "nobodys-bucket"), "probe"))
    assert bad.state == "bad"
    assert "hidden" not in bad.found


def test_one_process_at_a_time_has_a_run_in_a_bucket(run):
    """The lock is an object with its owner; a second process is refused, and names it."""
    with RunDirectory.reopen(run.uri).locked():
        assert len([name for name in run.bucket.objects("run") if name.startswith("owner")]) == 1
        with pytest.raises(InputError, match=rf"in use by process {os.getpid()} on"):
            sync(run.uri, "off")
    assert not [name for name in run.bucket.objects("run") if name.startswith("owner")]


def test_a_run_in_a_bucket_is_sent_to_a_tracker_later(run, tmp_path):
    """Events, files and model; the run's tag is where it lies."""
    done = sync(run.uri, f"sqlite:///{tmp_path}/mlflow.db")
    assert done.n_events == len(list(RunDirectory.reopen(run.uri).events()))
    client = mlflow.MlflowClient(tracking_uri=done.tracking_uri)
    experiment = client.get_experiment_by_name("partwise").experiment_id
    (parent,) = client.search_runs([experiment], "tags.`partwise.partitioner` != ''")
    assert parent.data.tags["partwise.run_directory"] == str(run.done.directory)
    assert "training.json" in {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert len(parent.outputs.model_outputs) == 1


def test_a_run_in_a_bucket_goes_on(run):
    """Members that are there are kept, the others fitted, all as they were; of a finished run nothing is fitted."""
    digests, members = run.digests(), run.members()
    assert resume(ResumeConfig(directory=run.uri)).training == run.done.training
    assert run.members() == members
    directory = RunDirectory.reopen(run.uri)
    directory.write_json("run.json", directory.record() | {"state": "running"})
    directory.delete("model")
    gone = min(members)
    run.bucket.filesystem.delete_file(gone)
    again = resume(ResumeConfig(directory=run.uri))
    assert run.digests() == digests
    assert run.members().items() > {path: when for path, when in members.items() if path != gone}.items()
    assert len(run.members()) == 3
    assert again.training.ensemble.scores == run.done.training.ensemble.scores
    assert load_model(run.bucket.secret("run/model")).predict(TABLE).shape == (N_ROWS,)
