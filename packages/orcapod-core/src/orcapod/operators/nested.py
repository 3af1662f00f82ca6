"""Rows nested into lists, and what is known of such lists afterwards.

A list that an operator makes of the rows of a stream is of ``NestedType``: a list like any other,
that knows which nesting made it. Lists of one nesting have one length in every row, so they can be
unnested together, and the ids of the members with them. Lists made elsewhere have another mark.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa

from orcapod.datagrams import SEPARATOR, Chunk, StreamSchema
from orcapod.types import ListType, LogicalType, OptionalType, Schema

__all__ = ["NestedType", "item_of", "nest", "nested_schema", "nesting_of", "with_position"]


class NestedType(ListType):
    """``list[T]`` of values of several rows.

    Args:
        item: the type of the values.
        nesting: the nesting that made it.
    """

    def __init__(self, item: LogicalType, nesting: str) -> None:
        super().__init__(item)
        self.nesting = nesting


def item_of(dtype: LogicalType) -> LogicalType | None:
    """Return the type of the items of a list; None if the type is no list."""
    inner = dtype.inner if isinstance(dtype, OptionalType) else dtype
    return inner.item if isinstance(inner, ListType) else None


def nesting_of(dtype: LogicalType) -> str | None:
    """Return the nesting that made the lists of a type; None where no nesting did."""
    return dtype.nesting if isinstance(dtype, NestedType) else None


def nested_schema(schema: StreamSchema, nesting: str, *, single: Iterable[str] = ()) -> StreamSchema:
    """Return the schema of rows that are made of several rows each.

    Args:
        schema: that of the rows.
        nesting: what tells this nesting from others.
        single: the tags that have one value in all rows that are nested into one.
    """
    unnested = frozenset(single)

    def listed(columns: Schema) -> Schema:
        return Schema(
            {name: dtype if name in unnested else NestedType(dtype, nesting) for name, dtype in columns.types.items()}
        )

    return StreamSchema(listed(schema.tags), listed(schema.packets), listed(schema.system_tags), listed(schema.sources))


def nest(chunk: Chunk, ends: pa.Int64Array, schema: StreamSchema, *, single: Mapping[str, pa.Array[Any]]) -> Chunk:
    """Return the rows of a chunk, consecutive ones as lists; nothing is copied.

    Args:
        chunk: the rows.
        ends: where the lists begin and end: one number more than there are lists.
        schema: what ``nested_schema`` said.
        single: the columns that are no lists.
    """
    columns = {
        name: single[name] if name in single else pa.LargeListArray.from_arrays(ends, column)
        for name, column in zip(chunk.batch.schema.names, chunk.batch.columns, strict=True)
    }
    return Chunk(pa.RecordBatch.from_pydict(columns), schema, chunk.origins)


def with_position(schema: StreamSchema, position: int) -> StreamSchema:
    """Return the schema of one input of a join, its lists told apart from those of the others."""

    def marked(dtype: LogicalType) -> LogicalType:
        match dtype:
            case NestedType():
                return NestedType(marked(dtype.item), f"{dtype.nesting}{SEPARATOR}{position}")
            case ListType():
                return ListType(marked(dtype.item))
            case OptionalType():
                return OptionalType(marked(dtype.inner))
            case _:
                return dtype

    def all_marked(columns: Schema) -> Schema:
        return Schema({name: marked(dtype) for name, dtype in columns.types.items()})

    return replace(
        schema,
        tags=all_marked(schema.tags),
        packets=all_marked(schema.packets),
        system_tags=all_marked(schema.system_tags),
        sources=all_marked(schema.sources),
    )
