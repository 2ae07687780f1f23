"""What `fit` takes in place of X and y: a table that is read in pieces, and which of its columns is what."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from partwise.errors import InputError, unknown_choice
from partwise.protocols import Source

__all__ = ["Scan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """A table to be read in pieces, by whoever fits or predicts; nothing has been read yet but the schema.

    ``features`` are the columns that a learner sees, in the order of the table.
    """

    source: Source
    features: tuple[str, ...]
    target: str | None = None
    weight: str | None = None
    group: str | None = None
    time: str | None = None

    @classmethod
    def of(
        cls,
        source: Source,
        target: str | None,
        *,
        weight: str | None = None,
        group: str | None = None,
        time: str | None = None,
        columns: Sequence[str] | None = None,
        drop: Sequence[str] = (),
    ) -> "Scan":
        """Return the scan of a source.

        Raises
        ------
        InputError
            If a column does not exist, or none is left as a feature.
        """
        schema = source.schema()
        names = [name for name in schema.names if name not in _index_columns(schema)]
        said = [name for name in (target, weight, group, time) if name is not None]
        for name in (*said, *(columns or ()), *drop):
            if name not in names:
                raise unknown_choice("column", name, names)
        no_features = {*said, *drop}
        wanted = names if columns is None else [name for name in names if name in set(columns)]
        features = tuple(name for name in wanted if name not in no_features)
        if not features:
            raise InputError("No column is left as a feature. Give a table with columns besides those named.")
        return cls(source=source, features=features, target=target, weight=weight, group=group, time=time)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read: features, and what says something about rows."""
        others = (self.target, self.weight, self.group, self.time)
        return (*self.features, *(name for name in dict.fromkeys(others) if name is not None))


def _index_columns(schema: pa.Schema) -> set[str]:
    """Return the columns that pandas wrote as its index; a frame read back has them there, not among its columns."""
    noted: dict[str, Any] = schema.pandas_metadata or {}
    return {name for name in noted.get("index_columns", []) if isinstance(name, str)}
