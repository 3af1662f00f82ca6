"""``value_size``: how many bytes a value takes where it is stored, for limits of stores."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.types as pat

__all__ = ["may_be_large", "value_size"]

_NUMBER_BYTES = 8
_LENGTH_BYTES = 9  # of a member of a list or struct: whether it is null, and how long it is


def may_be_large(type_: pa.DataType) -> bool:
    """Say whether values of a type may have any size: texts, bytes, and what holds others."""
    return pat.is_nested(type_) or not pat.is_primitive(type_)


def value_size(value: Any) -> int:
    """Return how many bytes a value takes where it is stored, at least; it is as Arrow stores it."""
    match value:
        case str():
            return len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))
        case bytes() | bytearray():
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
