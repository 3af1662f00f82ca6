"""Rows collected into lists, and what is known of such lists afterwards.

A list that an operator makes of the rows of a stream is a ``CollectedType``: a list like any other, that
knows which collecting made it. Lists of one collecting have one length in every row, so they can be
taken apart together, and the ids of the members with them. What was made elsewhere has another mark.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa

from orcapod.datagrams import SEPARATOR, Chunk, StreamSchema
from orcapod.types import ListType, LogicalType, OptionalType, Schema

__all__ = ["CollectedType", "collected_rows", "collected_schema", "collecting_of", "item_of", "placed"]


class CollectedType(ListType):
    """``list[T]`` of values of several rows.

    Args:
        item: the type of the values.
        by: the collecting that made it.
    """

    def __init__(self, item: LogicalType, by: str) -> None:
        super().__init__(item)
        self.by = by


def item_of(kind: LogicalType) -> LogicalType | None:
    """The type of the items of a list; None if the type is no list."""
    inner = kind.inner if isinstance(kind, OptionalType) else kind
    return inner.item if isinstance(inner, ListType) else None


def collecting_of(kind: LogicalType) -> str | None:
    """The collecting that made the lists of a type; None if they were there before, or made otherwise."""
    return kind.by if isinstance(kind, CollectedType) else None


def collected_schema(schema: StreamSchema, by: str, *, single: Iterable[str] = ()) -> StreamSchema:
    """The schema of rows that are made of several rows each.

    Args:
        schema: that of the rows.
        by: what tells this collecting from others.
        single: the tags that have one value in all rows that are collected into one.
    """
    kept = frozenset(single)

    def listed(columns: Schema) -> Schema:
        return Schema({name: kind if name in kept else CollectedType(kind, by) for name, kind in columns.types.items()})

    return StreamSchema(listed(schema.tags), listed(schema.packets), listed(schema.system_tags), listed(schema.sources))


def collected_rows(
    chunk: Chunk, ends: pa.Int64Array, schema: StreamSchema, *, single: Mapping[str, pa.Array[Any]]
) -> Chunk:
    """The rows of a chunk, consecutive ones as lists; nothing is copied.

    Args:
        chunk: the rows.
        ends: where the lists begin and end: one number more than there are lists.
        schema: what ``collected_schema`` said.
        single: the columns that are no lists.
    """
    columns = {
        name: single[name] if name in single else pa.LargeListArray.from_arrays(ends, column)
        for name, column in zip(chunk.batch.schema.names, chunk.batch.columns, strict=True)
    }
    return Chunk(pa.RecordBatch.from_pydict(columns), schema, chunk.origins)


def placed(schema: StreamSchema, position: int) -> StreamSchema:
    """The schema of one input of a join: its lists told apart from those of the other inputs."""

    def told(kind: LogicalType) -> LogicalType:
        match kind:
            case CollectedType():
                return CollectedType(told(kind.item), f"{kind.by}{SEPARATOR}{position}")
            case ListType():
                return ListType(told(kind.item))
            case OptionalType():
                return OptionalType(told(kind.inner))
            case _:
                return kind

    def all_told(columns: Schema) -> Schema:
        return Schema({name: told(kind) for name, kind in columns.types.items()})

    return replace(
        schema,
        tags=all_told(schema.tags),
        packets=all_told(schema.packets),
        system_tags=all_told(schema.system_tags),
        sources=all_told(schema.sources),
    )
