"""Canonical bytes of Arrow columns, and back: what rows are hashed by and how SQL stores hold nested values.

The format is frozen: bytes written by any version are read, and hashed, the same by all later ones.
The *payload* of a value depends on its type and on nothing else (not on slicing, chunking, or what
lies in memory under a null):

    fixed width    bool: 00 or 01; integers, floats, decimals, dates, times, timestamps, durations,
                   intervals: their little-endian bytes. All NaNs are one quiet NaN; -0.0 is not 0.0.
    text, bytes    u64 length, then the bytes; so too for fixed-size binary
    lists          u64 count, u8 has_nulls, if it has nulls `count` bytes (01 = present), then the
                   payloads of the items; a null item of fixed width is zeros, any other nothing
    struct         for every field in order: 00 for null, or 01 and its payload
    map            u64 count, then for every entry: the key's payload, then 00, or 01 and the item's
    null           nothing
    dictionary, run-end encoded, extension: the payload of the value they stand for

Numbers are little-endian. Of one type, different values have different payloads, and no payload is
the beginning of another. A null has the payload ``b""``: whoever joins payloads puts a tag before them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import pyarrow as pa

from orcapod.arrow import array_of, scalar_of
from orcapod.compute import pc
from orcapod.errors import SchemaError, ValueTypeError
from orcapod.types.codec_reader import byte_width, is_bytes_like, is_list_like, reader_of, unwrapped_type, wrapped

__all__ = ["decode", "encode", "payloads"]

_NOTHING = pa.py_buffer(b"")
_EMPTY = scalar_of(b"", pa.large_binary())
_ABSENT = scalar_of(b"\x00", pa.large_binary())
_PRESENT = scalar_of(b"\x01", pa.large_binary())
_INTEGERS = {1: pa.int8(), 2: pa.int16(), 4: pa.int32(), 8: pa.int64()}
_FLOAT_BITS = {  # width: (all but the sign, infinity, the quiet NaN)
    2: (0x7FFF, 0x7C00, 0x7E00),
    4: (0x7FFFFFFF, 0x7F800000, 0x7FC00000),
    8: (0x7FFFFFFFFFFFFFFF, 0x7FF0000000000000, 0x7FF8000000000000),
}
_CACHED_STEPS = 1 << 16


def encode(array: pa.Array[Any]) -> pa.Array[Any]:
    """Return the payload of every value of a column; of a null ``b""``, never null.

    Raises:
        SchemaError: the type has no canonical bytes (unions).
    """
    array = _unwrapped(array)
    type_: Any = array.type
    if pa.types.is_null(type_):
        return _empties(len(array))
    if (width := byte_width(type_)) is not None:
        return _present(array, _binary(len(array), _steps(len(array), width), _fixed_bytes(array, width)))
    if is_bytes_like(type_):
        return _encode_bytes(array)
    if pa.types.is_struct(type_):
        return _present(array, _encode_fields(array))
    if pa.types.is_map(type_):
        return _present(array, _encode_maps(array))
    if is_list_like(type_):
        return _present(array, _encode_lists(array))
    raise SchemaError(f"values of the type {type_} have no canonical bytes; use a struct with one nullable field each")


def decode(values: Sequence[bytes | None] | pa.Array[Any], type_: pa.DataType) -> pa.Array[Any]:
    """Return the column of ``type_`` with these payloads; None, or a null, is null. Undoes ``encode``.

    Raises:
        ValueTypeError: these bytes are not payloads of that type.
    """
    column = values.cast(pa.large_binary()) if isinstance(values, pa.Array) else array_of(values, pa.large_binary())
    if column.offset:
        column = pa.concat_arrays([column, column[:0]])
    inner = unwrapped_type(type_)
    if inner is not None:
        return wrapped(decode(column, inner), type_)
    if pa.types.is_null(type_):
        return pa.nulls(len(column))
    if (width := byte_width(type_)) is not None:
        return _decode_fixed(column, type_, width)
    if is_bytes_like(type_):
        return _decode_bytes(column, type_)
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        lists = _decode_plain_lists(column, type_)
        if lists is not None:
            return lists
    reader = reader_of(type_)
    for value in column.to_pylist():
        if value is None:
            reader.null()
        elif reader.read(value, 0) != len(value):
            raise ValueTypeError(f"expected the bytes of one {type_}, found {len(value)} bytes that end elsewhere")
    return reader.finish()


def _unwrapped(array: pa.Array[Any]) -> pa.Array[Any]:
    """Return the same values without the layers of extension, dictionary and run-end encoding."""
    while True:
        if isinstance(array, pa.ExtensionArray):
            array = array.storage
        elif isinstance(array, pa.DictionaryArray):
            array = array.dictionary_decode()
        elif pa.types.is_run_end_encoded(array.type):
            array = pc.run_end_decode(array)
        else:
            return array


def _binary(length: int, offsets: pa.Buffer, data: pa.Buffer | None) -> pa.Array[Any]:
    return pa.Array.from_buffers(pa.large_binary(), length, [None, offsets, data or _NOTHING], 0)


def _values_buffer(array: pa.Array[Any], width: int) -> pa.Buffer:
    buffer = array.buffers()[1]
    return _NOTHING if buffer is None else buffer.slice(array.offset * width, len(array) * width)


def _empties(length: int) -> pa.Array[Any]:
    return _binary(length, _values_buffer(pa.repeat(scalar_of(0, pa.int64()), length + 1), 8), None)


def _joined(*parts: pa.Array[Any] | pa.Scalar[Any], between: pa.Scalar[Any] = _EMPTY) -> pa.Array[Any]:
    joined: pa.Array[Any] = pc.binary_join_element_wise(*parts, between)
    return joined


def _present(array: pa.Array[Any], payloads: pa.Array[Any]) -> pa.Array[Any]:
    return payloads if array.null_count == 0 else pc.if_else(array.is_valid(), payloads, _EMPTY)


def _progression(length: int, step: int) -> pa.Buffer:
    repeated = pa.repeat(scalar_of(step, pa.int64()), length + 1)
    return _values_buffer(pc.cumulative_sum(repeated, start=scalar_of(-step, pa.int64())), 8)


_cached_progression = lru_cache(maxsize=8)(_progression)


def _steps(length: int, step: int) -> pa.Buffer:
    """Return the offsets 0, step, 2 * step, ... of ``length`` values."""
    if length <= _CACHED_STEPS:
        return _cached_progression(_CACHED_STEPS, step).slice(0, 8 * (length + 1))
    return _progression(length, step)


def _sums(counts: pa.Array[Any]) -> pa.Array[Any]:
    """Return running sums of int64 counts, from 0."""
    return pa.concat_arrays([array_of([0], pa.int64()), pc.cumulative_sum(counts)])


def _words(numbers: pa.Array[Any]) -> pa.Array[Any]:
    """Return every int64 as its eight bytes."""
    return _binary(len(numbers), _steps(len(numbers), 8), _values_buffer(numbers, 8))


def _fixed_bytes(array: pa.Array[Any], width: int) -> pa.Buffer:
    """Return ``width`` bytes for every value, zeros for a null; copied only where something changes."""
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.uint8())
    buffers, floating = array.buffers(), pa.types.is_floating(array.type)
    integer = _INTEGERS.get(width, pa.binary(width))
    array = pa.Array.from_buffers(integer, len(array), buffers, array.null_count, array.offset)
    if array.null_count:
        array = pc.fill_null(array, scalar_of(bytes(width) if width not in _INTEGERS else 0, integer))
    if floating:
        magnitude, infinity, quiet = (scalar_of(bits, integer) for bits in _FLOAT_BITS[width])
        nan = pc.greater(pc.bit_wise_and(array, magnitude), infinity)
        if pc.any(nan).as_py():
            array = pc.if_else(nan, quiet, array)
    return _values_buffer(array, width)


def _encode_bytes(array: pa.Array[Any]) -> pa.Array[Any]:
    array = array.cast(pa.large_binary())
    lengths = _zero_filled(pc.binary_length(array))
    joined = _joined(_words(lengths), array)
    return joined if array.null_count == 0 else pc.fill_null(joined, _EMPTY)


def _long(number: int) -> Any:
    return scalar_of(number, pa.int64())


def _zero_filled(lengths: pa.Array[Any]) -> pa.Array[Any]:
    filled: pa.Array[Any] = pc.fill_null(lengths, scalar_of(0, lengths.type))
    return filled


def _tagged(array: pa.Array[Any]) -> list[pa.Array[Any] | pa.Scalar[Any]]:
    """Return 00 for a null, 01 and the payload for the rest, as columns to be joined."""
    if array.null_count == 0:
        return [_PRESENT, encode(array)]
    return [pc.if_else(array.is_valid(), _PRESENT, _ABSENT), encode(array)]


def _encode_fields(array: Any) -> pa.Array[Any]:
    parts = [part for field in array.flatten() for part in _tagged(_unwrapped(field))]
    return _joined(*parts) if parts else _empties(len(array))


def _encode_maps(array: Any) -> pa.Array[Any]:
    entry = pa.struct([pa.field("key", array.type.key_type), pa.field("item", array.type.item_type)])
    entries = pa.StructArray.from_arrays([array.keys, array.items], fields=list(entry))
    buffers = array.buffers()[
        :2
    ]  # not a cast to lists: of slices with fixed-size lists in them it makes invalid arrays
    lists: Any = pa.Array.from_buffers(pa.list_(entry), len(array), buffers, -1, array.offset, [entries])
    counts = _zero_filled(pc.list_value_length(lists)).cast(pa.int64())
    keys, items = lists.flatten().flatten()
    blocks = _blocks(_joined(encode(keys), *_tagged(_unwrapped(items))), _sums(counts))
    return _joined(_words(counts), blocks)


def _blocks(payloads: pa.Array[Any], offsets: pa.Array[Any]) -> pa.Array[Any]:
    """Return the payloads between each two offsets as one value; nothing is copied."""
    _, starts, data = payloads.buffers()
    ends = pa.Array.from_buffers(pa.int64(), len(payloads) + 1, [None, starts], 0, payloads.offset)
    return _binary(len(offsets) - 1, _values_buffer(ends.take(offsets), 8), data)


def _fixed_blocks(data: pa.Buffer, width: int, offsets: pa.Array[Any]) -> pa.Array[Any]:
    return _binary(len(offsets) - 1, _values_buffer(pc.multiply(offsets, _long(width)), 8), data)


def _encode_lists(array: Any) -> pa.Array[Any]:
    items = _unwrapped(array.flatten())
    counts = _zero_filled(pc.list_value_length(array)).cast(pa.int64())
    offsets = _sums(counts)
    width = byte_width(items.type)
    if width is None:
        blocks = _blocks(encode(items), offsets)
    else:
        blocks = _fixed_blocks(_fixed_bytes(items, width), width, offsets)
    nulls = items.is_null()
    if not pc.any(nulls).as_py():
        return _joined(_words(counts), blocks, between=_ABSENT)
    before = _sums(nulls.cast(pa.int64())).take(offsets)
    ragged = pc.not_equal(before[1:], before[:-1])
    valid = _fixed_blocks(_values_buffer(items.is_valid().cast(pa.uint8()), 1), 1, offsets)
    flags = pc.if_else(ragged, _PRESENT, _ABSENT)
    validity = pc.if_else(ragged, valid, _EMPTY)
    return _joined(_words(counts), flags, validity, blocks)


def _all(truths: pa.BooleanArray) -> bool:
    return bool(pc.all(truths, min_count=0).as_py())


def payloads(array: pa.Array[Any]) -> pa.Buffer:
    """Return the payloads of the values of a column, one after the other; a null has none."""
    array = _unwrapped(array)
    width = None if array.null_count else byte_width(array.type)
    return contents(encode(array)) if width is None else _fixed_bytes(array, width)


def contents(column: pa.Array[Any]) -> pa.Buffer:
    """Return the bytes of all values one after the other."""
    _, offsets, data = column.buffers()
    if data is None or len(column) == 0:
        return _NOTHING
    ends = pa.Array.from_buffers(pa.int64(), len(column) + 1, [None, offsets], 0, column.offset)
    return data.slice(ends[0].as_py(), ends[-1].as_py() - ends[0].as_py())


def _validity(column: pa.Array[Any]) -> pa.Buffer | None:
    return column.buffers()[0] if column.null_count else None


def _decode_fixed(column: pa.Array[Any], type_: pa.DataType, width: int) -> pa.Array[Any]:
    filled = pc.fill_null(column, scalar_of(bytes(width), pa.large_binary())) if column.null_count else column
    if not _all(pc.equal(pc.binary_length(filled), _long(width))):
        raise ValueTypeError(f"expected {width} bytes for every {type_}, found values of another length")
    stored = pa.uint8() if pa.types.is_boolean(type_) else type_
    array = pa.Array.from_buffers(stored, len(column), [_validity(column), contents(filled)])
    return array if stored == type_ else array.cast(type_)


def _numbers(column: pa.Array[Any]) -> pa.Array[Any]:
    """Return the first eight bytes of every value as int64, 0 for a null."""
    heads = pc.fill_null(pc.binary_slice(column, 0, 8), scalar_of(bytes(8), pa.large_binary()))
    return _decode_fixed(heads, pa.int64(), 8)


def _decode_bytes(column: pa.Array[Any], type_: pa.DataType) -> pa.Array[Any]:
    lengths = pc.fill_null(pc.binary_length(column), _long(8))
    if not _all(pc.equal(_numbers(column), pc.subtract(lengths, _long(8)))):
        raise ValueTypeError(f"expected a length and as many bytes for every {type_}, found another number of bytes")
    bodies: pa.Array[Any] = pc.binary_replace_slice(column, 0, 8, b"")
    return bodies.cast(type_)


def _decode_plain_lists(column: pa.Array[Any], type_: Any) -> pa.Array[Any] | None:
    """Decode lists of fixed-width values without nulls, column-wise; None if these are no such."""
    item = type_.value_type
    width = byte_width(item)
    flags = pc.binary_slice(column, 8, 9)
    if width is None or not _all(pc.equal(flags, _ABSENT)):
        return None
    counts = _numbers(column)
    lengths = pc.fill_null(pc.binary_length(column), _long(9))
    if not _all(pc.equal(lengths, pc.add(pc.multiply(counts, _long(width)), _long(9)))):
        raise ValueTypeError(f"expected a count and as many items for every {type_}, found another number of bytes")
    bodies = pc.binary_replace_slice(column, 0, 9, b"")
    data = contents(pc.fill_null(bodies, _EMPTY))
    stored = pa.uint8() if pa.types.is_boolean(item) else item
    items = pa.Array.from_buffers(stored, data.size // width, [None, data], 0)
    items = items if stored == item else items.cast(item)
    offsets = _sums(counts).cast(pa.int32() if pa.types.is_list(type_) else pa.int64())
    buffers = [_validity(column), _values_buffer(offsets, 4 if pa.types.is_list(type_) else 8)]
    return pa.Array.from_buffers(type_, len(column), buffers, children=[items])
