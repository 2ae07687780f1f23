"""Members that are kept as they are fitted, and taken over by a later fit of the same rows with the same settings."""

import hashlib
import json

import cloudpickle
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

import partwise
from partwise import Checkpoint, PartitionedClassifier, PartitionedRegressor
from partwise.digests import content_digest
from partwise.errors import InputError, MemberFitError, ModelStoreError
from partwise.executors import InlineExecutor
from partwise.fitting import FitJob, fit_members
from partwise.partitioners import Shuffled
from partwise.records import Part
from partwise.search import PartitionedSearchCV
from partwise.tables import MemoryTable

RNG = np.random.default_rng(0)
X = RNG.normal(size=(600, 4))
Y = np.where(X[:, 0] + X[:, 1] > 0, "late", "early")
FITS = []


class Counted(DecisionTreeClassifier):
    """Counts its fits; a type that only pickle holds."""

    def fit(self, X, y):
        FITS.append(len(y))
        return super().fit(X, y)


class Broken(RegressorMixin, BaseEstimator):
    """Refuses a number of its fits."""

    def fit(self, X, y):
        FITS.append(len(X))
        if len(FITS) in {3, 4}:
            raise RuntimeError("not today")
        self.mean_ = y.mean()
        return self

    def predict(self, X):
        return np.full(len(X), self.mean_)


@pytest.fixture(autouse=True)
def _no_fits():
    FITS.clear()


def _fit(place, learner=None, rows=X, target=Y, seed=0, **settings):
    """Fit in this process, with a checkpoint that is trusted."""
    model = PartitionedClassifier(
        Counted(max_depth=3) if learner is None else learner,
        n_partitions=4,
        executor="inline",
        random_state=seed,
        checkpoint=Checkpoint(str(place), trust=True),
        **settings,
    )
    return model.fit(rows, target)


def _digests(model):
    return [member.content_digest for member in model.members_]


def test_a_second_fit_takes_all_members_over(tmp_path):
    """Nothing is fitted again, and the members are the same."""
    first = _fit(tmp_path)
    assert len(FITS) == 4
    assert _digests(_fit(tmp_path)) == _digests(first)
    assert len(FITS) == 4


def test_what_is_taken_over_predicts_alike(tmp_path):
    """Members that were written and read say what they said."""
    first, second = _fit(tmp_path, LogisticRegression()), _fit(tmp_path, LogisticRegression())
    np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X))


def test_the_range_of_targets_is_kept(tmp_path):
    """A member that was taken over knows what it was fitted on: a routed predictor keeps to it."""
    settings = {"n_partitions": 4, "executor": "inline", "random_state": 0, "combine": "route"}
    far = np.full((1, 4), 80.0)
    first, second = (
        PartitionedRegressor(DecisionTreeRegressor(), checkpoint=Checkpoint(str(tmp_path)), **settings).fit(X, X[:, 0])
        for _ in range(2)
    )
    for one, other in zip(first.members_, second.members_, strict=True):
        np.testing.assert_array_equal(one.target_range, other.target_range)
    assert first.predict(far) == second.predict(far)


def test_measurements_are_those_of_the_fit(tmp_path):
    """A member that was taken over says how long its fit took, and with which seed."""
    for first, second in zip(_fit(tmp_path).members_, _fit(tmp_path).members_, strict=True):
        assert (first.fit_seconds, first.seed, first.n_rows) == (second.fit_seconds, second.seed, second.n_rows)


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"learner": Counted(max_depth=4)},
        {"rows": X + 1e-9},
        {"target": np.where(Y == "late", "x", "y")},
        {"partitioner": "shuffled"},
    ],
    ids=["seed", "setting", "rows", "labels", "cut"],
)
def test_members_of_another_fit_are_not_taken(other, tmp_path):
    """Whatever decides a member tells fits apart."""
    _fit(tmp_path)
    _fit(tmp_path, **other)
    assert len(FITS) == 8


def _files(place):
    return sorted(place.rglob("*.member"))


@pytest.mark.parametrize("harm", ["cut", "emptied", "removed", "of another version"])
def test_a_member_that_is_not_whole_is_fitted_again(harm, tmp_path):
    """That member alone is fitted, and is the same."""
    first = _fit(tmp_path)
    path = _files(tmp_path)[1]
    _, line, data = path.read_bytes().split(b"\n", 2)
    match harm:
        case "cut":
            path.write_bytes(path.read_bytes()[:-1])
        case "emptied":
            path.write_bytes(b"")
        case "removed":
            path.unlink()
        case "of another version":
            described = json.dumps(json.loads(line) | {"format_version": 99}).encode() + b"\n" + data
            path.write_bytes(hashlib.sha256(described).hexdigest().encode() + b"\n" + described)
    assert _digests(_fit(tmp_path)) == _digests(first)
    assert len(FITS) == 5


@settings(max_examples=60, deadline=None)
@given(place=st.integers(0, 10**6), mask=st.integers(1, 255))
def test_no_changed_byte_goes_unnoticed(place, mask, kept):
    """Wherever it is, in digest, description or data, the member is fitted again."""
    folder, digests = kept
    path = _files(folder)[1]
    content = path.read_bytes()
    place %= len(content)
    FITS.clear()
    try:
        path.write_bytes(content[:place] + bytes([content[place] ^ mask]) + content[place + 1 :])
        assert _digests(_fit(folder)) == digests
        assert len(FITS) == 1
    finally:
        for written in set(_files(folder)) - {path}:
            if written.name.startswith(path.name[:5]):
                written.unlink()
        path.write_bytes(content)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A folder with the members of a fit, and their digests."""
    folder = tmp_path_factory.mktemp("kept")
    return folder, _digests(_fit(folder))


def test_code_is_not_run_unless_it_is_trusted(tmp_path):
    """A member that only pickle holds is refused, with the next step."""
    _fit(tmp_path)
    model = PartitionedClassifier(Counted(max_depth=3), n_partitions=4, executor="inline", random_state=0)
    with pytest.raises(ModelStoreError, match=r"holds code \(cloudpickle\).*--trust"):
        model.set_params(checkpoint=str(tmp_path)).fit(X, Y)


def test_members_that_skops_holds_need_no_trust(tmp_path):
    """A path is enough."""
    model = PartitionedClassifier(GaussianNB(), n_partitions=4, executor="inline", checkpoint=str(tmp_path))
    digests = _digests(model.set_params(random_state=0).fit(X, Y))
    written = {path: path.stat().st_mtime_ns for path in _files(tmp_path)}
    assert len(written) == 4
    assert _digests(model.fit(X, Y)) == digests
    assert {path: path.stat().st_mtime_ns for path in _files(tmp_path)} == written


def test_a_fit_that_failed_goes_on(tmp_path):
    """What was fitted before the failure is kept; only the rest is fitted."""
    y = X[:, 0]
    settings = {"n_partitions": 4, "executor": "inline", "random_state": 0, "partitioner": "ordered"}
    model = PartitionedRegressor(Broken(), checkpoint=Checkpoint(str(tmp_path), trust=True), **settings)
    with pytest.raises(MemberFitError, match="not today"):
        model.fit(X, y)
    with pytest.raises(MemberFitError, match="not today"):
        model.fit(X, y)
    model.fit(X, y)
    assert len(FITS) == 6
    assert [member.partition for member in model.members_] == [0, 1, 2, 3]


def test_a_scan_is_told_apart_by_its_store(tmp_path):
    """A table from files takes its members over too, and none where a file was written again."""
    pd.DataFrame(X, columns=list("abcd")).assign(y=Y).to_parquet(tmp_path / "table.parquet")

    def fitted():
        return _fit(tmp_path / "kept", rows=partwise.scan(str(tmp_path / "table.parquet"), "y"), target=None, **stored)

    stored = {"storage": str(tmp_path / "store")}
    first = fitted()
    assert _digests(fitted()) == _digests(first)
    assert len(FITS) == 4
    pd.DataFrame(X + 1, columns=list("abcd")).assign(y=Y).to_parquet(tmp_path / "table.parquet")
    fitted()
    assert len(FITS) == 8


def test_a_choice_is_made_once(tmp_path):
    """Trials are timed, so that a second choice could differ: it is noted, with its leaderboard."""
    first, second = (_fit(tmp_path, combine="auto") for _ in range(2))
    trials = len(FITS)
    third = _fit(tmp_path, combine="auto")
    assert len(FITS) == trials
    assert first.recipe_.name == second.recipe_.name == third.recipe_.name
    assert third.selection_reason_ == first.selection_reason_
    pd.testing.assert_frame_equal(third.leaderboard_, first.leaderboard_, check_dtype=False)


def test_a_place_that_cannot_be_written_to_is_refused(tmp_path):
    """Before anything is fitted."""
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="Members cannot be kept"):
        _fit(tmp_path / "file")
    assert FITS == []


def test_a_bucket_keeps_members_too(tmp_path):
    """Any place that fsspec opens will do."""
    place = f"file://{tmp_path}"
    assert _digests(_fit(place)) == _digests(_fit(place))
    assert len(FITS) == 4
    assert len(_files(tmp_path)) == 4


class Large(LogisticRegression):
    """Holds a megabyte beside what it has learned; a type that only pickle holds."""

    def fit(self, X, y):
        self.ballast_ = np.full(1_000_000, len(y), dtype=np.uint8)
        return super().fit(X, y)


def _watched(place, learner, observe):
    """Fit members that are kept, and call with the folder of files and with what is held as each comes."""
    rows = MemoryTable(Part(0, X, (Y == "late").astype(np.int64), None), labels=np.array(["early", "late"]))
    job = FitJob(template=learner, seed=0, cpus=1, labels=rows.labels)
    cut = rows.cut(Shuffled(), 4, 0, 1)
    keeper = Checkpoint(str(place), trust=True).opened(job, cut)
    members, failures = fit_members(job, cut, InlineExecutor(), observe, keeper)
    assert failures == []
    return members


def _bytes_held(member):
    return len(cloudpickle.dumps(member))


@pytest.mark.parametrize("learner", [Large(), RandomForestClassifier(50)], ids=["pickle", "skops"])
def test_large_members_are_not_held_while_others_are_fitted(learner, tmp_path):
    """As each comes, this process has its record alone; at the end it has what was fitted, and no copy is left."""
    held = []
    members = _watched(tmp_path, learner, lambda member: held.append(_bytes_held(member)))
    assert len(held) == 4
    assert max(held) < 10_000
    assert min(map(_bytes_held, members)) > 100_000
    assert [content_digest(member.estimator) for member in members] == [member.content_digest for member in members]
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} == {".member", ""}
    again = []
    taken = _watched(tmp_path, learner, lambda member: again.append(_bytes_held(member)))
    assert max(again) < 10_000
    assert [content_digest(member.estimator) for member in taken] == [member.content_digest for member in members]
    assert len(_files(tmp_path)) == 4


def test_small_members_are_not_read_back(tmp_path):
    """What Ray sends with its answer takes no file's reading: it is there as it comes."""
    held = []
    members = _watched(tmp_path, LogisticRegression(), held.append)
    assert all(one.estimator is other.estimator for one, other in zip(held, members, strict=True))


def test_a_copy_that_is_lost_is_not_needed(tmp_path):
    """The member's own file holds it too."""

    def lose(_):
        for path in tmp_path.rglob("*.sent"):
            path.unlink()

    members = _watched(tmp_path, RandomForestClassifier(50), lose)
    assert [content_digest(member.estimator) for member in members] == [member.content_digest for member in members]


def test_a_member_that_is_gone_before_it_is_read_is_told(tmp_path):
    """With what to do."""

    def lose(_):
        for path in _files(tmp_path):
            path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(ModelStoreError, match=r"no longer is the member of partition 0 .*partwise resume"):
        _watched(tmp_path, Large(), lose)


def test_a_search_leaves_no_copies(tmp_path):
    """Its members are asked where they are fitted: those of all its trials stay, as one file each."""
    space, forest = {"max_depth": [3, 5]}, RandomForestClassifier(50)
    settings = {"n_partitions": 2, "n_trials": 2, "sampler": "grid", "reduction_factor": 1, "executor": "inline"}
    PartitionedSearchCV(forest, space, checkpoint=str(tmp_path), random_state=0, **settings).fit(X, Y)
    assert len(_files(tmp_path)) >= 3
    assert not list(tmp_path.rglob("*.sent"))


def test_what_stopped_workers_left_is_tidied(tmp_path):
    """Copies for the driver and files that were half written go, members stay."""
    _fit(tmp_path)
    (folder,) = {path.parent for path in _files(tmp_path)}
    for name in ("00001-ab.skops.sent", "00001-ab.skops.member.12.tmp"):
        (folder / name).write_bytes(b"half")
    Checkpoint(str(tmp_path)).tidy()
    assert {path.name.partition(".")[2] for path in folder.iterdir()} == {"", "cloudpickle.member"}
    assert len(_files(tmp_path)) == 4
