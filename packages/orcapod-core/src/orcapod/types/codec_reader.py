"""Readers of payloads of ``types.codec`` one after the other, for types without a column-wise way.

A reader gathers the values of one type and gives back a column at the end; the readers of nested types
hold those of their children. What is asked of a type, both ways, is at the top.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array as numbers
from itertools import accumulate
from struct import Struct, error
from typing import Any

import pyarrow as pa

from orcapod.compute import pc
from orcapod.errors import SchemaError, ValueTypeError

__all__ = ["Reader", "byte_width", "is_bytes_like", "is_list_like", "reader_of", "unwrapped_type", "wrapped"]

_U64 = Struct("<Q")
_MOST_WITHOUT_BYTES = 1 << 26
"""The most items that a column of lists may have of which there is not one byte."""


def byte_width(type_: pa.DataType) -> int | None:
    """Return how many bytes each value has, if that is the same for all."""
    if pa.types.is_boolean(type_):
        return 1
    if pa.types.is_primitive(type_) or pa.types.is_decimal(type_):
        return int(type_.bit_width) // 8
    return None


def is_bytes_like(type_: pa.DataType) -> bool:
    """Say whether values are text or bytes of any length, or bytes of a fixed length."""
    return any(
        test(type_)
        for test in (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_binary,
            pa.types.is_large_binary,
            pa.types.is_fixed_size_binary,
            pa.types.is_string_view,
            pa.types.is_binary_view,
        )
    )


def is_list_like(type_: pa.DataType) -> bool:
    """Say whether values are lists, of any length or of a fixed one; maps are not."""
    return any(
        test(type_)
        for test in (
            pa.types.is_list,
            pa.types.is_large_list,
            pa.types.is_fixed_size_list,
            pa.types.is_list_view,
            pa.types.is_large_list_view,
        )
    )


def unwrapped_type(type_: Any) -> pa.DataType | None:
    """Return the type inside a layer of extension, dictionary or run-end encoding; None without one."""
    inner: pa.DataType | None = None
    if isinstance(type_, pa.BaseExtensionType):
        inner = type_.storage_type
    elif pa.types.is_dictionary(type_) or pa.types.is_run_end_encoded(type_):
        inner = type_.value_type
    return inner


def wrapped(array: pa.Array[Any], type_: Any) -> pa.Array[Any]:
    """Return an array of ``unwrapped_type(type_)`` as one of ``type_``."""
    if isinstance(type_, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(type_, array)
    if pa.types.is_run_end_encoded(type_):
        runs: pa.Array[Any] = pc.run_end_encode(array, run_end_type=type_.run_end_type)
        return runs
    try:
        encoded = array.dictionary_encode()
        indices, dictionary = encoded.indices, encoded.dictionary
    except pa.ArrowNotImplementedError:  # nested values: Arrow cannot tell them apart, so each is its own entry
        indices = pc.if_else(array.is_valid(), pa.array(range(len(array)), pa.int64()), None)
        dictionary = array
    try:
        indices = indices.cast(type_.index_type)
    except pa.ArrowInvalid:
        raise SchemaError(
            f"{len(dictionary)} different values do not fit {type_}; use a wider index type than {type_.index_type}"
        ) from None
    return pa.DictionaryArray.from_arrays(indices, dictionary, ordered=type_.ordered)


def reader_of(type_: Any) -> Reader:
    """Return an empty reader of that type.

    Raises:
        SchemaError: the type has no canonical bytes (unions).
    """
    inner = unwrapped_type(type_)
    if inner is not None:
        return _WrappedReader(type_, reader_of(inner))
    if pa.types.is_null(type_):
        return _NullReader(type_)
    if (width := byte_width(type_)) is not None:
        return _FixedReader(type_, width)
    if is_bytes_like(type_):
        return _BytesReader(type_)
    if pa.types.is_struct(type_):
        return _StructReader(type_, [reader_of(field.type) for field in type_])
    if pa.types.is_map(type_):
        return _MapReader(type_, reader_of(type_.key_type), reader_of(type_.item_type))
    if is_list_like(type_):
        return _ListReader(type_, reader_of(type_.value_type))
    raise SchemaError(f"values of the type {type_} have no canonical bytes; use a struct with one nullable field each")


class Reader(ABC):
    """Builder of a column of one type from payloads."""

    def __init__(self, type_: pa.DataType) -> None:
        self._type: Any = type_
        self._valid = bytearray()

    @abstractmethod
    def read(self, blob: bytes, at: int) -> int:
        """Take the payload that begins at ``at``; give back where it ends."""

    def null(self) -> None:
        """Take a null, of which there is no payload."""
        self._valid.append(0)

    def run(self, blob: bytes, at: int, valid: bytes) -> int:
        """Take the items of a list, one for every byte of ``valid``; give back where they end."""
        for present in valid:
            if present:
                at = self.read(blob, at)
            else:
                self.null()
        return at

    @abstractmethod
    def finish(self) -> pa.Array[Any]:
        """Return all that was taken, as one column."""

    def _validity(self) -> pa.Buffer | None:
        if 0 not in self._valid:
            return None
        flags = pa.Array.from_buffers(pa.uint8(), len(self._valid), [None, pa.py_buffer(self._valid)])
        return flags.cast(pa.bool_()).buffers()[1]

    def _assembled(self, buffers: list[pa.Buffer | None], children: list[pa.Array[Any]]) -> pa.Array[Any]:
        return pa.Array.from_buffers(self._type, len(self._valid), [self._validity(), *buffers], children=children)


class _WrappedReader(Reader):
    def __init__(self, type_: pa.DataType, inner: Reader) -> None:
        super().__init__(type_)
        self._inner = inner
        self.read = inner.read  # type: ignore[method-assign]
        self.null = inner.null  # type: ignore[method-assign]
        self.run = inner.run  # type: ignore[method-assign]

    def read(self, blob: bytes, at: int) -> int:
        return self._inner.read(blob, at)

    def finish(self) -> pa.Array[Any]:
        return wrapped(self._inner.finish(), self._type)


class _NullReader(Reader):
    def read(self, blob: bytes, at: int) -> int:
        self.null()
        return at

    def finish(self) -> pa.Array[Any]:
        return pa.nulls(len(self._valid))


class _FixedReader(Reader):
    def __init__(self, type_: pa.DataType, width: int) -> None:
        super().__init__(type_)
        self._width = width
        self._data = bytearray()

    def read(self, blob: bytes, at: int) -> int:
        return self.run(blob, at, b"\x01")

    def null(self) -> None:
        self._valid.append(0)
        self._data += bytes(self._width)

    def run(self, blob: bytes, at: int, valid: bytes) -> int:
        end = at + len(valid) * self._width
        self._valid += valid
        self._data += blob[at:end]
        return end

    def finish(self) -> pa.Array[Any]:
        length = len(self._valid)
        if len(self._data) != length * self._width:
            raise ValueTypeError(f"expected {length * self._width} bytes of {self._type}, found {len(self._data)}")
        if not pa.types.is_boolean(self._type):
            return self._assembled([pa.py_buffer(self._data)], [])
        flags = pa.Array.from_buffers(pa.uint8(), length, [self._validity(), pa.py_buffer(self._data)])
        return flags.cast(pa.bool_())


class _BytesReader(Reader):
    def __init__(self, type_: pa.DataType) -> None:
        super().__init__(type_)
        self._values: list[bytes | None] = []

    def read(self, blob: bytes, at: int) -> int:
        start = at + 8
        end = start + _number(blob, at)
        self._values.append(blob[start:end])
        return end

    def null(self) -> None:
        self._values.append(None)

    def finish(self) -> pa.Array[Any]:
        return pa.array(self._values, pa.large_binary()).cast(self._type)


class _ListReader(Reader):
    def __init__(self, type_: Any, items: Reader) -> None:
        super().__init__(type_)
        self._items = items
        self._counts: list[int] = []
        self._size = type_.list_size if pa.types.is_fixed_size_list(type_) else None
        self._takes_bytes = not _is_empty_struct(type_.value_type)
        self._without_bytes = 0

    def read(self, blob: bytes, at: int) -> int:
        count = _number(blob, at)
        at += 9
        if (self._takes_bytes and count > len(blob)) or self._size not in (None, count):
            raise ValueTypeError(f"expected the bytes of one {self._type}, found a count of {count} items")
        if not self._takes_bytes:
            self._count_without_bytes(count)
        if blob[at - 1 : at] == b"\x01":
            valid = blob[at : at + count]
            at += count
        else:
            valid = b"\x01" * count
        self._valid.append(1)
        self._counts.append(count)
        return self._items.run(blob, at, valid)

    def null(self) -> None:
        self._valid.append(0)
        self._counts.append(0)
        if self._size:
            self._count_without_bytes(self._size)
            for _ in range(self._size):
                self._items.null()

    def _count_without_bytes(self, count: int) -> None:
        self._without_bytes += count
        if self._without_bytes > _MOST_WITHOUT_BYTES:
            raise ValueTypeError(
                f"expected at most {_MOST_WITHOUT_BYTES} items without a byte in a column of {self._type}, found "
                f"{self._without_bytes}"
            )

    def finish(self) -> pa.Array[Any]:
        items = self._items.finish()
        if self._size is not None:
            return self._assembled([], [items])
        small = pa.types.is_list(self._type) or pa.types.is_list_view(self._type)
        ends = numbers("i" if small else "q", accumulate(self._counts, initial=0))
        if pa.types.is_list(self._type) or pa.types.is_large_list(self._type):
            return self._assembled([pa.py_buffer(ends)], [items])
        sizes = numbers(ends.typecode, self._counts)
        return self._assembled([pa.py_buffer(ends[:-1]), pa.py_buffer(sizes)], [items])


class _StructReader(Reader):
    def __init__(self, type_: pa.DataType, fields: list[Reader]) -> None:
        super().__init__(type_)
        self._fields = fields

    def read(self, blob: bytes, at: int) -> int:
        for field in self._fields:
            at = _read_tagged(field, blob, at)
        self._valid.append(1)
        return at

    def null(self) -> None:
        self._valid.append(0)
        for field in self._fields:
            field.null()

    def finish(self) -> pa.Array[Any]:
        return self._assembled([], [field.finish() for field in self._fields])


class _MapReader(Reader):
    def __init__(self, type_: pa.DataType, keys: Reader, items: Reader) -> None:
        super().__init__(type_)
        self._keys = keys
        self._items = items
        self._counts: list[int] = []

    def read(self, blob: bytes, at: int) -> int:
        count = _number(blob, at)
        at += 8
        for _ in range(count):
            at = _read_tagged(self._items, blob, self._keys.read(blob, at))
        self._valid.append(1)
        self._counts.append(count)
        return at

    def null(self) -> None:
        self._valid.append(0)
        self._counts.append(0)

    def finish(self) -> pa.Array[Any]:
        entry = pa.struct([self._type.key_field, self._type.item_field])
        children = [self._keys.finish(), self._items.finish()]
        entries = pa.Array.from_buffers(entry, len(children[0]), [None], children=children)
        ends = numbers("i", accumulate(self._counts, initial=0))
        return self._assembled([pa.py_buffer(ends)], [entries])


def _is_empty_struct(type_: pa.DataType) -> bool:
    inner = unwrapped_type(type_)
    return _is_empty_struct(inner) if inner is not None else pa.types.is_struct(type_) and not type_.num_fields


def _number(blob: bytes, at: int) -> int:
    try:
        return int(_U64.unpack_from(blob, at)[0])
    except error:
        raise ValueTypeError(f"expected eight more bytes of a payload, found {max(0, len(blob) - at)}") from None


def _read_tagged(reader: Reader, blob: bytes, at: int) -> int:
    tag = blob[at : at + 1]
    if tag == b"\x01":
        return reader.read(blob, at + 1)
    if tag != b"\x00":
        raise ValueTypeError(f"expected 00 or 01 before a value, found {tag!r}")
    reader.null()
    return at + 1
