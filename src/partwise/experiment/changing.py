"""Changes of a run that is there: members dropped, restored, added; what its record says of them, and their rows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Self

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from partwise.config import FitConfig
from partwise.credentials import without_credentials, without_masks
from partwise.ensemble import Addition
from partwise.errors import InputError
from partwise.experiment.preparing import scan_of
from partwise.membership import check_changes
from partwise.protocols import Source
from partwise.provenance import data_digest
from partwise.recipes import Recipe
from partwise.sources import Scan, open_source, read_table
from partwise.tables import as_fitted, kinds_of_schema
from partwise.targets import target_column, target_values

__all__ = ["AddedRows", "Change", "RunChanges"]


class AddedRows(BaseModel):
    """A table that was added to a run: where it is, into how many partitions it is cut, and what tells it apart."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: str
    partitions: int = Field(ge=1)
    n_rows: int = Field(default=0, ge=0)
    digest: str = ""


class Change(BaseModel):
    """What ``partwise resume`` was asked to change, and when."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    time: str
    dropped: tuple[int, ...] = ()
    restored: tuple[int, ...] = ()
    added: tuple[AddedRows, ...] = ()
    quorum: float | None = None

    @classmethod
    def now(cls, **asked: Any) -> Self:
        """Return a change that is asked for now."""
        return cls(time=datetime.now(UTC).isoformat(timespec="seconds"), **asked)


@dataclass(frozen=True, slots=True)
class RunChanges:
    """All changes of a run in their order, and the rows of the tables that were added."""

    history: tuple[Change, ...] = ()
    additions: tuple[Addition, ...] = ()

    @classmethod
    def of(cls, record: Mapping[str, Any], asked: Change | None, config: FitConfig, source: Source) -> Self:
        """Return the changes in a run's record and the one that is asked for, if any; added tables are read.

        Raises
        ------
        InputError
            If a table cannot be read, does not match the run's, is there already, or has changed; or if a partition
            shall have its member back that was not dropped.
        """
        before = tuple(Change.model_validate(each) for each in record.get("changes", ()))
        if asked is not None:
            _check_restored(asked.restored, cls(before).dropped)
        history, additions, known = [], [], {record.get("dataset", {}).get("digest"): config.data}
        for change in (*before, *([] if asked is None else [asked])):
            added = []
            for each in change.added:
                rows, addition = _read(each, config, source)
                if rows.digest in known:
                    raise InputError(f"{rows.data!r} is in the run already, as {known[rows.digest]!r}. Give new rows.")
                known[rows.digest] = rows.data
                added.append(rows)
                additions.append(addition)
            history.append(change.model_copy(update={"added": tuple(added)}))
        return cls(tuple(history), tuple(additions))

    @property
    def dropped(self) -> frozenset[int]:
        """The partitions that shall have no member."""
        dropped: set[int] = set()
        for change in self.history:
            dropped = (dropped | set(change.dropped)) - set(change.restored)
        return frozenset(dropped)

    @property
    def quorum(self) -> float | None:
        """The share of the members that must be there, None where it is the run's own."""
        return next((each.quorum for each in reversed(self.history) if each.quorum is not None), None)

    def check(self, recipe: Recipe | None, quorum: float) -> None:
        """Refuse changes that the recipe does not allow; None, which the data shall choose, is checked in the fit.

        Raises
        ------
        InputError
            If members cannot be dropped or added, or too few would be left.
        """
        if recipe is not None:
            check_changes(recipe, self.dropped, [each.n_partitions for each in self.additions], quorum)

    def notes(self, config: FitConfig, test: pd.DataFrame | None = None) -> Iterator[str]:
        """Yield what a reader must know of the added rows, in sentences; dropped members are told as missing ones.

        ``test`` are the features of the test rows, where they are in memory.
        """
        first = config.partitions
        for change in self.history:
            for each in change.added:
                last = first + each.partitions - 1
                name = f"Partition {first}" if first == last else f"Partitions {first} to {last}"
                yield f"{name} added on {change.time[:10]}: {each.n_rows:,} rows of {each.data}."
                first += each.partitions
        if not self.additions:
            return
        if config.time is not None:
            yield "Added rows may be later than the test rows: the scores may look into the future."
        if test is None:
            yield "The test rows stayed the same; that no added row is one of them was not checked."
        elif count := sum(_count_among(addition.X, test) for addition in self.additions):
            yield f"{count:,} added rows have the very features of a test row: the scores may be too good."


def _check_restored(restored: tuple[int, ...], dropped: frozenset[int]) -> None:
    if never := sorted(set(restored) - dropped):
        raise InputError(
            f"Partitions {never} cannot be restored, as they are not dropped. Dropped: {sorted(dropped) or 'none'}. "
            "Without --restore the members that are missing are fitted."
        )


def _read(asked: AddedRows, config: FitConfig, source: Source) -> tuple[AddedRows, Addition]:
    """Return what is known of an added table, and its rows as the run takes its own.

    Raises
    ------
    InputError
        If it cannot be read, or is not the table that it was.
    """
    scan = _scan(asked.data, config, source)
    table = read_table(scan.source)
    digest = data_digest(table)
    shown = without_credentials(asked.data)
    if asked.digest and asked.digest != digest:
        raise InputError(
            f"{shown!r} has changed since it was added: it was {asked.digest}, and is {digest}. Restore it."
        )
    target = str(scan.target)
    missing = int(table[target].isna().sum())
    if missing:
        raise InputError(f"{shown!r} has {missing:,} missing targets. Drop those rows, or fill them in.")
    addition = Addition(
        X=table[list(scan.features)],
        y=target_values(target_column(table[target], target), target),
        sample_weight=_column(table, scan.weight),
        time=_column(table, scan.time),
        n_partitions=asked.partitions,
    )
    return AddedRows(data=shown, partitions=asked.partitions, n_rows=len(table), digest=digest), addition


def _scan(data: str, config: FitConfig, source: Source) -> Scan:
    """Return the scan of an added table: the features of the run's, each of the kind that it has there."""
    features, kinds = scan_of(source, config).features, kinds_of_schema(source.schema())
    scan = Scan.of(open_source(without_masks(data)), config.target, weight=config.weight, time=config.time)
    scan = as_fitted(scan, features, {name: kinds[name] for name in features})
    return replace(scan, features=features)


def _count_among(rows: pd.DataFrame, test: pd.DataFrame) -> int:
    """Return how many rows have the values of some test row."""
    hashes = [pd.util.hash_pandas_object(each[list(test.columns)].astype(str), index=False) for each in (rows, test)]
    return int(hashes[0].isin(hashes[1]).sum())


def _column(table: pd.DataFrame, name: str | None) -> "pd.Series[Any] | None":
    return None if name is None else table[name]
