"""One model as a trial: on the rows of the first partition, of the first 2, 4 and so on, and cross-validated on all."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from partwise.digests import content_digest
from partwise.errors import InputError
from partwise.protocols import CutTable, PartReader
from partwise.records import Part, Partitions, Task, Unseen
from partwise.rows import stack_rows
from partwise.search.sampling import rungs_of

__all__ = ["GrowingCut", "growing"]

_FOLDS = 3
_SMALLEST_SHARE = 0.1
"""Of the rows, that a model of the cross-validation has: with fewer it says nothing of one on all rows."""


def growing(
    cut: CutTable, counting: Sequence[int], reduction_factor: int, lend: Callable[[Any], Callable[[], Any]]
) -> tuple["GrowingCut", Mapping[int, tuple[int, ...]]]:
    """Return the cut on which a trial is one model, and which of its partitions belong to each rung.

    On the last rung, that of all partitions, three models are fitted, each on two of three folds.

    Parameters
    ----------
    counting
        The partitions of ``cut`` that have rows of weights above zero.
    lend
        That of the executor: the rows of a partition are sent once, to however many unions they belong.

    Raises
    ------
    InputError
        If there are fewer than two, or one has nearly all rows, as one with a large group has.
    """
    if len(counting) < 2:
        raise InputError(
            "fidelity='rows' judges one model by rows of partitions that it was not fitted on, and all rows that "
            "count are in one partition. Give more partitions, or weights above zero."
        )
    rungs = rungs_of(len(counting), reduction_factor)
    folds = [set(fold.tolist()) for fold in np.array_split(counting, min(_FOLDS, len(counting)))]
    first = [tuple(counting[:rung]) for rung in rungs[:-1]]
    last = [tuple(partition for partition in counting if partition not in fold) for fold in folds]
    _check_folds(cut.partitions.sizes, counting, last)
    unions = tuple(dict.fromkeys([*first, *last]))  # with 2, 3 or 6 partitions a rung has what two folds have
    places: dict[int, tuple[int, ...]] = {
        rung: (unions.index(union),) for rung, union in zip(rungs, first, strict=False)
    }
    places[rungs[-1]] = tuple(unions.index(union) for union in last)
    return GrowingCut(cut, unions, lend), places


def _check_folds(sizes: NDArray[np.int64], counting: Sequence[int], learned: Sequence[tuple[int, ...]]) -> None:
    """Refuse a cross-validation in which a model is fitted on next to no rows."""
    whole, fewest = int(sizes[list(counting)].sum()), min(int(sizes[list(union)].sum()) for union in learned)
    if fewest < _SMALLEST_SHARE * whole:
        raise InputError(
            f"fidelity='rows' cross-validates models, each without some whole partitions, of which the largest has "
            f"{int(sizes.max()):,} of {whole:,} rows: one model would have {fewest:,}. Give partitions of more equal "
            "sizes, such as by a finer group column, or fidelity='members'."
        )


@dataclass(frozen=True)
class GrowingCut:
    """A cut whose partitions are joined: its own partition 0 has the rows of the first of the ``unions``, and so on.

    Each union names partitions of ``cut``.
    """

    cut: CutTable
    unions: tuple[tuple[int, ...], ...]
    lend: Callable[[Any], Callable[[], Any]]

    @cached_property
    def _lent(self) -> dict[int, Callable[[], Any]]:
        """What gives workers the payloads of the cut, of the partitions that were asked for."""
        return {}

    @cached_property
    def partitions(self) -> Partitions:
        """What is known of the unions."""
        known, counts = self.cut.partitions, self.cut.partitions.class_counts
        unions = [list(union) for union in self.unions]
        return Partitions(
            method=known.method,
            sizes=np.array([known.sizes[union].sum() for union in unions]),
            class_counts=None if counts is None else np.stack([counts[union].sum(axis=0) for union in unions]),
        )

    @property
    def reader(self) -> "GrowingReader":
        """How a worker gets rows from a payload."""
        return GrowingReader(self.cut.reader, self.unions)

    @property
    def positions(self) -> Sequence[NDArray[np.int64]]:
        """For each union the sorted positions of its rows."""
        return [np.sort(np.concatenate([self.cut.positions[each] for each in union])) for union in self.unions]

    @property
    def n_rows(self) -> int:
        """The number of rows of the table."""
        return self.cut.n_rows

    @cached_property
    def fingerprint(self) -> str:
        """What changes when the rows of some union, or what the encoder makes of them, do."""
        return content_digest(("unions", self.cut.fingerprint, self.unions))

    @property
    def largest_evidence(self) -> int:
        """That of the cut."""
        return self.cut.largest_evidence

    def payload(self, partition: int) -> tuple[Any, ...]:
        """Return what ``reader.part`` makes the rows of a union of."""
        union = self.unions[partition]
        for each in union:
            if each not in self._lent:
                self._lent[each] = self.lend(self.cut.payload(each))
        return (partition, *(self._lent[each] for each in union))

    def is_weightless(self, partition: int) -> bool:
        """Whether all rows of a union have weight zero."""
        return all(self.cut.is_weightless(each) for each in self.unions[partition])

    def blocks(self, chosen: Callable[[NDArray[np.int64]], NDArray[np.bool_]] | None = None) -> Iterator[Task]:
        """Yield the tasks of the cut."""
        return self.cut.blocks(chosen)


@dataclass(frozen=True, slots=True)
class GrowingReader:
    """Joins what the reader of the cut gives."""

    reader: PartReader
    unions: tuple[tuple[int, ...], ...]

    def part(self, payload: tuple[Any, ...]) -> Part:
        """Return the rows of a union, partition by partition."""
        place, *lent = payload
        parts = [self.reader.part(each()) for each in lent]
        weights = [each.weights for each in parts if each.weights is not None]
        return Part(
            partition=place,
            X=stack_rows([each.X for each in parts]),
            y=np.concatenate([each.y for each in parts]),
            weights=np.concatenate(weights) if weights else None,
        )

    def unseen(self, payload: Any) -> Iterator[Unseen]:
        """Return a block of rows; their home is the partition of the cut, counted below zero, as it is no union."""
        for block in self.reader.unseen(payload):
            home = block.holders[0]
            holders = [place for place, union in enumerate(self.unions) if home in union]
            yield replace(block, holders=(-1 - home, *holders))
