"""Facts about run directories and their journals."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from partwise.errors import InputError, PartwiseError
from partwise.filesystems import Folder
from partwise.locks import RunLock
from partwise.mirrors import BucketMirror
from partwise.runs import JOURNAL, RunDirectory, default_run_directory


@pytest.fixture
def run(tmp_path):
    return RunDirectory.create(tmp_path / "deep" / "run")


def test_new_and_empty_directories_are_taken(tmp_path):
    """A directory that does not exist is made with its parents; an empty one is used."""
    (tmp_path / "empty").mkdir()
    assert RunDirectory.create(tmp_path / "empty").path == tmp_path / "empty"
    assert RunDirectory.create(tmp_path / "a" / "b").path.is_dir()
    assert list((tmp_path / "empty").iterdir()) == []


def test_directories_with_files_are_refused(run):
    """A directory that holds a run is refused, with what it holds and the next step."""
    run.append({"event": "x"})
    with pytest.raises(InputError, match=r"not empty \(it holds journal.jsonl\).*Give a new one"):
        RunDirectory.create(run.path)


def test_what_was_left_before_a_run_began_is_nobodys(tmp_path):
    """A process that is killed before it writes the run's record leaves its lock and its probe: both are let lie."""
    for name in ("owner-0123456789ab.json", ".lock", ".a1b2c3.tmp"):
        (tmp_path / name).write_text("{}")
        os.utime(tmp_path / name, (0, 0))
    with RunDirectory.create(tmp_path).locked():
        assert not (tmp_path / "owner-0123456789ab.json").exists()


def test_places_that_take_no_files_fail_at_once(tmp_path):
    """A path that cannot be a directory is an input error before any work."""
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written to"):
        RunDirectory.create(tmp_path / "file" / "run")


def test_json_takes_what_runs_are_made_of(run):
    """Arrays, NumPy numbers, NaN, paths and times become plain JSON; not a number becomes null."""
    value = {
        "array": np.array([[1.5, np.nan], [np.inf, 2]]),
        "number": np.int64(3),
        "flag": np.bool_(True),
        "nan": float("nan"),
        "path": Path("a") / "b",
        "when": datetime(2026, 1, 2, tzinfo=UTC),
        "stamp": pd.Timestamp("2026-01-02"),
        "times": np.array(["2026-01-02"], dtype="datetime64[ns]"),
        "tuple": (1, None, "ü"),
        3: "key",
    }
    assert json.loads(run.write_json("run.json", value).read_text()) == {
        "array": [[1.5, None], [None, 2.0]],
        "number": 3,
        "flag": True,
        "nan": None,
        "path": "a/b",
        "when": "2026-01-02T00:00:00+00:00",
        "stamp": "2026-01-02T00:00:00",
        "times": ["2026-01-02T00:00:00.000000000"],
        "tuple": [1, None, "ü"],
        "3": "key",
    }


def test_json_is_replaced_whole(run):
    """A value that cannot be written leaves the old file as it was, and no temporary file."""
    path = run.write_json("sub/run.json", {"state": "old"})
    with pytest.raises(TypeError):
        run.write_json("sub/run.json", {"state": object()})
    assert json.loads(path.read_text()) == {"state": "old"}
    assert [entry.name for entry in path.parent.iterdir()] == ["run.json"]


def test_events_come_back_in_order_with_their_times(run):
    """Every event has its kind and a time; a time that was given is kept."""
    first = run.append({"event": "a", "value": np.float64("nan")})
    run.append({"event": "b", "time": 5.0})
    assert list(run.events()) == [{"time": first["time"], "event": "a", "value": None}, {"event": "b", "time": 5.0}]


def test_each_event_is_on_disk_at_once(run):
    """A reader sees an event when append returns."""
    for count in range(1, 4):
        run.append({"event": "x"})
        assert len((run.path / JOURNAL).read_bytes().splitlines()) == count


def test_a_new_journal_has_no_events(run):
    """A run that has not begun has an empty journal, not an error."""
    assert list(run.events()) == []


def test_events_need_a_kind(run):
    """An event without its kind is refused and not written."""
    with pytest.raises(InputError, match="needs `event`"):
        run.append({"value": 1})
    assert list(run.events()) == []


def test_a_torn_last_line_is_no_event(run):
    """What a crash left of a line is passed over, and the next event does not run into it."""
    run.append({"event": "a"})
    with (run.path / JOURNAL).open("ab") as journal:
        journal.write(b'{"event": "b", "val')
    assert [event["event"] for event in run.events()] == ["a"]
    run.append({"event": "c"})
    assert [event["event"] for event in run.events()] == ["a", "c"]


def test_a_torn_first_line_is_no_event(run):
    """A journal that is nothing but half a line is empty, and takes events."""
    (run.path / JOURNAL).write_bytes(b'{"event"')
    assert list(run.events()) == []
    run.append({"event": "c"})
    assert [event["event"] for event in run.events()] == ["c"]


def test_damage_inside_is_named(run):
    """A line inside the journal that is no event is an error with its number."""
    run.append({"event": "a"})
    with (run.path / JOURNAL).open("ab") as journal:
        journal.write(b"rubbish\n")
    run.append({"event": "b"})
    with pytest.raises(InputError, match="Line 2 of"):
        list(run.events())


def test_default_directories_are_below_the_working_directory_and_differ(tmp_path, monkeypatch):
    """The name has the time, and two runs of one second do not meet."""
    monkeypatch.chdir(tmp_path)
    now = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
    first, second = default_run_directory(now), default_run_directory(now)
    assert first.parent == tmp_path / "partwise-runs"
    assert first.name.startswith("20260304-050607-")
    assert first != second


@pytest.fixture
def mirrored(tmp_path):
    """A run that is written in one folder and lies in another, which stands for a bucket."""
    folder = Folder.at(tmp_path / "bucket")
    mirror = BucketMirror(folder)
    return RunDirectory(mirror.path, folder.path, RunLock(folder), mirror)


def _again(run):
    """Return the run as another process finds it."""
    mirror = BucketMirror(Folder.at(run.place))
    mirror.fetch_records(JOURNAL)
    return RunDirectory(mirror.path, run.place, run.lock, mirror)


def test_what_is_written_is_where_the_run_lies(mirrored):
    """Files and whole folders, for another process to go on with; members and model are not brought unasked."""
    mirrored.write_json("run.json", {"state": "running"})
    for name in ("plots/a.png", "model/model.json", "model/members/0.skops"):
        (mirrored.path / name).parent.mkdir(parents=True, exist_ok=True)
        (mirrored.path / name).write_text(name)
    assert mirrored.publish("plots") == ["plots/a.png"]
    mirrored.publish("model", last="model.json")
    again = _again(mirrored)
    assert again.record() == {"state": "running"}
    assert again.read("plots/a.png") == b"plots/a.png"
    assert again.read("model/model.json") is None
    again.mirror.fetch("model")
    assert again.read("model/members/0.skops") == b"model/members/0.skops"


def test_a_manifest_is_published_last_and_deleted_first(mirrored, monkeypatch):
    """A model that is not whole is none."""
    (mirrored.path / "model" / "z").mkdir(parents=True)
    for name in ("model.json", "a", "z/b"):
        (mirrored.path / "model" / name).write_text(name)
    written, write = [], Folder.write
    monkeypatch.setattr(Folder, "write", lambda folder, name, data: (written.append(name), write(folder, name, data)))
    assert mirrored.publish("model", last="model.json") == ["model/a", "model/z/b", "model/model.json"]
    assert written == ["model/a", "model/z/b", "model/model.json"]
    (Path(mirrored.place) / "model" / "a").unlink()
    (Path(mirrored.place) / "model" / "a").mkdir()
    mirrored.delete("model")
    assert not [path for path in Path(mirrored.place).rglob("*") if path.is_file()]


def test_events_that_were_appended_are_found_by_another_process(mirrored):
    """One by one or together they are objects that are never written again, and another process goes on after them."""
    mirrored.append({"event": "a"})
    mirrored.extend([{"event": "b"}, {"event": "c"}])
    objects = {path.name: path.read_bytes() for path in (Path(mirrored.place) / "journal").iterdir()}
    assert len(objects) == 2
    again = _again(mirrored)
    again.append({"event": "d"})
    assert [event["event"] for event in _again(again).events()] == ["a", "b", "c", "d"]
    assert (
        objects.items()
        < {path.name: path.read_bytes() for path in (Path(mirrored.place) / "journal").iterdir()}.items()
    )


def test_what_another_process_wrote_before_the_lock_was_got_is_seen(mirrored):
    """Two opened the run; the first ends before the second gets the lock, which goes on behind its events."""
    mirrored.append({"event": "a"})
    second = _again(mirrored)
    mirrored.append({"event": "b"})
    mirrored.write_json("run.json", {"state": "finished"})
    with second.locked():
        assert second.record() == {"state": "finished"}
        second.append({"event": "c"})
    assert [event["event"] for event in _again(second).events()] == ["a", "b", "c"]


def test_a_part_of_the_journal_that_is_missing_is_told(mirrored):
    """What lies behind it is not taken for all."""
    for kind in "abc":
        mirrored.append({"event": kind})
    sorted((Path(mirrored.place) / "journal").iterdir())[1].unlink()
    with pytest.raises(InputError, match=r"lacks the bytes of the journal from \d+ to \d+"):
        _again(mirrored)


def test_an_event_that_a_bucket_did_not_take_leaves_no_gap(mirrored, monkeypatch):
    """What is written when it answers again can be read: the run goes on with it."""
    mirrored.append({"event": "a"})
    with monkeypatch.context() as patch:

        def refuse(*_):
            raise InputError("The bucket does not answer.")

        patch.setattr(Folder, "write", refuse)
        with pytest.raises(InputError, match="does not answer"):
            mirrored.append({"event": "b", "long": "x" * 99})
    mirrored.append({"event": "c"})
    assert [event["event"] for event in _again(mirrored).events()] == ["a", "c"]


def test_who_has_lost_the_directory_writes_nothing(run):
    """Neither a record nor an event."""
    run.append({"event": "a"})
    run.lock._lost.set()
    for write in (lambda: run.append({"event": "b"}), lambda: run.write_json("run.json", {})):
        with pytest.raises(PartwiseError, match="given up to another process"):
            write()
    assert [event["event"] for event in run.events()] == ["a"]
    assert run.read("run.json") is None


def test_file_systems_without_locks_have_the_claims(run, monkeypatch):
    """Where the system's own lock is not to be had, two processes still exclude each other."""

    def refuse(_):
        raise NotImplementedError("no flock here")

    monkeypatch.setattr("partwise.locks.FileLock.acquire", refuse)
    run.write_json("run.json", {})
    with run.locked(), pytest.raises(InputError, match="in use by process"), RunDirectory.reopen(run.path).locked():
        pass


def test_a_uri_of_a_disk_is_a_path(tmp_path):
    """``file://`` is the folder itself."""
    run = RunDirectory.create(f"file://{tmp_path / 'run'}")
    assert run.path == run.place == tmp_path / "run"
