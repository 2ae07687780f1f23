"""The file that a prediction writes, and hidden beside it those of pieces, from which it is put together."""

import json
import re
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any, Self

import pyarrow as pa
from filelock import FileLock, Timeout
from pyarrow import csv, fs, parquet

from partwise.errors import InputError
from partwise.experiment.claiming import claimed
from partwise.filesystems import new_file, open_filesystem
from partwise.provenance import digest_of

__all__ = ["PieceFiles", "PredictionFile"]

_WRITERS = {".parquet": parquet.ParquetWriter, ".csv": csv.CSVWriter}
_PLAN = "plan.json"
_PIECE = re.compile(r"(\d+)\.parquet")


@dataclass(frozen=True, slots=True)
class PredictionFile:
    """Where predictions are written: a path on a file system, and what makes it a URI."""

    filesystem: fs.FileSystem
    path: str
    prefix: str

    @classmethod
    def at(cls, given: str, *, overwrite: bool) -> Self:
        """Return the file of a path or URI.

        Raises
        ------
        InputError
            If it cannot become a file: it is a folder, or in none, exists, or has an unknown ending.
        """
        made = cls(*open_filesystem(given))
        try:
            found = made.filesystem.get_file_info(made.path).type
        except OSError as error:
            raise InputError(f"--output {made.place!r} cannot be reached: {error}. Check the address.") from error
        if found == fs.FileType.Directory:
            raise InputError(
                f"--output {made.place!r} is a folder. Give a file in it, such as "
                f"{made.place + '/predictions.parquet'!r}."
            )
        if made.ending not in _WRITERS:
            raise InputError(f"--output {made.place!r} is of an unknown kind. Valid endings: {', '.join(_WRITERS)}.")
        if found != fs.FileType.NotFound and not overwrite:
            raise InputError(f"--output {made.place!r} exists. Give another file, or add --overwrite.")
        if made.is_local and not Path(made.path).parent.is_dir():
            raise InputError(f"There is no folder {str(Path(made.path).parent)!r} to write to. Make it first.")
        return made

    @property
    def ending(self) -> str:
        """What the name ends with, in small letters."""
        return PurePosixPath(self.path).suffix.lower()

    @property
    def is_local(self) -> bool:
        """Whether it is a file of this machine, or of a disk that it shares."""
        return isinstance(self.filesystem, fs.LocalFileSystem)

    @property
    def place(self) -> str:
        """The absolute path, or the URI without the settings, which may hold a secret."""
        return self.path if self.is_local else f"{self.prefix}{self.path}"

    def is_among(self, filesystem: fs.FileSystem, paths: Iterable[str]) -> bool:
        """Whether it is one of these files, also through a link."""
        if not filesystem.equals(self.filesystem):
            return False
        if not self.is_local:
            return self.path in set(paths)
        mine = Path(self.path).resolve()
        return any(Path(path).resolve() == mine for path in paths)

    def check_columns(self, schema: pa.Schema) -> None:
        """Refuse columns that a file of this kind cannot hold.

        Raises
        ------
        InputError
            If there are some; they are named.
        """
        wrong = [f"{each.name!r} ({each.type})" for each in schema if not _holds(self.ending, each)]
        if wrong:
            raise InputError(
                f"--keep: a {self.ending} file cannot hold {', '.join(wrong)}. Leave the column out, or write one of "
                f"the other kinds: {', '.join(_WRITERS.keys() - {self.ending})}."
            )

    def pieces(self, plan: Mapping[str, Any]) -> "PieceFiles":
        """Return the files of pieces that follow from a plan; those of another plan are others."""
        folder, _, name = self.path.rpartition("/")
        # Hidden, as the output may lie among the tables that are read.
        return PieceFiles(self, f"{folder}/.{name}.parts", json.dumps(plan))

    def write(self, batches: Iterable[pa.RecordBatch]) -> int:
        """Write rows that are of one schema, and return how many there are; without any there is no file.

        Raises
        ------
        InputError
            If they cannot be written; nothing is left then.
        """
        batches = iter(batches)
        first = next(batches, None)
        if first is None:
            return 0
        with self.told(), new_file(self.filesystem, self.path) as file:
            return _write(file, self.ending, chain([first], batches))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the output, so that no other process predicts into it meanwhile.

        A bucket knows no locks: there, runs claim it, and give way to each other.

        Raises
        ------
        InputError
            If another process does.
        """
        if not self.is_local:
            with self.told():
                claim = ExitStack()
                claim.enter_context(claimed(self.filesystem, self.path, self.place))
            with claim:
                yield
            return
        path = Path(self.path)
        lock = FileLock(path.with_name(f".{path.name}.lock"), blocking=False)
        with self.told():
            try:
                lock.acquire()
            except Timeout as error:
                if not Path(lock.lock_file).exists():  # there is no other: it could not be made
                    raise OSError(f"no file can be made in {path.parent}") from error
                raise InputError(
                    f"--output {self.place!r} is being written by another process. Wait for it, or give another file."
                ) from error
        try:
            yield
        finally:
            Path(lock.lock_file).unlink(missing_ok=True)
            lock.release()

    @contextmanager
    def told(self) -> Iterator[None]:
        """Turn what a file system says into an error with the place and the next step."""
        try:
            yield
        except OSError as error:
            raise InputError(
                f"--output {self.place!r} cannot be written by {socket.gethostname()}: {error}. Give a place that has "
                "room and that all nodes may write to: a folder that they share, or a URI such as "
                "s3://bucket/predictions.parquet. After room was made, the same command goes on."
            ) from error


@dataclass(frozen=True, slots=True)
class PieceFiles:
    """The files of pieces, in a folder that only runs of one plan have; each appears when it is whole.

    Parameters
    ----------
    home
        The folder of all plans for one output.
    plan
        What the files follow from, as text.
    """

    output: PredictionFile
    home: str
    plan: str

    @property
    def folder(self) -> str:
        """The folder of this plan."""
        return f"{self.home}/{digest_of([self.plan])}"

    def path(self, index: int) -> str:
        """Return the path of a piece's file."""
        return f"{self.folder}/{index:06d}.parquet"

    def begin(self) -> set[int]:
        """Return the pieces that are there already; what other plans left is deleted.

        Raises
        ------
        InputError
            If nothing can be written there.
        """
        with self.output.told():
            for info in self._entries(self.home):
                if info.type == fs.FileType.Directory and info.path != self.folder:
                    self.output.filesystem.delete_dir(info.path)
            self.output.filesystem.create_dir(self.folder)
            with new_file(self.output.filesystem, f"{self.folder}/{_PLAN}") as file:  # shows that it can be done
                file.write(self.plan.encode())
            return self.done()

    def done(self) -> set[int]:
        """Return the pieces whose files are there."""
        found = (_PIECE.fullmatch(info.base_name) for info in self._entries(self.folder))
        return {int(match[1]) for match in found if match is not None}

    def write(self, index: int, tables: Iterable[pa.Table]) -> int:
        """Write the rows of a piece into its file, and return how many there are.

        Raises
        ------
        InputError
            If this node cannot write there.
        """
        with self.output.told(), new_file(self.output.filesystem, self.path(index), contested=True) as file:
            n_rows = _write(file, ".parquet", tables)
            if not n_rows:
                parquet.write_table(pa.table({}), file)
        return n_rows

    def batches(self, n_pieces: int) -> Iterator[pa.RecordBatch]:
        """Yield the rows of all pieces, in their order."""
        for index in range(n_pieces):
            with (
                self.output.filesystem.open_input_file(self.path(index)) as opened,
                closing(parquet.ParquetFile(opened)) as file,
            ):
                if file.metadata.num_rows:
                    yield from file.iter_batches()

    def delete(self) -> None:
        """Delete all of them."""
        with suppress(FileNotFoundError):
            self.output.filesystem.delete_dir(self.home)

    def _entries(self, folder: str) -> list[fs.FileInfo]:
        found: list[fs.FileInfo] = self.output.filesystem.get_file_info(fs.FileSelector(folder, allow_not_found=True))
        return found


def _write(file: pa.NativeFile, ending: str, blocks: Iterable[pa.Table | pa.RecordBatch]) -> int:
    """Write blocks of rows that are of one schema, and return how many rows there are; nothing where there are none."""
    blocks = iter(blocks)
    first = next(blocks, None)
    if first is None:
        return 0
    n_rows = 0
    with _WRITERS[ending](file, first.schema) as writer:
        for block in chain([first], blocks):
            writer.write(block)
            n_rows += block.num_rows
    return n_rows


def _holds(ending: str, column: pa.Field) -> bool:
    """Whether a file of this kind can hold a column, which its writer tells by trying."""
    schema = pa.schema([column])
    try:
        with _WRITERS[ending](pa.BufferOutputStream(), schema) as writer:
            writer.write_table(schema.empty_table())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return False
    return True
