"""Columns that operators are told by name."""

from __future__ import annotations

from collections.abc import Collection

from orcapod.datagrams import StreamSchema
from orcapod.errors import SchemaError
from orcapod.types import LogicalType

__all__ = ["check_new_name", "column_type"]


def column_type(operator: str, name: str, schema: StreamSchema) -> LogicalType:
    """Return the type of a tag or packet column.

    Raises:
        SchemaError: there is no such column.
    """
    known = schema.tags | schema.packets
    if name not in known:
        why = f"{operator}: there is no column {name!r}; found {list(known)}, name some of these"
        raise SchemaError(why, column=name, found=str(list(known)))
    return known.types[name]


def check_new_name(operator: str, name: str, taken: Collection[str]) -> None:
    """Check that a column that an operator makes can be called so.

    Raises:
        SchemaError: it cannot.
    """
    if not name or name.startswith("_") or name in taken:
        raise SchemaError(
            f"{operator}: found {name!r} for a new column, expected a name that is not empty, does not start with '_', "
            f"and is none of {list(taken)}; choose another",
            column=name,
        )
