"""Members that are kept as they are fitted: a fit that was stopped goes on where it was, with the same members.

A member is one file, which appears whole (`member_files`). What has another digest is no member; it is fitted again.
The driver does not hold large members while others are fitted: it is told their files, and reads these at the end.
"""

import json
import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property
from typing import Any

import cloudpickle
import numpy as np
from pyarrow import fs

from partwise.digests import content_digest
from partwise.errors import InputError, ModelStoreError
from partwise.filesystems import Folder, open_filesystem, read_whole, write_whole
from partwise.fitting import FitJob, FittedPart, fit_member, member_of
from partwise.member_files import read_member, write_member
from partwise.model_store import deserialise, serialise
from partwise.protocols import CutTable, PartReader
from partwise.provenance import versions
from partwise.records import KeptFile, Member, Partitions, TaskOutcome
from partwise.resources import Usage

__all__ = ["Checkpoint", "KeptMembers"]

_FORMAT = 3
"""Changes whenever older members must not be taken."""
_MARK = "mark"
_ENDING = ".member"
_SENT = ".sent"
"""The ending of pickled copies, for the driver alone: read at the end of the fit, and deleted."""
_TRAVELS = 100_000
"""Bytes of a member that travels with its record, as Ray's small results do: it is not worth a file of its own."""
_CODE: set[str] = set()
"""The fits, seen in this process, whose members only pickle holds: skops is asked once."""
_DECIDES = (
    *("python", "partwise", "scikit-learn", "numpy", "scipy"),
    *("xgboost", "lightgbm", "catboost", "torch", "skorch"),
)
"""Versions with which another model may be learned."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where finished members are kept.

    Parameters
    ----------
    place
        A folder or a URI; workers that see it write their members themselves.
    trust
        Whether members may be read that only pickle can hold: reading them runs the code that they bring.
    owned
        Whether one search alone keeps members there, so that it may delete those that it no longer wants.
    """

    place: str
    trust: bool = False
    owned: bool = False

    def opened(self, job: FitJob, cut: CutTable) -> "KeptMembers":
        """Return the members of these rows, this cut and these settings.

        Raises
        ------
        InputError
            If the place cannot be written to.
        """
        kept = KeptMembers(str(self.place), self.key(job, cut), secrets.token_hex(8), trust=self.trust)
        kept.prepare()
        return kept

    @staticmethod
    def key(job: FitJob, cut: CutTable) -> str:
        """Return what tells these rows, this cut and these settings from others."""
        return _key(job, cut.fingerprint)

    def recall(self, job: FitJob, asked: Any) -> Any:
        """Return what was noted of a choice, None where nothing was; ``asked`` is all that decides it."""
        try:
            return json.loads(read_whole(*self._noted(job, asked)))
        except (OSError, ValueError):
            return None

    def note(self, job: FitJob, asked: Any, value: Any) -> None:
        """Note a choice, as plain numbers, texts and lists."""
        filesystem, path = self._noted(job, asked)
        filesystem.create_dir(path.rpartition("/")[0], recursive=True)
        write_whole(filesystem, path, json.dumps(value).encode())

    def code(self) -> str | None:
        """Return the path of a member that only pickle can hold, None where there is none."""
        folder = Folder.at(self.place)
        held = (name for name in folder.names(recursive=True) if name.endswith(f".cloudpickle{_ENDING}"))
        return next(map(folder.shown, held), None)

    def tidy(self) -> None:
        """Delete what workers that were stopped left: files that were half written, and copies for the driver."""
        folder = Folder.at(self.place)
        with suppress(OSError):  # the run has ended; what is left does no harm
            _delete(folder.filesystem, folder.path, (_SENT, ".tmp"))

    def _noted(self, job: FitJob, asked: Any) -> tuple[fs.FileSystem, str]:
        filesystem, path, _ = open_filesystem(str(self.place))
        return filesystem, f"{path.rstrip('/')}/choice-{_key(job, asked)}.json"


def _key(job: FitJob, rows: Any) -> str:
    """Return what tells fits apart whose members are not each other's."""
    template = cloudpickle.loads(cloudpickle.dumps(job.template))
    decides = _deciding_versions()
    merge = None if job.merge is None else type(job.merge).__qualname__
    settings = (job.seed, job.labels, job.matched_rows, merge, job.n_parts)
    return content_digest((_FORMAT, template, settings, rows, decides))[:32]


@cache
def _deciding_versions() -> Mapping[str, str | None]:
    """Return the versions of what decides members; once, as a search asks for them in each trial."""
    known = versions()
    return {name: known.get(name) for name in _DECIDES}


@dataclass(frozen=True)
class KeptMembers:
    """The members of one fit; workers get it with their task, and write what they have fitted.

    ``mark`` is what a file says by which a worker knows that it sees the place.
    """

    place: str
    key: str
    mark: str
    trust: bool

    @cached_property
    def _where(self) -> tuple[fs.FileSystem, str]:
        filesystem, path, _ = open_filesystem(self.place)
        return filesystem, f"{path.rstrip('/')}/{self.key}"

    def __getstate__(self) -> dict[str, Any]:
        """Travel as an absolute path or a URI: the file system is opened where it arrives."""
        filesystem, path = self._where
        local = isinstance(filesystem, fs.LocalFileSystem)
        place = path.rpartition("/")[0] if local else self.place
        return {"place": place, "key": self.key, "mark": self.mark, "trust": self.trust}

    @property
    def work(self) -> Callable[[tuple[FitJob, PartReader, "KeptMembers"], Any], FittedPart]:
        """What a worker calls."""
        return fit_and_keep

    def shared(self, job: FitJob, reader: PartReader) -> tuple[FitJob, PartReader, "KeptMembers"]:
        """Return what all workers are given."""
        return job, reader, self

    def prepare(self) -> None:
        """Make the folder, and leave the mark in it.

        Raises
        ------
        InputError
            If it cannot be written to.
        """
        filesystem, folder = self._where
        try:
            filesystem.create_dir(folder, recursive=True)
            write_whole(filesystem, f"{folder}/{_MARK}", self.mark.encode())
        except OSError as error:
            raise InputError(
                f"Members cannot be kept in {folder!r}: {error}. Give a folder that can be written to, on a disk with "
                "space."
            ) from error

    def keep(self, partition: int, fitted: FittedPart, *, for_driver: bool = True) -> FittedPart:
        """Write a member, and return it with its files; a large one without the estimator that these hold.

        Parameters
        ----------
        for_driver
            Whether `loaded` will read it soon, and is to have a copy that is read quickly.
        """
        assert fitted.estimator is not None  # noqa: S101 - narrows the type: it was fitted just now
        filesystem, folder = self._where
        pickled = fitted.estimator.tobytes()
        file_format, data = "cloudpickle", pickled
        if self.key not in _CODE:
            file_format, data = serialise(cloudpickle.loads(pickled))
            if file_format == "cloudpickle":
                _CODE.add(self.key)
        record = {
            "format_version": _FORMAT,
            "partition": partition,
            "content_digest": fitted.content_digest,
            "classes": None if fitted.classes is None else fitted.classes.tolist(),
            "doubled_rows": fitted.doubled_rows,
            "weight": fitted.weight,
            "target_range": None if fitted.target_range is None else fitted.target_range.tolist(),
            "seed": fitted.seed,
            "usage": asdict(fitted.usage),
            "node": socket.gethostname(),
        }
        stem = f"{partition:05d}-{secrets.token_hex(4)}.{file_format}"
        files = [write_member(filesystem, folder, stem + _ENDING, file_format, record, data)]
        if len(pickled) <= _TRAVELS:
            return replace(fitted, files=tuple(files))
        if for_driver and file_format != "cloudpickle":  # skops takes a hundred times as long to read
            files.insert(0, write_member(filesystem, folder, stem + _SENT, "cloudpickle", record, pickled))
        return replace(fitted, estimator=None, files=tuple(files))

    def settle(self, outcome: TaskOutcome, *, for_driver: bool = True) -> TaskOutcome:
        """Write a member whose worker does not see the place; return the outcome as it is to be held."""
        fitted: FittedPart = outcome.value
        if fitted.files:
            return outcome
        return replace(outcome, value=self.keep(outcome.id, fitted, for_driver=for_driver))

    def discard(self) -> None:
        """Delete the members, of which nobody will want any; a worker that still fits one no longer sees the place."""
        filesystem, folder = self._where
        with suppress(OSError):  # what is left does no harm
            filesystem.delete_dir(folder)

    def sees(self) -> bool:
        """Return whether this process sees the place that the driver sees."""
        filesystem, folder = self._where
        try:
            return read_whole(filesystem, f"{folder}/{_MARK}") == self.mark.encode()
        except OSError:
            return False

    def taken(self, partitions: Partitions) -> list[Member]:
        """Return the members that are kept already, one for each partition at most, in their order.

        Raises
        ------
        ModelStoreError
            If members hold code, and are not trusted.
        """
        filesystem, folder = self._where
        found: dict[int, Member] = {}
        infos = filesystem.get_file_info(fs.FileSelector(folder))
        for path in sorted(info.path for info in infos if info.path.endswith(_ENDING)):
            member = self._member(path, partitions)
            if member is not None:
                found.setdefault(member.partition, member)
        return [found[partition] for partition in sorted(found)]

    def _member(self, path: str, partitions: Partitions) -> Member | None:
        """Return the member in a file, to be read later; None where it is not the one that was written to its end."""
        try:
            digest, record, _ = read_member(self._where[0], path)
            if record["format_version"] != _FORMAT:
                return None
            if record["format"] == "cloudpickle" and not self.trust:
                raise ModelStoreError(
                    f"{path} holds code (cloudpickle), which taking the member over would run. If you trust where it "
                    "comes from, go on with --trust (in Python Checkpoint(place, trust=True)), or delete the folder."
                )
            name = path.rpartition("/")[2]
            fitted = FittedPart(
                estimator=None,
                content_digest=record["content_digest"],
                classes=None if record["classes"] is None else np.array(record["classes"], dtype=np.int64),
                doubled_rows=record["doubled_rows"],
                weight=record["weight"],
                target_range=None if record["target_range"] is None else np.array(record["target_range"]),
                seed=record["seed"],
                usage=Usage(**record["usage"]),
                files=(KeptFile(name=name, file_format=record["format"], sha256=digest),),
            )
            partition = record["partition"]
            outcome = TaskOutcome(
                id=partition,
                rows=int(partitions.sizes[partition]),
                value=fitted,
                started=fitted.usage.started,
                finished=fitted.usage.started + fitted.usage.seconds,
                node=record["node"],
                process=0,
            )
        except (OSError, KeyError, TypeError, IndexError, ValueError):
            return None
        return replace(member_of(outcome, partitions), recalled=True)

    def loaded(self, members: Sequence[Member]) -> list[Member]:
        """Return the members, read where they were left in files; copies that were for this alone are deleted.

        Raises
        ------
        ModelStoreError
            If a member is no longer what was written.
        """
        whole = [self._loaded(member) for member in members]
        filesystem, folder = self._where
        _delete(filesystem, folder, (_SENT,))
        return whole

    def _loaded(self, member: Member) -> Member:
        if not isinstance(member.estimator, tuple):
            return member
        filesystem, folder = self._where
        for file in member.estimator:
            path = f"{folder}/{file.name}"
            with suppress(OSError, ValueError):  # another file may still hold it; where none does, that is told
                digest, _, data = read_member(filesystem, path)
                if digest == file.sha256:
                    return replace(member, estimator=deserialise(data, file.file_format, path))
        raise ModelStoreError(
            f"{path} no longer is the member of partition {member.partition} that was written there. Fit once more "
            "(`partwise resume`): what is missing is fitted again."
        )


def _delete(filesystem: fs.FileSystem, folder: str, endings: tuple[str, ...]) -> None:
    """Delete the files below a folder that have one of these endings; others may be at the same work."""
    for info in filesystem.get_file_info(fs.FileSelector(folder, recursive=True, allow_not_found=True)):
        if info.type == fs.FileType.File and info.path.endswith(endings):
            with suppress(OSError):
                filesystem.delete_file(info.path)


def fit_and_keep(shared: tuple[FitJob, PartReader, KeptMembers], payload: Any) -> FittedPart:
    """Get the rows of a partition, fit the template on them, and write the member where the place is seen."""
    job, reader, kept = shared
    part = reader.part(payload)
    fitted = fit_member(job, part)
    return kept.keep(part.partition, fitted) if kept.sees() else fitted
