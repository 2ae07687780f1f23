"""The keys of the rows of a block: the same, whether the whole table is the block or a piece of a stream is."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from partwise.cutting import rank_within, read_groups, read_times
from partwise.records import RowKeys
from partwise.sources import Scan
from partwise.tables.columns import targets_of
from partwise.tables.frames import FrameRules

__all__ = ["Keying"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Keying:
    """How columns become keys.

    Parameters
    ----------
    target, group, time
        The columns that tell of a row's class, group and time; None where there are none.
    encoder
        Makes the features of a cut of the feature space; None takes the columns as they are.
    needs_features
        Whether the cut is one.
    """

    target: str | None
    group: str | None
    time: str | None
    labels: NDArray[Any] | None
    rules: FrameRules
    encoder: Any
    needs_features: bool = False

    @classmethod
    def of(cls, scan: Scan, labels: NDArray[Any] | None, rules: FrameRules, encoder: Any = None) -> Self:
        """Return the keying of a scan."""
        return cls(
            target=scan.target,
            group=scan.group,
            time=scan.time,
            labels=labels,
            rules=rules,
            encoder=encoder,
        )

    @property
    def columns(self) -> list[str]:
        """The columns that tell of a row, besides its features."""
        return [name for name in (self.target, self.group, self.time) if name is not None]

    def keys(self, block: pa.Table, position: int, seen: NDArray[np.int64] | None) -> RowKeys:
        """Return the keys of the rows of a block.

        Parameters
        ----------
        position
            That of the first row.
        seen
            How many rows of each class come before it, shape (classes,); None in regression.
        """
        stratum = rank = None
        if self.target is not None and self.labels is not None and seen is not None:
            stratum = targets_of(block, self.target, self.labels)
            rank = seen[stratum] + rank_within(stratum)
        return RowKeys(
            positions=position + np.arange(block.num_rows),
            stratum=stratum,
            rank=rank,
            group=None if self.group is None else read_groups(block.column(self.group).to_pandas()),
            time=None if self.time is None else read_times(block.column(self.time).to_pandas(), whole=False),
            features=self._features(block) if self.needs_features else None,
        )

    def _features(self, block: pa.Table) -> Any:
        frame = self.rules.frame(block)
        return frame if self.encoder is None else self.encoder.transform(frame)
