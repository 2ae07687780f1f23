"""The lock of a run directory: claims that are renewed, and what becomes of those that are not."""

import json
import os
import threading
import time

import pytest

from partwise import locks
from partwise.errors import InputError, PartwiseError
from partwise.filesystems import Folder
from partwise.locks import RunLock, held_file


@pytest.fixture
def folder(tmp_path):
    return Folder.at(tmp_path)


def _claim(folder, seconds_ago=0.0, **other):
    """Leave a claim as another machine would; return its file."""
    claim = {"host": "elsewhere", "process": 7, "began": "1", "among": "others", "holds": True, "time": time.time()}
    folder.write("owner-other.json", json.dumps(claim | other).encode())
    path = os.path.join(folder.path, "owner-other.json")  # noqa: PTH118 - a Folder's path is a text
    when = time.time() - seconds_ago
    os.utime(path, (when, when))
    return path


def _ids(folder):
    return [name for name in folder.names() if name.startswith("owner")]


def test_a_lock_is_one_claim_which_goes_with_it(folder):
    """While it is held its file names machine and process; afterwards nothing is left."""
    with RunLock(folder).held():
        (name,) = _ids(folder)
        assert json.loads(folder.read(name))["process"] == os.getpid()
    assert _ids(folder) == []


def test_a_second_one_is_refused_and_told_who_has_it(folder):
    """It leaves the claim of the first alone, and none of its own; afterwards it gets the lock."""
    with RunLock(folder).held():
        held = _ids(folder)
        with (
            pytest.raises(InputError, match=rf"in use by process {os.getpid()} on .*was killed.*60 s"),
            RunLock(folder).held(),
        ):
            pass
        assert _ids(folder) == held
    with RunLock(folder).held():
        assert len(_ids(folder)) == 1


def test_a_claim_of_another_machine_counts_while_it_is_renewed(folder):
    """On a shared file system, whose locks need not reach beyond a machine."""
    _claim(folder, seconds_ago=40)
    with pytest.raises(InputError, match="in use by process 7 on elsewhere"), RunLock(folder).held():
        pass
    _claim(folder, seconds_ago=90)
    with RunLock(folder).held():
        assert "owner-other.json" not in _ids(folder)


def test_a_claim_of_a_process_that_is_gone_counts_for_nothing(folder):
    """On its own machine a killed process is seen to be gone at once."""
    mine = locks._this_process()
    _claim(folder, **mine | {"began": "0"})  # its id is another's by now
    with RunLock(folder).held():
        assert "owner-other.json" not in _ids(folder)


def test_damaged_claims_hold_nobody_up_for_long(folder, monkeypatch):
    """While it is new it may be being written; then it goes."""
    monkeypatch.setattr(locks.random, "uniform", lambda *_: 0.01)
    path = _claim(folder)
    for content in (b"", b"[1]", b'{"process": "x"}'):
        folder.write("owner-other.json", content)
        with pytest.raises(InputError, match="in use by"), RunLock(folder).held():
            pass
        old = time.time() - 90
        os.utime(path, (old, old))
        with RunLock(folder).held():
            assert len(_ids(folder)) == 1


def test_a_lock_is_renewed(folder, monkeypatch):
    """Its file is written again and again, so that it stays young."""
    monkeypatch.setattr(locks, "_BEAT_SECONDS", 0.02)
    with RunLock(folder).held():
        path = os.path.join(folder.path, _ids(folder)[0])  # noqa: PTH118 - a Folder's path is a text
        os.utime(path, (1.0, 1.0))
        ends = time.monotonic() + 30
        while os.stat(path).st_mtime < 2 and time.monotonic() < ends:  # noqa: PTH116 - a Folder's path is a text
            time.sleep(0.01)
        assert os.stat(path).st_mtime > 2  # noqa: PTH116 - as above


def _check_for(lock, seconds):
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        lock.check()
        time.sleep(0.01)


def test_who_has_lost_the_lock_is_told(folder, monkeypatch):
    """A process that was stopped for long finds its claim gone: it writes nothing more, and its claim stays gone."""
    monkeypatch.setattr(locks, "_BEAT_SECONDS", 0.02)
    lock = RunLock(folder)
    with lock.held():
        lock.check()
        folder.filesystem.delete_file(f"{folder.path}/{_ids(folder)[0]}")
        with pytest.raises(PartwiseError, match="given up to another process"):
            _check_for(lock, seconds=30)
        assert _ids(folder) == []


def test_no_two_hold_it_at_once(folder, monkeypatch):
    """Many ask at the same time: whoever gets it is alone."""
    monkeypatch.setattr(locks.random, "uniform", lambda *_: 0.01)
    start, alone, inside = threading.Barrier(6), [], threading.Lock()

    def ask():
        start.wait()
        try:
            with RunLock(folder).held():
                alone.append(inside.acquire(blocking=False))
                time.sleep(0.05)
                inside.release()
        except InputError:
            pass

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(alone)


def _taken():
    return InputError("another has it")


def test_a_held_file_is_held_once_and_goes(tmp_path):
    """A second one is refused by what it was told to say; afterwards it is free, and no file is left."""
    path = tmp_path / "some.lock"
    with held_file(path, _taken), pytest.raises(InputError, match="another has it"), held_file(path, _taken):
        pytest.fail("it was held twice")
    with held_file(path, _taken):
        assert path.exists()
    assert not path.exists()


def test_a_lock_that_may_not_be_opened_holds(tmp_path, monkeypatch):
    """Another user's file is told, as that one may be at work; where there is none, the folder is read-only."""

    def refuse(_):
        raise PermissionError

    monkeypatch.setattr("partwise.locks.FileLock.acquire", refuse)
    with held_file(tmp_path / "none.lock", _taken):
        pass
    (tmp_path / "theirs.lock").touch()
    with pytest.raises(InputError, match=r"theirs\.lock.*another user"), held_file(tmp_path / "theirs.lock", _taken):
        pytest.fail("it was held")
    assert (tmp_path / "theirs.lock").exists()


def test_no_folder_is_made_for_a_lock(tmp_path):
    """Where it would lie in a folder that is not there, nothing is held."""
    with held_file(tmp_path / "nowhere" / "some.lock", _taken):
        assert not (tmp_path / "nowhere").exists()
