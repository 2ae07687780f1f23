"""Facts about files that are there as a whole or not at all."""

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from pyarrow import fs

from partwise.filesystems import new_file, read_whole

DISK = fs.LocalFileSystem()


def test_a_file_is_there_when_its_block_ends(tmp_path):
    """Before that an older one is."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with new_file(DISK, str(path)) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


def _half(filesystem, path):
    with new_file(filesystem, path) as file:
        file.write(b"half")
        raise RuntimeError


def test_a_block_that_fails_leaves_the_file_as_it_was(tmp_path):
    """Nothing else is left either."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError):
        _half(DISK, str(path))
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("file", b"old")]


def test_two_that_write_one_file_do_not_mix(tmp_path):
    """The last to end counts."""
    path = str(tmp_path / "file")
    with new_file(DISK, path) as first:
        first.write(b"first")
        with new_file(DISK, path) as second:
            second.write(b"second")
        first.write(b", and more")
    assert (tmp_path / "file").read_bytes() == b"first, and more"


class Bucket:
    """A file system without a disk, which takes no object: it fails at the first step, or at the last."""

    def __init__(self, *, opens):
        self.opens = opens
        self.deleted = []

    def get_file_info(self, path):
        return fs.FileInfo(path, fs.FileType.NotFound)

    def open_output_stream(self, _):
        if not self.opens:
            raise OSError("denied")
        return self

    def delete_file(self, path):
        self.deleted.append(path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        raise OSError("denied")


@pytest.mark.parametrize("opens", [False, True])
def test_an_object_that_does_not_come_about_leaves_an_older_one(opens):
    """What was not written is not deleted."""
    bucket = Bucket(opens=opens)
    with pytest.raises(OSError, match="denied"), new_file(bucket, "object"):
        pass
    assert bucket.deleted == []


def test_an_object_that_is_there_stays_until_the_new_one_is_whole():
    """To close one half written would put it in the place of the old one."""
    memory = fs.PyFileSystem(fs.FSSpecHandler(MemoryFileSystem()))
    memory.create_dir("new_file")
    with new_file(memory, "new_file/object") as file:
        file.write(b"old")
    with pytest.raises(RuntimeError):
        _half(memory, "new_file/object")
    assert read_whole(memory, "new_file/object") == b"old"
    assert len(memory.get_file_info(fs.FileSelector("new_file"))) == 1
    with new_file(memory, "new_file/object") as file:
        file.write(b"new")
    assert read_whole(memory, "new_file/object") == b"new"
