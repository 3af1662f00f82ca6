"""``stored_arrays``: columns of tensors, and of lists of numbers, as columns of arrays; whole chunks at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as pat

from orcapod.compute import pc
from orcapod.errors import ValueTypeError

__all__ = ["element_dtype", "logical_shape", "stored_arrays"]


def element_dtype(arrow: Any) -> np.dtype[Any] | None:
    """Return the dtype of arrays in columns of an Arrow type; None if it is none of tensors or lists of numbers."""
    leaf = arrow.value_type if isinstance(arrow, pa.FixedShapeTensorType) or _is_list(arrow) else None
    while leaf is not None and _is_list(leaf):
        leaf = leaf.value_type
    if leaf is None or not pat.is_primitive(leaf):
        return None
    try:
        dtype = np.dtype(leaf.to_pandas_dtype())
    except TypeError:  # an instant with a zone, of which only pandas knows
        return None
    return None if dtype.hasobject else dtype


def logical_shape(tensors: Any) -> tuple[int, ...]:
    """Return the shape of the tensors of a type as one sees them, whatever order their dimensions have in memory."""
    order = tensors.permutation or range(len(tensors.shape))
    return tuple(tensors.shape[at] for at in order)


def stored_arrays(column: pa.ChunkedArray[Any], dtype: np.dtype[Any], text: str, arrow: Any) -> pa.ChunkedArray[Any]:
    """Return a column of tensors, or of lists of numbers, as the arrays that they are.

    Args:
        column: the tensors or lists.
        dtype: that of their elements.
        text: what the dtype is called at rest.
        arrow: the Arrow type of columns of arrays.

    Raises:
        ValueTypeError: a row's lists are not as long as each other, or hold a null that its dtype has no value for.
    """
    chunks, row = [], 0
    for chunk in column.chunks:
        shapes, elements = _unnested(chunk, dtype, row)
        ends = np.concatenate([[0], np.cumsum(shapes.prod(axis=1))]) * dtype.itemsize
        data = pa.Array.from_buffers(pa.large_binary(), len(chunk), [None, *map(pa.py_buffer, (ends, elements))])
        dimensions = np.arange(len(chunk) + 1) * shapes.shape[1]
        members = [
            pa.repeat(pa.scalar(text, pa.large_string()), len(chunk)),
            pa.LargeListArray.from_arrays(pa.array(dimensions, pa.int64()), pa.array(shapes.ravel(), pa.int64())),
            data,
        ]
        members += [pa.nulls(len(chunk), field.type) for field in [*arrow][len(members) :]]
        chunks.append(pa.StructArray.from_arrays(members, fields=[*arrow], mask=chunk.is_null()))
        row += len(chunk)
    return pa.chunked_array(chunks, arrow)


def _unnested(column: Any, dtype: np.dtype[Any], first_row: int) -> tuple[Any, Any]:
    """Return the shape of each row, of nothing for a null, and all elements in the order of rows."""
    part = column.storage if isinstance(column, pa.ExtensionArray) else column
    rows, counts = np.arange(len(part)), np.ones(len(part), np.int64)  # of each row, how many parts it has so far
    shapes: list[Any] = []
    while _is_list(part.type):
        lengths = pc.fill_null(pc.list_value_length(part), -1 if shapes else 0).to_numpy().astype(np.int64)
        length = np.full(len(rows), part.type.list_size if pat.is_fixed_size_list(part.type) else 0)
        length[counts > 0] = lengths[(np.cumsum(counts) - counts)[counts > 0]]
        if (uneven := (lengths < 0) | (lengths != np.repeat(length, counts))).any():
            raise _refused(first_row + int(np.repeat(rows, counts)[uneven.argmax()]), "lists of one length")
        shapes.append(length)
        counts = counts * length
        part = pc.list_flatten(part)
    if part.null_count and dtype.kind not in "fMm":
        null = part.is_null().to_numpy(zero_copy_only=False).argmax()
        raise _refused(first_row + int(np.repeat(rows, counts)[null]), f"a value of {dtype} in place of each null")
    elements = part.to_numpy(zero_copy_only=False).astype(dtype, copy=False)
    tensors: Any = column.type
    if not isinstance(tensors, pa.FixedShapeTensorType):
        return np.stack(shapes, axis=1), elements
    order = [1 + at for at in tensors.permutation or range(len(tensors.shape))]
    seen = elements.reshape(-1, *tensors.shape).transpose(0, *order)
    shape = np.where(column.is_valid().to_numpy(zero_copy_only=False)[:, None], logical_shape(tensors), 0)
    return shape, np.ascontiguousarray(seen).reshape(-1)


def _is_list(arrow: Any) -> bool:
    return pat.is_list(arrow) or pat.is_large_list(arrow) or pat.is_fixed_size_list(arrow)


def _refused(row: int, expected: str) -> ValueTypeError:
    why = f"row {row}: expected ndarray: found lists that are none, expected {expected}; mend them, or declare a list"
    return ValueTypeError(why, row=row, expected="ndarray")
