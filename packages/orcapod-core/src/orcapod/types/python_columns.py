"""Columns of Python values, checked against their declared type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from orcapod.errors import ValueTypeError
from orcapod.types.large import holds_kept, identified, large_parts
from orcapod.types.logical import LogicalType

__all__ = ["column_of"]

_AS_THEY_ARE = frozenset({"bool", "int", "float", "str", "bytes", "date"})


def column_of(values: Sequence[Any], dtype: LogicalType) -> pa.Array[Any]:
    """Return the values as one Arrow column of a logical type.

    Raises:
        ValueTypeError: a value is not of the type; the message starts with its row.
    """
    inner = dtype.non_null
    if inner.name in _AS_THEY_ARE and _all_of(values, inner, optional=inner is not dtype):
        try:
            return dtype.from_python(values)
        except (OverflowError, UnicodeEncodeError):
            pass  # the loop below says which row it is
    stored = []
    for row, value in enumerate(values):
        try:
            stored.append(dtype.to_storage(value))
        except ValueTypeError as error:
            raise ValueTypeError(f"row {row}: {error}", **error.about(row=row)) from None
    for value in stored if holds_kept(dtype.arrow) else ():
        for part in large_parts(value, dtype.arrow):
            identified(part)
    return dtype.from_python(stored)


def _all_of(values: Sequence[Any], scalar: LogicalType, *, optional: bool) -> bool:
    classes = set(map(type, values))
    if optional:
        classes.discard(type(None))
    return classes <= {scalar.annotation}
