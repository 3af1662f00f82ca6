"""``value_size``: how many bytes a value takes where it is stored, for limits of stores."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.types as pat

__all__ = ["may_be_large", "value_size"]

_NUMBER_BYTES = 8


def may_be_large(type_: pa.DataType) -> bool:
    """Say whether values of a type may have any size: texts, bytes, and what holds others."""
    return pat.is_nested(type_) or not pat.is_primitive(type_)


def value_size(value: Any) -> int:
    """Return about how many bytes a value takes, in the form that Arrow stores; of a text, at least."""
    match value:
        case str() | bytes() | bytearray():
            return len(value)
        case list() | tuple():
            if value and type(value[0]) in (int, float, bool):
                return _NUMBER_BYTES * len(value)
            return sum(map(value_size, value))
        case dict():
            return sum(map(value_size, value)) + sum(map(value_size, value.values()))
        case _:
            return _NUMBER_BYTES
