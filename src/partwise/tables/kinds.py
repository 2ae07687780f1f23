"""What kind of values columns hold: a model is asked about the kinds that it was fitted on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import pyarrow as pa

from partwise.errors import InputError
from partwise.protocols import Source, Untyped
from partwise.sources import Scan

__all__ = ["as_fitted", "as_known", "holds", "kinds_of_frame", "kinds_of_scan", "kinds_of_schema"]

_NUMBERS, _BOOLEANS, _TEXTS, _NOTHING = "numbers", "booleans", "texts", "nothing but missing values"
_KINDS: Mapping[str, Sequence[Callable[[pa.DataType], bool]]] = {
    _NUMBERS: (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal),
    _BOOLEANS: (pa.types.is_boolean,),
    _TEXTS: (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
    "times": (pa.types.is_timestamp, pa.types.is_date),
    "times of day": (pa.types.is_time,),
    "durations": (pa.types.is_duration,),
    "bytes": (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary),
    _NOTHING: (pa.types.is_null,),
}
"""Kind to types: within one, every value means the same to a model, whatever its width. The others are their types."""
_HOLDS = {_NUMBERS: {_BOOLEANS}}
"""Kind to other kinds whose values are among its own."""
_LOOKED_AT = 10_000
"""Values of a column of Python objects that tell its kind."""
_SHOWN = 10


def kinds_of_scan(scan: Scan) -> dict[str, str]:
    """Return the kind of each feature of a table that is read in pieces."""
    kinds = kinds_of_schema(scan.source.schema())
    return {name: kinds[name] for name in scan.features}


def kinds_of_schema(schema: pa.Schema) -> dict[str, str]:
    """Return the kind of each column."""
    return {each.name: _kind(each.type) for each in schema}


def holds(kind: str, other: str) -> bool:
    """Return whether all values of another kind are of this kind; a column without values is of any."""
    return _NOTHING in {kind, other} or other in {kind} | _HOLDS.get(kind, set())


def kinds_of_frame(features: Any) -> dict[str, str] | None:
    """Return the kind of each column of a DataFrame, but of mixed objects; None for what has no columns of its own."""
    if not isinstance(features, pd.DataFrame):
        return None
    found = {str(name): _type_of(column) for name, column in features.items()}
    return {name: _kind(each) for name, each in found.items() if each is not None}


def as_fitted(scan: Scan, names: Sequence[str], kinds: Mapping[str, str] | None) -> Scan:
    """Return the scan with columns as a model was fitted on them.

    Parameters
    ----------
    names, kinds
        The columns that were fitted on, and what they held; None where that is not known, and is not checked.

    Raises
    ------
    InputError
        If columns are missing, or hold something else; all of them are listed.
    """
    wanted = {name: kinds[name] for name in names if name in kinds} if kinds is not None else {}
    known = as_known(scan.source, names, wanted)
    if known is not scan.source:
        new = set(known.schema().names).difference(scan.source.schema().names)
        scan = replace(scan, source=known, features=(*scan.features, *(name for name in names if name in new)))
    lacking = [name for name in names if name not in scan.features]
    if lacking:
        raise InputError(
            f"{scan.source.name!r} lacks {len(lacking)} of the {len(names)} columns that were fitted on: "
            f"{', '.join(lacking[:_SHOWN])}. It has: {', '.join(scan.features[:30])}."
        )
    _check_kinds(scan, wanted)
    return scan


def as_known(source: Source, names: Sequence[str], kinds: Mapping[str, str]) -> Source:
    """Return the source with columns as they are known from elsewhere, where its files and folders leave that open.

    In a CSV file a column of text that happens to have digits alone would be taken for numbers, and of the folders
    ``carrier=AA`` and ``carrier=9`` the second alone too. Of these folders, one that is given alone has the column.
    """
    texts = [name for name, kind in kinds.items() if kind == _TEXTS]
    return source.expecting(names, texts) if isinstance(source, Untyped) else source


def _check_kinds(scan: Scan, wanted: Mapping[str, str]) -> None:
    schema, found = scan.source.schema(), kinds_of_scan(scan)
    wrong = [
        f"{name!r} holds {found[name]} ({schema.field(name).type}), and was fitted on {kind}"
        for name, kind in wanted.items()
        if not holds(kind, found[name])
    ]
    if wrong:
        more = f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise InputError(
            f"{len(wrong)} of the {len(wanted)} columns of {scan.source.name!r} are not what the model was fitted on: "
            f"{'; '.join(wrong[:_SHOWN])}{more}. Write the table with the types of the training table, or fit on one "
            "with these."
        )


def _kind(each: pa.DataType) -> str:
    if pa.types.is_dictionary(each):
        return _kind(each.value_type)
    return next((kind for kind, tests in _KINDS.items() if any(test(each) for test in tests)), str(each))


def _type_of(column: "pd.Series[Any]") -> pa.DataType | None:
    """Return the type that Arrow would give a column, None where there is none, as for mixed objects."""
    told_by_values = pd.api.types.is_object_dtype(column.dtype)
    try:
        return pa.Array.from_pandas(
            column[column.notna()].iloc[:_LOOKED_AT] if told_by_values else column.iloc[:0]
        ).type
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError, TypeError, ValueError):
        return None
