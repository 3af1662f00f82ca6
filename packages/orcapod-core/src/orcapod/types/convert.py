"""Columns from outside, of any Arrow type, as the one Arrow type of their logical type."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from importlib import import_module
from typing import Any

import pyarrow as pa
import pyarrow.types as pat

from orcapod.compute import counted, pc
from orcapod.errors import SchemaError, ValueTypeError
from orcapod.types.codec import encode
from orcapod.types.containers import (
    DictType,
    ListType,
    RecordType,
    SetType,
    TupleType,
    VariadicTupleType,
    record_type,
)
from orcapod.types.logical import LogicalType, OptionalType
from orcapod.types.python_columns import column_of
from orcapod.types.scalars import (
    AWARE_DATETIME,
    BOOL,
    BYTES,
    DATE,
    DATETIME,
    FLOAT,
    INT,
    LONGEST_SPAN,
    STR,
    TIME,
    TIMEDELTA,
)
from orcapod.types.texts import DECIMAL, UUID_TEXT

__all__ = ["conform", "type_of_column", "widened"]

_SCALARS: list[tuple[Callable[[pa.DataType], bool], LogicalType]] = [
    (pat.is_boolean, BOOL),
    (pat.is_integer, INT),
    (pat.is_floating, FLOAT),
    *((test, STR) for test in (pat.is_string, pat.is_large_string, pat.is_string_view)),
    *((test, BYTES) for test in (pat.is_binary, pat.is_large_binary, pat.is_binary_view, pat.is_fixed_size_binary)),
    (pat.is_date, DATE),
    (lambda arrow: pat.is_timestamp(arrow) and arrow.tz is None, DATETIME),
    (pat.is_timestamp, AWARE_DATETIME),
    (pat.is_time, TIME),
    (pat.is_duration, TIMEDELTA),
    (pat.is_decimal, DECIMAL),
    (lambda arrow: arrow == pa.uuid(), UUID_TEXT),
]

_ENDS: dict[LogicalType, tuple[Any, Any]] = {
    DATE: (date.min, date.max),
    DATETIME: (datetime.min, datetime.max),  # noqa: DTZ901  # the ends of what has no zone
    AWARE_DATETIME: (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)),
    TIME: (time.min, time.max),
    TIMEDELTA: (-LONGEST_SPAN, LONGEST_SPAN),
}
"""Arrow's points in time reach further than Python's."""
_REACH: dict[LogicalType, str] = {TIME: "the day", TIMEDELTA: "106,751,991 days"}


def type_of_column(column: pa.ChunkedArray[Any] | pa.Array[Any]) -> LogicalType:
    """Return the logical type of a column: its Arrow type's, and optional if it holds a null.

    A column that holds no null is ``T``, whatever Arrow's flag says.

    Raises:
        SchemaError: no logical type stands for the Arrow type; a column of nothing but nulls among them.
    """
    column = _unwrapped(column)
    if pat.is_null(column.type):
        raise SchemaError("the column holds nothing but nulls; declare its type in data_schema")
    dtype = _type_of_values(column)
    return OptionalType(dtype) if column.null_count else dtype


def conform(column: pa.ChunkedArray[Any] | pa.Array[Any], dtype: LogicalType) -> pa.ChunkedArray[Any]:
    """Return the column in the Arrow type of a logical type, every value exactly as it was.

    Raises:
        ValueTypeError: a value has no exact conversion, or is null where the type allows none.
        SchemaError: columns of this Arrow type are no columns of the logical type.
    """
    chunked: pa.ChunkedArray[Any] = _unwrapped(
        column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])
    )
    if chunked.type == pa.uuid() and dtype.arrow == UUID_TEXT.arrow:  # Arrow itself cannot write one
        texts = [None if value is None else str(value) for value in chunked.to_pylist()]
        chunked = pa.chunked_array([pa.array(texts, UUID_TEXT.arrow)])
    if chunked.type != dtype.arrow:
        chunked = dtype.adopted(chunked)
    if chunked.type != dtype.arrow:
        if not _widens(_canonical(chunked.type), dtype.arrow):
            is_rounded = pat.is_floating(chunked.type) and pat.is_integer(dtype.arrow)
            hint = "; cast the column before, with null in place of NaN" if is_rounded else ""
            raise SchemaError(
                f"expected a column of {dtype.name}, found Arrow type {chunked.type}{hint}",
                expected=dtype.name,
                found=str(chunked.type),
            )
        chunked = _cast(chunked, dtype)
    if fault := _fault(chunked, dtype):
        row = _first_row(chunked, lambda part: _fault(part, dtype) is not None)
        raise ValueTypeError(f"row {row}: {fault}", row=row, expected=dtype.name)
    return chunked if dtype.is_total else _checked(chunked, dtype)


def widened(column: pa.Array[Any], found: LogicalType, wanted: LogicalType) -> pa.Array[Any]:
    """Return a column of a type that another takes as a column of that.

    Raises:
        ValueTypeError: a value has no exact conversion.
    """
    if column.type == wanted.arrow:
        return column
    if not _widens(column.type, wanted.arrow):  # Arrow knows numbers; types know what else converts
        return column_of(found.to_python(column), wanted)
    try:
        return column.cast(wanted.arrow)
    except pa.ArrowInvalid as error:
        raise ValueTypeError(f"expected {wanted.name}: {error}", expected=wanted.name) from None


def _checked(column: pa.ChunkedArray[Any], dtype: LogicalType) -> pa.ChunkedArray[Any]:
    """Return the column as its values are stored, where its Arrow type alone does not tell.

    Raises:
        ValueTypeError: a value is none of the type.
    """
    values = []
    for row, stored in enumerate(column.to_pylist()):
        try:
            values.append(None if stored is None else dtype.from_storage(stored))
        except ValueTypeError as error:
            raise ValueTypeError(f"row {row}: {error}", **error.about(row=row)) from None
    return pa.chunked_array([column_of(values, dtype)])


def _unwrapped(column: Any) -> Any:
    """Return the same values without the layers of dictionary and run-end encoding."""
    if pat.is_dictionary(column.type):
        if isinstance(column, pa.ChunkedArray):
            parts = [_dictionary_decoded(part) for part in column.chunks]
            return _unwrapped(pa.chunked_array(parts, None if parts else column.type.value_type))
        return _unwrapped(_dictionary_decoded(column))
    return _unwrapped(pc.run_end_decode(column)) if pat.is_run_end_encoded(column.type) else column


def _dictionary_decoded(column: Any) -> Any:
    """Return what a dictionary-encoded array stands for; Arrow's cast does not know all types."""
    values = column.dictionary
    if pat.is_string_view(values.type) or pat.is_binary_view(values.type):
        values = values.cast(pa.large_string() if pat.is_string_view(values.type) else pa.large_binary())
    return values.take(column.indices)


def _type_of_values(column: Any) -> LogicalType:
    arrow = column.type
    for test, dtype in _SCALARS:
        if test(arrow):
            return dtype
    if pat.is_map(arrow):
        return DictType(*map(type_of_column, _entries(column)))
    if _is_list(arrow):
        return ListType(type_of_column(pc.list_flatten(column)))
    if pat.is_struct(arrow):
        members = column.drop_null().flatten()
        return record_type({name: type_of_column(member) for name, member in zip(_names(arrow), members, strict=True)})
    if isinstance(arrow, pa.FixedShapeTensorType):
        return import_module("orcapod.types.arrays").type_of_tensor(arrow)  # type: ignore[no-any-return]  # with numpy
    raise _unknown(arrow)


def _canonical(arrow: Any) -> pa.DataType:
    """Return the Arrow type of the logical type that stands for an Arrow type; null stays null."""
    if pat.is_null(arrow):
        return arrow
    if pat.is_dictionary(arrow):
        return _canonical(arrow.value_type)
    for test, dtype in _SCALARS:
        if test(arrow):
            return dtype.arrow
    if pat.is_map(arrow):
        return pa.map_(_canonical(arrow.key_type), _canonical(arrow.item_type))
    if _is_list(arrow):
        return pa.large_list(_canonical(arrow.value_type))
    if pat.is_struct(arrow):
        return pa.struct([(name, _canonical(arrow.field(i).type)) for i, name in enumerate(_names(arrow))])
    raise _unknown(arrow)


def _is_list(arrow: pa.DataType) -> bool:
    # Not list views: Arrow casts a slice of one to other values.
    return pat.is_list(arrow) or pat.is_large_list(arrow) or pat.is_fixed_size_list(arrow)


def _names(arrow: Any) -> list[str]:
    names = [field.name for field in arrow]
    if twice := [name for name in names if names.count(name) > 1]:
        raise SchemaError(f"a struct has two members called {twice[0]!r}; rename one")
    return names


def _unknown(arrow: pa.DataType) -> SchemaError:
    return SchemaError(f"no type stands for Arrow's {arrow}; cast the column to one that has one, or drop it")


def _entries(column: Any) -> list[Any]:
    """Return the keys and the items of all maps of a column, and of no map that was sliced away."""
    return pc.list_flatten(_as_lists(column)).flatten()  # type: ignore[no-any-return]


def _as_lists(maps: Any) -> Any:
    arrow = maps.type
    entry = pa.struct([pa.field("key", arrow.key_type, nullable=False), pa.field("value", arrow.item_type)])
    return maps.cast(pa.list_(entry))


def _has_a_key_twice(maps: Any) -> bool:
    whole = maps.combine_chunks() if isinstance(maps, pa.ChunkedArray) else maps
    lists = _as_lists(whole.drop_null())  # what lies under a null is nothing
    keys = pa.table({"map": pc.list_parent_indices(lists), "key": encode(pc.list_flatten(lists).flatten()[0])})
    return keys.group_by(["map", "key"]).aggregate([]).num_rows < keys.num_rows


def _widens(source: pa.DataType, target: pa.DataType) -> bool:
    """Say whether canonical types differ at most by ints that become floats, and nulls values."""
    if source == target or pat.is_null(source) or (pat.is_int64(source) and pat.is_float64(target)):
        return True
    if pat.is_map(source) and pat.is_map(target):
        return _widens(source.key_type, target.key_type) and _widens(source.item_type, target.item_type)
    if pat.is_large_list(source) and pat.is_large_list(target):
        return _widens(source.value_type, target.value_type)
    if pat.is_struct(source) and pat.is_struct(target):
        inner = {field.name: field.type for field in source}
        return len(source) == len(target) and all(
            field.name in inner and _widens(inner[field.name], field.type) for field in target
        )
    return False


def _holds_uuids(arrow: Any) -> bool:
    return arrow == pa.uuid() or any(_holds_uuids(arrow.field(i).type) for i in range(arrow.num_fields))


def _cast(column: pa.ChunkedArray[Any], dtype: LogicalType) -> pa.ChunkedArray[Any]:
    def fails(part: pa.ChunkedArray[Any]) -> bool:
        try:
            part.cast(dtype.arrow)
        except pa.ArrowInvalid:
            return True
        return False

    if _holds_uuids(column.type):
        raise SchemaError(
            f"expected a column of {dtype.name}, found Arrow type {column.type}, and Arrow casts no UUID that is "
            "inside of something else; make them text before"
        )
    try:
        return column.cast(dtype.arrow)
    except pa.ArrowInvalid as error:
        row = _first_row(column, fails)
        if row == len(column):
            return column.take(counted(0, row)).cast(dtype.arrow)
        raise ValueTypeError(
            f"row {row}: expected {dtype.name}, found a value without exact conversion: {error}",
            row=row,
            expected=dtype.name,
        ) from None
    except pa.ArrowException as error:  # there are columns that Arrow itself cannot cast
        raise SchemaError(
            f"expected a column of {dtype.name}, found Arrow type {column.type}, which Arrow cannot cast: {error}; "
            "cast the column before"
        ) from None


def _fault(column: Any, dtype: LogicalType) -> str | None:
    """Return what is wrong with a column of the right Arrow type: nulls, times and keys."""
    if not len(column):
        return None  # and some versions of Arrow end the process when asked for the items of no list of maps
    inner = dtype
    if isinstance(dtype, OptionalType):
        inner = dtype.inner
    elif column.null_count:
        return f"expected {dtype.name}, found null; declare '{dtype.name} | None' if there may be none"
    if ends := _ENDS.get(inner):
        least, most = (pa.scalar(end, inner.arrow) for end in ends)
        if pc.any(pc.or_(pc.less(column, least), pc.greater(column, most))).as_py():
            return f"expected {inner.name}, found one outside {_REACH.get(inner, 'the years 1 to 9999')}"
    if isinstance(inner, DictType) and _has_a_key_twice(column):
        return f"expected {inner.name}, found a key twice; keep one, or make it a list of pairs"
    faults = (_fault(member, dtype) for member, dtype in _members(column, inner))
    return next((f"in {inner.name}: {fault}" for fault in faults if fault), None)


def _members(column: Any, dtype: LogicalType) -> list[tuple[Any, LogicalType]]:
    """Return what the values of a column are made of: columns, and their types."""
    match dtype:
        case ListType() | VariadicTupleType() | SetType():
            return [(pc.list_flatten(column), dtype.item)]
        case DictType():
            return list(zip(_entries(column), (dtype.key, dtype.item), strict=True))
        case TupleType():
            return list(zip(column.drop_null().flatten(), dtype.items, strict=True))
        case RecordType():
            return list(zip(column.drop_null().flatten(), dtype.members.values(), strict=True))
        case _:
            return []


def _first_row(column: pa.ChunkedArray[Any], fails: Callable[[pa.ChunkedArray[Any]], bool]) -> int:
    """Return the first row that fails, where a column fails as soon as one of its rows does."""
    # Taken, not sliced: Arrow casts the items of lists that were sliced away, too.
    return bisect_left(range(len(column)), True, key=lambda row: fails(column.take(counted(0, row + 1))))
