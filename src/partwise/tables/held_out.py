"""A source of which only the training rows, or only the test rows, are seen."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from partwise.digests import content_digest
from partwise.protocols import Piece, Source
from partwise.splitting import SplitRule
from partwise.tables.keying import Keying
from partwise.tables.survey import Survey

__all__ = ["HeldOutSource"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutPiece:
    """The rows of a piece on one side of a hold-out; ``mark`` tells rules and sides apart."""

    piece: Piece
    keying: Keying
    rule: SplitRule
    start: int
    seen: NDArray[np.int64] | None
    test: bool
    mark: str
    n_rows: int | None

    @property
    def nulls(self) -> Mapping[str, int] | None:
        """The missing values of the whole piece: columns have the types that both sides together give them.

        Where it does not tell them, one for each column in which the whole table has some.
        """
        rules = self.keying.rules
        told = self.piece.nulls
        return {name: int(name in rules.with_gaps) for name in rules.features} if told is None else told

    def n_bytes(self, columns: Sequence[str] | None = None) -> int:
        """At most so much memory do the rows take, in the columns asked for."""
        return self.piece.n_bytes(columns)

    @property
    def fingerprint(self) -> str:
        """What changes when the rows do."""
        return f"{self.piece.fingerprint} {self.mark}"

    def blocks(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield the rows block by block, in order."""
        wanted = None if columns is None else list(dict.fromkeys([*columns, *self.keying.columns]))
        for block, mask in self.told(wanted):
            chosen = block if columns is None else block.select(list(columns))
            yield chosen.filter(pa.array(mask if self.test else ~mask))

    def told(self, columns: Sequence[str] | None) -> Iterator[tuple[pa.Table, NDArray[np.bool_]]]:
        """Yield all rows of the piece, and which of them are the test; ``columns`` hold those that tell."""
        position, seen = self.start, None if self.seen is None else self.seen.copy()
        for block in self.piece.blocks(columns):
            keys = self.keying.keys(block, position, seen)
            yield block, self.rule.is_test(keys)
            position += block.num_rows
            if seen is not None and keys.stratum is not None:
                seen += np.bincount(keys.stratum, minlength=len(seen))


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutSource:
    """One side of a hold-out, as a source of its own.

    Parameters
    ----------
    keying
        How the columns become what the rule looks at.
    survey
        What is known of the whole table.
    n_test
        The number of test rows in each piece, None until they were counted.
    """

    source: Source
    keying: Keying
    survey: Survey
    rule: SplitRule
    test: bool
    n_test: NDArray[np.int64] | None = None

    @property
    def name(self) -> str:
        """The name of the whole table."""
        return self.source.name

    @property
    def uri(self) -> str:
        """Where the rows lie."""
        return self.source.uri

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of results must know about the rows."""
        return self.source.notes

    def schema(self) -> pa.Schema:
        """Return the names and types of the columns."""
        return self.source.schema()

    def pieces(self) -> list[HeldOutPiece]:
        """Return the pieces of the source, each with the rows of this side."""
        found = self.survey
        side = "test" if self.test else "train"
        mark = f"{content_digest(self.rule)} {self.keying.columns} {side}"
        totals = np.diff(np.append(found.starts, found.n_rows))
        counts = self.n_test if self.n_test is None or self.test else totals - self.n_test
        return [
            HeldOutPiece(
                piece=piece,
                keying=self.keying,
                rule=self.rule,
                start=int(found.starts[index]),
                seen=None if found.label_starts is None else found.label_starts[index],
                test=self.test,
                mark=mark,
                n_rows=None if counts is None else int(counts[index]),
            )
            for index, piece in enumerate(self.source.pieces())
        ]
