"""Whatever stands in files that partwise wrote, their readers return or raise an error of ours."""

import json
import shutil
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import feather, fs
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeRegressor

import partwise
from partwise import Checkpoint, PartitionedClassifier, PartitionedRegressor
from partwise.errors import PartwiseError
from partwise.model_store import load_model, save_model
from partwise.runs import RunDirectory
from partwise.sources import feather_files
from partwise.sources.feather_files import Batch, largest_batch
from partwise.stores import PartitionStore

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 2))
Y = np.where(X[:, 0] > 0, "late", "early")

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
fuzzed = settings(max_examples=100, deadline=None)


def _places(value, path=()):
    """Yield the paths of all values inside a JSON value."""
    yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from _places(inner, (*path, key))


def _replaced(value, path, new):
    if not path:
        return new
    key, *rest = path
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[key] = _replaced(copy[key], rest, new)
    return copy


@st.composite
def changes(draw):
    """Return a function that makes of a JSON document another: a value replaced, or bytes changed, cut or added."""
    kind = draw(st.sampled_from(["value", "value", "flip", "cut", "add"]))
    place, new = draw(st.integers(0, 2**31)), draw(JSON)
    byte = draw(st.integers(0, 255))

    def change(content):
        at = place % max(1, len(content))
        match kind:
            case "value":
                document = json.loads(content)
                places = list(_places(document))
                return json.dumps(_replaced(document, places[place % len(places)], new)).encode()
            case "flip":
                return content[:at] + bytes([byte]) + content[at + 1 :]
            case "cut":
                return content[:at]
            case _:
                return content[:at] + bytes([byte]) * 3 + content[at:]

    return change


def _ours_or_nothing(path, change, read):
    """Change a file, read it, and restore it."""
    content = path.read_bytes()
    try:
        path.write_bytes(change(content))
        with suppress(PartwiseError):
            read()
    finally:
        path.write_bytes(content)


@pytest.fixture(scope="module", params=["soft", "stack", "route", "mean"])
def model_directory(request, tmp_path_factory):
    """A stored model of each kind of predictor."""
    settings = {"n_partitions": 2, "executor": "inline", "random_state": 0, "combine": request.param}
    if request.param == "mean":
        model = PartitionedRegressor(DecisionTreeRegressor(max_depth=2), **settings).fit(X, X[:, 0])
    else:
        model = PartitionedClassifier(GaussianNB(), **settings).fit(X, Y)
    return save_model(tmp_path_factory.mktemp("model") / "model", model.stored())


@fuzzed
@given(change=changes())
def test_model_json(change, model_directory):
    """A model that was loaded predicts, or says in an error of ours what is wrong."""

    def read():
        load_model(model_directory).outputs(X)

    _ours_or_nothing(model_directory / "model.json", change, read)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """The root of a partition store with one table, and the table's key."""
    root = tmp_path_factory.mktemp("store")
    scan = partwise.scan(pa.table({"a": X[:, 0], "b": X[:, 1], "y": Y}), target="y")
    PartitionedClassifier(GaussianNB(), n_partitions=2, executor="inline", storage=str(root)).fit(scan)
    (folder,) = root.iterdir()
    return root, folder.name


@fuzzed
@given(change=changes())
def test_the_manifest_of_a_stored_table(change, stored):
    """It is found whole, or refused; the list of the store shows it either way."""
    root, key = stored
    store = PartitionStore(str(root))

    def read():
        list(store.entries())
        store.find(key)

    _ours_or_nothing(root / key / "manifest.json", change, read)


@pytest.mark.parametrize("name", ["run.json", "journal.jsonl"])
@fuzzed
@given(data=st.data())
def test_a_run_directory(name, data, tmp_path_factory):
    """Record and journal."""
    place = tmp_path_factory.mktemp("fuzz")
    directory = RunDirectory.create(place / "run")
    directory.write_json("run.json", {"command": "train", "state": "running", "config": {"data": "x", "seed": 0}})
    for number in range(3):
        directory.append({"event": "member", "partition": number})
    content = (directory.path / name).read_bytes()
    at = data.draw(st.integers(0, 10_000)) % (len(content) + 1)  # times in the journal have more or fewer digits
    new = data.draw(st.binary(max_size=6) | JSON.map(lambda value: json.dumps(value).encode()))
    (directory.path / name).write_bytes(content[:at] + new + content[at + data.draw(st.integers(0, 5)) :])
    with suppress(PartwiseError):
        RunDirectory.reopen(directory.path).record()
    with suppress(PartwiseError):
        list(directory.events())
    directory.append({"event": "finished"})
    shutil.rmtree(place)


@fuzzed
@given(data=st.data())
def test_kept_members(data, tmp_path_factory):
    """Whatever lies where members are kept, those that are not whole are fitted again."""
    place = tmp_path_factory.mktemp("kept")

    def fit():
        checkpoint = Checkpoint(str(place))
        model = PartitionedClassifier(GaussianNB(), n_partitions=2, executor="inline", random_state=0)
        return model.set_params(checkpoint=checkpoint).fit(X, Y)

    first = fit()
    (path, *_) = sorted(place.rglob("*.member"))
    path.write_bytes(data.draw(st.binary(max_size=200)))
    (path.parent / "99999-0.skops.member").write_bytes(data.draw(st.binary(max_size=50)))
    again = fit()
    assert [each.content_digest for each in again.members_] == [each.content_digest for each in first.members_]
    shutil.rmtree(place)


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """A Feather file of five packed batches."""
    path = tmp_path_factory.mktemp("packed") / "table.feather"
    table = pa.table({"a": list(range(500)), "b": ["x" * (place % 7) for place in range(500)]})
    feather.write_feather(table, path, compression="zstd", chunksize=100)
    return path


NUMBERS = [b"\xff" * 4, b"\xff" * 8, b"\x00" * 8, b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80"]


@settings(max_examples=300, deadline=None)
@given(place=st.integers(8, 3_000), new=st.sampled_from(NUMBERS) | st.binary(min_size=1, max_size=8))
def test_headers_of_feather_files_tell_a_size_or_none(packed, place, new):
    """Whatever they say; that the file is damaged is told when its rows are read."""
    content = packed.read_bytes()
    path = packed.with_name("changed.feather")
    path.write_bytes(content[:place] + new + content[place + len(new) :])
    found = largest_batch(fs.LocalFileSystem(), str(path))
    assert found is None or isinstance(found, Batch)


def test_a_header_that_leads_back_to_itself_ends_the_search(packed):
    """Of the first batch: its kind is made an unknown one, and its length that of its header, backwards."""
    content = bytearray(packed.read_bytes())
    file = pa.BufferReader(bytes(content))
    body = next(feather_files._headers(file)).body
    at = content.rindex(b"\xff\xff\xff\xff", 0, body)
    flat = feather_files._Flat(bytes(content[at + 8 : body]))
    (message,) = flat.read("<I", 0)
    kind, length = (at + 8 + flat.field(message, index) for index in (1, 3))
    content[kind] = 9
    content[length : length + 8] = (at - body).to_bytes(8, "little", signed=True)
    assert list(feather_files._headers(pa.BufferReader(bytes(content)))) == []
