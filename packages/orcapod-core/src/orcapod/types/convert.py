"""Columns from outside, of any Arrow type, as the one Arrow type of their logical type."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.types as kind

from orcapod.compute import pc
from orcapod.errors import SchemaError, ValueTypeError
from orcapod.types.builtin import (
    AWARE_DATETIME,
    BOOL,
    BYTES,
    DATE,
    DATETIME,
    FLOAT,
    INT,
    STR,
    DictType,
    ListType,
    record_type,
)
from orcapod.types.logical import LogicalType, OptionalType

__all__ = ["conform", "type_of_column"]


def type_of_column(column: pa.ChunkedArray[Any] | pa.Array[Any]) -> LogicalType:
    """The logical type of a column, from its Arrow type and, for nullability, from its values.

    A column that holds no null is ``T``, whatever Arrow's flag says.

    Raises:
        SchemaError: no logical type stands for the Arrow type; a column of nothing but nulls among them.
    """
    arrow = column.type
    if kind.is_null(arrow):
        raise SchemaError("the column holds nothing but nulls; declare its type in data_schema")
    if kind.is_dictionary(arrow):
        return type_of_column(column.cast(arrow.value_type))
    made = _type_of_values(column)
    return OptionalType(made) if column.null_count else made


def conform(column: pa.ChunkedArray[Any] | pa.Array[Any], logical: LogicalType) -> pa.ChunkedArray[Any]:
    """The column in the Arrow type of a logical type, every value exactly as it was.

    Raises:
        ValueTypeError: a value has no exact conversion, or is null where the type allows none.
        SchemaError: columns of this Arrow type are no columns of the logical type.
    """
    chunked = column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])
    if kind.is_dictionary(chunked.type):
        chunked = chunked.cast(chunked.type.value_type)
    if chunked.null_count and not isinstance(logical, OptionalType):
        row = pc.index(chunked.is_null(), True).as_py()
        raise ValueTypeError(f"expected {logical.name}, found null in row {row}; declare '{logical.name} | None'")
    if chunked.type == logical.arrow:
        return chunked
    if not kind.is_null(chunked.type):
        found = _type_of_values(chunked).arrow
        if not _widens(found, logical.arrow):
            raise SchemaError(f"expected a column of {logical.name}, found Arrow type {chunked.type}")
    try:
        return chunked.cast(logical.arrow)
    except pa.ArrowInvalid as error:
        raise ValueTypeError(f"expected {logical.name}, found a value without exact conversion: {error}") from None


def _type_of_values(column: pa.ChunkedArray[Any] | pa.Array[Any]) -> LogicalType:
    arrow = column.type
    if kind.is_boolean(arrow):
        return BOOL
    if kind.is_integer(arrow):
        return INT
    if kind.is_floating(arrow):
        return FLOAT
    if kind.is_string(arrow) or kind.is_large_string(arrow) or kind.is_string_view(arrow):
        return STR
    if kind.is_binary(arrow) or kind.is_large_binary(arrow) or kind.is_binary_view(arrow):
        return BYTES
    if kind.is_fixed_size_binary(arrow):
        return BYTES
    if kind.is_date(arrow):
        return DATE
    if kind.is_timestamp(arrow):
        return DATETIME if arrow.tz is None else AWARE_DATETIME
    if kind.is_map(arrow):
        entries = _entries(column)
        return DictType(type_of_column(entries.field(0)), type_of_column(entries.field(1)))
    if kind.is_list(arrow) or kind.is_large_list(arrow) or kind.is_fixed_size_list(arrow):
        return ListType(type_of_column(pc.list_flatten(column)))
    if kind.is_struct(arrow):
        flat = column if isinstance(column, pa.Array) else column.combine_chunks()
        if isinstance(flat, pa.ChunkedArray):
            flat = flat.chunk(0)
        members = flat.drop_null().flatten()
        return record_type({field.name: type_of_column(member) for field, member in zip(arrow, members, strict=True)})
    raise SchemaError(f"no type stands for Arrow's {arrow}; cast the column to one that has one, or drop it")


def _entries(column: pa.ChunkedArray[Any] | pa.Array[Any]) -> Any:
    flat = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    chunks = flat.chunks if isinstance(flat, pa.ChunkedArray) else [flat]
    keys = pa.chunked_array([chunk.keys for chunk in chunks], type=column.type.key_type)
    items = pa.chunked_array([chunk.items for chunk in chunks], type=column.type.item_type)
    return pa.StructArray.from_arrays([keys.combine_chunks(), items.combine_chunks()], ["key", "value"])


def _widens(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether two canonical Arrow types differ at most by ints that become floats, and nulls that become values."""
    if found == wanted or kind.is_null(found) or (kind.is_int64(found) and kind.is_float64(wanted)):
        return True
    if kind.is_map(found) and kind.is_map(wanted):
        return _widens(found.key_type, wanted.key_type) and _widens(found.item_type, wanted.item_type)
    if kind.is_large_list(found) and kind.is_large_list(wanted):
        return _widens(found.value_type, wanted.value_type)
    if kind.is_struct(found) and kind.is_struct(wanted):
        inner = {field.name: field.type for field in found}
        return len(found) == len(wanted) and all(
            field.name in inner and _widens(inner[field.name], field.type) for field in wanted
        )
    return False
