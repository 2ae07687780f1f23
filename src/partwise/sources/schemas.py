"""One schema for files that were written at different times."""

from collections.abc import Iterable, Mapping

import pyarrow as pa

from partwise.errors import InputError

__all__ = ["clashing", "unified", "without_views"]

_SHOWN = 10


def unified(schemas: Mapping[str, pa.Schema]) -> pa.Schema:
    """Return the schema that all files can be brought to without loss: the columns of the first, in its order.

    Types may differ where one holds the other: whole numbers of several widths, whole numbers and floats, nothing but
    missing values and anything.

    Raises
    ------
    InputError
        If a file lacks a column, has one more, or has one of a type that does not fit; the message lists all of it.
    """
    (first, found), *others = schemas.items()
    model = _bare(found)
    differences = []
    for path, schema in others:
        lacking = [name for name in model.names if name not in schema.names]
        further = [name for name in schema.names if name not in model.names]
        said = [f"lacks {_listed(lacking)}"] if lacking else []
        said += [f"has {_listed(further)} besides"] if further else []
        model, clashes = _merged(model, _bare(schema))
        said += [f"has {name!r} as {there}, not {here}" for name, here, there in clashes]
        if said:
            differences.append(f"{path!r} {'; '.join(said)}")
    if differences:
        more = f" (and {len(differences) - _SHOWN} more)" if len(differences) > _SHOWN else ""
        raise InputError(
            f"{len(differences)} of {len(schemas)} files do not have the schema of {first!r}: "
            f"{'. '.join(differences[:_SHOWN])}{more}. Give files of one schema, or write them again with one."
        )
    return model.with_metadata(found.metadata)  # pandas notes there which column is its index, and its own types


def clashing(schemas: Iterable[pa.Schema]) -> frozenset[str]:
    """Return the columns whose types no type holds together."""
    first, *others = map(_bare, schemas)
    found: set[str] = set()
    for each in others:
        first, clashes = _merged(first, each)
        found |= {name for name, _, _ in clashes}
    return frozenset(found)


def without_views(schema: pa.Schema) -> pa.Schema:
    """Return the schema with texts and bytes in the layout that all of Arrow's functions know; polars writes views."""
    plain = {pa.string_view(): pa.large_string(), pa.binary_view(): pa.large_binary()}
    fields = [each.with_type(plain.get(each.type, each.type)) for each in schema]
    return pa.schema(fields, metadata=schema.metadata)


def _bare(schema: pa.Schema) -> pa.Schema:
    """Return names and types alone."""
    return pa.schema([pa.field(each.name, each.type) for each in schema])


def _merged(model: pa.Schema, other: pa.Schema) -> tuple[pa.Schema, list[tuple[str, pa.DataType, pa.DataType]]]:
    """Return the types that hold those of both, and for each column where there is none what it is here and there."""
    fields, clashes = [], []
    for each in model:
        if each.name not in other.names:
            fields.append(each)
            continue
        there = other.field(each.name)
        try:
            pair = [pa.schema([each]), pa.schema([there])]
            fields.append(pa.unify_schemas(pair, promote_options="permissive").field(0))
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            fields.append(each)
            clashes.append((each.name, each.type, there.type))
    return pa.schema(fields), clashes


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(repr(name) for name in names[:_SHOWN]) + more
