"""Conversion of Arrow columns to Delta, which knows fewer types, and back as they were.

What Delta holds exactly is stored as itself, so that other tools read it; what it lacks as the nearest type
that holds every value, and the rest as the canonical bytes of ``orcapod.types``:

    as itself           bool, int8-int64, float32, float64, text, bytes, date32, timestamps in microseconds
                        with a time zone, decimals of up to 38 digits; lists, structs and maps of these
    wider integers      uint8, uint16, uint32; uint64 as decimal(20,0)
    float32             float16
    bytes               bytes of fixed size
    ticks, as integers  other timestamps, times, durations, date64
    what is inside      dictionary, run-end encoded and extension types
    text, always null   null
    canonical bytes     intervals, wider decimals, other nested types
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pyarrow as pa

from orcapod.compute import pc
from orcapod.types import check_fixed_size, decode, encode

__all__ = ["StoredColumn", "stored_column"]

_UTC = pa.timestamp("us", "UTC")
_AS_ITSELF = {
    pa.bool_(),
    pa.int8(),
    pa.int16(),
    pa.int32(),
    pa.int64(),
    pa.float32(),
    pa.float64(),
    pa.string(),
    pa.large_string(),
    pa.binary(),
    pa.large_binary(),
    pa.date32(),
    _UTC,
}
_WIDER: dict[pa.DataType, pa.DataType] = {
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.decimal128(20, 0),
    pa.float16(): pa.float32(),
    pa.string_view(): pa.large_string(),
    pa.binary_view(): pa.large_binary(),
}
_FIELD_NAME = re.compile(r"[\w:-]+")
_MAX_DIGITS = 38


@dataclass(frozen=True, slots=True)
class StoredColumn:
    """Conversion of values of one Arrow type to Delta and back.

    Attributes:
        type: the type that is written.
        to_store: an array as one of that type.
        from_store: an array of that type, or of one that Delta takes for the same, as it went in.
    """

    type: pa.DataType
    to_store: Callable[[pa.Array[Any]], pa.Array[Any]]
    from_store: Callable[[pa.Array[Any]], pa.Array[Any]]


@lru_cache(maxsize=512)
def stored_column(type_: pa.DataType) -> StoredColumn:
    """Return the conversion of values of a type.

    Raises:
        SchemaError: they cannot be stored (unions, and what is of a large fixed size).
    """
    check_fixed_size(type_)
    if (flat := _flat(type_)) is not None:
        return flat
    if (nested := _nested(type_)) is not None:
        return StoredColumn(
            nested, lambda array: _cast(_compact(array), nested), lambda array: _cast(_compact(array), type_)
        )
    any_type: Any = type_
    encode(pa.nulls(0, any_type))  # refuses what cannot be stored
    return StoredColumn(pa.large_binary(), _payloads, lambda array: decode(array.cast(pa.large_binary()), type_))


def _flat(type_: Any) -> StoredColumn | None:
    """Return the conversion of a type that is not nested and needs no canonical bytes."""
    if type_ in _AS_ITSELF or (pa.types.is_decimal128(type_) and 0 <= type_.scale <= type_.precision):
        return _by_cast(type_, type_)
    if type_ in _WIDER:
        return _by_cast(type_, _WIDER[type_])
    if pa.types.is_fixed_size_binary(type_):
        return _by_cast(type_, pa.large_binary())
    if pa.types.is_decimal(type_) and type_.precision <= _MAX_DIGITS and 0 <= type_.scale <= type_.precision:
        return _by_cast(type_, pa.decimal128(type_.precision, type_.scale))
    if pa.types.is_null(type_):
        text = pa.large_string()
        return StoredColumn(text, lambda array: pa.nulls(len(array), text), lambda array: pa.nulls(len(array)))
    if pa.types.is_temporal(type_) and not pa.types.is_interval(type_):
        stored = _UTC if pa.types.is_timestamp(type_) and type_.unit == "us" and type_.tz else _ticks(type_)
        return StoredColumn(stored, lambda array: array.view(stored), lambda array: _cast(array, stored).view(type_))
    return _unwrapped(type_)


def _ticks(type_: Any) -> pa.DataType:
    return pa.int32() if type_.bit_width == 32 else pa.int64()


def _by_cast(type_: pa.DataType, stored: pa.DataType) -> StoredColumn:
    return StoredColumn(stored, lambda array: _cast(array, stored), lambda array: _cast(array, type_))


def _unwrapped(type_: Any) -> StoredColumn | None:
    """Return the conversion of extension, dictionary and run-end encoded types to flat ones."""
    unwrap: Callable[[Any], pa.Array[Any]]
    wrap: Callable[[pa.Array[Any]], pa.Array[Any]]
    if isinstance(type_, pa.BaseExtensionType):
        inside, unwrap = _flat(type_.storage_type), lambda array: array.storage
        wrap = lambda array: pa.ExtensionArray.from_storage(type_, array)  # noqa: E731  # its neighbour's shape
    elif pa.types.is_dictionary(type_):
        inside, unwrap = _flat(type_.value_type), lambda array: array.dictionary_decode()
        wrap = lambda array: _as_dictionary(array, type_)  # noqa: E731
    elif pa.types.is_run_end_encoded(type_):
        inside, unwrap = _flat(type_.value_type), pc.run_end_decode
        wrap = lambda array: pc.run_end_encode(array, run_end_type=type_.run_end_type)  # noqa: E731
    else:
        return None
    if inside is None:
        return None
    to_store, from_store = inside.to_store, inside.from_store
    return StoredColumn(inside.type, lambda array: to_store(unwrap(array)), lambda array: wrap(from_store(array)))


def _as_dictionary(array: pa.Array[Any], type_: Any) -> pa.Array[Any]:
    encoded: Any = array.dictionary_encode()
    return pa.DictionaryArray.from_arrays(
        encoded.indices.cast(type_.index_type), encoded.dictionary, ordered=type_.ordered
    )


def _nested(type_: Any) -> pa.DataType | None:
    """Return the nested type that Delta holds and a cast leads to and back from; None without such."""
    if pa.types.is_map(type_):
        key, item = _inside(pa.field("key", type_.key_type)), _inside(type_.item_field)
        return None if key is None or item is None or pa.types.is_nested(key) else pa.map_(key, item)
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        item = _inside(type_.value_field)
        make = pa.list_ if pa.types.is_list(type_) else pa.large_list
        return None if item is None else make(item)
    if pa.types.is_struct(type_) and type_.num_fields:
        names = [field.name for field in type_]
        items = [_inside(field) for field in type_]
        if len({name.casefold() for name in names}) == len(names) and all(map(_FIELD_NAME.fullmatch, names)):
            fields = [pa.field(name, item) for name, item in zip(names, items, strict=True) if item is not None]
            return pa.struct(fields) if len(fields) == len(names) else None
    return None


def _inside(field: Any) -> pa.DataType | None:
    """Return what a nested field becomes; None if its values would need more than a cast."""
    type_ = field.type
    if not field.nullable:
        return None  # a cast does not lead back to it
    if type_ in _AS_ITSELF or (pa.types.is_decimal128(type_) and 0 <= type_.scale <= type_.precision):
        found: pa.DataType = type_
        return found
    if type_ in (pa.uint8(), pa.uint16(), pa.uint32()):
        return _WIDER[type_]
    if pa.types.is_timestamp(type_) and type_.unit == "us" and type_.tz:
        return _UTC
    return _nested(type_)


def _cast(array: pa.Array[Any], type_: pa.DataType) -> pa.Array[Any]:
    return array if array.type == type_ else array.cast(type_)


def _compact(array: pa.Array[Any]) -> pa.Array[Any]:
    """Return the values without what lies around a slice, which casts of nested values trip over."""
    return array.take(pa.array(range(len(array)), pa.int64())) if array.offset else array


def _payloads(array: pa.Array[Any]) -> pa.Array[Any]:
    payloads = encode(array)
    if array.null_count:
        nothing: Any = pa.scalar(None, payloads.type)
        payloads = pc.if_else(array.is_valid(), payloads, nothing)
    return payloads
