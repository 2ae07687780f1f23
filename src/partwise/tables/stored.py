"""A table that is read in pieces: cut by workers into a partition store, from which members are fitted."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from partwise.cutting import check_cut, check_sizes, most_parts
from partwise.digests import content_digest
from partwise.encoders import SAMPLED_BYTES, encoder_rows, fit_encoder, make_encoder
from partwise.errors import InputError, TableError
from partwise.partitioners import Ordered
from partwise.permutation import drawn_sample, keyed_sample, rows_for_cut
from partwise.protocols import Assignment, Encoder, Executor, Partitioner, Piece
from partwise.records import Part, Partitions, RowKeys, Task
from partwise.replication import Replicas
from partwise.resources import available_memory
from partwise.sources import Scan
from partwise.stores import FORMAT, Build, Manifest, PartitionStore, StoredPart
from partwise.tables.columns import PART, POSITION, targets_of, weights_of
from partwise.tables.gathering import Gather, gather
from partwise.tables.keying import Keying
from partwise.tables.kinds import kinds_of_scan
from partwise.tables.order import first_rows
from partwise.tables.reading import StoredRows
from partwise.tables.sampling import sampled_keys, sampled_within
from partwise.tables.scattering import Scatter, Scattered, ScatterTask, scatter, stored_schema
from partwise.tables.stored_cut import StoredCut
from partwise.tables.survey import Survey, survey
from partwise.tables.work import in_order

__all__ = ["ScannedRows", "StoredTable"]

_EXCHANGE = "exchange"
_COPIES = 4
"""How often a fit in this process holds its rows: as frame and matrix, and as the learner makes them."""
_SAMPLED_VALUES = 20_000_000
_FEWEST_SAMPLED = 10_000
_SAMPLED_BYTES = 2**28
"""A sample for trials holds so many values, but so many rows at least; and so many bytes at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScannedRows:
    """A table that is to be read in pieces, not encoded yet."""

    scan: Scan
    task: str
    store: PartitionStore
    executor: Executor

    @property
    def kinds(self) -> dict[str, str]:
        """What kind of values each feature holds."""
        return kinds_of_scan(self.scan)

    def encoded(self, encoder: str | Encoder | None, seed: int) -> tuple[Any, "StoredTable"]:
        """Return the encoder, fitted on a sample, None where there is none, and the table that it is to encode.

        Raises
        ------
        InputError
            If the table cannot be read, or values are missing or wrong; all that is wrong is listed.
        """
        table = self.table(seed)
        if encoder is None:
            return None, table
        fitted = fit_encoder(make_encoder(encoder), table.encoder_frame(), seed)
        return fitted, replace(table, encoder=fitted)

    def table(self, seed: int, encoder: Any = None) -> "StoredTable":
        """Return the table after a counting pass; a fitted encoder is for its rows as they are read.

        Raises
        ------
        InputError
            If the table cannot be read, or values are missing or wrong; all that is wrong is listed.
        """
        pieces = self.scan.source.pieces()
        return StoredTable(
            scan=self.scan,
            pieces=tuple(pieces),
            survey=survey(self.scan, pieces, self.task, self.executor),
            store=self.store,
            executor=self.executor,
            seed=seed,
            encoder=encoder,
        )


@dataclass(frozen=True, kw_only=True)
class StoredTable:
    """Training rows in files, or wherever a source has them."""

    scan: Scan
    pieces: tuple[Piece, ...]
    survey: Survey
    store: PartitionStore
    executor: Executor
    seed: int
    encoder: Any = None

    def __post_init__(self) -> None:
        taken = {POSITION, PART} & set(self.scan.columns)
        if taken:
            raise InputError(f"The table has a column {min(taken)!r}, a name that stored partitions use. Rename it.")

    @property
    def labels(self) -> NDArray[Any] | None:
        """The class labels, sorted; None in regression."""
        return self.survey.labels

    @property
    def fingerprint(self) -> str:
        """What changes when the rows, or what the encoder makes of them, do."""
        fingerprints = [piece.fingerprint for piece in self.pieces]
        return content_digest((fingerprints, self.scan.columns, self.scan.target, self.scan.weight, self.encoder))

    @property
    def n_counting(self) -> int:
        """The number of rows that do not have weight zero."""
        return self.survey.n_counting

    @property
    def fits_in_memory(self) -> bool:
        """Whether this process can hold all rows while one model is fitted on them."""
        free = available_memory()
        return free is None or _COPIES * sum(piece.n_bytes(self.scan.columns) for piece in self.pieces) < free

    def encoder_frame(self) -> pd.DataFrame:
        """Return the features of the rows that an encoder is fitted on, in their order."""
        n_rows = encoder_rows(len(self.scan.features))
        return self.survey.rules.frame(self._sampled(n_rows, self.scan.features, SAMPLED_BYTES))

    def sample(self) -> tuple[Part, RowKeys]:
        """Return a keyed sample of the rows to try things on, and their keys; a table that is small comes whole."""
        n_rows = min(self.survey.n_rows, max(_FEWEST_SAMPLED, _SAMPLED_VALUES // len(self.scan.features)))
        block = self._sampled(n_rows, self.scan.columns, _SAMPLED_BYTES)
        keys = self._keys_of(block)
        assert self.scan.target is not None  # noqa: S101 - a table to fit on has one
        targets = targets_of(block, self.scan.target, self.labels)
        return Part(0, keys.features, targets, weights_of(block, self.scan.weight)), keys

    def cut(self, partitioner: Partitioner, n_partitions: int, seed: int, replication: int) -> StoredCut:
        """Return the table cut into partitions, from the store where it has them, else stored now.

        Raises
        ------
        InputError
            If the rows cannot be cut in this way, or the store cannot be written to.
        TableError
            If a partition could not be stored.
        """
        statistics = self.survey.statistics
        known = {"features"} | ({"stratum"} if self.labels is not None else set())
        known |= {name for name in ("group", "time") if getattr(self.scan, name) is not None}
        check_cut(partitioner, known, self.survey.n_rows, n_partitions)
        copies = partitioner.gives == "copies"
        # Where every partition has all rows, they are stored once.
        n_stored = 1 if copies else n_partitions
        rule = Ordered() if copies else partitioner
        replicas = Replicas.of(n_stored, replication, seed, most_parts(rule, statistics))
        key = self._key(rule, n_stored, seed, replication)
        manifest = self._found(key, n_stored)
        assignment = None
        if manifest is None or "features" in rule.needs:  # what is stored lacks the router of cells alone
            assignment = rule.fit(statistics, self._keys_for(rule, replicas.n_parts, seed), replicas.n_parts, seed)
        if manifest is None:
            assert assignment is not None  # noqa: S101 - just made
            cut = _Cut(key, partitioner, n_stored, assignment, replicas, needs_features="features" in rule.needs)
            manifest = self._stored(cut)
        parts = manifest.parts * n_partitions if copies else manifest.parts
        counts = None if self.labels is None else np.array([part.class_counts for part in parts], dtype=np.int64)
        partitions = Partitions(
            method=partitioner.name,
            sizes=np.array([part.n_rows for part in parts], dtype=np.int64),
            class_counts=counts,
            router=getattr(assignment, "router", None),
        )
        reader = self._reader(key, parts, replicas)
        return StoredCut(partitions=partitions, reader=reader, parts=tuple(parts), n_rows=self.survey.n_rows, key=key)

    def _found(self, key: str, n_stored: int) -> Manifest | None:
        """Return what the store has of this cut, None where it has nothing.

        Raises
        ------
        TableError
            If it has something else under its key.
        """
        manifest = self.store.find(key)
        if manifest is not None and (manifest.n_rows, len(manifest.parts)) != (self.survey.n_rows, n_stored):
            raise TableError(
                f"The store's table {key} has {manifest.n_rows:,} rows in {len(manifest.parts)} partitions, and "
                f"{self.survey.n_rows:,} in {n_stored} are wanted. Delete it: partwise store clean --key {key[:8]}."
            )
        return manifest

    def _reader(self, key: str, parts: Sequence[StoredPart], replicas: Replicas) -> StoredRows:
        assert self.scan.target is not None  # noqa: S101 - a table to fit on has one
        return StoredRows(
            store=self.store,
            files=tuple(f"{self.store.folder(key)}/{part.file}" for part in parts),
            footers=tuple(part.footer_sha256 for part in parts),
            target=self.scan.target,
            weight=self.scan.weight,
            labels=self.labels,
            rules=self.survey.rules,
            encoder=self.encoder,
            replicas=replicas,
        )

    def _sampled(self, n_rows: int, columns: Sequence[str], limit: int) -> pa.Table:
        """Return a keyed sample of so many rows and bytes at most."""
        drawn = drawn_sample(self.survey.n_rows, n_rows, self.seed)
        return sampled_within(self.pieces, self.survey.starts, drawn, columns, limit, self.executor)

    def _keys_for(self, rule: Partitioner, n_parts: int, seed: int) -> RowKeys:
        """Return the keys of the rows that a partitioner must see."""
        n_rows = self.survey.n_rows
        if rule.learns_from == "order":
            ranks = -(-np.arange(n_parts) * n_rows // n_parts)
            if self.scan.time is None or n_parts == 1:
                return RowKeys(positions=ranks, time=None)
            return first_rows(self.pieces, self.scan.time, ranks, self.survey.starts, self.executor)
        if rule.learns_from == "rows":
            return self._encoded_keys(rows_for_cut(n_parts, self._width()), seed)
        return RowKeys(positions=np.empty(0, dtype=np.int64))

    def _width(self) -> int:
        """Return the number of features of a row, as the encoder makes them."""
        if self.encoder is None:
            return len(self.scan.features)
        return int(self._encoded_keys(1, self.seed).features.shape[1])

    def _encoded_keys(self, n_rows: int, seed: int) -> RowKeys:
        """Return the keys of a keyed sample of the rows, which the workers that read them encode."""
        positions = keyed_sample(self.survey.n_rows, n_rows, seed)
        keying = self._keying(needs_features=True)
        return sampled_keys(self.pieces, self.survey.starts, positions, self.scan.features, keying, self.executor)

    def _keys_of(self, block: pa.Table) -> RowKeys:
        """Return the keys of rows that were chosen, with their features; positions and ranks are within them."""
        nothing = None if self.labels is None else np.zeros(len(self.labels), dtype=np.int64)
        return self._keying(needs_features=True).keys(block, 0, nothing)

    def _keying(self, *, needs_features: bool) -> Keying:
        keying = Keying.of(self.scan, self.labels, self.survey.rules, self.encoder)
        return replace(keying, needs_features=needs_features)

    def _key(self, rule: Partitioner, n_partitions: int, seed: int, replication: int) -> str:
        """Return what the stored partitions follow from, as a name."""
        said = {
            "format": FORMAT,
            "sources": [piece.fingerprint for piece in self.pieces],
            "columns": [self.scan.features, self.scan.target, self.scan.weight, self.scan.group, self.scan.time],
            "task": self.labels is None,
            "cut": [rule.name, content_digest(rule), n_partitions, seed, replication],
            "encoder": content_digest(self.encoder) if "features" in rule.needs else None,
        }
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:32]

    def _stored(self, cut: "_Cut") -> Manifest:
        """Exchange the rows, and return the manifest; without it nothing of this is ever taken for complete."""
        replication = cut.replicas.to.shape[1]
        n_bytes = sum(piece.n_bytes(self.scan.columns) for piece in self.pieces) * replication
        # Once in the files of the pieces, once in those of the partitions.
        build = self.store.begin(cut.key, 2 * n_bytes)
        try:
            return self._built(cut, build, replication)
        except BaseException as error:
            _abandon(build, error)
            raise

    def _built(self, cut: "_Cut", build: Build, replication: int) -> Manifest:
        build.filesystem.create_dir(build.path(_EXCHANGE))
        schema = stored_schema(self.scan, replicated=replication > 1)
        shared = Scatter(
            keying=self._keying(needs_features=cut.needs_features),
            columns=self.scan.columns,
            assignment=cut.assignment,
            replicas=cut.replicas,
            n_partitions=cut.n_partitions,
            schema=schema,
            build=build,
        )
        scattered: list[Scattered] = in_order(self.executor.run(scatter, shared, self._scatter_tasks()))
        # Before their files are made: a partition without batches has no rows, and a file of none is nothing to store.
        counts = (each.n_batches(cut.n_partitions) for each in scattered)
        check_sizes(cut.partitioner, reduce(np.add, counts))
        places = (
            Task(
                partition,
                (partition, [(each.file, found) for each in scattered if len(found := each.batches(partition))]),
            )
            for partition in range(shared.n_partitions)
        )
        told = Gather(build=build, schema=schema, target=self.scan.target, weight=self.scan.weight, labels=self.labels)
        parts: list[StoredPart] = in_order(self.executor.run(gather, told, places))
        build.delete(_EXCHANGE)
        manifest = Manifest(
            key=cut.key,
            name=self.scan.source.name,
            uri=self.scan.source.uri,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            method=cut.partitioner.name,
            replication=replication,
            n_rows=self.survey.n_rows,
            columns={each.name: str(each.type) for each in schema},
            labels=None if self.labels is None else self.labels.tolist(),
            sources=[piece.fingerprint for piece in self.pieces],
            parts=parts,
        )
        self.store.commit(manifest)
        return manifest

    def _scatter_tasks(self) -> Iterator[Task]:
        found = self.survey
        for index, piece in enumerate(self.pieces):
            starts = None if found.label_starts is None else found.label_starts[index]
            task = ScatterTask(piece=piece, index=index, start=int(found.starts[index]), label_starts=starts)
            yield Task(index, task, piece.n_rows or 0)


def _abandon(build: Build, error: BaseException) -> None:
    """Clean up after an error, which is told first: what hinders the cleaning is a note of it."""
    try:
        build.abandon()
    except Exception as second:  # noqa: BLE001 - whatever it is, the first error is the one that matters
        error.add_note(f"What was stored so far could not be deleted from {build.folder!r} either: {second}")


@dataclass(frozen=True, slots=True)
class _Cut:
    """A cut that is not stored yet."""

    key: str
    partitioner: Partitioner
    n_partitions: int
    assignment: Assignment
    replicas: Replicas
    needs_features: bool
