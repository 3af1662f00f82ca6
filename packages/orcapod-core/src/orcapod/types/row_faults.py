"""Columns from outside of which some values are not of the declared type: all others, and why those are not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import pyarrow as pa

from orcapod.compute import counted, pc
from orcapod.errors import ValueTypeError
from orcapod.types.convert import conform
from orcapod.types.logical import LogicalType, OptionalType
from orcapod.types.python_columns import column_of

__all__ = ["RowFaults", "column_of_rows", "conform_rows", "converted_rows"]

RowFaults = Mapping[int, ValueTypeError]
"""Why the values of some rows are not of their type, by row; the error itself does not say which row it is."""

_ROWS = 4096


def conform_rows(column: pa.ChunkedArray[Any], dtype: LogicalType) -> tuple[pa.ChunkedArray[Any], RowFaults]:
    """Return what ``conform`` does, null where a value has no exact conversion, and the faults of those rows.

    Raises:
        SchemaError: columns of this Arrow type are no columns of the logical type.
    """
    optional = dtype if isinstance(dtype, OptionalType) else OptionalType(dtype)
    conformed, faults = converted_rows(column, lambda part: conform(part, optional), dtype.arrow)
    if optional is dtype or not conformed.null_count:
        return conformed, faults
    why = f"expected {dtype.name}, found null; declare '{optional.name}' if there may be none"
    rows: list[Any] = pc.indices_nonzero(conformed.is_null()).to_pylist()
    nulls = {row: ValueTypeError(why, expected=dtype.name, found="null") for row in rows}
    return conformed, {**nulls, **faults}


def column_of_rows(values: Sequence[Any], dtype: LogicalType) -> tuple[pa.Array[Any], RowFaults]:
    """Return what ``column_of`` does, null where a value is not of the type, and the faults of those rows."""
    try:
        return column_of(values, dtype), {}
    except ValueTypeError:
        pass
    stored: list[Any] = []
    faults: dict[int, ValueTypeError] = {}
    for row, value in enumerate(values):
        try:
            stored.append(dtype.to_storage(value))
        except ValueTypeError as error:
            stored.append(None)
            faults[row] = error.with_traceback(None)
    return OptionalType(dtype).from_python(stored), faults


def converted_rows(
    column: pa.ChunkedArray[Any], convert: Callable[[pa.ChunkedArray[Any]], pa.ChunkedArray[Any]], arrow: pa.DataType
) -> tuple[pa.ChunkedArray[Any], RowFaults]:
    """Return a column converted part by part, null where that fails, and the faults of those rows.

    Args:
        column: the column.
        convert: converts some rows, or raises a ``ValueTypeError``.
        arrow: the type that it gives.
    """
    with suppress(ValueTypeError):
        return convert(column), {}
    parts: list[Any] = []
    faults: dict[int, ValueTypeError] = {}
    spans = [(start, min(_ROWS, len(column) - start)) for start in reversed(range(0, len(column), _ROWS))]
    while spans:
        start, length = spans.pop()
        try:
            # Taken, not sliced: Arrow casts the items of lists that were sliced away, too.
            parts += convert(column.take(counted(start, length))).chunks
        except ValueTypeError as error:
            if length > 1:
                half = length // 2
                spans += [(start + half, length - half), (start, half)]
                continue
            parts.append(pa.array([None], arrow))
            faults[start] = ValueTypeError(str(error).removeprefix("row 0: "), **error.about())
    return pa.chunked_array([pa.concat_arrays(parts)]), faults
