"""Tags as keys: when the values of two rows are the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.types as pat

from orcapod.compute import pc
from orcapod.datagrams import StreamSchema
from orcapod.errors import SchemaError
from orcapod.operators.nested import NestedType
from orcapod.streams import Stream
from orcapod.types import ListType, LogicalType, OptionalType, Schema, encode

__all__ = ["common_tags", "comparable", "join_key_type", "joined_tags", "without_nulls"]


def comparable(column: pa.Array[Any], dtype: LogicalType) -> pa.Array[Any]:
    """Return a column that Arrow can join and group by, equal where values are; null stays null.

    One NaN equals another, and 0.0 equals -0.0.
    """
    column = dtype.identity(column)
    if pat.is_floating(column.type):
        column = pc.add(column, 0.0)
    elif not pat.is_nested(column.type):
        return column
    encoded: pa.Array[Any] = encode(column)
    if column.null_count:
        encoded = pc.if_else(column.is_valid(), encoded, pa.scalar(None, encoded.type))
    return encoded


def without_nulls(batch: pa.RecordBatch, keys: Iterable[str]) -> pa.RecordBatch:
    """Return the rows that have a value in every key."""
    for key in keys:
        if batch.column(key).null_count:
            batch = batch.filter(batch.column(key).is_valid())
    return batch


def join_key_type(
    operator: str, name: str, first: LogicalType, second: LogicalType, grouped_by: Sequence[str] = ()
) -> LogicalType:
    """Return the type of a tag in rows that agree in it: never null.

    Raises:
        SchemaError: the types of the two streams are not the same.
    """
    one, two = (dtype.inner if isinstance(dtype, OptionalType) else dtype for dtype in (first, second))
    for nested, other in ((one, two), (two, one)):
        if isinstance(nested, NestedType) and nested.item.hash_name == other.hash_name:
            raise SchemaError(
                f"{operator}: tag column {name!r} is {one.name} in one stream and {two.name} in another, which was "
                "grouped: a row has that tag of many rows; keep only tags there that are one value, with "
                f'select_tag_columns({list(grouped_by)}) or group_by(..., tags="drop"), and join by these',
                column=name,
                expected=other.name,
                found=nested.name,
            )
    if one.hash_name != two.hash_name:
        raise SchemaError(
            f"{operator}: tag column {name!r} is {one.name} in one stream and {two.name} in another, expected one "
            "type; convert one of them",
            column=name,
            expected=one.name,
            found=two.name,
        )
    dtype = min(one, two, key=lambda each: (len(each.name), each.name))  # equal values are of both types
    return ListType(dtype.item) if isinstance(dtype, NestedType) else dtype


def joined_tags(operator: str, schemas: Sequence[StreamSchema]) -> Schema:
    """Return the tags of rows that agree in the tags they share.

    Raises:
        SchemaError: a tag is of several types, or a tag here and data there.
    """
    tags: dict[str, LogicalType] = {}
    packets = {name for schema in schemas for name in schema.packets}
    for schema in schemas:
        for name, dtype in schema.tags.types.items():
            if name in packets:
                raise SchemaError(
                    f"{operator}: column {name!r} is a tag in one stream and data in another, expected one of the two; "
                    "rename one of them",
                    column=name,
                )
            grouped_by = _not_nested(schema if isinstance(dtype, NestedType) else schemas[0])
            tags[name] = join_key_type(operator, name, tags[name], dtype, grouped_by) if name in tags else dtype
    return Schema(tags)


def common_tags(inputs: Sequence[Stream]) -> list[str]:
    """Return the tags that several streams have."""
    count = Counter(name for stream in inputs for name in stream.schema.tags)
    return [name for name in count if count[name] > 1]


def _not_nested(schema: StreamSchema) -> list[str]:
    return [name for name, dtype in schema.tags.types.items() if not isinstance(dtype, NestedType)]
