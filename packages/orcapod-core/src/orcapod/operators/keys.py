"""Tags as keys: when the values of two rows are the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.types as pat

from orcapod.arrow import scalar_of
from orcapod.compute import pc
from orcapod.datagrams import StreamSchema
from orcapod.errors import SchemaError
from orcapod.operators.nested import NestedType
from orcapod.streams import Stream
from orcapod.types import ListType, LogicalType, Schema, encode, with_members

__all__ = ["common_tags", "comparable", "group_numbers", "join_key_type", "joined_tags", "told_apart", "without_nulls"]


def comparable(column: pa.Array[Any], dtype: LogicalType) -> pa.Array[Any]:
    """Return a column that Arrow can join and group by, equal where values are; null stays null.

    One NaN equals another, 0.0 equals -0.0, and a dict another one whatever their order.
    """
    return told_apart(_with_sorted_maps(column), dtype)


def told_apart(column: pa.Array[Any], dtype: LogicalType) -> pa.Array[Any]:
    """Return the same, but dicts in another order are others: what has entered hashes so stays so."""
    column = dtype.identity(column)
    if pat.is_floating(column.type):
        column = pc.add(column, 0.0)
    elif not pat.is_nested(column.type):
        return column
    encoded: pa.Array[Any] = encode(column)
    if column.null_count:
        encoded = pc.if_else(column.is_valid(), encoded, scalar_of(None, encoded.type))
    return encoded


def _with_sorted_maps(column: Any) -> Any:
    """Return a column in which the entries of each map are in the order of their keys."""
    if not _holds_maps(column.type):
        return column
    column = with_members(column, _with_sorted_maps)
    if not pat.is_map(column.type):
        return column
    rows = pc.list_parent_indices(pa.LargeListArray.from_arrays(column.offsets.cast(pa.int64()), column.keys))
    order = pc.sort_indices(
        pa.table([rows, encode(column.keys)], ["row", "key"]), sort_keys=[("row", "ascending"), ("key", "ascending")]
    )
    keys, items = column.keys.take(order), column.items.take(order)
    cls: Any = pa.MapArray
    return cls.from_arrays(column.offsets, keys, items, type=column.type, mask=column.is_null())


def _holds_maps(type_: Any) -> bool:
    if pat.is_fixed_size_list(type_):  # an array's, which holds numbers
        return False
    return pat.is_map(type_) or any(_holds_maps(type_.field(at).type) for at in range(type_.num_fields))


def group_numbers(columns: Sequence[pa.Array[Any]]) -> pa.Array[Any]:
    """Return the number of every row's group, in the order in which groups first appear."""
    numbers, *others = map(_numbered, columns)
    for other in others:
        width = pc.add(pc.max(other), 1)
        numbers = _numbered(pc.add(pc.multiply(numbers, width), other))
    return numbers


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
    one, two = first.non_null, second.non_null
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
            "type; convert one of them where its rows come from",
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


def _numbered(values: pa.Array[Any]) -> pa.Array[Any]:
    """Return every value's number among the different ones, null being one, as they appear."""
    codes: Any = values.dictionary_encode(null_encoding="encode")
    numbers: pa.Array[Any] = codes.indices.cast(pa.int64())
    return numbers
