"""``value_size``: how many bytes a value takes where it is stored, for limits of stores."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.types as pat

from orcapod.display import shown
from orcapod.errors import SchemaError

__all__ = ["check_fixed_size", "may_be_large", "value_size"]

_NUMBER_BYTES = 8
_LENGTH_BYTES = 9  # of a member of a list or struct: whether it is null, and how long it is

_MOST_FIXED_BYTES = 64 << 20


def check_fixed_size(type_: pa.DataType) -> None:
    """Check that a null does not take absurdly much memory, as it does where values are of a fixed size.

    Raises:
        SchemaError: it does.
    """
    if (size := _fixed_bytes(type_)) > _MOST_FIXED_BYTES:
        raise SchemaError(
            f"expected values of at most {_MOST_FIXED_BYTES >> 20} MB if they are of a fixed size, since each null "
            f"takes as much, found {size} bytes for each of {shown(str(type_))}; use lists or bytes of any length"
        )


def _fixed_bytes(type_: Any) -> int:
    """Return how many bytes a null of a type takes in memory, besides those of its own offset."""
    if isinstance(type_, pa.BaseExtensionType):
        return _fixed_bytes(type_.storage_type)
    if pat.is_fixed_size_binary(type_):
        return int(type_.byte_width)
    if pat.is_fixed_size_list(type_):
        return int(type_.list_size) * max(1, _fixed_bytes(type_.value_type))
    if pat.is_struct(type_):
        return sum(_fixed_bytes(field.type) for field in type_)
    return _NUMBER_BYTES if pat.is_primitive(type_) else 0


def may_be_large(type_: pa.DataType) -> bool:
    """Say whether values of a type may have any size: texts, bytes, and what holds others."""
    return pat.is_nested(type_) or not pat.is_primitive(type_)


def value_size(value: Any) -> int:
    """Return how many bytes a value takes where it is stored, at least; it is as Arrow stores it."""
    match value:
        case str():
            return len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))
        case bytes() | bytearray() | memoryview():
            return len(value)
        case list() | tuple():
            if value and type(value[0]) in (int, float, bool):
                return (_NUMBER_BYTES + (None in value)) * len(value)
            return _LENGTH_BYTES * len(value) + sum(map(value_size, value))
        case dict():
            return _LENGTH_BYTES * len(value) + sum(
                map(value_size, value.values())
            )  # a struct, whose names are not stored
        case _:
            return _NUMBER_BYTES
