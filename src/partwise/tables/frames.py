"""Blocks of a table as DataFrames, each with the column types that the whole table would have."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

__all__ = ["FrameRules", "plain_schema"]


@dataclass(frozen=True, slots=True)
class FrameRules:
    """How pandas would type the feature columns of the whole table.

    pandas holds whole numbers with gaps as floats, and booleans with gaps as objects; a block without gaps must be
    brought to that. Categories are those of all blocks, in the order in which they came.
    """

    features: tuple[str, ...]
    with_gaps: frozenset[str] = frozenset()
    categories: Mapping[str, tuple[tuple[Any, ...], bool]] = field(default_factory=dict)

    def frame(self, block: pa.Table) -> pd.DataFrame:
        """Return the features of a block, whose categorical columns may have come as plain values."""
        frame = block.select(list(self.features)).to_pandas()
        for name in self.features:
            column = frame[name]
            if name in self.categories:
                levels, ordered = self.categories[name]
                frame[name] = pd.Categorical(column.astype(object), categories=list(levels), ordered=ordered)
            elif name in self.with_gaps and isinstance(column.dtype, np.dtype):
                if column.dtype.kind in "iu":
                    frame[name] = column.astype(np.float64)
                elif column.dtype.kind == "b":
                    frame[name] = column.astype(object)
        return frame


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """Return the schema with plain values in place of categorical ones, whose codes differ from block to block."""
    fields = [
        pa.field(each.name, each.type.value_type if pa.types.is_dictionary(each.type) else each.type) for each in schema
    ]
    return pa.schema(fields, metadata=schema.metadata)
