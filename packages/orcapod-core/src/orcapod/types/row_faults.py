"""Columns from outside of which some values are not of the declared type: all others, and why those are not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from orcapod.compute import counted, pc
from orcapod.errors import ValueTypeError
from orcapod.types.convert import conform
from orcapod.types.logical import LogicalType, OptionalType
from orcapod.types.python_columns import column_of

__all__ = ["RowFaults", "column_of_rows", "conform_rows", "converted_rows"]

RowFaults = Mapping[int, ValueTypeError]
"""Why the values of some rows are not of their type; without the row in the text."""

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
    nulls = {row: ValueTypeError(why, row=row, expected=dtype.name, found="null") for row in rows}
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
            faults[row] = ValueTypeError(str(error), **error.about(row=row))
    return OptionalType(dtype).from_python(stored), faults


def converted_rows(
    column: pa.ChunkedArray[Any], convert: Callable[[pa.ChunkedArray[Any]], pa.ChunkedArray[Any]], arrow: pa.DataType
) -> tuple[pa.ChunkedArray[Any], RowFaults]:
    """Return a column converted part by part, null where that fails, and the faults of those rows.

    Args:
        column: the column.
        convert: converts some rows, or raises a ``ValueTypeError`` that says the first row that has no conversion.
        arrow: the type that it gives.
    """
    try:
        return convert(column), {}
    except ValueTypeError as error:
        if error.row is None:
            raise
    parts: list[pa.ChunkedArray[Any]] = []
    faults: dict[int, ValueTypeError] = {}
    start = 0
    while start < len(column):
        # Taken, not sliced: Arrow casts the items of lists that were sliced away, too.
        part = column.take(counted(start, min(_ROWS, len(column) - start)))
        try:
            parts.append(convert(part))
            start += len(part)
        except ValueTypeError as error:
            row = error.row
            if row is None:
                raise
            parts += [convert(part.take(counted(0, row))), _chunked([pa.array([None], arrow)], arrow)]
            text = str(error).removeprefix(f"row {row}: ")
            start += row
            faults[start] = ValueTypeError(text, **error.about(row=start))
            start += 1
    chunks: list[Any] = [chunk for part in parts for chunk in part.chunks]
    return _chunked(chunks, arrow), faults


def _chunked(chunks: list[Any], arrow: Any) -> pa.ChunkedArray[Any]:
    column: pa.ChunkedArray[Any] = pa.chunked_array(chunks, arrow)
    return column
